/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { apart, fieldsOf, modulesAt, mostAlike, pairsOf } from '../../roles/report/files/lib/alike.js'

test('fields of objects within objects have the names of both', () => {
  assert.deepEqual(fieldsOf({ a: 1, b: { c: null, d: { e: [1] } } }), [
    ['a', 1],
    ['b.c', null],
    ['b.d.e', [1]],
  ])
  assert.deepEqual(fieldsOf(null), [])
})

test('two objects are compared field by field, also where one has none', () => {
  assert.deepEqual(pairsOf({ a: 1, b: [1, 2] }, { b: [1, 2], c: false }), [
    { name: 'a', one: 1, other: null, same: false },
    { name: 'b', one: [1, 2], other: [1, 2], same: true },
    { name: 'c', one: null, other: false, same: false },
  ])
  assert.equal(pairsOf({ a: 0 }, { a: null })[0].same, false)
})

test('modules of a host are those with its bit', () => {
  const modules = [
    { module: 'ext4', hosts: '3' },
    { module: 'xfs', hosts: '20000000000000002' },
  ]
  assert.deepEqual(
    [0, 1, 65].map((place) => modulesAt(modules, place)),
    [['ext4'], ['ext4', 'xfs'], ['xfs']],
  )
  assert.deepEqual(apart(['a', 'b'], ['b', 'c']), { one: ['a'], other: ['c'], both: ['b'] })
})

test('the most alike hosts share most, and have fewest findings', () => {
  const host = (name, groups, kernel, coverage = 'full') => ({ host: name, groups, coverage, system: { kernel } })
  const one = host('a', ['edge', 'prod'], '6.1')
  const hosts = [
    one,
    host('b', ['edge', 'prod'], '5.10'),
    host('c', ['edge', 'prod'], '6.1'),
    host('d', ['edge', 'prod'], '6.1'),
    host('e', ['edge', 'prod'], '6.1', 'none'),
  ]
  const names = mostAlike(one, hosts, (name) => (name === 'c' ? 1 : 0), 2).map((found) => found.host)
  assert.deepEqual(names, ['d', 'c'])
})
