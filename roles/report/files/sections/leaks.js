/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernel memory that was allocated in the window and not freed by its end. */
import { causesTable } from '../lib/causes.js'
import { curve } from '../lib/curve.js'
import { badge, bdi, findingLink, hostList, lead, stackDetails } from '../lib/dom.js'
import { bytes, bytesPerSecond, percent, plural, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { figure, grid, short } from '../lib/table.js'
import { iciclePart } from './leaks/icicle.js'

function leadText(leaks, suspected) {
  if (!leaks.hosts) return t('No host measured kernel memory.')
  const stacks = plural(suspected, 'suspected call stack')
  return [
    suspected ? t('{text}.', { text: stacks }) : t('No call stack is suspected of leaking.'),
    t('The table lists kernel memory that was allocated in the window and not freed by its end, on {hosts}.', {
      hosts: plural(leaks.hosts, 'host'),
    }),
    t('Most of it is normal growth of caches; the stack of a row has the reasons of its verdict.'),
    leaks.cut ? plural(leaks.cut, 'smaller entry is not listed.', 'smaller entries are not listed.') : '',
  ].join(' ')
}

function curveLabel(points) {
  const [end, size] = points.at(-1)
  return t('from 0 to {size} in {time}', { size: bytes(size), time: seconds(end || 1) })
}

export function render(leaks, root, { groups, hosts }) {
  const suspected = leaks.outstanding.filter(({ finding }) => finding).length
  root.append(lead(leadText(leaks, suspected)))
  causesTable(root, 'leak_causes', leaks.causes, hosts)
  grid(
    root,
    'leaks',
    leaks.outstanding,
    [
      {
        title: t('Verdict'),
        field: 'finding',
        width: 100,
        responsive: 0,
        headerSort: false,
        draw: (id, { verdict }) => (id ? badge(groups.get(id).severity) : word(verdict)),
      },
      {
        title: t('Function'),
        field: 'culprit',
        minWidth: 170,
        widthGrow: 3,
        responsive: 0,
        draw: (name, { finding }) => findingLink(finding, name),
      },
      {
        title: t('Module'),
        field: 'module',
        minWidth: 90,
        widthGrow: 1,
        responsive: 3,
        draw: (name) => (name === null ? t('kernel') : bdi(name)),
      },
      { title: t('Type'), field: 'type', width: 90, responsive: 5 },
      figure(t('Growth, all hosts'), 'growth_bytes_per_s', bytesPerSecond, { responsive: 0, minWidth: 110 }),
      figure(t('Not freed'), 'bytes_outstanding', bytes, { responsive: 4, minWidth: 115 }),
      figure(t('Oldest'), 'oldest_age_s', seconds, { responsive: 6 }),
      figure(t('Confidence'), 'confidence', percent, { responsive: 3, minWidth: 128 }),
      {
        title: t('Outstanding over time'),
        field: 'trend',
        optional: true,
        width: 170,
        responsive: 4,
        headerSort: false,
        draw: (points) => (points.length > 1 ? curve(points, curveLabel(points)) : ''),
      },
      {
        title: t('Where'),
        field: 'host_count',
        minWidth: 165,
        widthGrow: 2,
        responsive: 2,
        sorter: 'number',
        draw: (count, { hosts }) => hostList(hosts, count),
      },
      {
        title: t('Stack of the worst host'),
        field: 'stack',
        minWidth: 140,
        widthGrow: 3,
        responsive: 4,
        headerSort: false,
        draw: (stack, { reasons }) => stackDetails(stack, reasons),
      },
    ],
    leaks.causes.length ? short(leaks.outstanding) : {},
  )
  iciclePart(leaks.outstanding, root)
  return suspected
}
