/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Health of the hosts: each fact once, with the hosts that have it. */
import { bdi, el, hostLink, lead, plainTable } from '../lib/dom.js'
import { number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'

function leadText(health) {
  if (!health.hosts) return t('No host was read.')
  const cut = health.cut ? ` ${t('{n} more facts are not listed.', { n: number(health.cut) })}` : ''
  return t('The health of {hosts} was read.', { hosts: plural(health.hosts, 'host') }) + cut
}

const hostPart = ({ host, detail }) => el('div', {}, hostLink(host), bdi(detail ? ` ${detail}` : ''))

const hosts = (row) => el('details', {}, el('summary', {}, plural(row.host_count, 'host')), ...row.hosts.map(hostPart))

export function render(health, root) {
  root.append(lead(leadText(health)))
  if (!health.rows.length) return 0
  const lines = health.rows.map((row) => [word(row.topic), bdi(t(row.text, row.values)), hosts(row)])
  root.append(plainTable([t('Topic'), t('Fact'), t('Hosts')], lines))
  return health.rows.length
}
