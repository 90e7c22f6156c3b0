/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two hosts side by side: findings, system, modules, settings, measurements. */
import { apart, modulesAt, mostAlike, pairsOf } from '../lib/alike.js'
import { factsOf } from '../lib/details.js'
import { showDialog } from '../lib/dialog.js'
import { badge, bdi, el, findingLink, heading, hint, hostLink, hostName, listed, plainTable } from '../lib/dom.js'
import { evidence } from '../lib/evidence.js'
import { label, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { shortName } from '../lib/names.js'
import { fragment, go } from '../lib/state.js'

const SUGGESTED = 3
const OFFERED = 20
const ONE_BOOT = ['boot_id', 'module_count'] // differ always, or say less than the list of modules

const isMeasured = (host, probes) => probes.some((name) => ['ok', 'degraded'].includes(host.probes[name]?.status))

const different = () => el('strong', { role: 'img', 'aria-label': t('differs'), title: t('differs') }, '≠')

/* What differs as a table, and what is the same beneath it, folded. rows: as pairsOf makes them. */
function pairsPart(title, rows, hosts) {
  if (!rows.length) return []
  const lines = (some) =>
    some.map(({ name, one, other, same }) => [
      el('span', { translate: 'no' }, same ? '' : different(), ' ', name.split('.').map(label).join(': ')),
      ...[one, other].map((value) => evidence(value, name.split('.').at(-1))),
    ])
  const heads = () => [t('Field'), ...hosts.map(({ host }) => hostName(host))]
  const [same, others] = [true, false].map((wanted) => rows.filter((row) => row.same === wanted))
  return [
    heading(title),
    others.length ? plainTable(heads(), lines(others)) : hint(t('Nothing differs.')),
    same.length
      ? el(
          'details',
          { class: 'same' },
          el('summary', {}, plural(same.length, 'field is the same', 'fields are the same')),
          plainTable(heads(), lines(same)),
        )
      : null,
  ]
}

/* A finding on one of the hosts: as it has it, or why it has not. */
function findingCell(host, group, report) {
  const own = (report.byHost.get(host.host) || []).find((one) => one.group === group)
  if (own) return el('span', {}, badge(own.severity), ' ', findingLink(group.id, own.title, { host: host.host }))
  return el('span', { class: 'hint' }, isMeasured(host, group.probes) ? t('not reported') : t('not measured'))
}

function findingsPart(hosts, report) {
  const found = report.fleet.findings.filter((group) =>
    hosts.some(({ host }) => (report.byHost.get(host) || []).some((one) => one.group === group)),
  )
  const title = heading(t('Findings'))
  if (!found.length) {
    const dark = hosts.filter(({ coverage }) => coverage === 'none').length
    return [title, hint(dark ? t('No findings, but not all of the two were measured.') : t('None on either host.'))]
  }
  const heads = [t('Category'), ...hosts.map(({ host }) => hostLink(host))]
  const lines = found.map((group) => [word(group.category), ...hosts.map((host) => findingCell(host, group, report))])
  return [title, plainTable(heads, lines)]
}

function modulesPart(hosts, { fleet, places }) {
  const title = heading(t('Modules'))
  if (hosts.some(({ system }) => !system)) return [title, hint(t('Not known of both hosts.'))]
  const names = hosts.map(({ host }) => modulesAt(fleet.modules, places.get(host)))
  const found = apart(...names)
  const only = (host, list) =>
    el('p', {}, t('Only on {host}: ', { host: shortName(host.host) }), list.length ? bdi(list.join(', ')) : t('none'))
  const cut = hosts.some(({ system }, place) => names[place].length < system.module_count)
  return [
    title,
    only(hosts[0], found.one),
    only(hosts[1], found.other),
    found.both.length
      ? el(
          'details',
          { class: 'same' },
          el('summary', {}, plural(found.both.length, 'module is on both', 'modules are on both')),
          el('p', {}, bdi(found.both.join(', '))),
        )
      : null,
    cut ? hint(t('Rare modules of this fleet are in the files of the hosts alone.')) : null,
  ]
}

/* The short facts of each section, as the list of hosts has them. */
const measuredOf = (host, { fleet }) =>
  Object.fromEntries(fleet.sections.filter(({ key }) => host[key]).map(({ key }) => [key, onlyNumbers(host[key])]))
const onlyNumbers = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => typeof value !== 'object'))

