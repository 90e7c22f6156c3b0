/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows any evidence of a finding: its shape is the policy's business. */
import { bdi, el, plainTable, text } from './dom.js'
import { label, measured, NONE } from './format.js'
import { t } from './messages.js'

const STACKS = ['stack', 'trace']
const isObject = (value) => value && typeof value === 'object' && !Array.isArray(value)

function inline(fields) {
  const value = ([name, item]) => (typeof item === 'number' ? measured(name, item) : (item ?? NONE))
  return bdi(
    Object.entries(fields)
      .map((entry) => `${label(entry[0])} ${value(entry)}`)
      .join(', '),
  )
}

function table(items) {
  const names = [...new Set(items.flatMap((item) => Object.keys(item)))]
  const cell = (value, name) => (isObject(value) ? inline(value) : evidence(value, name))
  return plainTable(
    names.map(label),
    items.map((item) => names.map((name) => cell(item[name], name))),
  )
}

function list(items, name) {
  if (!items.length) return text(NONE)
  if (items.some((item) => typeof item === 'object')) return table(items.filter(isObject))
  return STACKS.includes(name) ? el('pre', {}, items.join('\n')) : bdi(items.join(', '))
}

function fields(value, name) {
  const shown = el('dl')
  for (const [key, item] of Object.entries(value)) {
    shown.append(el('dt', {}, label(key)), el('dd', {}, evidence(item, key, /_us/.test(name))))
  }
  return shown
}

function single(value, name, inMicros) {
  if (typeof value === 'number') return el('span', { title: String(value) }, measured(name, value, inMicros))
  if (typeof value === 'boolean') return text(value ? t('yes') : t('no'))
  return name === 'excerpt' ? el('pre', {}, value) : bdi(value || NONE)
}

/* name: of the field that has the value; inMicros: the value is part of a field in microseconds. */
export function evidence(value, name = '', inMicros = false) {
  if (value === null || value === undefined) return text(NONE)
  if (Array.isArray(value)) return list(value, name)
  return typeof value === 'object' ? fields(value, name) : single(value, name, inMicros)
}
