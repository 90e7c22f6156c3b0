/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Causes of memory growth: who holds it, or that nobody does, with the parts of each beneath. */
import { bdi, el, findingLink, heading, hint, plainTable } from './dom.js'
import { bytesPerSecond, NONE, number, plural, seconds } from './format.js'
import { t, word } from './messages.js'
import { figure, grid, hostColumn, short } from './table.js'

const HELD = { yes: () => t('held'), likely: () => t('likely held'), no: () => t('held by nobody') }
const rate = (value) => (value === null ? NONE : `${number(value)}/s`)
const memory = (value) => (value === null ? NONE : bytesPerSecond(value))

const owner = ({ owner, pid, unit }) =>
  bdi(owner + (pid === null ? '' : ` (${pid})`) + (unit === null ? '' : ` ${unit}`))

const parts = (cause) =>
  el(
    'details',
    {},
    el('summary', {}, plural(cause.parts.length, 'part')),
    cause.command === null ? null : el('p', {}, el('code', {}, bdi(cause.command))),
    el('p', {}, bdi(cause.evidence.join('; '))),
    plainTable(
      [t('Kind'), t('Place'), t('Per second'), t('Growth')],
      cause.parts.map((part) => [word(part.what), bdi(part.place), rate(part.per_s), memory(part.bytes_per_s)]),
      [2, 3],
    ),
  )

const columns = () => [
  hostColumn(t('Host')),
  {
    title: t('Kind'),
    field: 'kind',
    minWidth: 90,
    responsive: 0,
    draw: (kind, cause) => findingLink(cause.finding, word(kind)),
  },
  {
    title: t('Holder'),
    field: 'owner',
    minWidth: 150,
    widthGrow: 3,
    responsive: 0,
    draw: (name, cause) => owner(cause),
  },
  { title: t('Held'), field: 'held', minWidth: 110, responsive: 2, draw: (held) => HELD[held]() },
  figure(t('Per second'), 'per_s', rate, { responsive: 3, optional: true }),
  figure(t('Growth'), 'bytes_per_s', memory, { responsive: 1 }),
  figure(t('Memory lasts'), 'lasts_s', seconds, { optional: true, responsive: 2, minWidth: 110 }),
  {
    title: t('Parts'),
    field: 'parts',
    minWidth: 120,
    widthGrow: 3,
    responsive: 4,
    headerSort: false,
    draw: (value, cause) => parts(cause),
  },
]

/* Seconds until what a host has available is used up at this rate; null: not known, or it does not grow. */
export function lastsFor(bytesPerS, host) {
  const available = host?.memory?.available_bytes ?? null
  return available !== null && bytesPerS > 0 ? available / bytesPerS : null
}

/* name: of the table, of its own in the page; hosts: of the fleet document, by name. */
export function causesTable(root, name, causes, hosts) {
  if (!causes.length) return
  root.append(heading(t('Why memory grows')), hint(t('What grows fastest, of the whole fleet.')))
  const rows = causes.map((cause) => ({ ...cause, lasts_s: lastsFor(cause.bytes_per_s, hosts.get(cause.host)) }))
  grid(root, name, rows, columns(), short(rows))
}
