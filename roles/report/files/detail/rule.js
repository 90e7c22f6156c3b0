/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A rule of the policy in force: why it is there, its thresholds, and what was changed by whom. */
import { bdi, el, hint, listed, plainTable, webLink } from '../lib/dom.js'
import { NONE, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'

const valueText = (value) => (Array.isArray(value) ? value.join(', ') || NONE : String(value))

/* For whom a change holds. */
function scopeText({ scope, of }) {
  if (scope === 'all') return t('all hosts')
  return scope === 'groups' ? t('group {name}', { name: of }) : t('hosts {pattern}', { pattern: of })
}

/* What overrides hide of a rule; '': nothing. */
export function hiddenText({ not_judged: hidden }) {
  if (!hidden) return ''
  const [findings, hosts] = [plural(hidden.findings, 'finding'), plural(hidden.hosts, 'host')]
  return t('{findings} on {hosts} not reported', { findings, hosts })
}

function parametersTable(parameters) {
  const lines = parameters.map(({ name, value, unit, description }) => [
    bdi(name),
    bdi(`${valueText(value)}${unit ? ` ${unit}` : ''}`),
    bdi(description),
  ])
  return plainTable([t('Parameter'), t('Value'), t('Meaning')], lines)
}

function changesTable(changes) {
  const lines = changes.map((change) => [
    bdi(change.field),
    bdi(`${valueText(change.from)} → ${valueText(change.to)}`),
    bdi(scopeText(change)),
    bdi(change.place),
  ])
  return plainTable([t('Changed'), t('From and to'), t('For'), t('By')], lines)
}

export function ruleDetails(rule) {
  const hidden = hiddenText(rule)
  const links = rule.references
    .filter((address) => address.startsWith('https://'))
    .map((address) => webLink(address, address.slice('https://'.length)))
  return el(
    'div',
    { class: 'rule' },
    rule.rationale ? el('p', {}, bdi(rule.rationale)) : null,
    hint(
      t('{severity} at worst, {category}, from {file}', {
        severity: word(rule.severity),
        category: word(rule.category),
        file: rule.file,
      }),
    ),
    rule.parameters.length ? parametersTable(rule.parameters) : null,
    rule.changes.length ? changesTable(rule.changes) : null,
    hidden ? el('p', {}, el('strong', {}, hidden)) : null,
    links.length ? el('p', {}, t('Read more: '), listed(links)) : null,
  )
}
