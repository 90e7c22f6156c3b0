/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Charts. They are drawn again when the window or the colours change. */
import { el, plainTable } from './dom.js'
import { t } from './messages.js'
import { go } from './state.js'

const charts = []

/* Those within a node; a chart that is folded has no width and waits. */
export const redrawCharts = (root = document) =>
  charts.filter(({ place }) => root.contains(place) && place.clientWidth).forEach(({ again }) => again())

export function followColours() {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redrawCharts())
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/* The chart as a table, for those who do not see it, and for print. It is made when it is opened. */
function chartTable({ heads, lines, numeric }) {
  const summary = el('summary', {}, t('Table of this chart'))
  const part = el('details', { class: 'data' }, summary)
  const fill = () => part.replaceChildren(summary, ...(part.open ? [plainTable(heads(), lines(), numeric)] : []))
  for (const kind of ['toggle', 'refresh']) part.addEventListener(kind, fill)
  return part
}

/* Draws a chart again whose data have changed, and its table. */
export function refreshChart(figure) {
  figure.querySelector('details.data').dispatchEvent(new Event('refresh'))
  redrawCharts(figure)
}

/* Says that what it stands by does not follow a selection; seen when there is one. */
export const wholeFleet = () => el('p', { class: 'whole hint' }, t('Of the whole fleet, whatever is selected.'))

/* The place of a chart, with its caption. table: {heads(), lines(), numeric}, as plainTable has them. */
export const chartFigure = (id, label, table, ...caption) =>
  el(
    'figure',
    {},
    el('div', { id, role: 'img', 'aria-label': label }),
    el('figcaption', {}, ...caption),
    chartTable(table),
  )

/* Draws into a figure that is on the page.

   make(colour, axis, width) → [options of uPlot, data]; open(index) → changes of the address that a click makes. */
export function draw(figure, make, open) {
  const place = figure.firstElementChild
  let drawn = null
  const again = () => {
    if (drawn) drawn.destroy()
    const line = { stroke: colour('--line') }
    const axis = {
      stroke: colour('--soft'),
      grid: { ...line, width: 1 },
      ticks: line,
      font: '12px system-ui, sans-serif',
    }
    const width = place.clientWidth || 600
    const [options, data] = make(colour, axis, width)
    drawn = new uPlot({ width, ...options }, data, place)
    if (!open) return
    drawn.over.addEventListener('click', () => {
      if (drawn.cursor.idx !== null) go(open(drawn.cursor.idx))
    })
  }
  again()
  charts.push({ place, again })
}

/* The power of ten that holds a value. */
export const decadesTo = (value) => 10 ** Math.ceil(Math.log10(value))

/* An axis with a mark at each power of ten up to top. */
export function decadeAxis(top, text) {
  const decades = Array.from({ length: Math.round(Math.log10(top)) + 1 }, (unused, power) => 10 ** power)
  return {
    size: 62,
    splits: () => decades,
    filter: (self, splits) => splits,
    values: (self, splits) => splits.map(text),
  }
}

export const bars = (size, align) => uPlot.paths.bars({ size, align })
