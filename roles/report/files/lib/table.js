/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables that can be sorted, paged and exported. Their order and page are in the address. */
import { csv } from './csv.js'
import { bdi, el, link, shareBar } from './dom.js'
import { filterable } from './filter.js'
import { NONE } from './format.js'
import { currentLanguage, t } from './messages.js'
import { go, keep, pagesOf, sortOf, state } from './state.js'

const PAGE_ROWS = 20
const SHORT_PAGE_ROWS = 10
const KEEP_FILE_MS = 60000

const tables = []
const built = []
const turns = []
let firstPages = new Map()
let scanId = ''

/* Reads the address before the first table changes it. */
export function prepareTables(scan) {
  scanId = scan
  firstPages = pagesOf(state())
}

/* Ends when all tables are built. */
export const tablesBuilt = () => Promise.all(built)
/* Turns tables to the pages that the address names. */
export const turnTables = () => Promise.all(turns.map((turn) => turn()))
export const redrawTables = () => tables.forEach((table) => table.redraw(true))

/* Options of a table that is one of several in its section. */
export const short = (data) => ({ paginationSize: SHORT_PAGE_ROWS, pagination: data.length > SHORT_PAGE_ROWS })

/* Columns. */
export const figure = (title, field, draw, more) => ({
  title,
  field,
  draw,
  hozAlign: 'right',
  headerHozAlign: 'right',
  cssClass: 'number',
  sorter: 'number',
  minWidth: 90,
  widthGrow: 1,
  ...more,
})
export const hostColumn = (title, more) => ({
  title,
  field: 'host',
  minWidth: 130,
  widthGrow: 2,
  responsive: 0,
  draw: (name) => link('host', name, name),
  ...more,
})
export const shareColumn = (title, field, more) => ({ title, field, sorter: 'number', draw: shareBar, ...more })
export const named = (title, field, more) => ({ title, field, draw: (name) => bdi(name || NONE), ...more })

const paging = () => ({
  first: t('First'),
  first_title: t('First page'),
  last: t('Last'),
  last_title: t('Last page'),
  prev: t('Previous'),
  prev_title: t('Previous page'),
  next: t('Next'),
  next_title: t('Next page'),
  page_size: t('Rows'),
  page_title: t('Show page'),
  all: t('All'),
  counter: { showing: t('Showing'), of: t('of'), rows: t('rows'), pages: t('pages') },
})

/* What a column shows of a row: a node or a text. */
const drawn = ({ draw, field }, row) => (draw ? draw(row[field], row) : row[field])

function cellText(column, row) {
  const shown = drawn(column, row)
  if (shown instanceof Node) return shown.textContent
  return shown === null || shown === undefined ? '' : String(shown)
}

function cellNode(column, row) {
  const shown = drawn(column, row)
  if (shown instanceof Node) return shown
  return document.createTextNode(shown === null || shown === undefined ? NONE : String(shown))
}

/* The visible rows of a table, as lines of texts. */
export const visibleLines = (rows, columns) => [
  columns.map(({ title }) => title),
  ...rows.map((row) => columns.map((column) => cellText(column, row))),
]

function exportButton(name, table, columns) {
  const button = el('button', { type: 'button', class: 'tool' }, t('Export visible rows as CSV'))
  button.addEventListener('click', () => {
    const rows = table.getRows('active').map((row) => row.getData())
    const file = new Blob([csv(visibleLines(rows, columns))], { type: 'text/csv' })
    const anchor = el('a', { href: URL.createObjectURL(file), download: `${scanId}-${name}.csv` })
    anchor.click()
    setTimeout(() => URL.revokeObjectURL(anchor.href), KEEP_FILE_MS)
  })
  return el('p', { class: 'tools' }, button)
}

/* Tabulator's headers sort by mouse alone, and its holder takes the focus for scrolling that our tables do not have.
   Its pages are turned by buttons, which have no place inside of a grid. */
