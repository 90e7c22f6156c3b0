/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows any evidence of a finding: its shape is the policy's business. The end of a field's name says what its value
   is. */
import { curve } from './curve.js'
import { bdi, el, plainTable, text } from './dom.js'
import { label, measured, micros, NONE, number, plural, seconds } from './format.js'
import { t } from './messages.js'

const STACKS = ['stack', 'trace', 'called_by']
const isObject = (value) => value && typeof value === 'object' && !Array.isArray(value)
const isNumbers = (value) => Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number')

/* Fields of the facts whose names have no unit. */
const UNIT_OF = { trend: 'bytes', points: 'bytes', confidence: 'share', some_share: 'share' }
const INTERVAL = /_ci95$|_interval$/
const BINS = /_log2_us$/
const HISTOGRAM = /^histogram(_ns|_us)?$|^histograms$/

const unitName = (name) => UNIT_OF[name] || name.replace(INTERVAL, '')
const amount = (name, value, inMicros) => measured(unitName(name), value, inMicros)

/* 'from 480 to 505 KiB/s': both ends with their unit. */
function interval(value, name, parent) {
  const unit = name.replace(INTERVAL, '')
  const of = /_(s|us|bytes|share)$/.test(unit)
    ? unit
    : (parent && Object.keys(parent).find((key) => key.startsWith(unit) && key !== name)) || unit
  const [least, most] = value.map((end) => measured(of, end))
  return bdi(t('{least} to {most}', { least, most }))
}

const range = (least, most) => t('{least} to {most}', { least, most })

/* Buckets of powers of two, {lower bound: count}; scale: of a unit to microseconds. */
function histogram(counts, scale) {
  const lowers = Object.keys(counts)
    .map(Number)
    .sort((left, right) => left - right)
  const lines = lowers.map((lower) => [
    range(micros(lower * scale), micros((lower ? 2 * lower : 1) * scale)),
    number(counts[lower]),
  ])
  return plainTable([t('Range'), t('Number')], lines, [1])
}

const bins = (counts) =>
  histogram(
    Object.fromEntries(counts.map((count, row) => [row ? 2 ** (row - 1) : 0, count]).filter(([, count]) => count)),
    1,
  )

/* Pairs of (seconds, value) as a curve, with the values at both ends. */
function trend(points, name) {
  const [[from, first], [to, last]] = [points[0], points.at(-1)]
  const ends = t('from {from} to {to} in {time}', {
    from: amount(name, first),
    to: amount(name, last),
    time: seconds(to - from || 1),
  })
  return el('span', { class: 'trend' }, curve(points, ends, Math.min(...points.map(([, value]) => value))), ` ${ends}`)
}

const isTrend = (items) =>
  items.length > 1 && items.every((item) => isNumbers(item) && item.length === 2) && items.at(-1)[0] > items[0][0]

function inline(fields) {
  const value = ([name, item]) => (typeof item === 'number' ? amount(name, item) : (item ?? NONE))
  return bdi(
    Object.entries(fields)
      .map((entry) => `${label(entry[0])} ${value(entry)}`)
      .join(', '),
  )
}

function table(items) {
  const names = [...new Set(items.flatMap((item) => Object.keys(item)))]
  const cell = (value, name) => (isObject(value) ? inline(value) : evidence(value, name))
  const numeric = names.flatMap((name, place) => (items.every((item) => typeof item[name] === 'number') ? [place] : []))
  return plainTable(
    names.map(label),
    items.map((item) => names.map((name) => cell(item[name], name))),
    numeric,
  )
}

function stack(items) {
  return el('div', {}, el('span', { class: 'hint' }, plural(items.length, 'frame')), el('pre', {}, items.join('\n')))
}

function list(items, name, inMicros, parent) {
  if (!items.length) return text(NONE)
  if (INTERVAL.test(name) && isNumbers(items) && items.length === 2) return interval(items, name, parent)
  if (BINS.test(name) && isNumbers(items)) return bins(items)
  if (isTrend(items)) return trend(items, name)
  if (items.some(isObject)) return table(items.filter(isObject))
  if (STACKS.includes(name)) return stack(items)
  return bdi(items.map((item) => (typeof item === 'number' ? amount(name, item, inMicros) : String(item))).join(', '))
}

function fields(value, name) {
  const scale = /_ns$/.test(name) ? 1e-3 : 1
  const isCounts = Object.entries(value).every(([key, item]) => /^\d+$/.test(key) && typeof item === 'number')
  if (HISTOGRAM.test(name) && isCounts) return histogram(value, scale)
  const shown = el('dl')
  for (const [key, item] of Object.entries(value)) {
    const ownName = /^histograms$/.test(name) ? 'histogram' : key
    shown.append(el('dt', {}, label(key)), el('dd', {}, evidence(item, ownName, /_us/.test(name), value)))
  }
  return shown
}

function single(value, name, inMicros) {
  if (typeof value === 'number') return el('span', { title: String(value) }, amount(name, value, inMicros))
  if (typeof value === 'boolean') return text(value ? t('yes') : t('no'))
  return name === 'excerpt' ? el('pre', {}, value) : bdi(value || NONE)
}

/* name: of the field that has the value; inMicros: the value is part of a field in microseconds; parent: the fields
   around it. */
export function evidence(value, name = '', inMicros = false, parent = null) {
  if (value === null || value === undefined) return text(NONE)
  if (Array.isArray(value)) return list(value, name, inMicros, parent)
  return typeof value === 'object' ? fields(value, name) : single(value, name, inMicros)
}
