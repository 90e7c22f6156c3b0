/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the probes find what the self-test injects, by kernel. */
import { bdi, lead } from '../lib/dom.js'
import { instant } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { grid, named } from '../lib/table.js'

/* For looking things up: folded when the page opens. */
export const FOLDED = true

export function render({ sentence, rows }, root) {
  root.append(lead(sentence))
  if (!rows.length) return
  grid(root, 'selftest', rows, [
    named(t('Kernel'), 'kernel', { minWidth: 140, widthGrow: 2, responsive: 0 }),
    { title: t('Probe'), field: 'probe', minWidth: 100, responsive: 0 },
    {
      title: t('Injected'),
      field: 'title',
      minWidth: 160,
      widthGrow: 3,
      responsive: 1,
      draw: (title) => bdi(t(title)),
    },
    { title: t('Verdict'), field: 'verdict', width: 100, responsive: 0, draw: word },
    {
      title: t('Reason'),
      field: 'reason',
      minWidth: 170,
      widthGrow: 4,
      responsive: 2,
      headerSort: false,
      draw: (reason) => bdi(reason),
    },
    { title: t('Tested at'), field: 'tested_at', width: 180, responsive: 1, draw: instant },
    named(t('Host'), 'host', { minWidth: 100, responsive: 3 }),
    { title: t('Engine'), field: 'engine', width: 90, responsive: 4 },
  ])
}
