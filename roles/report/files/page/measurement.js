/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When and how the probes measured, and what that cost. */
import { wholeFleet } from '../lib/chart.js'
import { bdi, el, heading, hostLink, lead, plainTable } from '../lib/dom.js'
import { bytes, instant, NONE, number, plural, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { figure, grid } from '../lib/table.js'

const countsText = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${word(name)} ${number(count)}`)
    .join(', ') || NONE

function leadText({ first_started_at: first, last_started_at: last }, duration) {
  if (!first) return t('Nothing was measured.')
  const window = t('Measured from {at}{last}; all probes of a host share one window{window}.', {
    at: instant(first),
    last: last === first ? '' : t(' (the last host began at {at})', { at: instant(last) }),
    window: duration ? t(' of {n} s', { n: duration }) : '',
  })
  return `${window} ${t('CPU time is that of the probe processes, without their programs inside the kernel.')}`
}

function windowText(least, { window_s_max: most }) {
  if (least === null) return NONE
  if (least === most) return seconds(least)
  return t('{least} to {most}', { least: seconds(least), most: seconds(most) })
}

function worstCpu(value, { cpu_s_worst_host: host }) {
  return el('span', {}, seconds(value), ...(host === null ? [] : [el('br'), hostLink(host)]))
}

function lostText(lost, probe) {
  if (!lost) return '0'
  return t('{n} on {hosts}', { n: number(lost), hosts: plural(probe.lost_events_hosts, 'host') })
}

const fixed = (title, field, more) => ({ title, field, minWidth: 120, widthGrow: 2, headerSort: false, ...more })

/* For looking things up: folded when the page opens. */
export const FOLDED = true

export function render(measurement, root, { fleet }) {
  root.append(lead(leadText(measurement, fleet.scan.duration_s)), wholeFleet())
  grid(
    root,
    'measurement',
    measurement.probes,
    [
      fixed(t('Probe'), 'probe', { responsive: 0 }),
      fixed(t('Hosts by status'), 'statuses', { minWidth: 140, responsive: 0, draw: countsText }),
      fixed(t('Engines'), 'engines', { responsive: 2, draw: countsText }),
      {
        title: t('Window'),
        field: 'window_s_min',
        minWidth: 110,
        responsive: 3,
        headerSort: false,
        draw: windowText,
      },
      figure(t('CPU, all hosts'), 'cpu_s_total', seconds, { responsive: 2 }),
      figure(t('CPU, worst host'), 'cpu_s_worst', worstCpu, { responsive: 1, minWidth: 130 }),
      figure(t('Memory, worst'), 'max_rss_bytes_worst', bytes, { responsive: 4, minWidth: 105 }),
      figure(t('Set-up, worst'), 'setup_s_worst', seconds, { responsive: 5 }),
      figure(t('Lost events'), 'lost_events', lostText, { responsive: 3 }),
      figure(t('Truncated lists'), 'truncated_hosts', (count) => (count ? plural(count, 'host') : NONE), {
        responsive: 6,
      }),
    ],
    { placeholder: t('No probe returned a result.') },
  )
  if (!fleet.problems.length) return
  const problems = fleet.problems.map(({ file, reason }) => [bdi(file || NONE), bdi(reason)])
  root.append(heading(t('Problems of this report')), plainTable([t('File'), t('Problem')], problems))
}
