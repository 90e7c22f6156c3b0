/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Causes of memory growth: who holds it, or that nobody does, with the parts of each beneath. */
import { bdi, el, findingLink, heading, plainTable } from './dom.js'
import { bytesPerSecond, NONE, number, plural } from './format.js'
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

/* name: of the table, of its own in the page. */
export function causesTable(root, name, causes) {
  if (!causes.length) return
  root.append(heading(t('Why memory grows')))
  grid(root, name, causes, columns(), short(causes))
}
