/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All hosts of the scan. */
import { badge, bdi, el, hostLink } from '../lib/dom.js'
import { filterable } from '../lib/filter.js'
import { micros, number } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { findingsWeight, SEVERITIES } from '../lib/schema.js'
import { figure, grid, named } from '../lib/table.js'

function counts(host) {
  const found = SEVERITIES.filter((severity) => host.findings[severity])
  const part = (severity) => [
    el('span', { class: `badge is-${severity}` }, `${host.findings[severity]} ${word(severity)}`),
    ' ',
  ]
  return el('span', {}, found.flatMap(part))
}

/* Why a host was not fully measured. */
export function reasons(host) {
  const unusual = Object.entries(host.probes).filter(([, probe]) => probe.status !== 'ok')
  const absent = host.not_measured.filter((name) => !(name in host.probes))
  return [
    ...unusual.map(([name, probe]) => `${name} ${word(probe.status)}: ${probe.reason}`),
    ...absent.map((probe) => t('{probe} left no result', { probe })),
  ].join('; ')
}

const SHOWN_GROUPS = 6

function groupNames(groups) {
  const names = groups.filter((name) => name !== 'all')
  const rest = names.length - SHOWN_GROUPS
  const shown = bdi(names.slice(0, SHOWN_GROUPS).join(', '))
  return el('span', { 'data-full': names.join(', ') }, shown, rest > 0 ? ` +${number(rest)}` : '')
}

function stateText(state, { coverage }) {
  if (coverage === 'none') return state === 'scanned' ? badge(state, t('not measured')) : badge(state)
  return coverage === 'partial' ? t('partially measured') : word(state)
}

export function render(hosts, root) {
  const table = grid(
    root,
    'hosts',
    hosts,
    [
      {
        title: t('Host'),
        field: 'host',
        minWidth: 105,
        widthGrow: 2,
        responsive: 0,
        headerSortStartingDir: 'asc',
        draw: hostLink,
      },
      { title: t('State'), field: 'state', width: 120, responsive: 0, draw: stateText },
      {
        title: t('Findings'),
        field: 'findings',
        minWidth: 105,
        widthGrow: 2,
        responsive: 1,
        draw: (value, host) => counts(host),
        sorter: (left, right) => findingsWeight(left) - findingsWeight(right),
      },
      {
        title: t('Reason'),
        field: 'reason',
        optional: true,
        minWidth: 170,
        widthGrow: 4,
        responsive: 2,
        headerSort: false,
        draw: (reason, host) => bdi(reason || reasons(host)),
      },
      figure(t('p99 wait'), 'p99', micros, {
        responsive: 3,
        width: 100,
        widthGrow: 0,
        mutator: (value, { jitter }) => (jitter ? jitter.p99_us : null),
      }),
      named(t('Kernel'), 'kernel', {
        minWidth: 130,
        widthGrow: 2,
        responsive: 4,
        mutator: (value, { system }) => (system ? system.kernel : null),
      }),
      named(t('Distribution'), 'distribution', {
        minWidth: 120,
        widthGrow: 2,
        responsive: 5,
        mutator: (value, { system }) => (system ? system.distribution : null),
      }),
      {
        title: t('Groups'),
        field: 'groups',
        minWidth: 110,
        widthGrow: 3,
        responsive: 6,
        headerSort: false,
        draw: groupNames,
      },
    ],
    {
      follows: false,
      open: ({ host }) => ({ host }),
      placeholder: hosts.length ? t('No host matches the filter.') : t('Nothing to show.'),
    },
  )
  filterable(table, (tests, host) => tests.host(host))
  return hosts.length
}
