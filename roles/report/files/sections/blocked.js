/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks that the kernel kept from going on: for what, and who held it. */
import { bdi, el, findingLink, heading, hostLink, lead, plainTable, stackDetails, task } from '../lib/dom.js'
import { micros, NONE, number, plural } from '../lib/format.js'
import { t } from '../lib/messages.js'

function leadText(blocked) {
  if (!blocked.hosts) return t('No host was measured.')
  const cut = blocked.cut ? t('; {n} smaller ones are not listed', { n: number(blocked.cut) }) : ''
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

export function render(blocked, root) {
  root.append(lead(leadText(blocked)))
  const { causes, waits } = blocked
  if (causes.length) {
    const counted = [t('Hosts'), t('Waits'), t('Longest'), t('Time in long waits'), t('Time in all waits')]
    const heads = [t('Waits for'), ...counted, t('Most on'), t('Who waits'), t('Who holds')]
    root.append(heading(t('What tasks waited for')), plainTable(heads, causes.map(causeLine), [1, 2, 3, 4, 5]))
  }
  if (waits.length) {
    const heads = [t('Host'), t('Who waits'), t('Length'), t('Waits for'), t('Who holds, and for what that one waits')]
    root.append(heading(t('Longest waits')), plainTable([...heads, t('Stack')], waits.map(waitLine), [2]))
  }
  return causes.length + waits.length
}
