/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Health of the hosts: each fact once, with the hosts that have it. */
import { bdi, el, hostLink, hostList, lead } from '../lib/dom.js'
import { number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { figure, grid, short } from '../lib/table.js'

function leadText(health) {
  if (!health.hosts) return t('No host was read.')
  const cut = health.cut ? ` ${plural(health.cut, 'more fact is not listed.', 'more facts are not listed.')}` : ''
  return t('The health of {hosts} was read.', { hosts: plural(health.hosts, 'host') }) + cut
}

const hostPart = ({ host, detail }) => el('div', {}, hostLink(host), bdi(detail ? ` ${detail}` : ''))

/* What the hosts have of the fact, each on a line; '' when no host has more to say. */
function details({ hosts }) {
  if (!hosts.some(({ detail }) => detail)) return ''
  const [{ host, detail }] = hosts
  if (hosts.length === 1) return bdi(detail)
  const full = hosts.map((one) => `${one.host} ${one.detail}`).join('; ')
  const summary = el('summary', {}, bdi(detail || host))
  return el('details', { 'data-full': full }, summary, ...hosts.map(hostPart))
}

const columns = () => [
  { title: t('Topic'), field: 'topic', minWidth: 100, responsive: 1, draw: word },
  {
    title: t('Fact'),
    field: 'text',
    minWidth: 170,
    widthGrow: 4,
    responsive: 0,
    draw: (text, row) => bdi(t(row.text, row.values)),
  },
  figure(t('Hosts'), 'host_count', number, { width: 85, responsive: 0, widthGrow: 0 }),
  {
    title: t('Where'),
    field: 'hosts',
    minWidth: 165,
    widthGrow: 2,
    responsive: 2,
    headerSort: false,
    draw: (hosts, { host_count: count }) => hostList(hosts, count),
  },
  {
    title: t('Detail'),
    field: 'values',
    optional: true,
    minWidth: 160,
    widthGrow: 4,
    responsive: 3,
    headerSort: false,
    draw: (values, row) => details(row),
  },
]

/* Facts that an operator sets: what a comparison of two hosts shows as settings. */
export const SETTINGS = ['kernel', 'panic_settings', 'kdump', 'taint']

export function render(health, root) {
  root.append(lead(leadText(health)))
  if (!health.rows.length) return 0
  grid(root, 'host_health', health.rows, columns(), short(health.rows))
  return health.rows.length
}