function makeReachable(place) {
  place.querySelector('.tabulator-tableholder').removeAttribute('tabindex')
  const footer = place.querySelector('.tabulator-footer')
  if (footer) place.after(el('div', { class: 'tabulator' }, footer))
  for (const head of place.querySelectorAll('.tabulator-col.tabulator-sortable')) {
    head.tabIndex = 0
    head.addEventListener('keydown', (event) => {
      if (!['Enter', ' '].includes(event.key)) return
      event.preventDefault()
      head.click()
    })
  }
}

const leastWidth = ({ width = 0, minWidth = 40 }) => Math.max(width, minWidth)

/* By how much columns that always show must shrink so that all of them fit into a width. */
export function squeezeOf(columns, width) {
  const room = (fixed) =>
    columns
      .filter((column) => column.responsive === 0 && Boolean(column.width) === fixed)
      .reduce((sum, column) => sum + leastWidth(column), 0)
  return Math.min(1, (width - room(true)) / room(false))
}

function tabulatorColumn(column, squeeze) {
  const { draw, ...rest } = column // draw is ours
  const shrinks = column.responsive === 0 && !column.width
  return {
    formatter: (cell) => cellNode(column, cell.getData()),
    sorterParams: { alignEmptyValues: 'bottom' },
    ...rest,
    ...(shrinks ? { minWidth: Math.floor(leastWidth(column) * squeeze) } : {}),
  }
}

function followAddress(table, name) {
  const keepChange = (key, value) => {
    if ((state().get(key) || '') !== value) keep({ [key]: value })
  }
  if (firstPages.has(name)) {
    turns.push(() => table.setPage(Math.min(firstPages.get(name), table.getPageMax() || 1)))
  }
  table.on('dataSorted', (sorters) => {
    keepChange(`sort.${name}`, sorters.length ? `${sorters[0].field}:${sorters[0].dir}` : '')
  })
  // A filter turns to the first page without an event of its own.
  table.on('renderComplete', () => keepChange(`page.${name}`, table.getPage() > 1 ? String(table.getPage()) : ''))
}

/* Appends a table to a node and returns it.

   columns: {title, field, draw(value, row) → node or text, …}. open(row) → changes of the address that a click makes.
   follows: shows only rows of selected hosts.
   Other options are Tabulator's. */
export function grid(parent, name, data, columns, { open, follows = false, ...options } = {}) {
  const place = el('div', { id: `${name}-table` })
  parent.append(place)
  const squeeze = squeezeOf(columns, place.clientWidth) // on a narrow screen nothing that always shows is cut
  const fields = columns.map(({ field }) => field)
  const [column, dir] = sortOf(state(), name, fields)
  const table = new Tabulator(place, {
    data,
    initialSort: column ? [{ column, dir }] : [],
    columns: columns.map((one) => tabulatorColumn(one, squeeze)),
    columnDefaults: { resizable: false, headerSortStartingDir: 'desc', vertAlign: 'top' },
    layout: 'fitColumns',
    responsiveLayout: 'hide',
    pagination: data.length > PAGE_ROWS,
    paginationSize: PAGE_ROWS,
    paginationCounter: 'rows',
    placeholder: t('Nothing to show.'),
    langs: { [currentLanguage()]: { pagination: paging() } },
    locale: currentLanguage(),
    nestedFieldSeparator: false,
    renderVertical: 'basic', // a page of rows needs no scrolling of its own
    autoResize: false, // it draws rows again when they are scrolled to, and a click in that moment is lost
    ...options,
  })
  tables.push(table)
  if (follows) filterable(table, (tests, row) => tests.row(row))
  built.push(new Promise((resolve) => table.on('tableBuilt', resolve)).then(() => makeReachable(place)))
  followAddress(table, name)
  if (data.length) place.after(exportButton(name, table, columns))
  if (open) {
    place.classList.add('opens')
    table.on('rowClick', (event, row) => {
      if (!event.target.closest('a, details')) go(open(row.getData()))
    })
  }
  return table
}
