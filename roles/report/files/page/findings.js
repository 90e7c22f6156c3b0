/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All findings, with the filter that the map, the changes and the hosts follow too. */
import { ageText } from '../lib/age.js'
import { badge, bdi, byId, el, findingLink, hint, hostList } from '../lib/dom.js'
import { FILTER_KEYS, filterable, filterTables, selectionOf, testsOf, toggled } from '../lib/filter.js'
import { NONE, number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { categoriesOf, factor, hostGroupsOf } from '../lib/model.js'
import { bySeverity, CHANGES, SEVERITIES } from '../lib/schema.js'
import { go, keep, state } from '../lib/state.js'
import { figure, grid } from '../lib/table.js'
import { changesText } from './changes.js'
import { strip } from './trend.js'

/* '19 of 22', or '22' when all are selected. */
const partOf = (part, all) => (part === all ? number(all) : t('{n} of {all}', { n: number(part), all: number(all) }))

/* {change: number} of some hosts of a finding. */
function changesIn(members) {
  const counts = {}
  for (const { change } of members) if (change) counts[change] = (counts[change] || 0) + 1
  return counts
}

function select(key, label, options, report) {
  const choice = el('select', { id: key, 'data-key': key }, el('option', { value: '' }, t('all')), options)
  choice.addEventListener('change', () => {
    keep({ [key]: choice.value })
    applyFilter(report)
  })
  return el('span', { class: 'pair' }, el('label', { for: key }, label), choice)
}

function searchField(report) {
  const field = el('input', {
    id: 'q',
    type: 'search',
    placeholder: t('words, kernel:6.1, module:acme, -severity:info'),
    autocomplete: 'off',
    spellcheck: 'false',
  })
  field.addEventListener('input', () => {
    keep({ q: field.value.trim() })
    applyFilter(report, true)
  })
  return field
}

function chip(severity) {
  const attributes = {
    type: 'button',
    class: `chip is-${severity}`,
    'data-severity': severity,
    'aria-pressed': 'false',
  }
  const button = el('button', attributes, word(severity))
  button.addEventListener('click', () => go({ severity: toggled(state().get('severity'), severity) }))
  return button
}

function filterForm(report) {
  const { fleet } = report
  const words = (values) => values.map((value) => el('option', { value }, word(value)))
  const names = (values) => values.map((value) => el('option', { value }, value))
  const form = el(
    'form',
    { class: 'filter', role: 'search', 'aria-label': t('Filter findings, map, changes and hosts') },
    el('label', { for: 'q' }, t('Filter')),
    searchField(report),
    select('category', t('Category'), words(categoriesOf(fleet)), report),
    select('group', t('Group'), names(hostGroupsOf(fleet)), report),
    fleet.drift ? select('change', t('Change'), words(CHANGES), report) : null,
    el('span', { class: 'chips', role: 'group', 'aria-label': t('Severities') }, SEVERITIES.map(chip)),
    el('output', { id: 'shown' }),
  )
  form.addEventListener('submit', (event) => event.preventDefault())
  return form
}

function showSelection(selection, tests, total) {
  for (const button of document.querySelectorAll('.chip')) {
    button.setAttribute('aria-pressed', String(selection.severities.includes(button.dataset.severity)))
  }
  for (const choice of document.querySelectorAll('.filter select')) choice.value = selection[choice.dataset.key]
  if (document.activeElement !== byId('q')) byId('q').value = state().get('q') || ''
  const all = plural(total, 'finding')
  byId('shown').textContent = tests.active ? t('{n} of {all}', { n: number(tests.count), all }) : ''
}

let applied = null

/* Filters tables and form by the address. typing: a person is at the keyboard. */
export function applyFilter(report, typing = false) {
  const chosen = FILTER_KEYS.map((key) => state().get(key) || '').join('\n')
  if (chosen === applied) return // the address opens something, or turns a page
  applied = chosen
  const selection = selectionOf(state())
  const tests = testsOf(report, selection)
  report.tests = tests
  filterTables(tests, typing)
  showSelection(selection, tests, report.fleet.findings.length)
}

/* Of a finding that another one explains: which. */
function causeOf({ part_of: id }, { groups }) {
  const cause = groups.get(id)
  return cause ? el('div', { class: 'hint' }, t('part of: '), findingLink(cause.id, cause.title)) : null
}

/* The filter of the whole page is here. */
export const FOLDED = false

export function render(findings, root, report) {
  const { drift } = report.fleet
  report.tests = testsOf(report, selectionOf(state()))
  const view = (group) => report.tests.view(group) || { ...group, members: group.hosts }
  const first = (group) => (view(group).members.length < group.host_count ? { host: view(group).members[0].host } : {})
  root.append(
    filterForm(report),
    hint(
      t('The filter applies to the whole page but for sums over hosts and what says so.'),
      ' ',
      t('The address of this page holds the filter: share it as a link.'),
    ),
  )
  const table = grid(
    root,
    'findings',
    findings,
    [
      {
        title: t('Severity'),
        field: 'severity',
        width: 100,
        responsive: 0,
        draw: (severity, group) => badge(view(group).severity),
        sorter: (left, right, one, other) => bySeverity(view(one.getData()).severity, view(other.getData()).severity),
      },
      {
        title: t('Finding'),
        field: 'title',
        minWidth: 190,
        widthGrow: 5,
        responsive: 0,
        draw: (title, group) =>
          el('div', {}, findingLink(group.id, view(group).title, first(group)), causeOf(group, report)),
      },
      { title: t('Category'), field: 'category', width: 110, responsive: 3, draw: word },
      {
        title: t('Where'),
        field: 'host_count',
        minWidth: 170,
        widthGrow: 3,
        responsive: 2,
        sorter: 'number',
        draw: (count, group) => hostList(view(group).members, view(group).members.length),
      },
      figure(t('Hosts'), 'host_count', (count, group) => partOf(view(group).members.length, count), {
        width: 100,
        responsive: 1,
        widthGrow: 0,
        sorter: (left, right, one, other) => view(one.getData()).members.length - view(other.getData()).members.length,
      }),
      {
        title: t('Seen'),
        field: 'last_seen',
        minWidth: 140,
        widthGrow: 2,
        responsive: 2,
        draw: (seen, group) => ageText(view(group).members, report.fleet, group),
      },
      {
        title: t('Last scans'),
        field: 'history',
        optional: true,
        minWidth: 145,
        responsive: 5,
        headerSort: false,
        draw: (history) => strip(history, report.fleet),
      },
      {
        title: t('In common'),
        field: 'common',
        optional: true,
        minWidth: 150,
        widthGrow: 2,
        responsive: 4,
        headerSort: false,
        draw: (common) => (common.length ? bdi(factor(common[0])) : NONE),
      },
      ...(drift
        ? [
            {
              title: t('Changes'),
              field: 'drift',
              minWidth: 170,
              widthGrow: 2,
              responsive: 4,
              headerSort: false,
              draw: (counts, group) => changesText(changesIn(view(group).members)),
            },
          ]
        : []),
    ],
    {
      follows: false,
      open: (group) => ({ finding: group.id, ...first(group) }),
      placeholder: findings.length ? t('No finding matches the filter.') : t('No findings.'),
    },
  )
  filterable(table, (tests, group) => tests.finding(group), { slow: false, redraws: true })
  return findings.length
}