const probesOf = (host) => Object.fromEntries(Object.entries(host.probes).map(([name, { status }]) => [name, status]))

const without = (fields, names) =>
  Object.fromEntries(Object.entries(fields || {}).filter(([name]) => !names.includes(name)))

/* What an operator set, of the facts of a host: {probe: {field: value}}. settings: {probe: fields}. */
const settingsOf = (facts, settings) =>
  Object.fromEntries(
    Object.entries(settings)
      .filter(([probe]) => facts.probes[probe])
      .map(([probe, names]) => [
        probe,
        Object.fromEntries(
          names.filter((name) => name in facts.probes[probe]).map((name) => [name, facts.probes[probe][name]]),
        ),
      ]),
  )

async function fillSettings(body, hosts, report) {
  const facts = await Promise.all(hosts.map(({ host }) => factsOf(report, host)))
  body.append(heading(t('Settings')))
  const absent = hosts.filter((host, place) => !facts[place])
  if (absent.length) {
    const files = absent.map(({ file, state }) => (state === 'scanned' ? file : t('not measured'))).join(', ')
    body.append(hint(t('This page has no room for the settings of both hosts: {files}.', { files })))
  } else {
    const rows = pairsOf(...facts.map((one) => Object.assign({}, ...Object.values(settingsOf(one, report.settings)))))
    const [, ...parts] = pairsPart('', rows, hosts)
    body.append(...(parts.length ? parts.filter(Boolean) : [hint(t('Not measured.'))]))
  }
  body.dataset.filled = 'yes'
}

export function showComparison(hosts, report) {
  const settings = el('div', { class: 'settings' })
  showDialog(
    t('Two hosts side by side'),
    hosts.map(({ host }) => shortName(host)).join(' · '),
    findingsPart(hosts, report),
    pairsPart(t('System'), pairsOf(...hosts.map(({ system }) => without(system, ONE_BOOT))), hosts),
    modulesPart(hosts, report),
    settings,
    pairsPart(t('Measured'), pairsOf(...hosts.map((host) => measuredOf(host, report))), hosts),
    pairsPart(t('Probes'), pairsOf(...hosts.map(probesOf)), hosts),
  )
  fillSettings(settings, hosts, report)
}

/* The host that a person means by a full or shortened name; undefined: there is none. */
const hostNamed = (name, { fleet }) => fleet.hosts.find(({ host }) => host === name || shortName(host) === name)

/* A field that names the other host, and the hosts most like this one. */
export function comparePart(host, report) {
  const { fleet, byHost } = report
  if (fleet.hosts.length < 2) return null
  const names = el('datalist', { id: 'with-names' })
  const field = el('input', { id: 'with', list: 'with-names', autocomplete: 'off', spellcheck: 'false' })
  const said = el('span', { role: 'status', class: 'hint' })
  field.addEventListener('input', () => {
    const found = fleet.hosts.filter(({ host: name }) => name.includes(field.value)).slice(0, OFFERED)
    names.replaceChildren(...found.map(({ host: name }) => el('option', { value: shortName(name) })))
  })
  const button = el('button', { type: 'submit', class: 'tool' }, t('Compare'))
  const form = el(
    'form',
    { class: 'copying' },
    el('label', { for: 'with' }, t('Compare with')),
    field,
    names,
    button,
    said,
  )
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const other = hostNamed(field.value.trim(), report)
    if (other && other !== host) go({ host: host.host, with: other.host })
    else said.textContent = t('Not another host of this report.')
  })
  const alike = mostAlike(host, fleet.hosts, (name) => (byHost.get(name) || []).length, SUGGESTED)
  const links = alike.map(({ host: name }) =>
    el('a', { href: fragment({ host: host.host, with: name }), class: 'to-host' }, bdi(shortName(name))),
  )
  return [form, alike.length ? hint(t('Most alike: '), listed(links)) : null]
}
