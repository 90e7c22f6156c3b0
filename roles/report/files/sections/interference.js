/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What interrupted tasks: vectors, CPUs, timers, kernel threads. */
import { el, heading, hostLink, lead, nameOrNone, task } from '../lib/dom.js'
import { micros, NONE, number, plural } from '../lib/format.js'
import { t } from '../lib/messages.js'
import { foldedPart } from '../lib/fold.js'
import { figure, grid, hostColumn, named, shareColumn, short } from '../lib/table.js'

const hostOrNone = (name) => (name === null ? NONE : hostLink(name))
const hosts = () => figure(t('Hosts'), 'hosts', number, { width: 80, responsive: 4, widthGrow: 0 })
const kind = (responsive) => ({ title: t('Kind'), field: 'kind', width: 90, responsive })

function leadText(interference) {
  if (!interference.hosts) return t('No host measured interrupts.')
  const cut = interference.cut
    ? `; ${plural(interference.cut, 'smaller one is not listed', 'smaller ones are not listed')}`
    : ''
  return t('Interrupts of {hosts}. The table adds up vectors of the same kind and name over hosts{cut}.', {
    hosts: plural(interference.hosts, 'host'),
    cut,
  })
}

const vectorColumns = () => [
  kind(1),
  named(t('Vector'), 'name', { minWidth: 120, widthGrow: 2, responsive: 0 }),
  hosts(),
  figure(t('Interrupts'), 'count', number, { responsive: 3, minWidth: 120 }),
  figure(t('Per second'), 'rate_per_s', number, { responsive: 5 }),
  figure(t('Time in it'), 'total_us', micros, { responsive: 2 }),
  figure(t('Mean'), 'mean_us', micros, { responsive: 5 }),
  figure(t('Longest'), 'longest_us', micros, { responsive: 1 }),
  {
    title: t('Longest on'),
    field: 'longest_host',
    minWidth: 150,
    widthGrow: 1,
    responsive: 5,
    draw: hostOrNone,
  },
  shareColumn(t('Largest share of one CPU'), 'worst_share', { minWidth: 160, widthGrow: 2, responsive: 0 }),
  {
    title: t('Share on'),
    field: 'worst_host',
    minWidth: 150,
    widthGrow: 1,
    responsive: 4,
    draw: (name, vector) => (name === null ? NONE : el('span', {}, hostLink(name), ` CPU\u00a0${vector.worst_cpu}`)),
  },
]

const cpuColumns = () => [
  hostColumn(t('Host')),
  figure(t('CPU'), 'cpu', number, { width: 80, responsive: 0, widthGrow: 0 }),
  shareColumn(t('Share of its time in interrupts'), 'share', { minWidth: 170, widthGrow: 4, responsive: 0 }),
  shareColumn(t('Taken by the hypervisor'), 'steal', { minWidth: 150, widthGrow: 2, responsive: 1 }),
]

const timerColumns = () => [
  kind(3),
  { title: t('Function'), field: 'function', minWidth: 140, widthGrow: 2, responsive: 0, draw: nameOrNone },
  hosts(),
  figure(t('Timers'), 'count', number, { responsive: 3 }),
  figure(t('Time in it'), 'total_us', micros, { responsive: 2 }),
  figure(t('Longest'), 'longest_us', micros, { responsive: 4 }),
  figure(t('Most per second'), 'worst_rate_per_s', number, { responsive: 0, minWidth: 130 }),
  { title: t('Most on'), field: 'worst_host', minWidth: 110, widthGrow: 1, responsive: 1, draw: hostLink },
  {
    title: t('Started by'),
    field: 'started_by',
    minWidth: 120,
    widthGrow: 2,
    responsive: 1,
    headerSort: false,
    draw: (owner) => (owner ? task(owner) : NONE),
  },
]

const threadColumns = () => [
  hostColumn(t('Host'), { minWidth: 110 }),
  {
    title: t('Kernel thread'),
    field: 'comm',
    minWidth: 140,
    widthGrow: 3,
    responsive: 0,
    draw: (comm, thread) => task(thread),
  },
  figure(t('CPU time'), 'cpu_us', micros, { responsive: 1 }),
  shareColumn(t('Share of one CPU'), 'share', { minWidth: 150, widthGrow: 2, responsive: 0 }),
]

export function render(interference, root) {
  root.append(lead(leadText(interference)))
  const part = (title, name, rows, columns) =>
    grid(foldedPart(root, title, rows.length), name, rows, columns, { placeholder: t('Not measured.') })
  const { vectors, cpus, timers, threads } = interference
  root.append(heading(t('By vector')))
  grid(root, 'vectors', vectors, vectorColumns(), {
    ...short(vectors),
    placeholder: t('Nothing was measured.'),
  })
  part(t('Most interrupted CPUs'), 'cpus', cpus, cpuColumns())
  part(t('Timers'), 'timers', timers, timerColumns())
  part(t('Kernel threads'), 'threads', threads, threadColumns())
  return interference.hosts ? undefined : 0
}
