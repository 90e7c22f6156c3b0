/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One filter for several tables. It is in the address of the page. */
import { SEVERITIES } from './schema.js'

/* What an address selects. active: anything at all. */
export function selectionOf(parameters) {
  const of = (key) => parameters.get(key) || ''
  const selection = {
    severities: of('severity')
      .split(',')
      .filter((severity) => SEVERITIES.includes(severity)),
    words: of('q').toLowerCase().split(/\s+/).filter(Boolean),
    category: of('category'),
    group: of('group'),
    change: of('change'),
  }
  return { ...selection, active: Object.values(selection).some((value) => value.length > 0) }
}

/* Toggles one severity in a list of an address. */
export function toggled(list, severity) {
  const wanted = new Set((list || '').split(',').filter(Boolean))
  if (!wanted.delete(severity)) wanted.add(severity)
  return [...wanted].join(',')
}

/* Returns the tests of a selection: finding(group), mapRow({host}), change(entry), host(host); count: of findings. */
export function testsOf(report, selection) {
  const { severities, words, category, group, change, active } = selection
  const { fleet, byHost } = report
  const inGroup = fleet.hosts.filter((host) => host.groups.includes(group)).map((host) => host.host)
  const members = group ? new Set(inGroup) : null
  const isMember = (name) => !members || members.has(name)
  const hasSeverity = (severity) => !severities.length || severities.includes(severity)
  const isKind = (one) => hasSeverity(one.severity) && (!category || one.category === category)
  const holds = (searched) => words.every((word) => searched.includes(word))
  const changedSo = (counts) => !change || !fleet.drift || (counts && counts[change] > 0)

  const fitting = new Set(
    fleet.findings
      .filter((one) => isKind(one) && holds(report.findingText.get(one.id)))
      .filter((one) => one.hosts.some(({ host }) => isMember(host)) && changedSo(one.drift))
      .map(({ id }) => id),
  )
  const hasFinding = (name) =>
    (byHost.get(name) || []).some((one) => fitting.has(one.group.id) && hasSeverity(one.severity))
  const needsFinding = severities.length > 0 || category || change

  function changeFits(entry) {
    const names = Object.values(entry.hosts).flat()
    const searched = `${entry.title}\n${entry.signature}\n${names.join('\n')}`.toLowerCase()
    return isKind(entry) && changedSo(entry.counts) && holds(searched) && (!members || names.some(isMember))
  }

  return {
    active,
    count: fitting.size,
    finding: (one) => fitting.has(one.id),
    mapRow: ({ host }) => isMember(host) && hasFinding(host),
    change: changeFits,
    host: ({ host }) =>
      isMember(host) && (!needsFinding || hasFinding(host)) && (holds(report.hostText.get(host)) || hasFinding(host)),
  }
}

const TYPING_MS = 250
const followers = []
let later = 0

/* table: of Tabulator, which shows the entries that test(tests, entry) is true of.
   slow: while a person types, it waits until the keyboard rests. */
export const filterable = (table, test, { slow = true } = {}) => followers.push({ table, test, slow })

function setFilter({ table, test }, tests) {
  if (tests.active) table.setFilter((entry) => test(tests, entry))
  else if (table.getFilters().length) table.clearFilter()
}

export function filterTables(tests, typing) {
  const set = (some) => some.forEach((follower) => setFilter(follower, tests))
  const others = () => set(followers.filter(({ slow }) => slow))
  set(followers.filter(({ slow }) => !slow))
  clearTimeout(later)
  if (typing) later = setTimeout(others, TYPING_MS)
  else others()
}
