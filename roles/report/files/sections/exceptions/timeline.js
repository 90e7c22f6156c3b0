/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OS exceptions by kind and day: on how many hosts one was last seen. A kind opens to a dot for each host. */
import { el, findingLink, plainTable } from '../../lib/dom.js'
import { onChange } from '../../lib/filter.js'
import { number, plural } from '../../lib/format.js'
import { t, word } from '../../lib/messages.js'
import { shortName } from '../../lib/names.js'
import { bySeverity } from '../../lib/schema.js'
import { go } from '../../lib/state.js'

const SHOWN_DAYS = 31
const DAY_MS = 86400000
const DOT_PX = 5
const NEAR_PX = 12
const LINE_PX = 24
const SVG = 'http://www.w3.org/2000/svg'

const dayOf = (moment) => new Date(moment).toISOString().slice(0, 10)

/* When a scan ended. */
export const scannedAt = (fleet) => Date.parse(fleet.scan.ended_at || fleet.scan.started_at || fleet.generated_at)

const worseOf = (one, other) => (one && (!other || bySeverity(one, other) > 0) ? one : other)

/* {day: {count, severity}} of some events. */
function countsOf(events) {
  const counts = {}
  for (const { days, severity } of events) {
    for (const [day, hosts] of Object.entries(days)) {
      const known = counts[day] || { count: 0, severity: null }
      counts[day] = { count: known.count + hosts, severity: worseOf(severity, known.severity) }
    }
  }
  return counts
}

/* {days, lanes: [{kind, severity, counts, events}], left}: the days up to the scan, from the first one with an event
   in the month before it; a lane for each kind, worst first; left: events without a date in these days. */
export function daysOf(events, scanned) {
  const first = dayOf(scanned - SHOWN_DAYS * DAY_MS)
  const last = dayOf(scanned + DAY_MS)
  const isShown = (day) => day >= first && day <= last
  const shown = events.filter(({ days }) => Object.keys(days).some(isShown))
  const used = shown.flatMap(({ days }) => Object.keys(days).filter(isShown)).sort()
  const end = [dayOf(scanned), used.at(-1) || ''].sort().at(-1)
  const days = []
  for (let at = Date.parse(used[0]); used.length && dayOf(at) <= end; at += DAY_MS) days.push(dayOf(at))
  const lanes = [...new Set(shown.map(({ kind }) => kind))].map((kind) => {
    const own = shown.filter((event) => event.kind === kind)
    return {
      kind,
      events: own,
      counts: countsOf(own),
      severity: own.map(({ severity }) => severity).reduce(worseOf, null),
    }
  })
  const rank = ({ severity }) => (severity ? bySeverity(severity, 'fatal') : -Infinity)
  lanes.sort((one, other) => rank(other) - rank(one) || one.kind.localeCompare(other.kind))
  return { days, lanes, left: events.length - shown.length }
}

const cell = (found) =>
  found ? el('span', { class: `heat is-${found.severity || 'unknown'}` }, number(found.count)) : ''

function node(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/* The hosts of an event on a line from the first to the last of the days; a click opens the nearest. */
function dots(event, days) {
  const [from, to] = [Date.parse(days[0]), Date.parse(days.at(-1)) + DAY_MS]
  const placed = event.hosts
    .filter(({ last_seen: at }) => at && Date.parse(at) >= from && Date.parse(at) < to)
    .map(({ host, last_seen: at }) => ({ host, at, share: (Date.parse(at) - from) / (to - from) }))
  const label = t('{hosts}, by the time of the last report', { hosts: plural(placed.length, 'host') })
  const picture = node('svg', {
    class: `dots is-${event.severity || 'unknown'}`,
    height: LINE_PX,
    role: 'img',
    'aria-label': label,
  })
  for (const { host, at, share } of placed) {
    const name = node('title', {}, `${shortName(host)}: ${at.slice(0, 16).replace('T', ' ')} UTC`)
    picture.append(node('circle', { cx: `${(100 * share).toFixed(2)}%`, cy: LINE_PX / 2, r: DOT_PX }, name))
  }
  picture.addEventListener('click', ({ clientX }) => {
    const { left, width } = picture.getBoundingClientRect()
    const away = ({ share }) => Math.abs(left + share * width - clientX)
    const [nearest] = [...placed].sort((one, other) => away(one) - away(other))
    if (nearest && away(nearest) < NEAR_PX) go({ host: nearest.host })
  })
  return picture
}

/* A kind's button, which shows and hides its dots in the panel. */
function laneButton({ kind, events }, days, panel) {
  const button = el('button', { type: 'button', class: 'lane', 'aria-expanded': 'false' }, word(kind))
  button.addEventListener('click', () => {
    const opens = button.getAttribute('aria-expanded') === 'false'
    for (const one of document.querySelectorAll('#exceptions-days .lane')) one.setAttribute('aria-expanded', 'false')
    button.setAttribute('aria-expanded', String(opens))
    const line = (event) => el('div', { class: 'dotted' }, findingLink(event.finding, event.title), dots(event, days))
    panel.replaceChildren(...(opens ? events.map(line) : []))
  })
  return button
}

/* All hosts of an event: the section lists some of them, its finding has all. */
export function hostsOf({ finding, host_count: count, hosts }, groups) {
  const group = groups.get(finding)
  if (hosts.length === count || group?.host_count !== count) return hosts
  const listed = new Map(hosts.map((one) => [one.host, one]))
  return group.hosts.map(({ host, last_seen: at }) => listed.get(host) || { host, last_seen: at })
}

/* The events as some of their hosts have them. */
export function eventsOf(events, isShown) {
  const chosen = events.map((event) => ({ ...event, hosts: event.hosts.filter(({ host }) => isShown({ host })) }))
  return chosen
    .filter(({ hosts }) => hosts.length)
    .map((event) => {
      const days = {}
      for (const { last_seen: at } of event.hosts) if (at) days[dayOf(at)] = (days[dayOf(at)] || 0) + 1
      return { ...event, days }
    })
}

function content(events, fleet) {
  const { days, lanes, left } = daysOf(events, scannedAt(fleet))
  const panel = el('div', { 'aria-live': 'polite' })
  const lines = lanes.map((lane) => [laneButton(lane, days, panel), ...days.map((day) => cell(lane.counts[day]))])
  const numeric = days.map((day, place) => place + 1)
  const heads = days.map((day, place) => (place && !day.endsWith('-01') ? day.slice(8) : day.slice(5)))
  const rest = left
    ? ` ${t('{n} without a date or from another month are only in the table.', { n: number(left) })}`
    : ''
  const caption = t('Hosts by the day (UTC) of their last report of a kind. A kind opens to a dot for each host.')
  return lanes.length
    ? [plainTable([t('Kind'), ...heads], lines, numeric), panel, el('figcaption', {}, caption, rest)]
    : []
}

export function timelinePart(events, root, { fleet, groups }) {
  const all = events.map((event) => ({ ...event, hosts: hostsOf(event, groups) }))
  const figure = el('figure', { id: 'exceptions-days' })
  const show = (some) => {
    const parts = content(some, fleet)
    figure.replaceChildren(...parts)
    figure.hidden = !parts.length
  }
  show(all)
  root.append(figure)
  onChange((tests) => show(tests.active ? eventsOf(all, tests.host) : all))
}
