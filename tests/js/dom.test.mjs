/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { csv } from '../../roles/report/files/lib/csv.js'
import * as dom from '../../roles/report/files/lib/dom.js'
import { evidence } from '../../roles/report/files/lib/evidence.js'
import { useDomain } from '../../roles/report/files/lib/names.js'
import { openPage } from './page.mjs'

const HOSTILE = '<img src=x onerror=alert(1)>&lt;"\'</bdi><script>'
let body

beforeEach(() => {
  body = openPage()
})

function tags(node) {
  return [...node.querySelectorAll('*')].map(({ localName }) => localName)
}

test('children are nodes and texts; what is missing is left out', () => {
  const node = dom.el('p', { class: 'hint' }, 'a', [dom.el('b', {}, 'c'), ['d'].at(0)], null, undefined, 0)
  assert.equal(node.outerHTML, '<p class="hint">a<b>c</b>d0</p>')
})

test('what a host sent is text in every part', () => {
  const parts = [
    dom.bdi(HOSTILE),
    dom.hostLink(HOSTILE),
    dom.badge(HOSTILE),
    dom.task({ comm: HOSTILE, pid: HOSTILE }),
    dom.hostList([{ host: HOSTILE }], 1),
    dom.stackDetails([HOSTILE], [HOSTILE]),
    dom.plainTable([HOSTILE], [[HOSTILE]]),
    dom.heading(HOSTILE),
    dom.lead(HOSTILE),
    evidence({ [HOSTILE]: HOSTILE, list: [HOSTILE], rows: [{ [HOSTILE]: { [HOSTILE]: HOSTILE } }], excerpt: HOSTILE }),
  ]
  for (const part of parts) {
    body.replaceChildren(part)
    assert.ok(body.textContent.includes(HOSTILE), part.outerHTML)
    assert.deepEqual(
      tags(body).filter((tag) => ['img', 'script'].includes(tag)),
      [],
    )
  }
})

test('an address holds the name that a link has', () => {
  const href = dom.hostLink('a&b=c').getAttribute('href')
  assert.equal(href, '#host=a%26b%3Dc')
})

test('a host is shown without the domain that all share, and breaks at its dots', () => {
  useDomain('.prod.example.net')
  const link = dom.hostLink('web1.fra.prod.example.net')
  const other = dom.hostLink('db.example.org')
  useDomain('')
  assert.deepEqual(
    [...link.querySelectorAll('span')].map((node) => node.textContent),
    ['web1.', 'fra'],
  )
  assert.equal(link.querySelector('bdi').getAttribute('title'), 'web1.fra.prod.example.net')
  assert.equal(link.getAttribute('href'), '#host=web1.fra.prod.example.net')
  assert.equal(other.textContent, 'db.example.org')
  assert.equal(other.querySelector('bdi').getAttribute('title'), null)
})

test('a badge has the colour of its severity alone', () => {
  assert.equal(dom.badge('fatal').getAttribute('class'), 'badge is-fatal')
  assert.equal(dom.badge('x y').getAttribute('class'), 'badge is-unknown')
  assert.equal(dom.badge('scanned', 'not measured').textContent, 'not measured')
})

test('a bar never leaves its place', () => {
  assert.match(dom.shareBar(0.25).outerHTML, /width: ?25%/)
  assert.match(dom.shareBar(7).outerHTML, /width: ?100%/)
  assert.equal(dom.shareBar(null).textContent, '–')
})

test('one of many hosts is named, and two of two', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((host) => ({ host }))
  assert.equal(dom.hostList(hosts, 40).textContent, 'a +39')
  assert.equal(dom.hostList(hosts, 40).getAttribute('data-full'), 'a, b, c, d, +36')
  assert.equal(dom.hostList(hosts.slice(0, 2), 2).textContent, 'a, b')
})

test('evidence of any shape is shown with units', () => {
  const shown = (value, name) => evidence(value, name).textContent
  assert.equal(shown(null), '–')
  assert.equal(shown(true), 'yes')
  assert.equal(shown(2048, 'size_bytes'), '2 KiB')
  assert.equal(shown([], 'list'), '–')
  assert.equal(shown(['a', 'b'], 'comms'), 'a, b')
  assert.equal(evidence(['a', 'b'], 'stack').querySelector('pre').textContent, 'a\nb')
  assert.equal(shown({ percentiles_us: { p99: 4096 } }), 'percentilesp994.1 ms')
  const table = evidence([
    { cpu: 1, delay_us: 2000 },
    { cpu: 2, by: { count: 3 } },
  ])
  assert.deepEqual(
    [...table.querySelectorAll('th')].map((node) => node.textContent),
    ['cpu', 'delay', 'by'],
  )
  assert.deepEqual(
    [...table.querySelectorAll('td')].map((node) => node.textContent),
    ['1', '2 ms', '–', '2', '–', 'count 3'],
  )
})

test('an interval, a histogram and a trend are shown as such', () => {
  const shown = (value, name) => evidence(value, name).textContent
  assert.equal(
    shown({ growth_bytes_per_s: 497664, growth_ci95: [488448, 505856] }),
    'growth486 KiB/sgrowth, 95 % interval477 KiB/s to 494 KiB/s',
  )
  assert.equal(shown([1024, 2048], 'delta_bytes_ci95'), '1 KiB to 2 KiB')
  const bins = evidence([5, 0, 7], 'waits_log2_us')
  assert.deepEqual(
    [...bins.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent)),
    [
      ['0 µs to 1 µs', '5'],
      ['2 µs to 4 µs', '7'],
    ],
  )
  assert.match(shown({ 1024: 3 }, 'histogram_ns'), /1.02 µs to 2.05 µs3/)
  const trend = evidence(
    [
      [0, 0],
      [10, 2048],
    ],
    'trend',
  )
  assert.ok(trend.querySelector('polyline'))
  assert.equal(trend.textContent, ' from 0 B to 2 KiB in 10 s')
  assert.equal(shown([[1, 2]], 'pairs'), '1,2')
  assert.equal(shown([1, 2.5], 'sizes_us'), '1 µs, 2.5 µs')
})

test('no cell of an exported table is a formula', () => {
  const lines = csv([['=1+1', '+1', '-1', '@x', '|x', '%x', '\uff1dx', 'a=b', 'say "hi"', ' two\r\nlines ', 7.5, -3]])
  assert.equal(
    lines,
    `\ufeff"'=1+1","'+1","'-1","'@x","'|x","'%x","'\uff1dx","a=b","say ""hi""","two lines",7.5,-3\r\n`,
  )
})
