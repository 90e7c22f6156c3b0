/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { probability, webAddresses } from '../../roles/report/files/detail/finding.js'
import { segments } from '../../roles/report/files/lib/bar.js'
import { decadesTo } from '../../roles/report/files/lib/chart.js'
import { lastsFor } from '../../roles/report/files/lib/causes.js'
import { polyline } from '../../roles/report/files/lib/curve.js'
import { changesText } from '../../roles/report/files/page/changes.js'
import { complianceShare, scopeText } from '../../roles/report/files/page/compliance.js'
import { reasons } from '../../roles/report/files/page/hosts.js'
import { causes, rate } from '../../roles/report/files/page/memory_trend.js'
import { factLines } from '../../roles/report/files/sections/exceptions.js'
import { daysOf, scannedAt } from '../../roles/report/files/sections/exceptions/timeline.js'
import { longestRunner } from '../../roles/report/files/sections/jitter.js'
import { bucketsOf } from '../../roles/report/files/sections/jitter/histogram.js'
import { columnsOf, rowOf, strength, worstFirst } from '../../roles/report/files/sections/jitter/heatmap.js'
import { delaysOf, momentsOf } from '../../roles/report/files/sections/jitter/moments.js'
import { functionOf, treeOf } from '../../roles/report/files/sections/leaks/icicle.js'
import { openPage } from './page.mjs'

beforeEach(() => openPage())

const NOW = Date.parse('2026-11-23T03:00:00Z')

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

test('a waiver says what it is about', () => {
  const any = { rule: null, signature: null, hosts: null, groups: null }
  assert.equal(scopeText({ ...any, rule: 'slab-growth' }), 'rule slab-growth; all hosts')
  assert.equal(
    scopeText({ ...any, signature: 'leak|*', hosts: ['web*'], groups: ['db'] }),
    'signature leak|*; hosts web*; groups db',
  )
})

test('a host says which probes did not measure', () => {
  const probes = { memleak: { status: 'skipped', reason: 'no bcc' }, runlatency: { status: 'ok', reason: '' } }
  assert.equal(
    reasons({ probes, not_measured: ['memleak', 'interference'] }),
    'memleak skipped: no bcc; interference left no result',
  )
})

const event = (kind, days, severity = 'error') => ({ kind, severity, days })

test('the time line counts hosts by kind and day, in the month before the scan', () => {
  const events = [
    event('oom', { '2026-11-20': 3, '2026-11-22': 1 }),
    event('oom', { '2026-11-22': 4, '2026-10-01': 9 }, 'warning'),
    event('oops', { '2026-10-01': 1 }),
    event('oops', {}),
    event('panic', { '2026-11-21': 2 }, 'fatal'),
    event('other', { '2026-11-21': 2 }, null),
  ]
  const { days, lanes, left } = daysOf(events, NOW)
  assert.deepEqual(days, ['2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23'])
  assert.deepEqual(
    lanes.map(({ kind, severity }) => [kind, severity]),
    [
      ['panic', 'fatal'],
      ['oom', 'error'],
      ['other', null],
    ],
  )
  assert.deepEqual(lanes[1].counts['2026-11-22'], { count: 5, severity: 'error' })
  assert.equal(left, 2)
})

test('a clock that is ahead does not hide a report, one of next year does', () => {
  assert.deepEqual(daysOf([event('oom', { '2026-11-24': 1 })], NOW).days, ['2026-11-24'])
  assert.deepEqual(daysOf([event('oom', { '2027-01-01': 1 })], NOW), { days: [], lanes: [], left: 1 })
})

test('a scan that did not end is at its start', () => {
  assert.equal(scannedAt({ scan: { ended_at: null, started_at: '2026-11-23T03:00:00Z' }, generated_at: 'x' }), NOW)
  assert.equal(scannedAt({ scan: { ended_at: null, started_at: null }, generated_at: '2026-11-23T03:00:00Z' }), NOW)
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

test('a heat map has a row for each doubling and a column for each host, or for hosts that share a pixel', () => {
  assert.deepEqual([0, 0.5, 1, 1.9, 2, 1000, 1024].map(rowOf), [0, 0, 1, 1, 2, 10, 11])
  const host = (...waits) => ({ jitter: { waits_log2_us: waits, count: waits.reduce((sum, one) => sum + one, 0) } })
  const hosts = [host(1, 1), host(3, 1), host(0, 0, 4)]
  assert.deepEqual(columnsOf(hosts, 3, 900), [
    [0.5, 0.5, 0],
    [0.75, 0.25, 0],
    [0, 0, 1],
  ])
  assert.deepEqual(columnsOf(hosts, 3, 1), [[0.75, 0.5, 1]])
  assert.equal(columnsOf(Array(10000).fill(hosts[0]), 3, 1200.7).length, 1200)
  assert.deepEqual([0, 1, 1e-3, 1e-9].map(strength), [0, 1, 0.5, 0.08])
})

test('an icicle graph has callers above, and equal callers once', () => {
  assert.equal(functionOf('acme_rx_refill.isra.0+0x61/0x90 [acme_nic]'), 'acme_rx_refill.isra.0 [acme_nic]')
  const entry = (size, finding, ...stack) => ({ stack, bytes_outstanding: size, finding })
  const tree = treeOf([
    entry(30, 'f1', 'alloc+0x1', 'poll+0x2', 'softirq'),
    entry(10, null, 'other', 'poll+0x9', 'softirq'),
    entry(5, null, 'poll', 'softirq'),
    entry(0, null, 'x'),
    entry(9, null),
  ])
  const [softirq] = tree.children
  const [poll] = softirq.children
  assert.deepEqual([tree.children.length, softirq.name, poll.name, poll.value], [1, 'softirq', 'poll', 5])
  assert.deepEqual(
    poll.children.map(({ name, value, suspect }) => [name, value, suspect]),
    [
      ['alloc', 30, true],
      ['other', 10, false],
    ],
  )
  assert.equal(poll.suspect, true)
})

test('memory lasts as long as what is available does at the rate', () => {
  const host = { memory: { available_bytes: 3600 * 1024 } }
  assert.equal(lastsFor(1024, host), 3600)
  assert.deepEqual(
    [lastsFor(0, host), lastsFor(-5, host), lastsFor(1, {}), lastsFor(1, undefined)],
    [null, null, null, null],
  )
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

test('waits and stalls of a host stand in the order of their ends, each with its cause', () => {
  const events = [
    { at_s: 3, delay_us: 20, cause: 'run_queue' },
    { at_s: 1, delay_us: 10 },
  ]
  const found = momentsOf(events, [{ at_s: 3, delay_us: 90, kind: 'irqoff' }])
  assert.deepEqual(
    found.map(({ at_s: at, cause, stalled }) => [at, cause, stalled]),
    [
      [1, null, false],
      [3, 'irqoff', true],
      [3, 'run_queue', false],
    ],
  )
  assert.deepEqual(momentsOf([], []), [])
})

test('delays stand between powers of two, also a single one, a power itself, and none at all', () => {
  const of = (...delays) => delaysOf(delays.map((delay_us) => ({ delay_us })))
  assert.deepEqual(of(3000), [2048, 4096])
  assert.deepEqual(of(4096), [4096, 8192])
  assert.deepEqual(of(0), [1, 2])
  assert.deepEqual(of(0.25, 5), [1, 2, 4, 8])
  assert.equal(of(1000, 148200.5).at(-1), 262144)
})
