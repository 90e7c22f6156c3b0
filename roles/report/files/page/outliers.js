/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts that are far above the median of the fleet. */
import { lead } from '../lib/dom.js'
import { measured, number } from '../lib/format.js'
import { t } from '../lib/messages.js'
import { figure, grid, hostColumn } from '../lib/table.js'

/* For looking things up: folded when the page opens. */
export const FOLDED = true

export function render(outliers, root) {
  const rows = outliers.flatMap(({ measure, title, median, outliers: found }) =>
    found.map((one) => ({ ...one, measure, title, median })),
  )
  const value = (one, { measure }) => measured(measure, one)
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
        draw: (measure, { title }) => t(title),
      },
      figure(t('Value'), 'value', value, { responsive: 0 }),
      figure(t('Median of the fleet'), 'median', value, { responsive: 1, minWidth: 140 }),
      figure(t('Standard deviations above'), 'score', number, { responsive: 2, minWidth: 150 }),
    ],
    {
      placeholder: outliers.length ? t('No host is far above the others.') : t('Too few hosts to compare.'),
    },
  )
  return rows.length
}
