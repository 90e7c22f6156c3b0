/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the cells of a table show and export, and the width of its columns. */
import { NONE, unitOf } from './format.js'

/* What a column shows of a row: a node or a text. */
const drawn = ({ draw, field }, row) => (draw ? draw(row[field], row) : row[field])

/* The text of a node, with names of hosts in full. */
function fullText(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.textContent
  if (node.hasAttribute('data-full')) return node.getAttribute('data-full')
  return [...node.childNodes].map(fullText).join('')
}

/* What a row has in a column: numbers as they are, without a unit, texts as they are drawn. */
function cellValue(column, row) {
  const value = row[column.field]
  if (typeof value === 'number') return value
  const shown = drawn(column, row)
  if (shown instanceof Node) return fullText(shown)
  return shown === null || shown === undefined || shown === NONE ? '' : String(shown)
}

/* The heading of a column whose numbers have no unit of their own. */
function columnName({ title, field, unit = unitOf(field) }) {
  return unit ? `${title} (${unit})` : title
}

const drawnText = (column, row) => {
  const shown = drawn(column, row)
  return shown instanceof Node ? shown.textContent : String(shown ?? '')
}

export function cellNode(column, row) {
  const shown = drawn(column, row)
  if (shown instanceof Node) return shown
  return document.createTextNode(shown === null || shown === undefined ? NONE : String(shown))
}

/* The visible rows of a table, as lines of texts and numbers. */
export const visibleLines = (rows, columns) => [
  columns.map(columnName),
  ...rows.map((row) => columns.map((column) => cellValue(column, row))),
]

const HEAD_FONT = '700 13px system-ui, sans-serif'
const HEAD_SPACE = 36 // padding and arrow
const WIDE = /[\u2e80-\u9fff\uff00-\uffef]/
let measureText = null

/* The width that keeps the longest word of a heading whole. Between ideographs a line may break. */
function headWidth(title) {
  measureText = measureText || document.createElement('canvas').getContext?.('2d') || { measureText: null }
  measureText.font = HEAD_FONT
  const words = title.split(/\s+/).flatMap((word) => (WIDE.test(word) ? word.match(/.{1,3}/gu) : [word]))
  const widthOf = (word) => measureText.measureText?.(word).width ?? word.length * 8
  return Math.ceil(Math.max(...words.map(widthOf))) + HEAD_SPACE
}

export const leastWidth = ({ width = 0, minWidth = 40 }) => Math.max(width, minWidth)

/* No heading is cut; an optional column is there when some row has something in it. */
export function usedColumns(columns, data) {
  const isFilled = (column) => data.some((row) => (drawnText(column, row) || NONE) !== NONE)
  return columns
    .filter((column) => !column.optional || isFilled(column))
    .map(({ optional, ...column }) => {
      const least = headWidth(column.title)
      return column.width
        ? { ...column, width: Math.max(column.width, least) }
        : { ...column, minWidth: Math.max(column.minWidth || 0, least) }
    })
}
