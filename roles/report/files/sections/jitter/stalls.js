/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stalls of the kernel: interrupts off, task switches that were due, CPUs that did not run, long system calls. */
import { el, hostLink, nameOrNone, stackDetails, task } from '../../lib/dom.js'
import { foldedPart } from '../../lib/fold.js'
import { micros, number, plural, seconds } from '../../lib/format.js'
import { t } from '../../lib/messages.js'
import { figure, grid, short } from '../../lib/table.js'

export const kindNames = () => ({
  irqoff: t('interrupts off'),
  nosched: t('no task switch'),
  cpu_not_running: t('CPU not running'),
  syscall: t('long system call'),
})

function leadText(counts) {
  if (!counts.hosts) return t('No host was watched for stalls.')
  const times = (count) => plural(count, 'time')
  const texts = [
    t('On {hosts}: interrupts off {irqoff}, no task switch although one was due {nosched}.', {
      hosts: plural(counts.hosts, 'host'),
      irqoff: times(counts.irqoff),
      nosched: times(counts.nosched),
    }),
    t('CPU not running {count}: a paused machine, firmware, or a long interrupt.', {
      count: times(counts.cpu_not_running),
    }),
  ]
  if (counts.syscall !== undefined) {
    texts.push(t('{calls} kept a CPU for too long.', { calls: plural(counts.syscall, 'system call') }))
  }
  return texts.join(' ')
}

export function stallsPart({ stalls, stall_counts: counts }, root) {
  const part = foldedPart(root, t('Stalls of the kernel'), stalls.length)
  part.append(el('p', { id: 'stalls-lead' }, leadText(counts)))
  const names = kindNames()
  const isCertain = ({ certain, kind }) => certain || kind === 'cpu_not_running'
  grid(
    part,
    'stalls',
    stalls,
    [
      figure(t('At most'), 'delay_us', micros, { width: 95, responsive: 0, widthGrow: 0 }),
      figure(t('At least'), 'least_us', micros, { width: 95, responsive: 4, widthGrow: 0 }),
      {
        title: t('Kind'),
        field: 'kind',
        minWidth: 120,
        responsive: 0,
        draw: (kind, stall) => el('span', {}, names[kind], isCertain(stall) ? '' : t(' (perhaps)')),
      },
      { title: t('Host'), field: 'host', minWidth: 110, widthGrow: 2, responsive: 1, draw: hostLink },
      { title: t('Function'), field: 'culprit', minWidth: 140, widthGrow: 2, responsive: 1, draw: nameOrNone },
      {
        title: t('Task'),
        field: 'comm',
        minWidth: 110,
        widthGrow: 1,
        responsive: 3,
        draw: (comm, stall) => task(stall),
      },
      figure(t('CPU'), 'cpu', number, { width: 70, responsive: 5, widthGrow: 0 }),
      figure(t('At'), 'at_s', seconds, { responsive: 5, width: 85, widthGrow: 0 }),
      {
        title: t('Stack'),
        field: 'stack',
        minWidth: 130,
        widthGrow: 2,
        responsive: 2,
        headerSort: false,
        draw: (stack, { reasons }) => stackDetails(stack, reasons),
      },
    ],
    {
      ...short(stalls),
      placeholder: counts.hosts ? t('No stall was longer than the threshold.') : t('Not measured.'),
    },
  )
}
