/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Run-queue latency: how long tasks that could run waited for a CPU, and what kept it. */
import { el, heading, hint, hostLink, lead, task } from '../lib/dom.js'
import { micros, number, plural, seconds } from '../lib/format.js'
import { t } from '../lib/messages.js'
import { shortName } from '../lib/names.js'
import { figure, grid, short } from '../lib/table.js'
import { histogramPart } from './jitter/histogram.js'
import { stallsPart } from './jitter/stalls.js'
import { heatMapPart } from './jitter/heatmap.js'
import { causeNames, momentsPart } from './jitter/moments.js'

const REAL_TIME_PRIO = 100

function leadText(jitter) {
  if (!jitter.hosts) return t('No host measured run-queue latency.')
  const counted = t('{waits} of tasks for a CPU on {hosts}; {n} longer than {thresholds}', {
    waits: plural(jitter.count, 'wait'),
    hosts: plural(jitter.hosts, 'host'),
    n: number(jitter.over_threshold),
    thresholds: jitter.thresholds_us.map(micros).join(' / '),
  })
  const longest = jitter.max_host
    ? t('; longest {time} on {host}', { time: micros(jitter.max_us), host: shortName(jitter.max_host) })
    : ''
  return t('{text}.', { text: counted + longest })
}

const OUTSIDE = ['throttled', 'realtime_throttled', 'cpu_not_running'] // causes that no runner explains

/* Who had the CPU for most of a wait, or what else kept the task from it, as far as it is known. */
export function longestRunner(runner, { unattributed_us: unattributed, idle_us: idle, cause }) {
  if (OUTSIDE.includes(cause)) return causeNames()[cause]
  if (runner && cause === 'affinity') {
    return el(
      'span',
      {},
      task(runner),
      t(', {time} of it', { time: micros(runner.ran_us) }),
      '; ',
      causeNames().affinity,
    )
  }
  if (runner) return el('span', {}, task(runner), t(', {time} of it', { time: micros(runner.ran_us) }))
  return unattributed > idle ? t('not known: too many timeslices') : t('the CPU was mostly idle')
}

function waitsPart({ events, hosts, over_threshold: over }, root) {
  root.append(heading(t('Longest waits')))
  if (over > events.length) root.append(hint(t('The longest {n} of the whole fleet.', { n: number(events.length) })))
  grid(
    root,
    'jitter',
    events,
    [
      figure(t('Waited'), 'delay_us', micros, { width: 95, responsive: 0, widthGrow: 0 }),
      { title: t('Host'), field: 'host', minWidth: 110, widthGrow: 2, responsive: 0, draw: hostLink },
      {
        title: t('Task'),
        field: 'comm',
        minWidth: 110,
        widthGrow: 2,
        responsive: 1,
        draw: (comm, event) => task(event),
      },
      {
        title: t('Longest runner'),
        field: 'longest_runner',
        minWidth: 130,
        widthGrow: 3,
        responsive: 0,
        headerSort: false,
        draw: longestRunner,
      },
      {
        title: t('Wait began'),
        field: 'wait',
        minWidth: 130,
        responsive: 4,
        draw: (wait) => (wait === 'wakeup' ? t('at its wake-up') : t('when it lost the CPU')),
      },
      figure(t('CPU'), 'cpu', number, { width: 70, responsive: 3, widthGrow: 0 }),
      figure(
        t('Priority'),
        'prio',
        (prio) => (prio < REAL_TIME_PRIO ? t('{n} (real-time)', { n: prio }) : number(prio)),
        { responsive: 5 },
      ),
      figure(t('At'), 'at_s', seconds, { responsive: 5, width: 85, widthGrow: 0 }),
    ],
    {
      ...short(events),
      placeholder: hosts ? t('No wait was longer than the threshold.') : t('Nothing was measured.'),
    },
  )
}

/* What the page of one host shows above its facts. */
export const ofHost = (data, windowS, root) => momentsPart(data, windowS, root, 'host-moments')

export function render(jitter, root, { fleet }) {
  root.append(lead(leadText(jitter)))
  histogramPart(jitter, root, fleet)
  heatMapPart(fleet.hosts, root)
  const [only, ...others] = fleet.hosts
  if (!others.length) momentsPart(jitter, only?.probes.runlatency?.window_s, root, 'jitter-moments')
  waitsPart(jitter, root)
  stallsPart(jitter, root)
  return jitter.hosts ? undefined : 0
}
