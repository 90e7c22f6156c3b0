/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { probability, webAddresses } from '../../roles/report/files/detail/finding.js'
import { segments } from '../../roles/report/files/lib/bar.js'
import { decadesTo } from '../../roles/report/files/lib/chart.js'
import { polyline } from '../../roles/report/files/lib/curve.js'
import { changesText } from '../../roles/report/files/page/changes.js'
import { complianceShare } from '../../roles/report/files/page/compliance.js'
import { reasons } from '../../roles/report/files/page/hosts.js'
import { causes, rate } from '../../roles/report/files/page/memory_trend.js'
import { factLines } from '../../roles/report/files/sections/exceptions.js'
import { lanesOf, marksOf, scannedAt, timeLabels } from '../../roles/report/files/sections/exceptions/timeline.js'
import { longestRunner } from '../../roles/report/files/sections/jitter.js'
import { bucketsOf } from '../../roles/report/files/sections/jitter/histogram.js'
import { worstFirst } from '../../roles/report/files/sections/jitter/strip.js'
import { openPage } from './page.mjs'

beforeEach(() => openPage())

const NOW = Date.parse('2026-11-23T03:00:00Z') / 1000
const event = (kind, last_seen, more) => ({ kind, severity: 'error', first_seen: null, last_seen, ...more })

test('only secure web addresses become links', () => {
  const given = ['https://docs.kernel.org/', 'http://x/', 'javascript:alert(1)//https://', ' https://x/']
  assert.deepEqual(webAddresses(given), ['https://docs.kernel.org/'])
})

test('a tiny probability is not zero', () => {
  assert.deepEqual([1e-9, 0.000123, 0.5].map(probability), ['< 0.000001', '0.00012', '0.50'])
})

test('changes are named in their order', () => {
  assert.equal(changesText({ not_measured_now: 2, new: 1, worse: 0 }), '1 new, 2 not measured now')
  assert.deepEqual([changesText(null), changesText({})], ['–', '–'])
})

test('a rule that no host was evaluated by has no share', () => {
  assert.equal(complianceShare({ pass: 3, fail: 1, waived: 0, unknown: 9, off: 9 }), 0.75)
  assert.equal(complianceShare({ pass: 0, fail: 0, waived: 0, unknown: 9, off: 0 }), null)
})

test('a host says which probes did not measure', () => {
  const probes = { memleak: { status: 'skipped', reason: 'no bcc' }, runlatency: { status: 'ok', reason: '' } }
  assert.equal(
    reasons({ probes, not_measured: ['memleak', 'interference'] }),
    'memleak skipped: no bcc; interference left no result',
  )
})

test('the time line has the events of a month, oldest first', () => {
  const events = [
    event('oom', '2026-11-22T00:00:00Z', { first_seen: '2026-11-20T00:00:00Z' }),
    event('oops', '2026-11-01T00:00:00Z'),
    event('oops', '2026-10-01T00:00:00Z'),
    event('oops', '2027-01-01T00:00:00Z'),
    event('oops', null),
  ]
  const marks = marksOf(events, NOW)
  assert.deepEqual(
    marks.map((mark) => mark.event),
    [events[1], events[0]],
  )
  assert.equal(marks[1].to - marks[1].from, 2 * 86400)
  assert.equal(marks[0].to, marks[0].from)
})

test('lanes begin with the worst kind, and the last one is for all others', () => {
  const mark = (kind, severity) => ({ event: { kind, severity } })
  assert.deepEqual(
    lanesOf([mark('b', 'info'), mark('c', null), mark('a', 'info'), mark('d', 'fatal'), mark('c', 'error')]),
    ['d', 'c', 'a', 'b'],
  )
  const many = lanesOf(Array.from({ length: 13 }, (unused, number) => mark(`kind${number + 10}`, 'error')))
  assert.equal(many.length, 12)
  assert.deepEqual(many.slice(10), ['kind20', null])
})

test('a scan that did not end is at its start', () => {
  assert.equal(scannedAt({ scan: { ended_at: null, started_at: '2026-11-23T03:00:00Z' }, generated_at: 'x' }), NOW)
  assert.equal(scannedAt({ scan: { ended_at: null, started_at: null }, generated_at: '2026-11-23T03:00:00Z' }), NOW)
})

