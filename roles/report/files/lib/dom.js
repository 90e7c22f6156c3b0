/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Elements of the page. What hosts sent becomes text nodes only: never HTML, an attribute that runs, or an address. */
import { NONE, number, percent, plural } from './format.js'
import { t, word } from './messages.js'
import { shortName } from './names.js'
import { SEVERITIES } from './schema.js'
import { fragment } from './state.js'

export const byId = (id) => document.getElementById(id)

/* children: nodes, texts, arrays of them; null and undefined are left out. */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value)
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child)
  return node
}

export const text = (value) => document.createTextNode(value)
/* A text that a host or an operator wrote: its direction of writing stays its own. */
export const bdi = (value) => el('bdi', {}, value)
export const link = (key, value, name) => el('a', { href: fragment({ [key]: value }), class: `to-${key}` }, bdi(name))

/* A name that breaks at its dots before anything else. full: what it stands for, where that is longer. */
const labels = (name) => name.split(/(?<=\.)/).map((label) => el('span', {}, label))
export const hostName = (name) => {
  const shown = shortName(name)
  return el('bdi', { class: 'name', ...(shown === name ? {} : { title: name, 'data-full': name }) }, labels(shown))
}
export const hostLink = (name) => el('a', { href: fragment({ host: name }), class: 'to-host' }, hostName(name))
export const nameOrNone = (name) => (name === null ? NONE : bdi(name))
/* more: of the address, as the host whose evidence opens first. */
export const findingLink = (id, title, more = {}) =>
  id ? el('a', { href: fragment({ finding: id, ...more }), class: 'to-finding' }, bdi(title)) : bdi(title)
export const task = ({ comm, pid }) => bdi(`${comm} (${pid})`)

/* severity: or a state of a host, which has the colour of what is unknown. */
export const badge = (severity, name = word(severity)) =>
  el('span', { class: `badge is-${SEVERITIES.includes(severity) ? severity : 'unknown'}` }, name)

export function shareBar(value) {
  if (value === null || value === undefined) return text(NONE)
  const fill = el('i')
  fill.style.width = `${Math.min(100, value * 100)}%`
  return el('span', {}, el('span', { class: 'share', 'aria-hidden': 'true' }, fill), percent(value))
}

export const webLink = (address, ...content) =>
  el('a', { href: address, rel: 'noopener noreferrer', target: '_blank' }, ...content)

/* Puts a text between nodes. */
export const listed = (nodes, between = ', ') => nodes.flatMap((node, place) => [place ? between : '', node])

const SHOWN_HOSTS = 2

/* Names of hosts: two, or the first of more and how many there are beside it. total: of which hosts are some or all. */
export function nameList(hosts, total, draw = hostLink) {
  const shown = hosts.slice(0, total > SHOWN_HOSTS ? 1 : SHOWN_HOSTS)
  const rest = total - shown.length
  const full = hosts.join(', ') + (total > hosts.length ? `, +${total - hosts.length}` : '')
  return el('span', { class: 'names', 'data-full': full }, listed(shown.map(draw)), rest ? ` +${number(rest)}` : '')
}

/* The same of entries {host}. */
export const hostList = (hosts, total) =>
  nameList(
    hosts.map(({ host }) => host),
    total,
  )

/* A call stack that opens, with the reasons of its verdict. */
export const stackDetails = (stack, reasons) =>
  el(
    'details',
    {},
    el('summary', {}, stack.length ? plural(stack.length, 'frame') : t('not captured')),
    el('p', {}, bdi(reasons.join('; '))),
    el('pre', {}, stack.join('\n') || NONE),
  )

/* A plain table. heads: texts; lines: rows of nodes or texts; numeric: places of columns that are set to the right. */
export function plainTable(heads, lines, numeric = []) {
  const kind = (place) => (numeric.includes(place) ? { class: 'number' } : {})
  const head = el(
    'tr',
    {},
    heads.map((name, place) => el('th', { scope: 'col', ...kind(place) }, name)),
  )
  const rows = lines.map((line) =>
    el(
      'tr',
      {},
      line.map((item, place) => el('td', kind(place), item)),
    ),
  )
  return el(
    'div',
    { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('Table') },
    el('table', { class: 'plain' }, el('thead', {}, head), el('tbody', {}, rows)),
  )
}

/* Parts of a section. */
export const heading = (title) => el('h3', {}, title)
export const lead = (...content) => el('p', { class: 'lead' }, ...content)
export const hint = (...content) => el('p', { class: 'hint' }, ...content)
export const place = (id) => el('div', { id })
