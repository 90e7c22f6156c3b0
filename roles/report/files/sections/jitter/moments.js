/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the longest waits and stalls of one host ended within its window, and how long they were. */
import { chartFigure, draw } from '../../lib/chart.js'
import { task } from '../../lib/dom.js'
import { micros, NONE, number, plural, seconds } from '../../lib/format.js'
import { t } from '../../lib/messages.js'
import { kindNames } from './stalls.js'

const HEIGHT_PX = 260
const MARK_PX = 8
const AXIS_PX = 72 // '65.5 ms'
const LABEL_PX = 24 // of height that a label of the delay needs
const LISTED = 200
const LEAST_US = 1
const COLOURS = {
  run_queue: '--wakeup',
  throttled: '--preempted',
  realtime_throttled: '--fatal',
  affinity: '--clear',
  cpu_not_running: '--critical',
  idle: '--unknown',
  irqoff: '--fatal',
  nosched: '--preempted',
  syscall: '--clear',
}

export const causeNames = () => ({
  run_queue: t('others ran'),
  throttled: t('CPU quota'),
  affinity: t('may not use other CPUs'),
  realtime_throttled: t('limit for real-time tasks'),
  cpu_not_running: t('the CPU did not run: a pause'),
  idle: t('the CPU was idle'),
})

/* {at_s, delay_us, cpu, pid, comm, cause, stalled} of waits and stalls, by time. */
export function momentsOf(events, stalls) {
  const taken = (row, cause, stalled) => ({ ...row, cause: cause ?? null, stalled })
  return [
    ...events.map((event) => taken(event, event.cause, false)),
    ...stalls.map((stall) => taken(stall, stall.kind, true)),
  ].sort((one, other) => one.at_s - other.at_s || other.delay_us - one.delay_us)
}

/* Powers of two around all delays, at least two of them. */
export function delaysOf(moments) {
  const powers = moments.map(({ delay_us: delay }) => Math.log2(Math.max(LEAST_US, delay)))
  const first = Math.floor(Math.min(...powers))
  const last = Math.max(first + 1, Math.ceil(Math.max(...powers)))
  return Array.from({ length: last - first + 1 }, (unused, place) => 2 ** (first + place))
}

const nameOf = ({ cause, stalled }) => (stalled ? kindNames() : causeNames())[cause] ?? t('not known')

function chart(moments, windowS, colour, axis) {
  const order = ({ cause, stalled }) => (stalled ? 100 : 0) + Object.keys(COLOURS).indexOf(cause)
  const kinds = [...new Map(moments.map((moment) => [order(moment), moment])).values()].sort(
    (one, other) => order(one) - order(other),
  )
  const delays = delaysOf(moments)
  const step = Math.ceil((delays.length * LABEL_PX) / HEIGHT_PX)
  const times = moments.map(({ at_s: at }) => at)
  const strokeOf = ({ cause }) => colour(COLOURS[cause] ?? '--unknown')
  const fillOf = (kind) => (kind.stalled ? colour('--card') : strokeOf(kind))
  const series = (kind) => ({
    label: nameOf(kind),
    stroke: strokeOf(kind),
    paths: () => null,
    points: { show: true, size: MARK_PX, width: 2, stroke: strokeOf(kind), fill: fillOf(kind) },
    value: (self, delay) => (delay === null ? NONE : micros(delay)),
  })
  return [
    {
      height: HEIGHT_PX,
      scales: {
        x: { time: false, range: [Math.min(0, ...times), Math.max(windowS ?? 0, ...times) || 1] },
        y: { distr: 3, log: 2, range: [delays[0], delays.at(-1)] },
      },
      axes: [
        { ...axis, values: (self, shown) => shown.map(seconds) },
        {
          ...axis,
          size: AXIS_PX,
          splits: () => delays.filter((unused, place) => place % step === 0),
          filter: (self, splits) => splits,
          values: (self, splits) => splits.map(micros),
        },
      ],
      series: [{ label: t('At'), value: (self, at) => (at === null ? NONE : seconds(at)) }, ...kinds.map(series)],
      legend: { markers: { fill: (self, place) => (place ? fillOf(kinds[place - 1]) : null) } },
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [
      times,
      ...kinds.map(({ cause, stalled }) =>
        moments.map((moment) =>
          moment.cause === cause && moment.stalled === stalled ? Math.max(LEAST_US, moment.delay_us) : null,
        ),
      ),
    ],
  ]
}

const line = (moment) => [
  seconds(moment.at_s),
  micros(moment.delay_us),
  nameOf(moment),
  task(moment),
  number(moment.cpu),
]

/* data: {events, stalls, count} of one host, as the probe or a section of one host has them; root: on the page. */
export function momentsPart({ events, stalls = [], count }, windowS, root, id) {
  const moments = momentsOf(events, stalls)
  if (!moments.length) return
  const figure = chartFigure(
    id,
    t('Waits and stalls by time and delay'),
    {
      heads: () => [t('At'), t('Delay'), t('Cause'), t('Task'), t('CPU')],
      lines: () => moments.slice(0, LISTED).map(line),
      numeric: [0, 1, 4],
    },
    t('Each mark is where a wait for a CPU ended or, hollow, a stall of the kernel. The delay is logarithmic.'),
    ' ',
    t('Only the longest waits have a time: {n} of {waits} in this window.', {
      n: number(events.length),
      waits: plural(count, 'wait'),
    }),
  )
  root.append(figure)
  draw(figure, (colour, axis) => chart(moments, windowS, colour, axis))
}