test('times have their day where it begins', () => {
  assert.deepEqual(timeLabels([NOW, NOW + 3600, NOW + 21 * 3600], 3600), [
    '03:00\n2026-11-23',
    '04:00',
    '00:00\n2026-11-24',
  ])
  assert.deepEqual(timeLabels([NOW], 86400), ['2026-11-23'])
})

test('details of an exception are lines', () => {
  const lines = factLines({ context: { comm: 'java' }, details: { pid: 7, order: [1, { a: 2 }] } })
  assert.equal(lines, 'comm: java\npid: 7\norder: [1,{"a":2}]')
})

test('the longest runner is named as far as it is known', () => {
  const runner = longestRunner({ comm: 'stress-ng', pid: 9, ran_us: 45000 }, {})
  assert.equal(runner.textContent, 'stress-ng (9), 45 ms of it')
  assert.equal(longestRunner(null, { unattributed_us: 2, idle_us: 1 }), 'not known: too many timeslices')
  assert.equal(longestRunner(null, { unattributed_us: 0, idle_us: 1 }), 'the CPU was mostly idle')
})

test('buckets are in the order of numbers, and hosts in that of their latency', () => {
  assert.deepEqual(bucketsOf({ wakeup: { 16: 1, 2: 1 }, preempted: { 128: 1, 16: 3 } }), [2, 16, 128])
  const host = (name, p99_us, max_us) => ({ host: name, jitter: p99_us === undefined ? null : { p99_us, max_us } })
  const hosts = [host('a', 8, 9), host('b', 64, 70), host('c'), host('d', null, 5), host('e', 64, 900)]
  assert.deepEqual(
    worstFirst(hosts).map((one) => one.host),
    ['e', 'b', 'a'],
  )
  assert.deepEqual([1, 10, 11, 99999].map(decadesTo), [1, 10, 100, 100000])
})

test('a curve fills its place, also when nothing grew', () => {
  assert.equal(
    polyline([
      [0, 0],
      [10, 50],
      [20, 100],
    ]),
    '0.0,27.0 75.0,14.0 150.0,1.0',
  )
  assert.equal(
    polyline([
      [0, 0],
      [20, 0],
    ]),
    '0.0,27.0 150.0,27.0',
  )
})

test('a rate of the trend is an hour long and has its unit', () => {
  assert.equal(rate(10240, { unit: 'bytes', falls: false }), '35.2 MiB an hour')
  assert.equal(rate(10240, { unit: 'bytes', falls: true }), '−35.2 MiB an hour')
  assert.equal(rate(0.01, { unit: 'number', falls: false }), '36 an hour')
})

test('a row of the trend names its parts and what grows beside it', () => {
  const parts = [{ counter: 'mnt_cache', also: ['posix_timers_cache'], gained: 2 ** 20 }]
  const beside = [
    { counter: 'net_namespaces', unit: 'number', gained: 12 },
    { counter: 'Percpu', unit: 'bytes', gained: 2048 },
  ]
  const said = ['mnt_cache, posix_timers_cache: 1 MiB', 'net namespaces: +12', 'Percpu: +2 KiB']
  assert.deepEqual(causes({ parts, beside }), said)
  assert.deepEqual(causes({ parts: [], beside: [] }), [])
})

test('a curve of a level begins at its least value', () => {
  const points = [
    [0, 100],
    [10, 110],
    [20, 120],
  ]
  assert.equal(polyline(points, 100), '0.0,27.0 75.0,14.0 150.0,1.0')
})

test('a bar has its shares one after the other, without empty ones', () => {
  const shares = [300, 0, 100].map((value, place) => ({ class: `c${place}`, title: `t${place}`, value }))
  assert.deepEqual(
    segments(shares).map(({ class: name, x, width }) => [name, x, width]),
    [
      ['c0', 0, 750],
      ['c2', 750, 250],
    ],
  )
  assert.deepEqual(segments([{ class: 'c', title: 't', value: 0 }]), [])
})
