/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers, times and names as people read them. A missing value is '–'. */
import { countText, currentLanguage, t, word } from './messages.js'

export const NONE = '–'
const missing = (value) => value === null || value === undefined
const formats = new Map()

function format(options) {
  const key = JSON.stringify([currentLanguage(), options])
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(currentLanguage(), options))
  return formats.get(key)
}

export const integer = (value) => format({ maximumFractionDigits: 0 }).format(value)
const decimal = (value) => format({ maximumSignificantDigits: 3 }).format(value)
export const compact = (value) => format({ notation: 'compact' }).format(value)

export function number(value) {
  if (missing(value)) return NONE
  return Number.isInteger(value) ? integer(value) : decimal(value)
}

export const plural = (count, one, many) => t(countText(count, one, many), { n: number(count) })

function scaled(value, base, units) {
  if (missing(value)) return NONE
  let unit = 0
  while (Math.abs(value) >= base && unit < units.length - 1) {
    value /= base
    unit++
  }
  return `${decimal(value)} ${units[unit]}`
}

export const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])
export const bytesPerSecond = (value) => `${bytes(value)}/s`
export const micros = (value) => (value >= 1e6 ? `${decimal(value / 1e6)} s` : scaled(value, 1000, ['µs', 'ms']))

export function seconds(value) {
  if (missing(value)) return NONE
  if (value && value < 1) return `${decimal(value * 1000)} ms`
  if (value >= 172800) return `${decimal(value / 86400)} d`
  if (value >= 7200) return `${decimal(value / 3600)} h`
  if (value >= 600) return `${decimal(value / 60)} min`
  return `${decimal(value)} s`
}

export function percent(value) {
  if (missing(value)) return NONE
  return `${value && Math.abs(value) < 0.0005 ? '< 0.1' : decimal(value * 100)} %`
}

/* In UTC: the heading of the column says so. */
export const minute = (value) => (value ? value.slice(0, 16).replace('T', ' ') : NONE)
export const instant = (value) => (value ? `${minute(value)} UTC` : NONE)

/* The label of a field: its unit is in the value. */
export function label(name) {
  const plain = name.replace(/_ci95$/, '').replace(/(_bytes_per_s|_per_s|_log2_us|_us|_ns|_s|_bytes)$/, '')
  return name.endsWith('_ci95') ? `${word(plain)}, ${t('95 % interval')}` : word(plain)
}

/* By the end of a field's name: how its values are shown, and the unit that they have. */
const UNITS = [
  [/bytes_per_s$/, bytesPerSecond, 'bytes/s'],
  [/_per_s$/, (value) => `${number(value)}/s`, '1/s'],
  [/bytes(_|$)/, bytes, 'bytes'],
  [/_us$/, micros, 'us'],
  [/_s(_min|_max|_total|_worst)?$/, seconds, 's'],
  [/share$/, percent, 'share of 1'],
]
export const unitOf = (name) => UNITS.find(([pattern]) => pattern.test(name))?.[2]
const IDENTIFIERS = ['pid', 'irq']

/* A value of a field by the unit in the field's name. inMicros: it belongs to a field whose name ends with _us. */
export function measured(name, value, inMicros) {
  const unit = UNITS.find(([pattern]) => pattern.test(name))
  if (unit) return unit[1](value)
  if (IDENTIFIERS.includes(name)) return String(value)
  return inMicros ? micros(value) : number(value)
}
