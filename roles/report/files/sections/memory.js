/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who holds the memory of the hosts, what of it grows, and how near the limits are. */
import { causesTable } from '../lib/causes.js'
import { bar, legend } from '../lib/bar.js'
import { bdi, el, findingLink, heading, hint, hostLink, lead, listed, plainTable } from '../lib/dom.js'
import { bytes, bytesPerSecond, NONE, number, percent, plural, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'

function leadText(memory) {
  if (!memory.hosts) return t('No host was read.')
  const cut = memory.cut ? t('; {n} smaller ones are not listed', { n: number(memory.cut) }) : ''
  return t('Holders of memory on {hosts}{cut}.', { hosts: plural(memory.hosts, 'host'), cut })
}

const owner = ({ owner, pid, unit }) =>
  bdi(owner + (pid === null ? '' : ` (${pid})`) + (unit === null ? '' : ` ${unit}`))
const command = (row) => (row.command === null ? NONE : el('code', {}, bdi(row.command)))
const rate = (value) => (value === null ? NONE : `${number(value)}/s`)
const kind = (row) => (row.finding ? findingLink(row.finding, word(row.kind)) : word(row.kind))

const growthLine = (row) => [
  hostLink(row.host),
  kind(row),
  owner(row),
  number(row.count),
  rate(row.per_s),
  row.bytes_per_s === null ? NONE : bytesPerSecond(row.bytes_per_s),
  command(row),
]
const holderLine = (row) => [
  hostLink(row.host),
  kind(row),
  owner(row),
  number(row.count),
  bytes(row.bytes),
  command(row),
]
const amount = (row, value) => (row.unit === 'bytes' ? bytes(value) : number(value))
const limitLine = (row) => [
  hostLink(row.host),
  findingLink(row.finding, row.limit),
  row.owner === null ? NONE : bdi(row.owner),
  amount(row, row.used),
  amount(row, row.limit_value),
  percent(row.share),
  seconds(row.exhausted_in_s),
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
  root.append(
    heading(t('Where the memory is')),
    legend(Object.entries(GROUPS).map(([name, title]) => ({ class: ofGroup(name), title: title() }))),
    ...memory.pictures.map(picture),
  )
  if (memory.hosts > memory.pictures.length) {
    const n = number(memory.pictures.length)
    root.append(hint(t('The {n} hosts with the largest share of kernel memory that stays.', { n })))
  }
}

function table(root, title, heads, rows, line, numeric) {
  if (!rows.length) return
  root.append(heading(title), plainTable(heads, rows.map(line), numeric))
}

export function render(memory, root) {
  root.append(lead(leadText(memory)))
  causesTable(root, memory.causes)
  pictures(root, memory)
  const holder = [t('Host'), t('Kind'), t('Holder')]
  const growth = [...holder, t('Number'), t('Per second'), t('Growth'), t('What lists them')]
  table(root, t('What grows'), growth, memory.growth, growthLine, [3, 4, 5])
  const level = [...holder, t('Number'), t('Memory'), t('What lists them')]
  table(root, t('Who holds most'), level, memory.holders, holderLine, [3, 4])
  const limit = [t('Host'), t('Limit'), t('Holder'), t('Used'), t('At most'), t('Share'), t('Time left')]
  table(root, t('Limits'), limit, memory.limits, limitLine, [3, 4, 5, 6])
  return memory.growth.length + memory.holders.length + memory.limits.length
}
