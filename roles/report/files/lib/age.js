/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How old a finding is and whether it is new, in a few words. The template has the same, of the whole fleet. */
import { number, plural } from './format.js'
import { t } from './messages.js'

const DAY_MS = 86400000

/* Days from when something was seen last until the scan; 0: during the scan. */
export function ageDays(lastSeen, scannedAt) {
  if (!lastSeen || !scannedAt) return 0
  return Math.max(0, (Date.parse(scannedAt) - Date.parse(lastSeen)) / DAY_MS)
}

function seenText(lastSeen, scannedAt) {
  if (!lastSeen) return t('no date')
  const days = ageDays(lastSeen, scannedAt)
  if (days === 0) return t('now')
  if (days < 1) return t('within a day')
  const whole = Math.floor(days)
  return t('last {days}', { days: plural(whole, 'day ago', 'days ago') })
}

function knownText(members, isNew) {
  const fresh = members.filter(isNew).length
  if (!fresh) return t('known')
  if (fresh === members.length) return t('new')
  return t('new on {n} of {hosts}', { n: number(fresh), hosts: plural(members.length, 'host') })
}

/* Whether a host of a finding is new, by the scan that is compared with, or by the last ones; null: there are none. */
function noveltyOf({ drift, trend, scan }) {
  if (drift) return ({ change }) => change === 'new'
  return trend.scans.length ? (member) => member.first_seen === scan.started_at : null
}

/* members: hosts of a finding, {last_seen, first_seen, change}. */
export function ageText(members, fleet) {
  const scannedAt = fleet.scan.started_at
  const isNew = noveltyOf(fleet)
  const seen = members.map((member) => member.last_seen).filter(Boolean)
  const last = seen.length ? seen.reduce((one, other) => (one > other ? one : other)) : null
  const texts = [seenText(last, scannedAt), isNew ? knownText(members, isNew) : '']
  return texts.filter(Boolean).join(', ')
}
