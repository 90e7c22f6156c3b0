/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who holds the memory of the hosts, what of it grows, and how near the limits are. */
import { causesTable } from '../lib/causes.js'
import { bar, legend } from '../lib/bar.js'
import { bdi, el, findingLink, heading, hint, hostLink, lead, listed, plainTable } from '../lib/dom.js'
import { foldedPart } from '../lib/fold.js'
import { bytes, bytesPerSecond, NONE, number, percent, plural, seconds } from '../lib/format.js'
import { onChange } from '../lib/filter.js'
import { t, word } from '../lib/messages.js'
import { figure, grid, hostColumn, named, short } from '../lib/table.js'

function leadText(memory) {
  if (!memory.hosts) return t('No host was read.')
  const cut = memory.cut ? `; ${plural(memory.cut, 'smaller one is not listed', 'smaller ones are not listed')}` : ''
  return t('Holders of memory on {hosts}{cut}.', { hosts: plural(memory.hosts, 'host'), cut })
}

const owner = ({ owner, pid, unit }) =>
  bdi(owner + (pid === null ? '' : ` (${pid})`) + (unit === null ? '' : ` ${unit}`))
const rate = (value) => (value === null ? NONE : `${number(value)}/s`)
const growth = (value) => (value === null ? NONE : bytesPerSecond(value))
const amount = (value, { unit }) => (unit === 'bytes' ? bytes(value) : number(value))

const kindColumn = () => ({
  title: t('Kind'),
  field: 'kind',
  minWidth: 90,
  responsive: 0,
  draw: (kind, row) => (row.finding ? findingLink(row.finding, word(kind)) : word(kind)),
})
const ownerColumn = () => ({
  title: t('Holder'),
  field: 'owner',
  minWidth: 140,
  widthGrow: 3,
  responsive: 0,
  draw: (name, row) => owner(row),
})
const commandColumn = () => ({
  title: t('What lists them'),
  field: 'command',
  optional: true,
  minWidth: 160,
  widthGrow: 3,
  responsive: 4,
  headerSort: false,
  draw: (command) => (command === null ? NONE : el('code', {}, bdi(command))),
})
const holderColumns = () => [hostColumn(t('Host')), kindColumn(), ownerColumn()]

const growthColumns = () => [
  ...holderColumns(),
  figure(t('Number'), 'count', number, { responsive: 3 }),
  figure(t('Per second'), 'per_s', rate, { responsive: 2 }),
  figure(t('Growth'), 'bytes_per_s', growth, { responsive: 1 }),
  commandColumn(),
]
const levelColumns = () => [
  ...holderColumns(),
  figure(t('Number'), 'count', number, { responsive: 2 }),
  figure(t('Memory'), 'bytes', bytes, { responsive: 1 }),
  commandColumn(),
]
/* Groups of the parts of memory, in the order in which they are drawn. */
const GROUPS = {
  programs: () => t('Programs'),
  caches: () => t('Caches that the kernel gives back'),
  kernel: () => t('Kernel'),
  unaccounted: () => t('Unaccounted'),
  free: () => t('Free'),
}
const ofGroup = (name) => `of-${name}`
const change = (value) => (value ? (value > 0 ? '+' : '−') + bytes(Math.abs(value)) : NONE)
const partLine = (total) => (part) => [
  el('span', { class: `key ${ofGroup(part.group)}` }, word(part.part)),
  bytes(part.bytes),
  percent(part.bytes / total),
  change(part.delta_bytes),
  part.owners.length ? listed(part.owners.map(({ name, bytes: held }) => bdi(`${name}: ${bytes(held)}`))) : NONE,
]

function picture({ host, total_bytes: total, groups, parts }) {
  const shares = Object.entries(GROUPS).map(([name, title]) => ({
    class: ofGroup(name),
    title: `${title()}: ${bytes(groups[name])} (${percent(groups[name] / total)})`,
    value: Math.max(0, groups[name]),
  }))
  const heads = [t('Part'), t('Memory'), t('Share'), t('Change'), t('Largest holders')]
  return el(
    'div',
    { class: 'picture' },
    el('p', {}, hostLink(host), ` ${bytes(total)}`),
    bar(shares),
    el(
      'details',
      {},
      el('summary', {}, plural(parts.length, 'part')),
      plainTable(heads, parts.map(partLine(total || 1)), [1, 2, 3]),
    ),
  )
}

function pictures(root, memory) {
  if (!memory.pictures.length) return
  const drawn = memory.pictures.map(picture)
  onChange((tests) => drawn.forEach((node, place) => (node.hidden = !tests.row(memory.pictures[place]))))
  root.append(
    heading(t('Where the memory is')),
    legend(Object.entries(GROUPS).map(([name, title]) => ({ class: ofGroup(name), title: title() }))),
    ...drawn,
  )
  if (memory.hosts > memory.pictures.length) {
    const hosts = plural(memory.pictures.length, 'host')
    root.append(hint(t('With the largest share of kernel memory that stays: {hosts}.', { hosts })))
  }
}

const limitColumns = () => [
  hostColumn(t('Host')),
  {
    title: t('Limit'),
    field: 'limit',
    minWidth: 120,
    widthGrow: 2,
    responsive: 0,
    draw: (limit, row) => findingLink(row.finding, limit),
  },
  named(t('Holder'), 'owner', { optional: true, minWidth: 110, widthGrow: 2, responsive: 3 }),
  figure(t('Used'), 'used', amount, { responsive: 2 }),
  figure(t('At most'), 'limit_value', amount, { responsive: 3 }),
  figure(t('Share'), 'share', percent, { responsive: 1 }),
  figure(t('Time left'), 'exhausted_in_s', seconds, { optional: true, responsive: 1 }),
]

function table(root, title, name, rows, columns, folds) {
  if (!rows.length) return
  if (!folds) root.append(heading(title))
  grid(folds ? foldedPart(root, title, rows.length) : root, name, rows, columns(), short(rows))
}

export function render(memory, root, { hosts }) {
  root.append(lead(leadText(memory)))
  causesTable(root, 'memory_causes', memory.causes, hosts)
  pictures(root, memory)
  table(root, t('What grows'), 'memory_growth', memory.growth, growthColumns, memory.causes.length > 0)
  table(root, t('Who holds most'), 'memory_holders', memory.holders, levelColumns, memory.causes.length > 0)
  table(root, t('Limits'), 'memory_limits', memory.limits, limitColumns)
  return memory.growth.length + memory.holders.length + memory.limits.length
}
