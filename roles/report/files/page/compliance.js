/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policy in force: its rules, what was changed of them, the hosts that comply with them; waivers. */
import { hiddenText } from '../detail/rule.js'
import { badge, bdi, el, heading, hostList, lead, link, plainTable } from '../lib/dom.js'
import { NONE, number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { bySeverity } from '../lib/schema.js'
import { figure, grid, named, shareColumn } from '../lib/table.js'

/* The share of evaluated hosts that comply with a rule; null when none was evaluated. */
export function complianceShare({ pass, fail, waived }) {
  const evaluated = pass + fail + waived
  return evaluated ? pass / evaluated : null
}

const outcome = (title, field, more) =>
  figure(title, field, (count) => (count ? number(count) : NONE), { minWidth: 80, ...more })

/* What a waiver is about, in a few words. */
export function scopeText({ rule, signature, hosts, groups }) {
  const parts = [
    rule ? t('rule {rule}', { rule }) : '',
    signature ? t('signature {signature}', { signature }) : '',
    hosts ? t('hosts {names}', { names: hosts.join(', ') }) : '',
    groups ? t('groups {names}', { names: groups.join(', ') }) : '',
    hosts || groups ? '' : t('all hosts'),
  ]
  return parts.filter(Boolean).join('; ')
}

const waiverCells = (waiver) => [
  bdi(waiver.owner),
  bdi(waiver.reason),
  waiver.expires,
  bdi(scopeText(waiver.scope)),
  bdi(waiver.place),
]
const waiverHeads = () => [t('Owner'), t('Reason'), t('Until'), t('Scope'), t('Defined in')]

function waivedPart(waived) {
  if (!waived.length) return []
  const lines = waived.map((entry) => [
    badge(entry.severity),
    el('div', {}, bdi(entry.title), el('div', { class: 'hint' }, bdi(entry.signature))),
    hostList(
      entry.hosts.map((host) => ({ host })),
      entry.host_count,
    ),
    ...waiverCells(entry),
  ])
  return [heading(t('Waived')), plainTable([t('Severity'), t('Finding'), t('Hosts'), ...waiverHeads()], lines)]
}

function waiversPart(title, waivers) {
  if (!waivers.length) return []
  const lines = waivers.map((waiver) => [bdi(waiver.rule || waiver.signature), ...waiverCells(waiver)])
  return [heading(title), plainTable([t('Rule or signature'), ...waiverHeads()], lines)]
}

/* For looking things up: folded when the page opens. */
export const FOLDED = true

/* Rules that every host which was evaluated keeps. What was evaluated nowhere is not kept. */
export const keptRules = (rules) => rules.filter(({ pass, fail, waived }) => pass + waived && !fail)

function leadText({ rules, sha256, version }) {
  const off = rules.filter(({ off }) => off).length
  const hidden = rules.filter(({ not_judged: some }) => some).length
  const nowhere = rules.filter(({ pass, fail, waived, off: isOff }) => !(pass + fail + waived + isOff)).length
  return [
    t('All evaluated hosts comply with {kept} of {rules}.', {
      kept: number(keptRules(rules).length),
      rules: plural(rules.length, 'rule'),
    }),
    off ? t('{rules} off, on all or some hosts.', { rules: plural(off, 'rule') }) : '',
    nowhere ? t('{rules} evaluated on no host.', { rules: plural(nowhere, 'rule') }) : '',
    hidden ? t('Changes of {rules} hide findings.', { rules: plural(hidden, 'rule') }) : '',
    t('A host counts as waived when every finding of the rule on it is waived.'),
    t('Policy {hash}, of release {version}.', { hash: sha256.slice(0, 12), version }),
  ]
    .filter(Boolean)
    .join(' ')
}

/* What was changed of a rule and what that hides, in a few words. */
function changedText(changes, rule) {
  const texts = changes.map(({ field, to, of }) => `${field} ${Array.isArray(to) ? '…' : to}${of ? ` (${of})` : ''}`)
  return [texts.join(', '), hiddenText(rule)].filter(Boolean).join(': ') || NONE
}

export function render({ rules, waived, expired, unused, ...policy }, root) {
  const broken = rules.filter(({ fail }) => fail).length
  root.append(lead(leadText({ rules, ...policy })))
  grid(
    root,
    'compliance',
    rules,
    [
      {
        title: t('Rule'),
        field: 'name',
        minWidth: 150,
        widthGrow: 4,
        responsive: 0,
        headerSortStartingDir: 'asc',
        draw: (name, { rule }) =>
          el('span', {}, link('rule', rule, name), el('br'), el('span', { class: 'hint' }, bdi(rule))),
      },
      {
        title: t('Severity'),
        field: 'severity',
        width: 100,
        responsive: 2,
        draw: (severity) => badge(severity),
        sorter: bySeverity,
      },
      { title: t('Category'), field: 'category', width: 125, responsive: 3, draw: word },
      outcome(t('Fail'), 'fail', { responsive: 0 }),
      outcome(t('Waived'), 'waived', { responsive: 1 }),
      outcome(t('Pass'), 'pass', { responsive: 0 }),
      outcome(t('Not evaluated'), 'unknown', { responsive: 1, minWidth: 110 }),
      outcome(t('Off'), 'off', { responsive: 1 }),
      shareColumn(t('Compliant hosts'), 'share', {
        minWidth: 140,
        widthGrow: 2,
        responsive: 2,
        mutator: (value, rule) => complianceShare(rule),
      }),
      {
        title: t('Changed'),
        field: 'changes',
        minWidth: 120,
        widthGrow: 3,
        responsive: 1,
        headerSort: false,
        optional: true,
        draw: (changes, rule) => bdi(changedText(changes, rule)),
      },
      named(t('Policy'), 'file', { minWidth: 110, responsive: 4 }),
    ],
    {
      open: ({ rule }) => ({ rule }),
      placeholder: t('The policy has no rules.'),
    },
  )
  const waivers = [
    ...waivedPart(waived),
    ...waiversPart(t('Expired waivers, not applied'), expired),
    ...waiversPart(t('Unused waivers'), unused),
  ]
  root.append(el('div', { id: 'waivers' }, waivers))
  return broken
}
