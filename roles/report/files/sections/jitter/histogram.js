/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long tasks waited: all hosts together by kind of wait, or the selected ones without it. */
import { bars, chartFigure, decadeAxis, decadesTo, draw, refreshChart } from '../../lib/chart.js'
import { el, hint, plainTable } from '../../lib/dom.js'
import { onChange } from '../../lib/filter.js'
import { compact, integer, micros, NONE, plural } from '../../lib/format.js'
import { t } from '../../lib/messages.js'

const waitNames = () => ({ wakeup: t('after waking up'), preempted: t('after losing the CPU'), all: t('all waits') })
const COLOURS = { wakeup: '--wakeup', preempted: '--preempted', all: '--wakeup' }
const BUCKET_PX = 70
const noPoints = { width: 0, points: { show: false } }

/* Lower bounds of all buckets that hold something, ascending. */
export const bucketsOf = (histograms) =>
  [...new Set(Object.values(histograms).flatMap((histogram) => Object.keys(histogram).map(Number)))].sort(
    (left, right) => left - right,
  )

const upperOf = (bucket) => (bucket ? 2 * bucket : 1)
const rangeText = (bucket) => t('{least} to {most}', { least: micros(bucket), most: micros(upperOf(bucket)) })

const SHARES = { p50: 0.5, p90: 0.9, p99: 0.99, p999: 0.999 }

/* {p50, …}: upper bounds of the buckets that hold these shares of the waits, never above the longest one. */
export function percentilesOf(histogram, longest) {
  const buckets = bucketsOf({ histogram })
  const total = buckets.reduce((sum, bucket) => sum + histogram[bucket], 0)
  const upTo = (share) => {
    let reached = 0
    return buckets.find((bucket) => (reached += histogram[bucket]) >= share * total)
  }
  const found = Object.entries(SHARES).map(([name, share]) => [name, Math.min(upperOf(upTo(share)), longest)])
  return total ? Object.fromEntries(found) : {}
}

/* Waits of some hosts, as the section has those of all, without their kind: the list of hosts does not have it. */
export function jitterOf(hosts) {
  const measured = hosts.filter(({ jitter }) => jitter?.waits_log2_us.length)
  const all = {}
  for (const { jitter } of measured) {
    jitter.waits_log2_us.forEach((waits, row) => {
      const bucket = row ? 2 ** (row - 1) : 0
      if (waits) all[bucket] = (all[bucket] || 0) + waits
    })
  }
  const longest = Math.max(0, ...measured.map(({ jitter }) => jitter.max_us))
  return {
    hosts: measured.length,
    max_us: longest,
    histograms: { all },
    percentiles_us: percentilesOf(all, longest),
    percentiles_us_by_wait: {},
  }
}

function chart(histograms, colour, axis) {
  const buckets = bucketsOf(histograms)
  const waits = Object.keys(histograms)
  const counts = (wait) => buckets.map((bucket) => histograms[wait][bucket] || null)
  const top = decadesTo(Math.max(1, ...waits.flatMap(counts)) * 1.2)
  const places = buckets.map((bucket, index) => index)
  const marks = (self, shown) => {
    const step = Math.ceil(buckets.length / Math.max(1, Math.floor(self.width / BUCKET_PX)))
    return shown.map((index) => (index % step ? '' : micros(buckets[index])))
  }
  const series = (wait, align) => ({
    label: waitNames()[wait],
    fill: colour(COLOURS[wait]),
    stroke: colour(COLOURS[wait]),
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
        ...(waits.length > 1 ? [series(waits[0], -1), series(waits[1], 1)] : [series(waits[0], 0)]),
      ],
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [places, ...waits.map(counts)],
  ]
}

const SHOWN_SHARES = { p50: '50 %', p90: '90 %', p99: '99 %', p999: '99.9 %' }

function percentiles(jitter) {
  const waits = Object.keys(jitter.percentiles_us_by_wait)
  const columns = [jitter.percentiles_us, ...waits.map((wait) => jitter.percentiles_us_by_wait[wait])]
  const heads = [t('Share of waits'), t('all'), ...waits.map((wait) => waitNames()[wait])]
  const lines = Object.entries(SHOWN_SHARES).map(([name, share]) => [
    share,
    ...columns.map((values) => micros(values[name] ?? null)),
  ])
  return [
    plainTable(heads, [...lines, [t('longest'), micros(jitter.max_us), ...waits.map(() => '')]], [1, 2, 3]),
    hint(t('Upper bound of the bucket: that share of the waits was at most this long.')),
  ]
}

export function histogramPart(jitter, root, { hosts }) {
  if (!bucketsOf(jitter.histograms).length) return
  let shown = jitter
  const what = el('span', {}, t('all hosts together.'))
  const figure = chartFigure(
    'jitter-chart',
    t('Histogram of run-queue latency'),
    {
      heads: () => [t('wait'), ...Object.keys(shown.histograms).map((wait) => waitNames()[wait])],
      lines: () =>
        bucketsOf(shown.histograms).map((bucket) => [
          rangeText(bucket),
          ...Object.values(shown.histograms).map((histogram) => integer(histogram[bucket] || 0)),
        ]),
      numeric: [1, 2],
    },
    t('Run-queue latency: how long runnable tasks waited for a CPU,'),
    ' ',
    what,
    ' ',
    t('Both axes are logarithmic.'),
  )
  const beside = el('div', { id: 'jitter-percentiles', class: 'scroll' }, percentiles(jitter))
  const part = el('div', { class: 'split' }, figure, beside)
  root.append(part)
  draw(figure, (colour, axis) => chart(shown.histograms, colour, axis))
  onChange((tests) => {
    shown = tests.active ? jitterOf(hosts.filter(tests.host)) : jitter
    part.hidden = !bucketsOf(shown.histograms).length
    if (part.hidden) return
    what.textContent = tests.active
      ? t('{hosts} of the selection, without the kind of wait.', { hosts: plural(shown.hosts, 'host') })
      : t('all hosts together.')
    beside.replaceChildren(...percentiles(shown))
    refreshChart(figure)
  })
}
