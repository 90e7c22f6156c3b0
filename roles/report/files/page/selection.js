/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The top of the page follows the selection: what is selected, the tiles, the worst findings. */
import { ageText } from '../lib/age.js'
import { badge, byId, el, hostName, nameList } from '../lib/dom.js'
import { FILTER_KEYS, onSelection } from '../lib/filter.js'
import { number, plural } from '../lib/format.js'
import { t } from '../lib/messages.js'
import { CHANGES, SEVERITIES } from '../lib/schema.js'
import { fragment } from '../lib/state.js'

const WORST = 5

/* The findings of a selection, worst first: [{group, severity, title, members}]. */
export const viewsOf = ({ fleet, tests }) =>
  fleet.findings
    .map((group) => ({ group, ...tests.view(group) }))
    .filter(({ members }) => members)
    .sort((left, right) => SEVERITIES.indexOf(left.severity) - SEVERITIES.indexOf(right.severity))

function place({ group, members }, { fleet, tests }) {
  const hosts = plural(group.host_count, 'host')
  const of = t('{n} of {hosts}:', { n: number(members.length), hosts })
  const on = members.length === 1 && group.host_count === 1 ? t('on') : of
  const all = t('{n} of {hosts}:', { n: number(members.length), hosts: plural(fleet.counts.hosts.total, 'host') })
  return el(
    'span',
    { class: 'where' },
    `${tests.active || group.host_count === 1 ? on : all} `,
    nameList(
      members.map(({ host }) => host),
      members.length,
      hostName,
    ),
    ' · ',
    el('span', { class: 'age' }, ageText(members, fleet, group)),
  )
}

function worstItem(view, report) {
  const { group, severity, title, members } = view
  const at = members.length < group.host_count || members.length === 1 ? { host: members[0].host } : {}
  const anchor = el(
    'a',
    { href: fragment({ finding: group.id, ...at }) },
    badge(severity),
    ' ',
    el('span', { class: 'what' }, el('bdi', {}, title)),
    ' ',
    place(view, report),
  )
  return el('li', {}, anchor)
}

/* {change: number of pairs} of a selection. */
export function changeCounts({ fleet, tests }) {
  const total = Object.fromEntries(CHANGES.map((change) => [change, 0]))
  for (const entry of fleet.drift?.groups || []) {
    for (const [change, hosts] of Object.entries(tests.changes(entry) || {})) total[change] += hosts.length
  }
  return total
}

function showTiles(report, views) {
  const { tests, fleet } = report
  const whole = fleet.counts.groups
  for (const severity of SEVERITIES) {
    const count = views.filter((view) => view.severity === severity).length
    const anchor = document.querySelector(`.tile a.is-${severity}`)
    anchor.querySelector('strong').textContent = number(tests.active ? count : whole[severity])
    anchor.classList.toggle('zero', !(tests.active ? count : whole[severity]))
  }
  if (!fleet.drift) return
  const counts = tests.active ? changeCounts(report) : fleet.drift.counts
  for (const change of CHANGES) {
    const strong = document.querySelector(`.tile [data-change="${change}"] strong`)
    if (strong) strong.textContent = number(counts[change])
  }
}

function showWorst(report, views) {
  const section = document.querySelector('.worst')
  const shown = views.filter(({ severity, group }) => severity !== 'info' && !group.part_of).slice(0, WORST)
  const items = shown.map((view) => worstItem(view, report))
  const body = items.length
    ? el('ol', {}, items)
    : el('p', { class: 'empty' }, t('No selected finding needs attention.'))
  section.replaceChildren(section.querySelector('h2'), body)
}

/* The template drew the whole fleet; it is drawn again when something was selected. */
export function followSelection(report) {
  let drawn = false
  onSelection((tests) => {
    report.tests = tests
    const note = byId('selection')
    note.hidden = !tests.active
    document.documentElement.toggleAttribute('data-selected', tests.active)
    if (!tests.active && !drawn) return
    drawn = true
    const views = viewsOf(report)
    const hosts = plural(report.fleet.hosts.length, 'host')
    const findings = plural(report.fleet.findings.length, 'finding')
    const all = el('a', { href: fragment(Object.fromEntries(FILTER_KEYS.map((key) => [key, '']))) }, t('Show all'))
    note.replaceChildren(
      t('Selected: {n} of {hosts}, {m} of {findings}.', {
        n: number(tests.hosts),
        hosts,
        m: number(views.length),
        findings,
      }),
      ' ',
      t('The sentence above is about the whole fleet, as are sums over hosts and what says so.'),
      ' ',
      all,
    )
    showTiles(report, views)
    showWorst(report, views)
  })
}
