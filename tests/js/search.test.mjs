/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { selectionOf, testsOf } from '../../roles/report/files/lib/filter.js'
import { index } from '../../roles/report/files/lib/model.js'
import { moduleHosts, parseSearch, placesOf } from '../../roles/report/files/lib/search.js'

const system = (kernel) => ({ kernel, distribution: 'Debian 12' })
const host = (name, kernel, groups = []) => ({
  host: `${name}.fra1.example-company.net`,
  state: 'scanned',
  reason: '',
  groups,
  system: system(kernel),
})
const member = (name, severity, title = 'Leak') => ({ host: `${name}.fra1.example-company.net`, severity, title })
const fleet = {
  hosts: [host('web1', '6.1.0-28', ['edge']), host('web2', '6.1.0-28'), host('db1', '5.10.0', ['edge'])],
  modules: [
    { module: 'acme_nic', hosts: '5' },
    { module: 'ext4', hosts: '7' },
  ],
  findings: [
    {
      id: 'f1',
      title: 'Leak',
      severity: 'error',
      category: 'leak',
      signature: 'leak|x',
      rule: 'memleak-suspected',
      common: [],
      rollout: [],
      hosts: [member('web1', 'error'), member('db1', 'info')],
    },
    {
      id: 'f2',
      title: 'Wait of 310 ms',
      severity: 'info',
      category: 'latency',
      signature: 'wait|x',
      rule: 'runq-latency',
      common: [],
      rollout: [],
      hosts: [member('web2', 'info', 'Wait of 61 ms')],
    },
  ],
  drift: null,
}
const found = (q) => {
  const tests = testsOf(index(fleet), selectionOf(new URLSearchParams({ q })))
  const pairs = fleet.findings.flatMap((group) =>
    (tests.view(group)?.members || []).map((one) => one.host.split('.')[0]),
  )
  return [
    pairs.join(' '),
    fleet.hosts
      .filter(tests.host)
      .map((one) => one.host.split('.')[0])
      .join(' '),
  ]
}

test('words and exclusions are told apart', () => {
  assert.deepEqual(parseSearch(' Kernel:6.1 -severity:INFO - x'), {
    words: ['kernel:6.1', 'x'],
    without: ['severity:info'],
  })
})

test('the bits of a number are places, from the lowest', () => {
  assert.deepEqual(placesOf('5'), [0, 2])
  assert.deepEqual(placesOf('100'), [8])
  assert.deepEqual(placesOf('80000000000000000001'), [0, 79])
})

test('a module is found by the begin of its name', () => {
  assert.deepEqual(
    [...moduleHosts(fleet, ['module:acme', 'x']).entries()].map(([word, hosts]) => [word, hosts.size]),
    [['module:acme', 2]],
  )
})

for (const [q, pairs, hosts] of [
  ['kernel:6.1', 'web1 web2', 'web1 web2'],
  ['kernel:1', '', ''],
  ['module:acme', 'web1 db1', 'web1 db1'],
  ['module:nic', '', ''],
  ['-module:acme', 'web2', 'web2'],
  ['severity:error', 'web1', 'web1'],
  ['-severity:info', 'web1', 'web1 web2 db1'],
  ['group:edge -kernel:5.10', 'web1', 'web1'],
  ['61', 'web2', 'web2'],
  ['category:leak module:ext4 web1', 'web1', 'web1'],
  ['rule:runq', 'web2', 'web2'],
]) {
  test(`search for ${q}`, () => assert.deepEqual(found(q), [pairs, hosts]))
}
