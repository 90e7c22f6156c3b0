/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Findings of the last scans: how many there were, and since when each is there. */
import { wholeFleet } from '../lib/chart.js'
import { bdi, el, lead, plainTable } from '../lib/dom.js'
import { instant, NONE, number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { SEVERITIES } from '../lib/schema.js'

/* The scans of the trend and this one at last, oldest first. */
const scansOf = ({ trend, scan, counts }) => [
  ...trend.scans,
  {
    ...scan,
    hosts: counts.hosts.total,
    measured: counts.hosts.total - counts.hosts.coverage_none,
    findings_by_severity: counts.groups,
    same_policy: true,
  },
]

function markText(hosts, { started_at: at }) {
  const when = at ? at.slice(0, 10) : NONE
  if (hosts === null) return t('{day}: not evaluated', { day: when })
  return t('{day}: {hosts}', { day: when, hosts: plural(hosts, 'host') })
}

const MARKS = { there: '■', absent: '□', unknown: '·' }
const markOf = (hosts) => (hosts === null ? MARKS.unknown : hosts ? MARKS.there : MARKS.absent)

/* A mark for each of the last scans: was the finding there? Empty without earlier scans. */
export function strip({ hosts, first_seen: first }, fleet) {
  if (!fleet.trend.scans.length) return ''
  const scans = scansOf(fleet)
  const texts = hosts.map((count, place) => markText(count, scans[place]))
  const since = first ? t('since {day}', { day: first.slice(0, 10) }) : ''
  return el(
    'span',
    { class: 'strip', title: texts.join('\n') },
    el('span', { 'aria-hidden': 'true' }, hosts.map(markOf).join('')),
    el('br'),
    el('span', { class: 'hint' }, since),
  )
}

/* A bar for a number of findings of a scan, beside the number. */
const cell = (count, most) => {
  const bar = el('i')
  bar.style.width = `${most ? (count / most) * 100 : 0}%`
  return el('span', {}, el('span', { class: 'share', 'aria-hidden': 'true' }, bar), number(count))
}

function scansTable(scans) {
  const most = Object.fromEntries(
    SEVERITIES.map((severity) => [severity, Math.max(...scans.map((scan) => scan.findings_by_severity[severity]))]),
  )
  const lines = scans.map((scan) => [
    el('span', {}, instant(scan.started_at), scan.same_policy ? '' : ` (${t('another policy')})`),
    t('{n} of {all}', { n: number(scan.measured), all: number(scan.hosts) }),
    ...SEVERITIES.map((severity) => cell(scan.findings_by_severity[severity], most[severity])),
  ])
  return plainTable([t('Scan'), t('Measured hosts'), ...SEVERITIES.map(word)], lines, [1])
}

export function render(trend, root, { fleet }) {
  if (!trend.scans.length) {
    root.append(lead(t('There is no earlier scan in the folder of the results whose report left its findings.')))
  } else {
    root.append(
      lead(t('Number of findings in each scan, by severity. A finding on several hosts counts once.')),
      wholeFleet(),
      el('div', { class: 'scans' }, scansTable(scansOf(fleet))),
    )
  }
  if (!trend.skipped.length) return trend.scans.length
  const lines = trend.skipped.map(({ scan_id: scan, reason }) => [bdi(scan), bdi(reason)])
  root.append(
    el(
      'details',
      {},
      el('summary', {}, t('Earlier scans that could not be compared')),
      plainTable([t('Scan'), t('Reason')], lines),
    ),
  )
  return trend.scans.length
}
