/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts that are far above the median of the fleet. */
import { lead } from '../lib/dom.js'
import { bytesPerSecond, micros, number, percent, seconds } from '../lib/format.js'
import { t } from '../lib/messages.js'
import { figure, grid, hostColumn, short } from '../lib/table.js'

/* {measure: [name, format]} */
const measures = () => ({
  interrupted_share: [t('largest share of a CPU in interrupts'), percent],
  interrupts_per_s: [t('interrupts per second'), number],
  probe_cpu_s: [t('CPU time of the probes'), seconds],
  unfreed_bytes_per_s: [t('kernel memory not freed, per second'), bytesPerSecond],
  wait_longest_us: [t('longest run-queue latency'), micros],
  wait_p99_us: [t('p99 run-queue latency'), micros],
})

export function render(outliers, root) {
  const known = measures()
  const rows = outliers.flatMap(({ measure, median, outliers: found }) =>
    found.map((one) => ({ ...one, measure, median })),
  )
  const measured = (value, { measure }) => known[measure][1](value)
  root.append(
    lead(
      t('A host is an outlier at more than 3.5 standard deviations above the median of the fleet and twice its value.'),
      ' ',
      t('The rules of the policy play no part (median and MAD of the logarithm, at least 8 hosts).'),
    ),
  )
  grid(
    root,
    'outliers',
    rows,
    [
      hostColumn(t('Host')),
      {
        title: t('Measure'),
        field: 'measure',
        minWidth: 170,
        widthGrow: 3,
        responsive: 0,
        draw: (measure) => known[measure][0],
      },
      figure(t('Value'), 'value', measured, { responsive: 0 }),
      figure(t('Median of the fleet'), 'median', measured, { responsive: 1, minWidth: 140 }),
      figure(t('Standard deviations above'), 'score', number, { responsive: 2, minWidth: 150 }),
    ],
    {
      ...short(rows),
      placeholder: outliers.length ? t('No host is far above the others.') : t('Too few hosts to compare.'),
    },
  )
  return rows.length
}
