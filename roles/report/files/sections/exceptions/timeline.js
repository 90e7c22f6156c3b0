/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OS exceptions on a line of time, a lane for each kind. */
import { chartFigure, draw } from '../../lib/chart.js'
import { instant, NONE, number, plural } from '../../lib/format.js'
import { t, word } from '../../lib/messages.js'
import { SEVERITIES, severityRank } from '../../lib/schema.js'

const LANES = 12
const DAY_S = 86400
const SHOWN_S = 31 * DAY_S
const NEAR_PX = 15
const NARROW_PX = 600
const DOT_PX = 5
const TITLE_CHARS = 80
const COLOURS = {
  fatal: '--fatal',
  critical: '--critical',
  error: '--error',
  warning: '--warning-fill',
  info: '--info',
  null: '--soft',
}

const moment = (text) => Date.parse(text) / 1000
const iso = (value) => new Date(value * 1000).toISOString()

/* When a scan ended, in seconds: the dashed line. */
export const scannedAt = (fleet) => moment(fleet.scan.ended_at || fleet.scan.started_at || fleet.generated_at)

/* {event, from, to} of the events with a date in the month before the scan, by the time they were last seen. */
export const marksOf = (events, scanned) =>
  events
    .filter((event) => event.last_seen)
    .map((event) => ({
      event,
      from: moment(event.first_seen || event.last_seen),
      to: moment(event.last_seen),
    }))
    .filter(({ to }) => to > scanned - SHOWN_S && to < scanned + DAY_S)
    .sort((one, other) => one.to - other.to)

/* Kinds of lanes, worst first; null stands for all other kinds. */
export function lanesOf(marks) {
  const worst = new Map()
  for (const { event } of marks) {
    const rank = event.severity ? severityRank(event.severity) : SEVERITIES.length
    worst.set(event.kind, Math.min(worst.get(event.kind) ?? Infinity, rank))
  }
  const kinds = [...worst]
    .sort(([one, rank], [other, otherRank]) => rank - otherRank || one.localeCompare(other))
    .map(([kind]) => kind)
  return kinds.length > LANES ? [...kinds.slice(0, LANES - 1), null] : kinds
}

/* The first and the last moment that the line shows. */
function rangeOf(marks, scanned) {
  const earliest = Math.max(scanned - SHOWN_S, Math.min(...marks.map(({ from }) => from)))
  const latest = Math.max(scanned, ...marks.map(({ to }) => to))
  const room = Math.max(60, latest - earliest) * 0.03
  return [earliest - room, latest + room]
}

/* Times of the day, and the day where it begins. */
export function timeLabels(values, step) {
  if (step >= DAY_S) return values.map((value) => iso(value).slice(0, 10))
  const day = (value, index) => (index === 0 || value % DAY_S === 0 ? `\n${iso(value).slice(0, 10)}` : '')
  return values.map((value, index) => iso(value).slice(11, 16) + day(value, index))
}

