/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the time of services went, and tasks that the kernel kept from going on: for what, and who held it. */
import { wholeFleet } from '../lib/chart.js'
import { bdi, el, findingLink, heading, hint, hostLink, lead, plainTable, stackDetails, task } from '../lib/dom.js'
import { followRows } from '../lib/filter.js'
import { micros, NONE, number, percent, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'

function leadText(blocked) {
  if (!blocked.hosts) return t('No host was measured.')
  const cut = blocked.cut ? `; ${plural(blocked.cut, 'smaller one is not listed', 'smaller ones are not listed')}` : ''
  return t('Waits in the kernel on {hosts}, of tasks that could not go on{cut}.', {
    hosts: plural(blocked.hosts, 'host'),
    cut,
  })
}

const reason = ({ reason, device }) => `${t(reason)}${device === null ? '' : ` (${device})`}`
const someone = (who) => (who === null ? NONE : task(who))
const holder = (who) =>
  who === null ? NONE : el('span', {}, task(who), who.doing ? el('div', { class: 'hint' }, bdi(who.doing)) : null)

const causeLine = (cause) => [
  findingLink(cause.finding, reason(cause)),
  number(cause.hosts),
  number(cause.count),
  micros(cause.longest_us),
  micros(cause.total_us),
  micros(cause.sampled_us),
  hostLink(cause.worst_host),
  someone(cause.victim),
  holder(cause.holder),
]

const link = ({ comm, pid, reason }) => el('div', { class: 'hint' }, bdi(`${comm} (${pid}): ${t(reason)}`))

const waitLine = (wait) => [
  hostLink(wait.host),
  el('span', {}, task(wait), wait.service === null ? null : el('div', { class: 'hint' }, bdi(wait.service))),
  micros(wait.delay_us) + (wait.ongoing ? ` ${t('and goes on')}` : ''),
  reason(wait),
  el('span', {}, holder(wait.holder), ...wait.chain.map(link)),
  stackDetails(wait.stack, []),
]

/* Of one second of the window: 2 s/s are two tasks that wait all the time. */
const share = (value, windowUs) => (value === null ? NONE : value ? percent(value / windowUs) : '0')

const blockedKinds = ({ blocked, window_us }) =>
  Object.entries(blocked)
    .filter(([, value]) => value >= window_us / 1000)
    .map(([kind, value]) => el('div', { class: 'hint' }, `${word(kind)} ${percent(value / window_us)}`))

const worstDelay = (one) =>
  el(
    'div',
    { class: 'hint' },
    bdi(`${one.comm} (${one.pid}) ${micros(one.delay_us)}: ${one.words}${one.by ? ` (${one.by})` : ''}`),
  )

const serviceLine = (row) => [
  hostLink(row.host),
  bdi(row.unit ?? row.cgroup ?? NONE),
  ...['running_us', 'run_queue_us', 'throttled_us', 'interrupted_us', 'steal_us'].map((name) =>
    share(row[name], row.window_us),
  ),
  el('span', {}, share(row.blocked_us, row.window_us), ...blockedKinds(row)),
  row.largest === null ? NONE : word(row.largest),
  el('span', {}, ...row.worst.slice(0, 3).map(worstDelay)),
]

const percentileLine = (row) => [
  word(row.cause),
  ...['p50', 'p90', 'p99', 'max'].map((name) => percent(row[name])),
  hostLink(row.worst_host),
]

function whereTheTimeWent({ services, percentiles }, root) {
  if (services.length) {
    const times = [t('Running'), t('Run queue'), t('Throttled'), t('Interrupted'), t('Steal'), t('Blocked')]
    const heads = [t('Host'), t('Service'), ...times, t('Largest cause'), t('Worst delays')]
    const table = plainTable(heads, services.map(serviceLine), [2, 3, 4, 5, 6, 7])
    root.append(heading(t('Time of services')), followRows(table, services))
    root.append(hint(t('100 % are one task for the whole window; tasks of a service add up.')))
  }
  if (percentiles.length) {
    const heads = [t('Cause'), t('p50'), t('p90'), t('p99'), t('Most'), t('Most on')]
    root.append(
      heading(t('Time lost over all hosts')),
      wholeFleet(),
      plainTable(heads, percentiles.map(percentileLine), [1, 2, 3, 4]),
    )
  }
}

export function render(blocked, root) {
  root.append(lead(leadText(blocked)))
  whereTheTimeWent(blocked, root)
  const { causes, waits } = blocked
  if (causes.length) {
    const counted = [t('Hosts'), t('Waits'), t('Longest'), t('Time in long waits'), t('Time in all waits')]
    const heads = [t('Waits for'), ...counted, t('Most on'), t('Who waits'), t('Who holds')]
    const table = plainTable(heads, causes.map(causeLine), [1, 2, 3, 4, 5])
    root.append(heading(t('What tasks waited for')), wholeFleet(), table)
  }
  if (waits.length) {
    const heads = [t('Host'), t('Who waits'), t('Length'), t('Waits for'), t('Who holds, and for what that one waits')]
    const table = plainTable([...heads, t('Stack')], waits.map(waitLine), [2])
    root.append(heading(t('Longest waits')), followRows(table, waits))
  }
  return blocked.services.length + causes.length + waits.length
}
