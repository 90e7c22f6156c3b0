/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  filterable,
  filterTables,
  selectionOf,
  testsOf,
  toggled,
  withoutProcess,
} from '../../roles/report/files/lib/filter.js'
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
  rollout: [],
  drift: null,
  host_count: hosts.length,
  hosts: hosts.map((one) => ({ host: one, severity, title: `title of ${id}`, ...more?.own?.[one] })),
  ...more,
})
const entry = (title, changes) => ({
  title,
  signature: 's',
  severity: 'error',
  category: 'leak',
  counts: Object.fromEntries(Object.entries(changes).map(([change, hosts]) => [change, hosts.length])),
  hosts: changes,
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
    finding('f1', 'fatal', 'leak', ['web1', 'db1'], {
      drift: { new: 1, unchanged: 1 },
      own: {
        web1: { change: 'new', title: 'leak of 9 MiB/s on process 7' },
        db1: { change: 'unchanged', severity: 'error', title: 'leak of 1 MiB/s on process 8' },
      },
    }),
    finding('f2', 'error', 'latency', ['web1'], { common: [{ factor: 'kernel_series', value: '5.10' }] }),
    finding('f3', 'info', 'leak', ['db1'], { drift: { worse: 1 }, own: { db1: { change: 'worse' } } }),
  ],
  hosts: [host('web1', 'web'), host('db1', 'db'), host('web2', 'web')],
  drift: { groups: [entry('Gone', { resolved: ['db1', 'web2'], unchanged: ['web1'] })] },
})

function shown(address) {
  const tests = testsOf(report, selectionOf(new URLSearchParams(address)))
  return {
    active: tests.active,
    count: tests.count,
    pairs: report.fleet.findings
      .flatMap((one) => (tests.view(one)?.members || []).map((member) => `${one.id}@${member.host}`))
      .join(),
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
    pairs: 'f1@web1,f1@db1,f2@web1,f3@db1',
    findings: 'f1,f2,f3',
    hosts: 'web1,db1,web2',
    map: 'web1,db1',
  })
})

const partly = (address) => {
  const { pairs, hosts } = shown(address)
  return { pairs, hosts }
}

test('each key selects pairs of a host and a finding', () => {
  assert.deepEqual(partly('severity=error,info,bogus'), { pairs: 'f1@db1,f2@web1,f3@db1', hosts: 'web1,db1' })
  assert.deepEqual(partly('severity=fatal'), { pairs: 'f1@web1', hosts: 'web1' })
  assert.deepEqual(partly('category=latency'), { pairs: 'f2@web1', hosts: 'web1' })
  assert.deepEqual(partly('group=db'), { pairs: 'f1@db1,f3@db1', hosts: 'db1' })
  assert.deepEqual(partly('change=new'), { pairs: 'f1@web1', hosts: 'web1' })
  assert.deepEqual(partly('change=unchanged'), { pairs: 'f1@db1', hosts: 'db1' })
  assert.deepEqual(partly('group=web&severity=fatal&q=web1'), { pairs: 'f1@web1', hosts: 'web1' })
})

test('what is gone selects the hosts that had it, and no finding that is there', () => {
  assert.deepEqual(partly('change=resolved'), { pairs: '', hosts: 'db1,web2' })
  assert.deepEqual(partly('change=resolved&group=db'), { pairs: '', hosts: 'db1' })
})

test('all words must be in the finding, its title on the host, or the host itself', () => {
  assert.equal(shown('q=title+F2').findings, 'f2')
  assert.equal(shown('q=kernel+5.10').findings, 'f2')
  assert.deepEqual(partly('q=web2'), { pairs: '', hosts: 'web2' })
  assert.deepEqual(partly('q=web1'), { pairs: 'f1@web1,f2@web1', hosts: 'web1' })
  assert.equal(shown('q=9+mib').pairs, 'f1@web1')
  assert.equal(shown('q=debian').hosts, 'web1,db1,web2')
})

test('a finding is shown as its selected hosts have it', () => {
  const view = (address) => {
    const tests = testsOf(report, selectionOf(new URLSearchParams(address)))
    const { severity, title, members } = tests.view(report.fleet.findings[0])
    return [severity, title, members.length]
  }
  assert.deepEqual(view(''), ['fatal', 'title of f1', 2])
  assert.deepEqual(view('group=db'), ['error', 'leak of 1 MiB/s on process 8', 1])
  assert.equal(withoutProcess('app[42] killed process 7 (java) [acme_nic]'), 'app killed process (java) [acme_nic]')
})

test('rows of sections are those of selected hosts', () => {
  const row = (address, one) => testsOf(report, selectionOf(new URLSearchParams(address))).row(one)
  assert.equal(row('', { host: 'web2' }), true)
  assert.deepEqual([row('group=db', { host: 'web1' }), row('group=db', { host: 'db1' })], [false, true])
  assert.equal(row('group=db', { finding: 'f1', host: 'web1' }), true)
  assert.equal(row('group=db', { hosts: [{ host: 'web1' }], host_count: 1 }), false)
  assert.equal(
    row('group=db', { hosts: [{ host: 'web1' }], host_count: 9 }),
    true,
    'it may be on a host that is not named',
  )
  assert.equal(row('group=db', { hosts: 3 }), true, 'a sum is of the whole fleet')
})

test('unknown severities are no filter', () => {
  assert.equal(shown('severity=bogus').active, false)
})

test('changes of an earlier scan are filtered by the same keys, by host', () => {
  const [gone] = report.fleet.drift.groups
  const names = (address) =>
    Object.entries(testsOf(report, selectionOf(new URLSearchParams(address))).changes(gone) || {})
      .map(([change, hosts]) => `${change}:${hosts}`)
      .join(' ')
  assert.equal(names(''), 'unchanged:web1 resolved:db1,web2')
  assert.equal(names('q=gone+db1'), 'resolved:db1')
  assert.equal(names('group=web'), 'unchanged:web1 resolved:web2')
  assert.equal(names('change=resolved'), 'resolved:db1,web2')
  assert.deepEqual(['change=new', 'severity=fatal', 'category=latency', 'q=other'].map(names), ['', '', '', ''])
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
    { host: 'db1', latency: null, leak: { severity: 'error', count: 2 } },
  ])
})

test('severities are in order', () => {
  assert.deepEqual(['info', 'fatal', 'error'].sort(bySeverity), ['info', 'error', 'fatal'])
  assert.equal(worst(['info', 'error', 'warning']), 'error')
  const counts = (changes) => ({ fatal: 0, critical: 0, error: 0, warning: 0, info: 0, ...changes })
  assert.ok(findingsWeight(counts({ error: 1 })) > findingsWeight(counts({ warning: 5000, info: 7 })))
})
