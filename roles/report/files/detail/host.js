/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything about one host. */
import { ageText } from '../lib/age.js'
import { factsOf } from '../lib/details.js'
import { showDialog } from '../lib/dialog.js'
import { badge, bdi, el, findingLink, heading, hint, plainTable } from '../lib/dom.js'
import { evidence } from '../lib/evidence.js'
import { GONE } from '../lib/filter.js'
import { bytes, label, NONE, number, seconds } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { comparePart } from './compare.js'

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

function findingsPart(found, host, { fleet }) {
  if (!found.length) {
    return el('p', {}, host.coverage === 'none' ? t('Nothing was measured, so there are no findings.') : t('None.'))
  }
  const items = found.map((one) =>
    el(
      'li',
      {},
      badge(one.severity),
      ' ',
      findingLink(one.group.id, one.title, { host: host.host }),
      el('span', { class: 'hint' }, ` ${ageText([one], fleet, one.group)}`),
    ),
  )
  return el('ul', { class: 'own-findings' }, items)
}

/* Findings of the earlier scan that are not there any more. */
function gonePart(name, { fleet }) {
  const gone = (fleet.drift?.groups || []).flatMap((entry) =>
    GONE.filter((change) => entry.hosts[change]?.includes(name)).map((change) =>
      el('li', {}, `${word(change)}: `, bdi(entry.title)),
    ),
  )
  return gone.length ? [heading(t('Since the earlier scan')), el('ul', {}, gone)] : []
}

const isEmpty = (value) => value === null || (typeof value === 'object' && !Object.keys(value).length)

/* All facts of one probe: lists and objects fold, each with what it holds. */
function factsPart(data) {
  const single = Object.entries(data).filter(([, value]) => value === null || typeof value !== 'object')
  const nested = Object.entries(data).filter(
    ([, value]) => value !== null && typeof value === 'object' && !isEmpty(value),
  )
  const parts = nested.map(([name, value]) => {
    const count = Array.isArray(value) ? el('span', { class: 'hint' }, ` ${number(value.length)}`) : null
    const part = el('details', {}, el('summary', {}, label(name), count))
    part.addEventListener('toggle', () => part.append(evidence(value, name)), { once: true })
    return part
  })
  return [single.length ? evidence(Object.fromEntries(single)) : null, ...parts]
}

async function fillFacts(body, host, report) {
  if (host.state !== 'scanned') return
  const facts = await factsOf(report, host.host)
  if (!facts) {
    const text = t('This page has no room for the facts of this host: {file} in the folder of the scan has them.', {
      file: host.file,
    })
    const broken = t('The facts of this host could not be read: {file} in the folder of the scan.', { file: host.file })
    body.append(hint(facts === null ? broken : text))
    return
  }
  const titles = new Map(report.fleet.sections.map(({ probe, title }) => [probe, title]))
  for (const [probe, data] of Object.entries(facts.probes)) {
    const title = titles.get(probe) || probe
    body.append(heading(t(title)))
    report.ofHost[probe]?.(data, host.probes[probe]?.window_s, body)
    body.append(...factsPart(data).filter(Boolean))
  }
  if (facts.modules.length) {
    body.append(heading(t('Modules')), el('p', {}, bdi(facts.modules.join(', '))))
  }
  body.dataset.filled = 'yes'
}

export function showHost(host, report) {
  const body = el('div', { class: 'facts', translate: 'no' }) // fields as the schema names them
  showDialog(
    el('span', {}, badge(host.state)),
    host.host,
    host.reason ? el('p', {}, bdi(host.reason)) : null,
    host.groups.length ? hint(`${t('Groups')}: `, bdi(host.groups.join(', '))) : null,
    comparePart(host, report),
    heading(t('Findings')),
    findingsPart(report.byHost.get(host.host) || [], host, report),
    gonePart(host.host, report),
    probesPart(host.probes),
    host.system ? [heading(t('System')), evidence(host.system)] : [],
    body,
  )
  fillFacts(body, host, report)
}