function chart(marks, scanned, colour, axis, width) {
  const lanes = lanesOf(marks)
  const laneOf = (kind) => lanes.length - 1 - (lanes.includes(kind) ? lanes.indexOf(kind) : lanes.length - 1)
  const laneName = (kind) => (kind === null ? t('other kinds') : word(kind))
  const severities = [...SEVERITIES, null].filter((severity) => marks.some(({ event }) => event.severity === severity))
  const wholeRange = rangeOf(marks, scanned)

  /* A line from the first to the last time that an event was seen, a dot at the last. */
  function drawMark(self, mark) {
    const { ctx } = self
    const [left, right] = [mark.from, mark.to].map((value) => self.valToPos(value, 'x', true))
    const height = self.valToPos(laneOf(mark.event.kind), 'y', true)
    ctx.beginPath()
    ctx.moveTo(left, height)
    ctx.lineTo(right, height)
    ctx.stroke()
    ctx.beginPath()
    ctx.arc(right, height, DOT_PX * devicePixelRatio, 0, 2 * Math.PI)
    ctx.fill()
  }

  const drawMarks = (severity) => (self) => {
    const tint = colour(COLOURS[severity])
    Object.assign(self.ctx, { strokeStyle: tint, fillStyle: tint, lineWidth: 2 * devicePixelRatio })
    for (const mark of marks) if (mark.event.severity === severity) drawMark(self, mark)
    return null
  }

  function nearest(self) {
    let [best, least] = [null, NEAR_PX]
    marks.forEach((mark, index) => {
      const [left, right] = [mark.from, mark.to].map((value) => self.valToPos(value, 'x'))
      const across = Math.max(left - self.cursor.left, 0, self.cursor.left - right)
      const away = Math.hypot(across, self.valToPos(laneOf(mark.event.kind), 'y') - self.cursor.top)
      if (away < least) [best, least] = [index, away]
    })
    return best
  }

  function drawScan(self) {
    const { ctx, bbox } = self
    const left = self.valToPos(scanned, 'x', true)
    if (left < bbox.left || left > bbox.left + bbox.width) return
    ctx.save()
    Object.assign(ctx, { strokeStyle: colour('--soft'), lineWidth: devicePixelRatio })
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio])
    ctx.beginPath()
    ctx.moveTo(left, bbox.top)
    ctx.lineTo(left, bbox.top + bbox.height)
    ctx.stroke()
    ctx.restore()
  }

  function markText(self, value, unused, index) {
    if (value === null || index === null) return ''
    const { event } = marks[index]
    return `${event.title.slice(0, TITLE_CHARS)} (${plural(event.host_count, 'host')})`
  }

  const series = (severity) => ({
    label: severity === null ? t('no finding') : word(severity),
    stroke: colour(COLOURS[severity]),
    fill: colour(COLOURS[severity]),
    width: 2,
    points: { show: false },
    paths: drawMarks(severity),
    value: markText,
  })
  // uPlot gives a range of years to marks of one moment.
  const [first, last] = [marks[0].to, marks.at(-1).to]
  const isWhole = (least, most) => least === first && (most === last || first === last)
  return [
    {
      height: 70 + 28 * lanes.length,
      scales: {
        x: { range: (self, least, most) => (isWhole(least, most) ? wholeRange : [least, most]) },
        y: { range: [-0.6, lanes.length - 0.4] },
      },
      axes: [
        { ...axis, space: 90, values: (self, values, unused, space, step) => timeLabels(values, step) },
        {
          ...axis,
          size: width < NARROW_PX ? 140 : 190,
          splits: () => lanes.map((kind, index) => index),
          values: (self, places) => places.map((index) => laneName(lanes[lanes.length - 1 - index])),
        },
      ],
      tzDate: (value) => uPlot.tzDate(new Date(value * 1000), 'UTC'),
      series: [
        { label: t('Last seen'), value: (self, value) => (value === null ? NONE : instant(iso(value))) },
        ...severities.map(series),
      ],
      hooks: { drawAxes: [drawScan] },
      cursor: { y: false, drag: { x: true, y: false }, points: { show: false }, dataIdx: nearest },
      legend: { markers: { width: 0 } },
    },
    [
      marks.map(({ to }) => to),
      ...severities.map((severity) =>
        marks.map(({ event }) => (event.severity === severity ? laneOf(event.kind) : null)),
      ),
    ],
  ]
}

export function timelinePart(events, root, fleet) {
  const scanned = scannedAt(fleet)
  const marks = marksOf(events, scanned)
  if (!marks.length) return
  const left = events.length - marks.length
  const rest = left ? t('{n} without a date or from another month are only in the table.', { n: number(left) }) : ''
  const figure = chartFigure(
    'exceptions-line',
    t('OS exceptions by kind and time'),
    t('A line leads from the first to the last time (the dot) of an exception, in UTC; the dashed line is this scan.'),
    ' ',
    t('Drag to zoom, double-click to reset, click to open the finding.'),
    rest ? ` ${rest}` : '',
  )
  root.append(figure)
  draw(
    figure,
    (colour, axis, width) => chart(marks, scanned, colour, axis, width),
    (index) => ({ finding: marks[index].event.finding }),
  )
}
