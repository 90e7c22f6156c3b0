/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fleet document, with what sections look up in it. */
import { word } from './messages.js'

export const factor = (entry) => `${word(entry.factor)} ${entry.value}`

const searchText = (...texts) => texts.join('\n').toLowerCase()

const findingText = (group) =>
  searchText(
    group.title,
    group.category,
    group.severity,
    group.signature,
    group.rule,
    ...group.common.map(factor),
    ...group.hosts.map(({ host }) => host),
  )

const hostText = (host) =>
  searchText(
    host.host,
    host.state,
    host.reason,
    ...host.groups,
    ...(host.system ? [host.system.kernel, host.system.distribution] : []),
  )

/* {host: [{group, severity}]}, in the order of the findings. */
function findingsByHost(findings) {
  const found = new Map()
  for (const group of findings) {
    for (const { host, severity } of group.hosts) {
      if (!found.has(host)) found.set(host, [])
      found.get(host).push({ group, severity })
    }
  }
  return found
}

/* groups: findings by id; hosts: by name; byHost: findings of a host; findingText, hostText: for the filter. */
export function index(fleet) {
  return {
    fleet,
    groups: new Map(fleet.findings.map((group) => [group.id, group])),
    hosts: new Map(fleet.hosts.map((host) => [host.host, host])),
    byHost: findingsByHost(fleet.findings),
    findingText: new Map(fleet.findings.map((group) => [group.id, findingText(group)])),
    hostText: new Map(fleet.hosts.map((host) => [host.host, hostText(host)])),
  }
}

export const categoriesOf = (fleet) => [...new Set(fleet.findings.map(({ category }) => category))].sort()
export const hostGroupsOf = (fleet) => [...new Set(fleet.hosts.flatMap(({ groups }) => groups))].sort()
