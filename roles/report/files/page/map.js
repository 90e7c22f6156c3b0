/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The worst severity of each host in each category. */
import { el, lead } from '../lib/dom.js'
import { filterable } from '../lib/filter.js'
import { number } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { categoriesOf } from '../lib/model.js'
import { SEVERITIES, severityRank, worst } from '../lib/schema.js'
import { fragment } from '../lib/state.js'
import { grid, hostColumn } from '../lib/table.js'

/* {host, category: {severity, count} or null, …} of each host with findings. */
export function mapRows({ fleet, byHost }) {
  const categories = categoriesOf(fleet)
  const worstOf = (found, category) => {
    const severities = found.filter(({ group }) => group.category === category).map(({ severity }) => severity)
    return severities.length ? { severity: worst(severities), count: severities.length } : null
  }
  return fleet.hosts
    .filter(({ host }) => byHost.has(host))
    .map(({ host }) => ({
      ...Object.fromEntries(categories.map((category) => [category, worstOf(byHost.get(host), category)])),
      host,
    }))
}

const weight = (value) => (value ? (SEVERITIES.length - severityRank(value.severity)) * 1000 + value.count : 0)

function heat(value, row, category) {
  if (!value) return ''
  const attributes = { class: `heat is-${value.severity}`, href: fragment({ category, q: row.host }) }
  return el('a', attributes, word(value.severity), value.count > 1 ? ` × ${number(value.count)}` : '')
}

const folded = (cells) =>
  el(
    'p',
    { class: 'folded', role: 'gridcell' },
    cells.filter(({ value }) => value.textContent).map(({ title, value }) => el('span', {}, `${title} `, value)),
  )

/* For looking things up: folded when the page opens. */
export const FOLDED = true

export function render(unused, root, report) {
  root.append(lead(t('The worst severity of each host in each category, and the number of kinds of findings.')))
  const rows = mapRows(report)
  const categories = categoriesOf(report.fleet).map((category) => ({
    title: word(category),
    field: category,
    minWidth: 105,
    widthGrow: 1,
    responsive: 1,
    cssClass: 'heated',
    draw: (value, row) => heat(value, row, category),
    sorter: (left, right) => weight(left) - weight(right),
  }))
  const columns = [hostColumn(t('Host'), { headerSortStartingDir: 'asc' }), ...categories]
  const table = grid(root, 'map', rows, columns, {
    follows: false,
    placeholder: rows.length ? t('No host matches the filter.') : t('No findings.'),
    responsiveLayout: 'collapse', // what has no room of its own stands below, or a host would look better than it is
    responsiveLayoutCollapseFormatter: folded,
  })
  filterable(table, (tests, row) => tests.mapRow(row))
  return rows.length
}
