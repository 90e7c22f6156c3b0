/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { hostList } from '../../roles/report/files/lib/dom.js'
import { visibleLines } from '../../roles/report/files/lib/cells.js'
import { grid, prepareTables, short, squeezeOf, tablesBuilt, turnTables } from '../../roles/report/files/lib/table.js'
import { openPage } from './page.mjs'

/* Stands for the library: it keeps what it is given and fires what the page listens to. */
class FakeTabulator {
  constructor(place, options) {
    Object.assign(this, { place, options, listeners: {}, page: 1 })
    place.append(document.createElement('div'))
    place.firstElementChild.setAttribute('class', 'tabulator-tableholder')
  }
  on(event, listener) {
    this.listeners[event] = listener
    if (event === 'tableBuilt') listener()
  }
  setPage(page) {
    this.page = page
  }
  getPage() {
    return this.page
  }
  getPageMax() {
    return 4
  }
}

let body
beforeEach(() => {
  globalThis.Tabulator = FakeTabulator
  body = openPage('#sort.hosts=name:asc&page.hosts=9')
  prepareTables('scan-1')
})

const columns = [
  { title: 'Name', field: 'name', minWidth: 100, responsive: 0, draw: (name) => document.createTextNode(`<${name}>`) },
  { title: 'Waits', field: 'count', width: 50, responsive: 1 },
]

test('a table takes its order and page from the address', async () => {
  const table = grid(body, 'hosts', [{ name: 'a', count: 1 }], columns)
  assert.deepEqual(table.options.initialSort, [{ column: 'name', dir: 'asc' }])
  await tablesBuilt()
  await turnTables()
  assert.equal(table.page, 4, 'there is no ninth page')
})

test('the address follows order and page of a table, and forgets the first page', () => {
  const table = grid(body, 'hosts', [{ name: 'a', count: 1 }], columns)
  table.listeners.dataSorted([{ field: 'count', dir: 'desc' }])
  table.page = 2
  table.listeners.renderComplete()
  assert.equal(location.hash, '#sort.hosts=count%3Adesc&page.hosts=2')
  table.listeners.dataSorted([])
  table.page = 1
  table.listeners.renderComplete()
  assert.equal(location.hash, '#')
})

test('every cell is a node, so that the library parses no HTML', () => {
  const table = grid(body, 'hosts', [{ name: '<b>', count: null }], columns)
  const row = { name: '<b>', count: null, more: 1 }
  const cell = { getData: () => row }
  const [name, count] = table.options.columns.map(({ formatter }) => formatter(cell))
  assert.deepEqual([name.nodeType, name.textContent], [3, '<<b>>'])
  assert.deepEqual([count.nodeType, count.textContent], [3, '–'])
})

test('visible rows are exported with numbers as numbers and names in full', () => {
  const lines = visibleLines(
    [
      { name: 'a', count: 2 },
      { name: 'b', count: null },
    ],
    columns,
  )
  assert.deepEqual(lines, [
    ['Name', 'Waits'],
    ['<a>', 2],
    ['<b>', ''],
  ])
})

test('an empty table has no export', () => {
  grid(body, 'hosts', [], columns)
  assert.equal(body.querySelectorAll('button').length, 0)
  grid(body, 'map', [{ name: 'a' }], columns)
  assert.equal(body.querySelectorAll('button').length, 1)
})

test('columns that always show shrink to a narrow page, those of fixed width do not', () => {
  const all = [
    { responsive: 0, minWidth: 200 },
    { responsive: 0, minWidth: 100 },
    { responsive: 0, width: 60 },
    { responsive: 2, minWidth: 500 },
  ]
  assert.equal(squeezeOf(all, 1000), 1)
  assert.equal(squeezeOf(all, 210), 0.5)
})

test('an exported column names the unit of its numbers', () => {
  const size = { title: 'Growth', field: 'growth_bytes_per_s', draw: (value) => `${value} B/s` }
  const where = { title: 'Where', field: 'hosts', draw: () => hostList([{ host: 'a' }, { host: 'b' }], 30) }
  assert.deepEqual(visibleLines([{ growth_bytes_per_s: 2048, hosts: [] }], [size, where]), [
    ['Growth (bytes/s)', 'Where'],
    [2048, 'a, b, +28'],
  ])
})

test('an optional column is there when a row has something in it', () => {
  const known = { title: 'Known bug', field: 'known', optional: true }
  const names = (data) => grid(body, 'hosts', data, [...columns, known]).options.columns.map(({ title }) => title)
  assert.deepEqual(names([{ name: 'a', count: 1, known: null }]), ['Name', 'Waits'])
  assert.deepEqual(names([{ name: 'a', count: 1, known: 'CVE' }]), ['Name', 'Waits', 'Known bug'])
})

test('no heading is cut: a column is at least as wide as the longest word', () => {
  const [column] = grid(body, 'hosts', [{ name: 'a' }], [{ title: 'Unaccounted memory', field: 'name', minWidth: 40 }])
    .options.columns
  assert.ok(column.minWidth >= 8 * 'Unaccounted'.length)
})

test('a table of several has pages of five', () => {
  assert.deepEqual(short(Array(6)), { paginationSize: 5, pagination: true })
  assert.deepEqual(short(Array(5)), { paginationSize: 5, pagination: false })
})
