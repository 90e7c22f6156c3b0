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
  return t('last seen {days}', { days: plural(whole, 'day ago', 'days ago') })
}

/* Changes of what the earlier scan did not have. */
const NOT_BEFORE = ['new', 'not_measured_before']

/* Whether a host of a finding is new, by the scan that is compared with, or by the last ones; whether it was not
   measured then; whether any host had the finding then. null: there is nothing to compare with. */
function noveltyOf({ drift, trend, scan }) {
  if (drift) {
    return {
      isNew: ({ change }) => change === 'new',
      isUnknown: ({ change }) => change === 'not_measured_before',
      wasThere: (group) => Object.entries(group.drift || {}).some(([name, n]) => n && !NOT_BEFORE.includes(name)),
    }
  }
  if (!trend.scans.length) return null
  const earlier = (group) => group.history.hosts.slice(0, -1)
  return {
    isNew: ({ first_seen: first }) => first === scan.started_at,
    isUnknown: (member, group) => earlier(group).every((hosts) => hosts === null),
    wasThere: (group) => earlier(group).some(Boolean),
  }
}

function knownText(members, { isNew, isUnknown, wasThere }, group) {
  if (members.every((member) => isUnknown(member, group))) return t('not measured before')
  const fresh = members.filter(isNew).length
  const hosts = plural(members.length, 'host')
  if (!fresh) return t('known')
  if (fresh < members.length) return t('new on {n} of {hosts}', { n: number(fresh), hosts })
  // Other hosts had it: it is new on these, not in the fleet.
  return wasThere(group) ? t('new on {hosts}', { hosts }) : t('new')
}

/* members: hosts of a finding (group), {last_seen, first_seen, change}. */
export function ageText(members, fleet, group) {
  const scannedAt = fleet.scan.started_at
  const novelty = noveltyOf(fleet)
  const seen = members.map((member) => member.last_seen).filter(Boolean)
  const last = seen.length ? seen.reduce((one, other) => (one > other ? one : other)) : null
  const texts = [seenText(last, scannedAt), novelty ? knownText(members, novelty, group) : '']
  return texts.filter(Boolean).join(', ')
}
