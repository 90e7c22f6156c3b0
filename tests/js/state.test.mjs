/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as state from '../../roles/report/files/lib/state.js'
import { openPage } from './page.mjs'

test('changes of an address keep what they do not name and remove what is empty', () => {
  const changed = (hash, changes) => state.changed(state.parse(hash), changes).toString()
  assert.equal(changed('#q=java&severity=error', { severity: 'fatal' }), 'q=java&severity=fatal')
  assert.equal(changed('#q=java&severity=error', { severity: '' }), 'q=java')
  assert.equal(changed('#findings', { q: 'x' }), 'q=x')
  assert.equal(changed('', { q: 'a&b=c#d' }), 'q=a%26b%3Dc%23d')
})

test('what an address holds comes back as it was', () => {
  const odd = 'a&b=c#d <script> ü'
  assert.equal(state.parse(state.fragment({ host: odd })).get('host'), odd)
})

test('a click adds to the history, a filter does not', () => {
  openPage('#q=java')
  let kept = 0
  const replaceState = history.replaceState
  history.replaceState = (...given) => {
    kept++
    replaceState(...given)
  }
  state.go({ host: 'web1' })
  assert.deepEqual([location.hash, kept], ['q=java&host=web1', 0])
  state.keep({ q: '' })
  assert.deepEqual([location.hash, kept], ['#host=web1', 1])
})

test('a link keeps the filter, and closes what is open', () => {
  const to = (hash, own) => state.merged(state.parse(hash), own)
  assert.equal(to('#q=java&group=db&finding=1', '#host=web1.example.net'), '#q=java&group=db&host=web1.example.net')
  assert.equal(to('#q=java&severity=error', '#severity=fatal'), '#q=java&severity=fatal')
  assert.equal(to('#q=java&host=web1', '#hosts'), '#q=java&at=hosts')
  assert.equal(to('#q=java&at=hosts', '#change=new'), '#q=java&change=new')
  assert.equal(to('#q=java&change=new&sort.hosts=host:asc', '#q=&change='), '#sort.hosts=host%3Aasc')
})

test('pages of tables are whole numbers above the first', () => {
  const pages = state.pagesOf(state.parse('#page.hosts=3&page.findings=1&page.map=x&page.leaks=2.7&q=4'))
  assert.deepEqual(
    [...pages],
    [
      ['hosts', 3],
      ['leaks', 2],
    ],
  )
})

test('a table is sorted by a column that it has, downwards unless told', () => {
  const sort = (hash) => state.sortOf(state.parse(hash), 'hosts', ['host', 'state'])
  assert.deepEqual(sort('#sort.hosts=host:asc'), ['host', 'asc'])
  assert.deepEqual(sort('#sort.hosts=state:sideways'), ['state', 'desc'])
  assert.deepEqual(sort('#sort.hosts=__proto__:asc')[0], null)
  assert.deepEqual(sort('#sort.map=host:asc')[0], null)
})
