/* SPDX-License-Identifier: GPL-3.0-or-later */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ageText } from '../../roles/report/files/lib/age.js'

const AT = '2026-11-23T03:08:00Z'
const scan = { started_at: AT }
const member = (change, seen = AT, first = AT) => ({ change, last_seen: seen, first_seen: first })

test('an age has a unit in the right number', () => {
  const fleet = { scan, drift: null, trend: { scans: [] } }
  const seen = ['2026-11-23T03:08:31Z', '2026-11-23T01:00:00Z', '2026-11-22T03:00:00Z', '2026-11-17T03:00:00Z', null]
  assert.deepEqual(
    seen.map((one) => ageText([member(null, one)], fleet, {})),
    ['now', 'within a day', 'last seen 1 day ago', 'last seen 6 days ago', 'no date'],
  )
})

test('what is new on its hosts is not new where others had it', () => {
  const fleet = { scan, drift: {}, trend: { scans: [] } }
  const news = [member('new')]
  assert.equal(ageText(news, fleet, { drift: { new: 1, resolved: 0 } }), 'now, new')
  assert.equal(ageText(news, fleet, { drift: { new: 1, resolved: 1 } }), 'now, new on 1 host')
  assert.equal(ageText([...news, member('worse')], fleet, { drift: { new: 1, worse: 1 } }), 'now, new on 1 of 2 hosts')
  assert.equal(ageText([member('unchanged')], fleet, { drift: { unchanged: 1 } }), 'now, known')
})

test('what was not measured before is neither new nor known', () => {
  const unknown = member('not_measured_before')
  const compared = { scan, drift: {}, trend: { scans: [] } }
  assert.equal(ageText([unknown], compared, { drift: { not_measured_before: 1 } }), 'now, not measured before')
  const trend = { scan, drift: null, trend: { scans: [{}, {}] } }
  const group = (...hosts) => ({ history: { hosts } })
  assert.equal(ageText([member(null)], trend, group(null, null, 1)), 'now, not measured before')
  assert.equal(ageText([member(null)], trend, group(null, 0, 1)), 'now, new')
  assert.equal(ageText([member(null)], trend, group(null, 3, 1)), 'now, new on 1 host')
  assert.equal(ageText([member(null, AT, '2026-11-16T03:08:00Z')], trend, group(0, 1, 1)), 'now, known')
})
