/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'

import * as format from '../../roles/report/files/lib/format.js'
import { t, useLanguage, word } from '../../roles/report/files/lib/messages.js'

afterEach(() => useLanguage('en', {}))

test('numbers have three significant digits, whole ones all of theirs', () => {
  assert.deepEqual([0, 7, 1234567, 0.12345, 12.345].map(format.number), ['0', '7', '1,234,567', '0.123', '12.3'])
})

test('what is missing is a dash, in every unit', () => {
  for (const unit of [format.number, format.bytes, format.micros, format.seconds, format.percent, format.instant]) {
    assert.equal(unit(null), '–')
    assert.equal(unit(undefined), '–')
  }
})

test('bytes are scaled by 1024', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 5 * 2 ** 20, 3 * 2 ** 40, 2 ** 52, -2048].map(format.bytes), [
    '0 B',
    '1,020 B',
    '1 KiB',
    '1.5 KiB',
    '5 MiB',
    '3 TiB',
    '4,100 TiB',
    '-2 KiB',
  ])
  assert.equal(format.bytesPerSecond(2048), '2 KiB/s')
})

test('microseconds become milliseconds and seconds', () => {
  assert.deepEqual([0, 12.34, 999, 1000, 48200, 1e6, 6e7].map(format.micros), [
    '0 µs',
    '12.3 µs',
    '999 µs',
    '1 ms',
    '48.2 ms',
    '1 s',
    '60 s',
  ])
})

test('seconds become milliseconds, minutes, hours and days', () => {
  assert.deepEqual([0, 0.25, 1, 599, 600, 7199, 7200, 172799, 172800].map(format.seconds), [
    '0 s',
    '250 ms',
    '1 s',
    '599 s',
    '10 min',
    '120 min',
    '2 h',
    '48 h',
    '2 d',
  ])
})

test('a share that is small but there is not zero', () => {
  assert.deepEqual([0, 0.0001, 0.0005, 0.5, 1].map(format.percent), ['0 %', '< 0.1 %', '0.05 %', '50 %', '100 %'])
})

test('instants are cut to the minute', () => {
  assert.equal(format.instant('2026-11-23T03:08:31Z'), '2026-11-23 03:08 UTC')
})

test('the unit of a value is in the name of its field', () => {
  const shown = [
    ['growth_bytes_per_s', 4096],
    ['interrupts_per_s', 4096],
    ['bytes_outstanding', 4096],
    ['delay_us', 4096],
    ['window_s', 20],
    ['worst_share', 0.25],
    ['count', 4096],
    ['pid', 4096],
    ['irq', 4096],
    ['p99', 4096],
  ].map(([name, value]) => format.measured(name, value))
  assert.deepEqual(shown, ['4 KiB/s', '4,096/s', '4 KiB', '4.1 ms', '20 s', '25 %', '4,096', '4096', '4096', '4,096'])
  assert.equal(format.measured('p99', 4096, true), '4.1 ms')
  assert.equal(format.measured('block_io', 23500000, true), '23.5 s')
})

test('a label leaves the unit out', () => {
  assert.deepEqual(
    ['growth_bytes_per_s', 'rate_per_s', 'bytes_outstanding', 'delay_us', 'uptime_s', 'memory_bytes', 'cpu'].map(
      format.label,
    ),
    ['growth', 'rate', 'bytes outstanding', 'delay', 'uptime', 'memory', 'cpu'],
  )
})

test('things are counted in English and in languages with one form', () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => format.plural(count, 'host')),
    ['0 hosts', '1 host', '2 hosts'],
  )
  assert.equal(format.plural(1234, 'host is gone', 'hosts are gone'), '1,234 hosts are gone')
  useLanguage('zh-Hans', { '{n} host': '{n} 台主机' })
  assert.deepEqual(
    [1, 2].map((count) => format.plural(count, 'host')),
    ['1 台主机', '2 台主机'],
  )
})

test('a text without a translation stays English, and its values are never templates', () => {
  useLanguage('zh-Hans', { 'on {host}': '位于 {host}', 'not measured now': '现在未测量' })
  assert.equal(t('on {host}', { host: '{host}$&{n}' }), '位于 {host}$&{n}')
  assert.equal(t('of {host} and {n}', { host: 'web1' }), 'of web1 and {n}')
  assert.equal(t('{toString}'), '{toString}')
  assert.equal(word('not_measured_now'), '现在未测量')
})

test('numbers follow the language', () => {
  useLanguage('de', {})
  assert.equal(format.number(1234.5), '1.230')
  assert.equal(format.number(0.5), '0,5')
})
