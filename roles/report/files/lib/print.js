/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What prints: light, everything unfolded, tables with all their rows. */
import { redrawCharts } from './chart.js'
import { printTables, unprintTables } from './table.js'

let unfolded = []

function prepare() {
  document.documentElement.dataset.print = 'yes'
  unfolded = [...document.querySelectorAll('#sections details:not([open]), dialog[open] .same:not([open])')].filter(
    (part) => !part.closest('td, .tabulator'),
  )
  for (const part of unfolded) part.open = true
  printTables()
  redrawCharts()
}

function restore() {
  delete document.documentElement.dataset.print
  for (const part of unfolded.splice(0)) part.open = false
  unprintTables()
  redrawCharts()
}

export function followPrint() {
  addEventListener('beforeprint', prepare)
  addEventListener('afterprint', restore)
}
