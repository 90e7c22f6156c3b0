/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fleet document, with what sections look up in it. */
import { word } from './messages.js'
import { tagged } from './search.js'

export const factor = (entry) => `${word(entry.factor)} ${entry.value}`

const searchText = (...texts) => texts.join('\n').toLowerCase()

/* Of the finding alone: what its hosts are called is in hostText. */
const findingText = (group) =>
  searchText(
    group.title,
    tagged('category', group.category),
    group.signature,
    tagged('rule', group.rule),
    ...group.common.map(factor),
  )

const hostText = (host) =>
  searchText(
    tagged('host', host.host),
    tagged('state', host.state),
    host.reason,
    ...host.groups.map((group) => tagged('group', group)),
    ...(host.system ? [tagged('kernel', host.system.kernel), tagged('distribution', host.system.distribution)] : []),
  )

/* {host: [{group, severity, title, change, last_seen, …}]}: what is true of this host, in the order of the findings. */
function findingsByHost(findings) {
  const found = new Map()
  for (const group of findings) {
    for (const member of group.hosts) {
      if (!found.has(member.host)) found.set(member.host, [])
      found.get(member.host).push({ ...member, group })
    }
  }
  return found
}

/* groups: findings by id; hosts: by name; places: of hosts in the fleet document, by name; byHost: findings of a host;
   findingText, hostText: for the filter; tests: of the selection, as testsOf makes them. */
export function index(fleet) {
  return {
    fleet,
    groups: new Map(fleet.findings.map((group) => [group.id, group])),
    hosts: new Map(fleet.hosts.map((host) => [host.host, host])),
    places: new Map(fleet.hosts.map(({ host }, place) => [host, place])),
    byHost: findingsByHost(fleet.findings),
    findingText: new Map(fleet.findings.map((group) => [group.id, findingText(group)])),
    hostText: new Map(fleet.hosts.map((host) => [host.host, hostText(host)])),
  }
}

export const categoriesOf = (fleet) => [...new Set(fleet.findings.map(({ category }) => category))].sort()
export const hostGroupsOf = (fleet) => [...new Set(fleet.hosts.flatMap(({ groups }) => groups))].sort()
