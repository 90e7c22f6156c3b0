/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything about one host. */
import { showDialog } from '../lib/dialog.js'
import { badge, bdi, el, findingLink, heading, hint, plainTable } from '../lib/dom.js'
import { evidence } from '../lib/evidence.js'
import { bytes, NONE, number, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'

function reasonOf(probe) {
  const reasons = [probe.reason, probe.remedy].filter(Boolean).join(' — ')
  return reasons || (probe.cost.truncated ? t('lists were truncated') : NONE)
}

function probesPart(probes) {
  const lines = Object.entries(probes).map(([name, probe]) => [
    bdi(name),
    word(probe.status),
    el('bdi', { class: 'wide' }, reasonOf(probe)),
    bdi(probe.engine),
    seconds(probe.window_s),
    seconds(probe.cost.cpu_s),
    bytes(probe.cost.max_rss_bytes),
    number(probe.cost.lost_events),
  ])
  const heads = [
    t('Probe'),
    t('Status'),
    t('Reason and remedy'),
    t('Engine'),
    t('Window'),
    t('CPU time'),
    t('Memory'),
    t('Lost events'),
  ]
  return lines.length ? [heading(t('Probes')), plainTable(heads, lines)] : []
}

function findingsPart(groups, measured) {
  if (!groups.length) {
    return el('p', {}, measured ? t('None.') : t('Nothing was measured, so there are no findings.'))
  }
  const items = groups.map((group) => el('li', {}, badge(group.severity), ' ', findingLink(group.id, group.title)))
  return el('ul', {}, items)
}

export function showHost(host, { fleet, byHost }) {
  const groups = (byHost.get(host.host) || []).map(({ group }) => group)
  showDialog(
    el('span', {}, badge(host.state)),
    host.host,
    host.reason ? el('p', {}, bdi(host.reason)) : null,
    host.groups.length ? hint(`${t('Groups')}: `, bdi(host.groups.join(', '))) : null,
    heading(t('Findings')),
    findingsPart(groups, host.coverage !== 'none'),
    probesPart(host.probes),
    host.system ? [heading(t('System')), evidence(host.system)] : [],
    fleet.sections.map(({ key, title }) => (host[key] ? [heading(t(title)), evidence(host[key])] : [])).flat(),
  )
}
