/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters of memory that grow between scans of one boot of a host: too slowly for a window. */
import { curve } from '../lib/curve.js'
import { bdi, el, findingLink, hostList, lead, plainTable } from '../lib/dom.js'
import { bytes, instant, number, plural, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { figure, grid } from '../lib/table.js'

const HOUR_S = 3600

/* A value of a row, in its unit. */
const amount = (value, unit) => (unit === 'bytes' ? bytes(value) : number(Math.round(value * 10) / 10))

export const rate = (perSecond, { unit, falls }) =>
  `${falls ? '−' : ''}${t('{amount} an hour', { amount: amount(perSecond * HOUR_S, unit) })}`

const names = ({ counter, also }) => [counter, ...also].join(', ')

/* What a counter consists of that grows, and what grows at the same time. */
export function causes({ parts, beside }) {
  return [
    ...parts.map((part) => `${names(part)}: ${amount(part.gained, 'bytes')}`),
    ...beside.map((one) => `${word(one.counter)}: +${amount(one.gained, one.unit)}`),
  ]
}

function verdictText(row) {
  if (row.open === 'few') return t('rose, in too few scans to call it growth')
  if (row.open === 'day') return t('rose, and all scans are of one day')
  return word(row.verdict)
}

function leadText(trend) {
  if (!trend.scans.length) {
    return [
      t('Not compared: there is no earlier scan to compare with.'),
      t('Growth that a window is too short for shows from two scans of one boot of a host on.'),
    ].join(' ')
  }
  return [
    t('Compared with {scans} since {at}. Compared: {hosts} with readings of several scans of one boot.', {
      scans: plural(trend.scans.length, 'earlier scan'),
      at: instant(trend.scans[0].started_at),
      hosts: plural(trend.compared, 'host'),
    }),
    trend.not_used ? plural(trend.not_used, 'other scan was not compared.', 'other scans were not compared.') : '',
    trend.cut ? plural(trend.cut, 'smaller entry is not listed.', 'smaller entries are not listed.') : '',
  ].join(' ')
}

function curveLabel({ points, unit }) {
  const [end, last] = points.at(-1)
  const [from, to] = [points[0][1], last].map((value) => amount(value, unit))
  return t('from {from} to {to} in {time}', { from, to, time: seconds(end || 1) })
}

const drawCurve = (points, row) =>
  points.length > 1 ? curve(points, curveLabel(row), Math.min(...points.map(([, value]) => value))) : ''

const columns = () => [
  {
    title: t('Counter'),
    field: 'counter',
    minWidth: 150,
    widthGrow: 2,
    responsive: 0,
    draw: (counter, row) => findingLink(row.finding, names(row)),
  },
  {
    title: t('Verdict'),
    field: 'verdict',
    minWidth: 110,
    widthGrow: 1,
    responsive: 1,
    draw: (verdict, row) => verdictText(row),
  },
  figure(t('Growth, worst host'), 'per_s', (value, row) => rate(value, row), { responsive: 0, minWidth: 130 }),
  figure(t('Gained'), 'gained', (value, { unit }) => amount(value, unit), { responsive: 4 }),
  figure(t('Now'), 'value', (value, { unit }) => amount(value, unit), { responsive: 4 }),
  figure(t('For'), 'since_s', seconds, { responsive: 3 }),
  figure(t('Scans'), 'readings', number, { responsive: 6 }),
  {
    title: t('Over time, worst host'),
    field: 'points',
    width: 170,
    responsive: 3,
    headerSort: false,
    draw: drawCurve,
  },
  {
    title: t('What of it, and what beside it'),
    field: 'parts',
    minWidth: 160,
    widthGrow: 3,
    responsive: 2,
    headerSort: false,
    draw: (parts, row) =>
      row.part_of ? t('part of {counter}', { counter: row.part_of }) : bdi(causes(row).join('; ')),
  },
  {
    title: t('Where'),
    field: 'host_count',
    minWidth: 150,
    widthGrow: 2,
    responsive: 2,
    sorter: 'number',
    draw: (count, { hosts }) => hostList(hosts, count),
  },
]

function details(title, table) {
  return el('details', {}, el('summary', {}, title), table)
}

export function render(trend, root) {
  root.append(lead(leadText(trend)))
  if (trend.scans.length) {
    grid(root, 'memory_trend', trend.rows, columns(), { placeholder: t('No counter grows between scans.') })
  }
  if (trend.not_compared.length) {
    const lines = trend.not_compared.map((one) => [
      word(one.reason),
      hostList(
        one.hosts.map((host) => ({ host })),
        one.host_count,
      ),
    ])
    root.append(
      details(
        t('Not compared: nothing is known of growth on these hosts'),
        plainTable([t('Reason'), t('Where')], lines),
      ),
    )
  }
  if (trend.skipped.length) {
    const lines = trend.skipped.map((one) => [bdi(one.scan_id), word(one.reason)])
    root.append(details(t('Earlier scans that could not be compared'), plainTable([t('Scan'), t('Reason')], lines)))
  }
  return trend.rows.filter(({ finding }) => finding).length
}
