/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { filterable, filterTables, selectionOf, testsOf, toggled } from '../../roles/report/files/lib/filter.js'
import { index } from '../../roles/report/files/lib/model.js'
import { bySeverity, findingsWeight, worst } from '../../roles/report/files/lib/schema.js'
import { mapRows } from '../../roles/report/files/page/map.js'
import { openPage } from './page.mjs'

const finding = (id, severity, category, hosts, more) => ({
  id,
  title: `title of ${id}`,
  severity,
  category,
  signature: 's',
  rule: 'r',
  common: [],
  drift: null,
  hosts: hosts.map((host) => ({ host, severity })),
  ...more,
})
const host = (name, ...groups) => ({
  host: name,
  state: 'scanned',
  reason: '',
  groups,
  system: { kernel: '6.1', distribution: 'Debian' },
})
const report = index({
  findings: [
    finding('f1', 'fatal', 'leak', ['web1', 'db1'], { drift: { new: 1 } }),
    finding('f2', 'error', 'latency', ['web1'], { common: [{ factor: 'kernel_series', value: '5.10' }] }),
    finding('f3', 'info', 'leak', ['db1'], { drift: { worse: 2 } }),
  ],
  hosts: [host('web1', 'web'), host('db1', 'db'), host('web2', 'web')],
  drift: {},
})

function shown(address) {
  const tests = testsOf(report, selectionOf(new URLSearchParams(address)))
  return {
    active: tests.active,
    count: tests.count,
    findings: report.fleet.findings
      .filter(tests.finding)
      .map(({ id }) => id)
      .join(),
    hosts: report.fleet.hosts
      .filter(tests.host)
      .map((one) => one.host)
      .join(),
    map: report.fleet.hosts
      .filter(tests.mapRow)
      .map((one) => one.host)
      .join(),
  }
}

test('no filter shows all', () => {
  assert.deepEqual(shown('host=web1'), {
    active: false,
    count: 3,
    findings: 'f1,f2,f3',
    hosts: 'web1,db1,web2',
    map: 'web1,db1',
  })
})

test('each key narrows findings, hosts and map', () => {
  assert.deepEqual(shown('severity=error,info,bogus'), {
    active: true,
    count: 2,
    findings: 'f2,f3',
    hosts: 'web1,db1',
    map: 'web1,db1',
  })
  assert.deepEqual(shown('category=latency'), { active: true, count: 1, findings: 'f2', hosts: 'web1', map: 'web1' })
  assert.deepEqual(shown('group=db'), { active: true, count: 2, findings: 'f1,f3', hosts: 'db1', map: 'db1' })
  assert.deepEqual(shown('change=new'), { active: true, count: 1, findings: 'f1', hosts: 'web1,db1', map: 'web1,db1' })
})

test('all words must be in a finding, or in a host itself', () => {
  assert.equal(shown('q=title+F2').findings, 'f2')
  assert.equal(shown('q=kernel+5.10').findings, 'f2')
  assert.deepEqual([shown('q=web2').findings, shown('q=web2').hosts], ['', 'web2'])
  assert.equal(shown('q=debian').hosts, 'web1,db1,web2')
})

test('unknown severities are no filter', () => {
  assert.equal(shown('severity=bogus').active, false)
})

test('changes of an earlier scan are filtered by the same keys', () => {
  const entry = {
    title: 'Gone',
    signature: 's',
    severity: 'error',
    category: 'leak',
    counts: { resolved: 2 },
    hosts: { resolved: ['db1'] },
  }
  const fits = (address) => testsOf(report, selectionOf(new URLSearchParams(address))).change(entry)
  assert.deepEqual(
    [
      'q=gone+db1',
      'q=gone+web1',
      'group=db',
      'group=web',
      'change=resolved',
      'change=new',
      'severity=error',
      'category=leak',
    ].map(fits),
    [true, false, true, false, true, false, true, true],
  )
})

test('a severity is added to a list and removed again', () => {
  assert.equal(toggled(null, 'error'), 'error')
  assert.equal(toggled('fatal,error', 'fatal'), 'error')
})

test('slow tables wait while somebody types', (context) => {
  let rest = null
  context.mock.method(globalThis, 'setTimeout', (callback) => {
    rest = callback
  })
  openPage()
  const calls = []
  const table = (name) => ({
    setFilter: () => calls.push(name),
    clearFilter: () => calls.push(`no ${name}`),
    getFilters: () => [1],
  })
  filterable(table('findings'), () => true, { slow: false })
  filterable(table('hosts'), () => true)
  filterTables({ active: true }, true)
  assert.deepEqual(calls, ['findings'])
  rest()
  assert.deepEqual(calls, ['findings', 'hosts'])
  filterTables({ active: false }, false)
  assert.deepEqual(calls.slice(2), ['no findings', 'no hosts'])
})

test('the map has the worst severity of each host and category', () => {
  assert.deepEqual(mapRows(report), [
    { host: 'web1', latency: { severity: 'error', count: 1 }, leak: { severity: 'fatal', count: 1 } },
    { host: 'db1', latency: null, leak: { severity: 'fatal', count: 2 } },
  ])
})

test('severities are in order', () => {
  assert.deepEqual(['info', 'fatal', 'error'].sort(bySeverity), ['info', 'error', 'fatal'])
  assert.equal(worst(['info', 'error', 'warning']), 'error')
  const counts = (changes) => ({ fatal: 0, critical: 0, error: 0, warning: 0, info: 0, ...changes })
  assert.ok(findingsWeight(counts({ error: 1 })) > findingsWeight(counts({ warning: 5000, info: 7 })))
})
