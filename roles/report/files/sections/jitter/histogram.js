/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long tasks waited, all hosts together. */
import { bars, chartFigure, decadeAxis, decadesTo, draw } from '../../lib/chart.js'
import { el, hint, plainTable } from '../../lib/dom.js'
import { compact, integer, micros, NONE } from '../../lib/format.js'
import { t } from '../../lib/messages.js'

const WAITS = ['wakeup', 'preempted']
const waitNames = () => ({ wakeup: t('after waking up'), preempted: t('after losing the CPU') })
const BUCKET_PX = 70
const noPoints = { width: 0, points: { show: false } }

/* Lower bounds of all buckets that hold something, ascending. */
export const bucketsOf = (histograms) =>
  [...new Set(Object.values(histograms).flatMap((histogram) => Object.keys(histogram).map(Number)))].sort(
    (left, right) => left - right,
  )

const rangeText = (bucket) => t('{least} to {most}', { least: micros(bucket), most: micros(bucket ? 2 * bucket : 1) })

function chart(histograms, colour, axis) {
  const buckets = bucketsOf(histograms)
  const counts = (wait) => buckets.map((bucket) => histograms[wait][bucket] || null)
  const top = decadesTo(Math.max(1, ...WAITS.flatMap(counts)) * 1.2)
  const places = buckets.map((bucket, index) => index)
  const marks = (self, shown) => {
    const step = Math.ceil(buckets.length / Math.max(1, Math.floor(self.width / BUCKET_PX)))
    return shown.map((index) => (index % step ? '' : micros(buckets[index])))
  }
  const series = (wait, align) => ({
    label: waitNames()[wait],
    fill: colour(`--${wait}`),
    stroke: colour(`--${wait}`),
    ...noPoints,
    paths: bars([0.42, 60], align),
    value: (self, value) => (value === null ? NONE : integer(value)),
  })
  return [
    {
      height: 210,
      scales: {
        x: { time: false, range: [-0.6, buckets.length - 0.4] },
        y: { distr: 3, log: 10, range: [0.5, top] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 58,
          splits: () => places,
          incrs: [1, 2, 3, 4, 6, 8],
          values: marks,
        },
        { ...axis, ...decadeAxis(top, compact) },
      ],
      series: [
        { label: t('wait'), value: (self, index) => (index === null ? NONE : rangeText(buckets[index])) },
        series('wakeup', -1),
        series('preempted', 1),
      ],
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [places, ...WAITS.map(counts)],
  ]
}

const SHARES = { p50: '50 %', p90: '90 %', p99: '99 %', p999: '99.9 %' }

function percentiles(jitter) {
  const columns = [jitter.percentiles_us, ...WAITS.map((wait) => jitter.percentiles_us_by_wait[wait])]
  const heads = [t('Share of waits'), t('all'), ...WAITS.map((wait) => waitNames()[wait])]
  const lines = Object.entries(SHARES).map(([name, share]) => [
    share,
    ...columns.map((values) => micros(values[name] ?? null)),
  ])
  return el(
    'div',
    { id: 'jitter-percentiles', class: 'scroll' },
    plainTable(heads, [...lines, [t('longest'), micros(jitter.max_us), '', '']], [1, 2, 3]),
    hint(t('Upper bound of the bucket: that share of the waits was at most this long.')),
  )
}

export function histogramPart(jitter, root) {
  if (!bucketsOf(jitter.histograms).length) return
  const figure = chartFigure(
    'jitter-chart',
    t('Histogram of run-queue latency over all hosts'),
    {
      heads: [t('wait'), ...WAITS.map((wait) => waitNames()[wait])],
      lines: () =>
        bucketsOf(jitter.histograms).map((bucket) => [
          rangeText(bucket),
          ...WAITS.map((wait) => integer(jitter.histograms[wait][bucket] || 0)),
        ]),
      numeric: [1, 2],
    },
    t('Run-queue latency: how long runnable tasks waited for a CPU, all hosts together. Both axes are logarithmic.'),
  )
  root.append(el('div', { class: 'split' }, figure, percentiles(jitter)))
  draw(figure, (colour, axis) => chart(jitter.histograms, colour, axis))
}
