/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A row for each inventory group, kernel and distribution: how its hosts are. It follows the selection. */
import { badge, bdi, el, lead, link } from '../lib/dom.js'
import { filterable, onSelection } from '../lib/filter.js'
import { NONE, number } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { findingsWeight, SEVERITIES, worst } from '../lib/schema.js'
import { figure, grid, short } from '../lib/table.js'

const KINDS = {
  group: (host) => host.groups,
  kernel: ({ system }) => (system ? [system.kernel] : []),
  distribution: ({ system }) => (system ? [system.distribution] : []),
}

/* The hosts of each group, kernel and distribution: [{kind, name, hosts}]; what all hosts share says nothing. */
export function groupsOf({ hosts }) {
  const found = new Map()
  const add = (kind, name, host) => {
    const key = `${kind}\n${name}`
    if (!found.has(key)) found.set(key, { key, kind, name, hosts: [] })
    found.get(key).hosts.push(host)
  }
  for (const host of hosts) {
    for (const [kind, namesOf] of Object.entries(KINDS)) namesOf(host).forEach((name) => add(kind, name, host))
  }
  return [...found.values()].filter((one) => one.hosts.length < hosts.length || one.kind === 'kernel')
}

/* {host: [{severity, change, id}]} of the pairs that are selected. */
function pairsByHost({ fleet, tests }) {
  const found = new Map()
  for (const group of fleet.findings) {
    for (const member of tests.view(group)?.members || []) {
      if (!found.has(member.host)) found.set(member.host, [])
      found.get(member.host).push({ severity: member.severity, change: member.change, id: group.id })
    }
  }
  return found
}

/* Numbers of one row, of its selected hosts. */
function countsOf({ hosts }, tests, pairs) {
  const shown = hosts.filter((host) => tests.host(host))
  const found = shown.flatMap(({ host }) => pairs.get(host) || [])
  const worstOf = new Map() // a finding counts once, as its worst host has it
  for (const { id, severity } of found) worstOf.set(id, worst([severity, worstOf.get(id) || severity]))
  const severities = [...worstOf.values()]
  const kinds = Object.fromEntries(
    SEVERITIES.map((severity) => [severity, severities.filter((one) => one === severity).length]),
  )
  return {
    shown: shown.length,
    affected: shown.filter(({ host }) => (pairs.get(host) || []).some(({ severity }) => severity !== 'info')).length,
    dark: shown.filter(({ coverage }) => coverage === 'none').length,
    fresh: found.filter(({ change }) => change === 'new').length,
    kinds,
    worst: found.length ? worst(found.map(({ severity }) => severity)) : null,
  }
}

const kindsText = (kinds) =>
  SEVERITIES.filter((severity) => kinds[severity])
    .map((severity) => `${number(kinds[severity])} ${word(severity)}`)
    .join(', ') || NONE

export function render(unused, root, report) {
  const rows = groupsOf(report.fleet)
  const counts = new Map()
  const count = (tests) => {
    const pairs = pairsByHost({ ...report, tests })
    for (const row of rows) counts.set(row.key, countsOf(row, tests, pairs))
  }
  count(report.tests)
  const of = ({ key }) => counts.get(key)
  const by = (read) => (left, right, one, other) => read(of(one.getData())) - read(of(other.getData()))
  const tally = (title, name, more) =>
    figure(title, name, (value, row) => number(of(row)[name]), { sorter: by((found) => found[name]), ...more })
  root.append(lead(t('A click on a name selects its hosts for the whole page.')))
  rows.sort(
    (left, right) =>
      findingsWeight(of(right).kinds) - findingsWeight(of(left).kinds) || left.name.localeCompare(right.name),
  )
  const table = grid(
    root,
    'groups',
    rows,
    [
      { title: t('Kind'), field: 'kind', minWidth: 90, responsive: 1, draw: word },
      {
        title: t('Name'),
        field: 'name',
        minWidth: 150,
        widthGrow: 3,
        responsive: 0,
        draw: (name, { kind }) => link(...(kind === 'group' ? ['group', name] : ['q', `${kind}:${name}`]), name),
      },
      tally(t('Hosts'), 'shown', { width: 90, responsive: 0, widthGrow: 0 }),
      tally(t('Hosts with findings'), 'affected', { responsive: 1 }),
      tally(t('Not measured'), 'dark', { responsive: 2 }),
      {
        title: t('Worst'),
        field: 'worst',
        minWidth: 100,
        responsive: 0,
        draw: (value, row) => (of(row).worst ? badge(of(row).worst) : el('span', {}, NONE)),
        sorter: by(({ kinds }) => findingsWeight(kinds)),
      },
      {
        title: t('Findings'),
        field: 'kinds',
        minWidth: 150,
        widthGrow: 3,
        responsive: 2,
        draw: (value, row) => bdi(kindsText(of(row).kinds)),
        sorter: by(({ kinds }) => findingsWeight(kinds)),
      },
      ...(report.fleet.drift ? [tally(t('New'), 'fresh', { responsive: 1 })] : []),
    ],
    { ...short(rows), follows: false, placeholder: t('No group has selected hosts.') },
  )
  onSelection(count)
  filterable(table, (tests, row) => of(row).shown > 0, { redraws: true })
  return rows.length
}
