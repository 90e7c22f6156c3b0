/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { actionsOf, culpritOf } from '../../roles/report/files/lib/actions.js'
import { commandOf, limitOf, runbookOf, ticketOf } from '../../roles/report/files/lib/handout.js'
import { openPage } from './page.mjs'

beforeEach(() => openPage())

const members = (count, change) =>
  Array.from({ length: count }, (unused, place) => ({ host: `edge-${place}.fra1.example-company.net`, change }))
const module = (affected, of) => [{ factor: 'module', value: 'acme_nic', affected, affected_of: of }]
const view = (id, severity, count, more = {}) => ({
  group: { id, common: [], rollout: [], remedy: '', ...more },
  severity,
  title: id,
  members: members(count, more.change),
})

test('one action closes all findings of the hosts of a module', () => {
  const actions = actionsOf([
    view('leak', 'error', 21, { common: module(21, 21) }),
    view('oops', 'critical', 4, { common: module(4, 4) }),
    view('wait', 'error', 8),
    view('note', 'info', 90),
  ])
  assert.deepEqual(
    actions.map(({ culprit, closes, hosts, severity }) => [
      culprit?.value,
      closes.map(({ title }) => title),
      hosts.length,
      severity,
    ]),
    [
      ['acme_nic', ['leak', 'oops'], 21, 'critical'],
      [undefined, ['wait'], 8, 'error'],
    ],
  )
})

test('what only some affected hosts have, or nobody can change, is no action', () => {
  assert.equal(culpritOf({ common: module(5, 10) }), null)
  assert.equal(culpritOf({ common: [{ factor: 'group', value: 'edge', affected: 9, affected_of: 9 }] }), null)
})

test('severity comes before reach, and what is new counts twice', () => {
  const order = (...views) => actionsOf(views).map(({ closes }) => closes[0].title)
  assert.deepEqual(order(view('many', 'warning', 9), view('worse', 'error', 1)), ['worse', 'many'])
  assert.deepEqual(order(view('old', 'error', 3), view('fresh', 'error', 2, { change: 'new' })), ['fresh', 'old'])
})

test('no name of a host becomes a command of a shell or another pattern', () => {
  const hostile = ["web1'; reboot #", '$(id)', '-oProxyCommand=x', '!web', 'web1:web2', '@/etc/passwd', '*', 'web\n1']
  assert.deepEqual(limitOf(['web1.example.net', ...hostile, 'db-2']), {
    option: "--limit 'web1.example.net,db-2'",
    left: 8,
  })
  assert.deepEqual(limitOf(hostile), { option: '', left: 8 })
})

test('a ticket holds what hosts sent as code', () => {
  const group = {
    severity: 'error',
    title: '`x` [a](http://x) @all <b>',
    rule: 'r-1',
    signature: 's',
    rollout: [{ sentence: 'kernel `<b>`: on 3 of 3 hosts with it' }],
    remedy: 'Do\n`rm`',
  }
  const fleet = { scan: { scan_id: 'scan-1' }, runbooks: 'https://wiki.example.net/rb/' }
  const text = ticketOf(group, members(60), fleet)
  assert.match(text, /^## error: `'x' \[a\]\(http:\/\/x\) @all <b>`\n/)
  assert.match(text, /60 hosts: `edge-0\.fra1\.example-company\.net`, .*, \+10\n/)
  assert.match(text, /<https:\/\/wiki\.example\.net\/rb\/r-1>/)
  assert.match(text, /\n- `kernel '<b>': on 3 of 3 hosts with it`\n/)
  assert.match(text, /\n`Do 'rm'`\n/)
})

test('only a secure address is a runbook', () => {
  assert.equal(runbookOf({ runbooks: 'javascript:alert(1)//' }, 'x'), '')
  assert.equal(runbookOf({ runbooks: null }, 'x'), '')
})

test('the command of a remedy is what follows its mark', () => {
  assert.equal(commandOf('Replace it. First check: smartctl -x /dev/sda'), 'smartctl -x /dev/sda')
  assert.equal(commandOf('Replace it.'), '')
})
