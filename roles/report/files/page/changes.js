/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is new, worse, better or resolved since an earlier scan. */
import { badge, bdi, el, findingLink, hostLink, hostName, lead, listed, nameList } from '../lib/dom.js'
import { filterable } from '../lib/filter.js'
import { instant, NONE, number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { shortName } from '../lib/names.js'
import { bySeverity, CHANGES } from '../lib/schema.js'
import { grid, short } from '../lib/table.js'

/* counts: {change: number of hosts}, or null. */
export function changesText(counts) {
  const present = CHANGES.filter((change) => counts && counts[change])
  return present.map((change) => `${number(counts[change])} ${word(change)}`).join(', ') || NONE
}

function comparison({ baseline, ...drift }) {
  const at = instant(baseline.started_at)
  const hosts = plural(baseline.hosts, 'host')
  const changes = [
    [drift.hosts_added_count, plural(drift.hosts_added_count, 'new host', 'new hosts')],
    [drift.hosts_removed_count, plural(drift.hosts_removed_count, 'host is gone', 'hosts are gone')],
    [drift.rebooted_count, plural(drift.rebooted_count, 'host was rebooted', 'hosts were rebooted')],
    [drift.kernels_count, plural(drift.kernels_count, 'host runs another kernel', 'hosts run another kernel')],
  ]
  return [
    t('Compared with the scan {scan} of {at} ({hosts}). The same policy evaluates both scans.', {
      scan: baseline.scan_id,
      at,
      hosts,
    }),
    ...changes.filter(([count]) => count).map(([, text]) => t('{text}.', { text })),
  ].join(' ')
}

/* For each change: how many hosts, and which. */
function where(names, known) {
  const host = (name) => (known.has(name) ? hostLink(name) : hostName(name))
  const part = (change) => {
    const what = `${number(names[change].length)} ${word(change)}: `
    return el('span', {}, what, nameList(names[change], names[change].length, host))
  }
  return el('span', {}, listed(CHANGES.filter((change) => names[change]).map(part), '; '))
}

function hostLists(drift) {
  const kernels = drift.kernels.map((change) => `${shortName(change.host)}: ${change.before} → ${change.now || NONE}`)
  const lists = [
    [t('New hosts'), drift.hosts_added],
    [t('Hosts that are gone'), drift.hosts_removed],
    [t('Rebooted hosts'), drift.rebooted],
    [t('Hosts that run another kernel'), kernels],
  ]
  return lists
    .filter(([, names]) => names.length)
    .map(([title, names]) =>
      el('details', {}, el('summary', {}, title), el('p', {}, bdi(names.map(shortName).join(', ')))),
    )
}

/* The table of findings has the changes too: folded when the page opens. */
export const FOLDED = true

export function render(unused, root, report) {
  const { drift } = report.fleet
  const shown = (entry) => report.tests?.changes(entry) || entry.hosts
  if (!drift) {
    root.append(
      lead(
        t('There is no earlier scan to compare with.'),
        ' ',
        t('ksysak_baseline names one, or the folder of all results to compare with the previous scan.'),
      ),
    )
    return
  }
  root.append(lead(comparison(drift)))
  const table = grid(
    root,
    'changes',
    drift.groups,
    [
      {
        title: t('Severity'),
        field: 'severity',
        width: 100,
        responsive: 0,
        draw: (severity) => badge(severity),
        sorter: bySeverity,
      },
      {
        title: t('Finding'),
        field: 'title',
        minWidth: 190,
        widthGrow: 5,
        responsive: 0,
        draw: (title, entry) => findingLink(entry.finding, title),
      },
      {
        title: t('Changes, by hosts'),
        field: 'counts',
        minWidth: 190,
        widthGrow: 4,
        responsive: 0,
        headerSort: false,
        draw: (counts, entry) => where(shown(entry), report.hosts),
      },
    ],
    {
      follows: false,
      open: (entry) => ({ finding: entry.finding }),
      ...short(drift.groups),
      placeholder: drift.groups.length ? t('No change matches the filter.') : t('No findings in either scan.'),
    },
  )
  filterable(table, (tests, entry) => tests.change(entry), { redraws: true })
  root.append(el('div', { id: 'changes-hosts' }, hostLists(drift)))
}
