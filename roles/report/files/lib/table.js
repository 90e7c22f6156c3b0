/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables that can be sorted, paged and exported. Their order and page are in the address. */
import { cellNode, leastWidth, usedColumns, visibleLines } from './cells.js'
import { csv } from './csv.js'
import { bdi, el, hostLink, plainTable, shareBar } from './dom.js'
import { filterable, selectionOf } from './filter.js'
import { NONE, plural } from './format.js'
import { currentLanguage, t } from './messages.js'
import { go, keep, pagesOf, sortOf, state } from './state.js'

const PAGE_ROWS = 10
const SHORT_PAGE_ROWS = 5
const PAGE_SIZES = [SHORT_PAGE_ROWS, PAGE_ROWS, 25, 100]
const PRINTED_ROWS = 500
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
export const redrawTables = (root = document) =>
  tables.filter(({ place }) => root.contains(place) && place.clientWidth).forEach(({ table }) => table.redraw(true))

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
  minWidth: 100,
  widthGrow: 1,
  ...more,
})
export const hostColumn = (title, more) => ({
  title,
  field: 'host',
  minWidth: 130,
  widthGrow: 2,
  responsive: 0,
  draw: hostLink,
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

const rowsOf = (table) => table.getRows('active').map((row) => row.getData())

function exportButton(name, table, columns) {
  const button = el('button', { type: 'button', class: 'tool' }, t('Export visible rows as CSV'))
  button.addEventListener('click', () => {
    const file = new Blob([csv(visibleLines(rowsOf(table), columns))], { type: 'text/csv' })
    const anchor = el('a', { href: URL.createObjectURL(file), download: `${scanId}-${name}.csv` })
    anchor.click()
    setTimeout(() => URL.revokeObjectURL(anchor.href), KEEP_FILE_MS)
  })
  return button
}

/* Print: all rows that the filter leaves, as a plain table in the place of the pages. */
const printed = []

function printedTable({ table, columns }) {
  const rows = rowsOf(table)
  const shown = rows.slice(0, PRINTED_ROWS)
  const lines = shown.map((row) => columns.map((column) => cellNode(column, row)))
  const numeric = columns.flatMap(({ hozAlign }, place) => (hozAlign === 'right' ? [place] : []))
  const titles = columns.map(({ title }) => title)
  const rest = rows.length - shown.length
  const more = rest ? el('p', {}, plural(rest, 'more row is in fleet.json.', 'more rows are in fleet.json.')) : null
  return el('div', { class: 'printed' }, plainTable(titles, lines, numeric), more)
}

export function printTables() {
  unprintTables()
  for (const entry of tables) {
    if (!rowsOf(entry.table).length) continue
    printed.push(printedTable(entry))
    entry.place.before(printed.at(-1))
  }
}

export const unprintTables = () => printed.splice(0).forEach((node) => node.remove())

/* Tabulator's headers sort by mouse alone, and its holder takes the focus for scrolling that our tables do not have.
   Its pages are turned by buttons, which have no place inside of a grid. */
function makeReachable(place, below) {
  place.querySelector('.tabulator-tableholder').removeAttribute('tabindex')
  const footer = place.querySelector('.tabulator-footer')
  if (footer) below.prepend(el('div', { class: 'tabulator' }, footer))
  for (const head of place.querySelectorAll('.tabulator-col.tabulator-sortable')) {
    head.tabIndex = 0
    head.addEventListener('keydown', (event) => {
      if (!['Enter', ' '].includes(event.key)) return
      event.preventDefault()
      head.click()
    })
  }
}

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

   listed: columns {title, field, draw(value, row) → node or text, …}. open(row) → changes of the address that a click
   makes. follows: shows only rows of selected hosts, the default.
   Other options are Tabulator's. */
export function grid(
  parent,
  name,
  data,
  listed,
  { open, follows = true, placeholder = t('Nothing to show.'), ...options } = {},
) {
  const columns = usedColumns(listed, data)
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
    paginationSizeSelector: [...PAGE_SIZES, true],
    paginationCounter: 'rows',
    placeholder: () =>
      follows && selectionOf(state()).active ? t('No row is about the selected hosts.') : placeholder,
    langs: { [currentLanguage()]: { pagination: paging() } },
    locale: currentLanguage(),
    nestedFieldSeparator: false,
    renderVertical: 'basic', // a page of rows needs no scrolling of its own
    autoResize: false, // it draws rows again when they are scrolled to, and a click in that moment is lost
    ...options,
  })
  tables.push({ table, place, columns })
  if (follows) filterable(table, (tests, row) => tests.row(row))
  const below = el('div', { class: 'tools' }, data.length ? exportButton(name, table, columns) : null)
  place.after(below)
  built.push(new Promise((resolve) => table.on('tableBuilt', resolve)).then(() => makeReachable(place, below)))
  followAddress(table, name)
  if (open) {
    place.classList.add('opens')
    table.on('rowClick', (event, row) => {
      if (!event.target.closest('a, details')) go(open(row.getData()))
    })
  }
  return table
}
