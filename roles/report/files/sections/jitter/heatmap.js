/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heat map of run-queue latency: a column for each host, worst first, a row for each delay. */
import { chartFigure, draw, refreshChart } from '../../lib/chart.js'
import { hostLink } from '../../lib/dom.js'
import { onChange } from '../../lib/filter.js'
import { micros, NONE, number, percent } from '../../lib/format.js'
import { t } from '../../lib/messages.js'
import { shortName } from '../../lib/names.js'

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000]
const NAME_PX = 110
const NAME_CHARS = 16
const ROW_PX = 12
const LISTED_HOSTS = 100
const RAREST = 1e-6 // the share of waits that has the faintest colour
const FAINTEST = 0.08

/* Hosts with a 99th percentile, worst first. */
export const worstFirst = (hosts) =>
  hosts
    .filter(({ jitter }) => jitter && jitter.p99_us !== null && jitter.p99_us !== undefined)
    .sort((left, right) => right.jitter.p99_us - left.jitter.p99_us || right.jitter.max_us - left.jitter.max_us)

/* The row of a delay: 0 below 1 µs, then one for each doubling. */
export const rowOf = (delay) => (delay < 1 ? 0 : Math.floor(Math.log2(delay)) + 1)
const leastOf = (row) => (row ? 2 ** (row - 1) : 0)

/* The largest share of waits by row, over some hosts. */
function sharesOf(hosts, rows) {
  const shares = new Array(rows).fill(0)
  for (const { jitter } of hosts) {
    jitter.waits_log2_us.forEach((waits, row) => {
      shares[row] = Math.max(shares[row], waits / jitter.count)
    })
  }
  return shares
}

/* Columns of shares: one for each host, or for as many as share a pixel. */
export function columnsOf(hosts, rows, most) {
  const count = Math.min(hosts.length, Math.max(1, Math.floor(most)))
  const first = (column) => Math.floor((column * hosts.length) / count)
  return Array.from({ length: count }, (unused, column) =>
    sharesOf(hosts.slice(first(column), first(column + 1)), rows),
  )
}

/* From 0 to 1, by the logarithm of a share. */
export const strength = (share) =>
  share <= 0 ? 0 : Math.max(FAINTEST, 1 - Math.log10(Math.min(1, share)) / Math.log10(RAREST))

function chart(hosts, colour, axis) {
  const rows = Math.max(...hosts.map(({ jitter }) => Math.max(jitter.waits_log2_us.length, rowOf(jitter.max_us) + 1)))

  function drawCells(self) {
    const { ctx, bbox } = self
    const columns = columnsOf(hosts, rows, bbox.width)
    const [left, right] = [-0.5, hosts.length - 0.5].map((value) => self.valToPos(value, 'x', true))
    const width = (right - left) / columns.length
    const gap = width > 4 ? 1 : 0
    ctx.save()
    ctx.fillStyle = colour('--wakeup')
    columns.forEach((shares, column) => {
      shares.forEach((share, row) => {
        if (!share) return
        const [bottom, top] = [row, row + 1].map((value) => self.valToPos(value, 'y', true))
        ctx.globalAlpha = strength(share)
        ctx.fillRect(left + column * width, top, Math.max(1, width - gap), bottom - top - 1)
      })
    })
    ctx.restore()
  }

  const marks = (self, shown) =>
    shown.map((index) =>
      self.width / hosts.length > NAME_PX ? shortName(hosts[index].host).slice(0, NAME_CHARS) : number(index + 1),
    )
  const value = (name) => (self, unused, series, index) => (index === null ? NONE : micros(hosts[index].jitter[name]))
  const hidden = { paths: () => null, width: 0, points: { show: false } }
  return [
    {
      height: 90 + ROW_PX * rows,
      scales: { x: { time: false, range: [-0.6, hosts.length - 0.4] }, y: { range: [0, rows] } },
      axes: [
        { ...axis, grid: { show: false }, incrs: STEPS, space: 70, values: marks },
        {
          ...axis,
          size: 62,
          grid: { show: false },
          splits: () => Array.from({ length: Math.ceil(rows / 3) }, (unused, place) => 3 * place),
          values: (self, places) => places.map((place) => micros(leastOf(place))),
        },
      ],
      series: [
        { label: t('Host'), value: (self, index) => (index === null ? NONE : hosts[index].host) },
        { ...hidden, label: t('99 % of the waits are at most'), value: value('p99_us') },
        {
          label: t('longest'),
          stroke: colour('--preempted'),
          width: 0,
          paths: () => null,
          points: { show: true, size: hosts.length > 400 ? 3 : 6, fill: colour('--preempted') },
          value: value('max_us'),
        },
      ],
      hooks: { drawAxes: [drawCells] },
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [
      hosts.map((host, index) => index),
      hosts.map(({ jitter }) => rowOf(jitter.p99_us)),
      hosts.map(({ jitter }) => rowOf(jitter.max_us) + 0.5),
    ],
  ]
}

const line = ({ host, jitter }) => [
  hostLink(host),
  number(jitter.count),
  micros(jitter.p99_us),
  micros(jitter.max_us),
  percent(jitter.waits_log2_us.slice(rowOf(1024)).reduce((sum, waits) => sum + waits, 0) / jitter.count),
]

export function heatMapPart(hosts, root) {
  const all = worstFirst(hosts)
  let shown = all
  if (shown.length < 2) return
  const figure = chartFigure(
    'jitter-heat',
    t('Heat map of run-queue latency: hosts by delay'),
    {
      heads: () => [t('Host'), t('Waits'), 'p99', t('longest'), t('Share of 1 ms and more')],
      lines: () => shown.slice(0, LISTED_HOSTS).map(line),
      numeric: [1, 2, 3, 4],
    },
    t('Each column is a host, worst first, each row twice the delay of the one below.'),
    ' ',
    t('The darker a cell, the larger its share of the waits (logarithmic); a dot is the longest wait.'),
  )
  root.append(figure)
  draw(
    figure,
    (colour, axis) => chart(shown, colour, axis),
    (index) => ({ host: shown[index].host }),
  )
  onChange((tests) => {
    shown = all.filter(tests.host)
    figure.hidden = !shown.length
    if (shown.length) refreshChart(figure)
  })
}
