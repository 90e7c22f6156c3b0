/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What to do first: actions by the severity, reach and novelty of what each closes. */
import { SEVERITIES, severityRank } from './schema.js'

/* What a person can change on a host, of what affected hosts have in common. */
const CHANGEABLE = ['module', 'module_version', 'kernel']
const ALL_BUT = 0.9 // an action closes a finding when nine in ten of its hosts have what it changes
const NEW_WEIGHT = 2

/* The module or kernel that nearly all affected hosts have and others mostly have not; null: none. */
export function culpritOf({ common = [] }) {
  const found = common.find(
    ({ factor, affected, affected_of: of }) => CHANGEABLE.includes(factor) && affected >= ALL_BUT * of,
  )
  return found ? { factor: found.factor, value: found.value } : null
}

/* Ten times as much for each severity above the next; hosts that are new count twice. */
export const scoreOf = ({ severity, members }) =>
  10 ** (SEVERITIES.length - severityRank(severity)) *
  members.reduce((sum, { change }) => sum + (change === 'new' ? NEW_WEIGHT : 1), 0)

/* views: [{group, severity, members}] → [{culprit, closes: views, hosts: names, severity, score}], the most urgent
   first. culprit: what is changed on the hosts, null: the one finding has its own remedy. */
export function actionsOf(views) {
  const actions = new Map()
  for (const view of views) {
    if (view.severity === 'info') continue
    const culprit = culpritOf(view.group)
    const key = culprit ? `${culprit.factor} ${culprit.value}` : view.group.id
    const action = actions.get(key) || { culprit, closes: [], hosts: new Set(), severity: view.severity, score: 0 }
    action.closes.push(view)
    view.members.forEach(({ host }) => action.hosts.add(host))
    if (severityRank(view.severity) < severityRank(action.severity)) action.severity = view.severity
    action.score += scoreOf(view)
    actions.set(key, action)
  }
  return [...actions.values()]
    .map((action) => ({ ...action, hosts: [...action.hosts] }))
    .sort((left, right) => right.score - left.score)
}
