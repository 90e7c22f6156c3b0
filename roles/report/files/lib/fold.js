/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sections and parts of them fold. Tables and charts have no width while they are folded, so they are made first. */
import { redrawCharts } from './chart.js'
import { byId, el, heading } from './dom.js'
import { number } from './format.js'
import { redrawTables } from './table.js'

const detailsOf = (section) => section.querySelector(':scope > details')

/* Where a section draws itself. */
export const sectionBody = (key) => detailsOf(byId(key)).querySelector(':scope > .body')

/* Appends a part that is folded when the page opens, and returns it. count: of its rows. */
export function foldedPart(root, title, count) {
  const summary = el('summary', {}, heading(title), el('span', { class: 'hint' }, ` ${number(count)}`))
  const part = el('details', { class: 'part', open: '', 'data-folds': '' }, summary)
  root.append(part)
  return part
}

function redraw({ target }) {
  if (!target.open) return
  redrawTables(target)
  redrawCharts(target)
}

/* Folds what is to be folded when the page opens. keys: of sections. */
export function fold(keys) {
  const parts = [...document.querySelectorAll('[data-folds]'), ...keys.map((key) => detailsOf(byId(key)))]
  for (const part of parts) part.open = false
  document.addEventListener('toggle', redraw, true)
}

/* id: of any element; undefined: of none. */
export function openSection(id) {
  const section = id === undefined ? null : byId(id)?.closest('#sections > section')
  if (section) detailsOf(section).open = true
}
