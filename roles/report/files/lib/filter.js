/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One selection for the whole page. It is in the address, and selects pairs of a host and a finding. */
import { moduleHosts, parseSearch, tagged } from './search.js'
import { CHANGES, SEVERITIES, severityRank } from './schema.js'

export const FILTER_KEYS = ['severity', 'category', 'change', 'group', 'q']
/* Changes of findings that are not there any more. */
export const GONE = ['resolved', 'rebooted', 'not_measured_now']

/* What an address selects. active: anything at all. */
export function selectionOf(parameters) {
  const of = (key) => parameters.get(key) || ''
  const selection = {
    severities: of('severity')
      .split(',')
      .filter((severity) => SEVERITIES.includes(severity)),
    ...parseSearch(of('q')),
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

/* Which words of a search a text has, as bits. */
const wordsIn = (words, text) => words.reduce((bits, word, place) => bits | (text.includes(word) ? 1 << place : 0), 0)

const isExcluded = ({ without }, text) => without.some((word) => text.includes(word))

/* What is true of one host of a finding; not its title where that is the one of all. */
const memberText = ({ severity, title }, common) =>
  `${tagged('severity', severity)}\n${title === common ? '' : title.toLowerCase()}`

/* {id: hosts of a finding that a selection names}, of those findings that have any. */
function membersOf(report, selection, hostWords, isMember) {
  const { severities, words, category, change } = selection
  const every = (1 << words.length) - 1
  const found = new Map()
  for (const group of report.fleet.findings) {
    if (category && group.category !== category) continue
    const text = report.findingText.get(group.id)
    const own = wordsIn(words, text)
    const holds = (member) => (own | hostWords(member.host) | wordsIn(words, memberText(member, group.title))) === every
    const members = group.hosts.filter(
      (member) =>
        isMember(member.host) &&
        !isExcluded(selection, `${text}\n${memberText(member)}`) &&
        (!severities.length || severities.includes(member.severity)) &&
        (!change || !report.fleet.drift || member.change === change) &&
        (!words.length || holds(member)),
    )
    if (members.length) found.set(group.id, members)
  }
  return found
}

const isOfKind = ({ severities, category }, { severity, category: own }) =>
  (!severities.length || severities.includes(severity)) && (!category || category === own)

/* The changes of an entry of the drift that a selection names: {change: hosts}; null: none. */
function changesOf(entry, selection, hostWords, isMember) {
  const { words, change } = selection
  if (!isOfKind(selection, entry)) return null
  const every = (1 << words.length) - 1
  const text = `${entry.title}\n${entry.signature}\n${tagged('severity', entry.severity)}`.toLowerCase()
  if (isExcluded(selection, text)) return null
  const own = wordsIn(words, text)
  const fits = (host) => isMember(host) && (own | hostWords(host)) === every
  const found = {}
  for (const name of CHANGES) {
    const hosts = !change || change === name ? (entry.hosts[name] || []).filter(fits) : []
    if (hosts.length) found[name] = hosts
  }
  return Object.keys(found).length ? found : null
}

/* A title of several hosts, without the number of a process, which is one host's. */
export const withoutProcess = (title) => title.replace(/(?<=process|Process) \d+\b|(?<=\S)\[\d+\]/g, '')

/* What the page shows of a selection.

   count: of findings; active: there is a selection; view(group): {severity, title, members} of the selected hosts of
   a finding, as if there were no others, null: none of them is selected; changes(entry): {change: hosts}, null: none;
   finding(group), change(entry), host({host}), mapRow({host}), row(row of a section): is it shown? hosts: how many
   are. */
export function testsOf(report, selection) {
  const { severities, words, category, group, change, active } = selection
  const { fleet } = report
  const entries = fleet.drift ? fleet.drift.groups : []
  const inGroup = fleet.hosts.filter((host) => host.groups.includes(group)).map((host) => host.host)
  const members = group ? new Set(inGroup) : null
  const hostText = (name) => report.hostText.get(name) ?? name.toLowerCase()
  const inModule = moduleHosts(fleet, [...words, ...selection.without])
  const isOut = (name) =>
    isExcluded(selection, hostText(name)) || selection.without.some((word) => inModule.get(word)?.has(name))
  const isMember = (name) => (!members || members.has(name)) && !isOut(name)
  const known = new Map()
  const every = (1 << words.length) - 1
  function hostWords(name) {
    if (!known.has(name)) {
      const loaded = words.reduce((bits, word, place) => bits | (inModule.get(word)?.has(name) ? 1 << place : 0), 0)
      known.set(name, wordsIn(words, hostText(name)) | loaded)
    }
    return known.get(name)
  }

  const fitting = membersOf(report, selection, hostWords, isMember)
  const withFinding = new Set([...fitting.values()].flat().map(({ host }) => host))
  const drift = new Map()
  for (const entry of entries) {
    const changes = changesOf(entry, selection, hostWords, isMember)
    if (changes) drift.set(entry, changes)
  }
  const gone = GONE.includes(change) ? [...drift.values()].flatMap((changes) => changes[change]) : []
  gone.forEach((host) => withFinding.add(host))
  const needsFinding = severities.length > 0 || category || change
  const isShown = (name) =>
    isMember(name) && (withFinding.has(name) || (!needsFinding && (!words.length || hostWords(name) === every)))

  function view(one) {
    const shown = fitting.get(one.id)
    if (!shown) return null
    if (shown.length === one.hosts.length) return { severity: one.severity, title: one.title, members: shown }
    const worst = shown.reduce((best, other) =>
      severityRank(other.severity) < severityRank(best.severity) ? other : best,
    )
    const title = shown.length === 1 ? worst.title : withoutProcess(worst.title)
    return { severity: worst.severity, title, members: shown }
  }

  function row(one) {
    if (!active) return true
    if (one.finding && fitting.has(one.finding)) return true
    if (typeof one.host === 'string') return isShown(one.host)
    if (!Array.isArray(one.hosts)) return true
    // Where a row names some of its hosts only, it may be about others too.
    return one.hosts.some((host) => isShown(host.host ?? host)) || one.hosts.length < one.host_count
  }

  return {
    active,
    count: fitting.size,
    hosts: active ? fleet.hosts.filter(({ host }) => isShown(host)).length : fleet.hosts.length,
    view,
    changes: (entry) => drift.get(entry) || null,
    finding: (one) => fitting.has(one.id),
    mapRow: ({ host }) => isMember(host) && withFinding.has(host),
    change: (entry) => drift.has(entry),
    host: ({ host }) => isShown(host),
    row,
  }
}

const TYPING_MS = 250
const followers = []
const listeners = []
let later = 0

/* table: of Tabulator, which shows the entries that test(tests, entry) is true of.
   slow: while a person types, it waits until the keyboard rests; redraws: its cells show other numbers with another
   selection. */
export const filterable = (table, test, { slow = true, redraws = false } = {}) =>
  followers.push({ table, test, slow, redraws })

/* Calls listener(tests) with each new selection, when the keyboard rests, before tables follow it. */
export const onSelection = (listener) => listeners.push(listener)

/* The same for what is drawn already as all hosts have it: not called before anything is selected. */
export function onChange(listener) {
  let active = false
  onSelection((tests) => {
    if (tests.active || active) listener(tests)
    active = tests.active
  })
}

/* A plain table, whose rows are hidden when their hosts are not selected. rows: what tests.row tests, in order. */
export function followRows(table, rows) {
  const lines = [...table.querySelectorAll('tbody > tr')]
  onChange((tests) => lines.forEach((line, place) => line.toggleAttribute('hidden', !tests.row(rows[place]))))
  return table
}

function setFilter({ table, test, redraws }, tests) {
  if (redraws) table.getRows().forEach((row) => row.reformat())
  if (tests.active) table.setFilter((entry) => test(tests, entry))
  else if (table.getFilters().length) table.clearFilter()
}

export function filterTables(tests, typing) {
  const set = (some) => some.forEach((follower) => setFilter(follower, tests))
  const others = () => {
    listeners.forEach((listener) => listener(tests))
    set(followers.filter(({ slow }) => slow))
  }
  set(followers.filter(({ slow }) => !slow))
  clearTimeout(later)
  if (typing) later = setTimeout(others, TYPING_MS)
  else others()
}
