/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything about one finding. */
import { ageText } from '../lib/age.js'
import { evidenceOf } from '../lib/details.js'
import { showDialog } from '../lib/dialog.js'
import { badge, bdi, el, findingLink, heading, hint, hostName, listed, plainTable, webLink } from '../lib/dom.js'
import { evidence } from '../lib/evidence.js'
import { number, percent, plural } from '../lib/format.js'
import { commandOf, copyButton, limitOf, runbookOf, ticketOf } from '../lib/handout.js'
import { t, word } from '../lib/messages.js'
import { factor } from '../lib/model.js'
import { fragment } from '../lib/state.js'
import { changesText } from '../page/changes.js'
import { ruleDetails } from './rule.js'

const SHOWN_HOSTS = 50

/* What is known of a finding on one host, beneath its own title: filled when it is opened. */
async function fill(body, group, member, report) {
  const found = await evidenceOf(report, group, member.host)
  if (found) {
    body.append(...found.map((item) => evidence(item)))
    if (member.count > found.length) {
      const findings = plural(member.count, 'finding')
      body.append(hint(t('{findings} of this kind on this host; {n} shown.', { findings, n: number(found.length) })))
    }
  } else {
    const { file } = report.hosts.get(member.host)
    body.append(
      hint(t('This page has no room for it. fleet.json has the evidence, {file} all facts of the host.', { file })),
    )
  }
  body.append(el('p', {}, el('a', { href: fragment({ host: member.host }) }, t('All results of this host'))))
}

function hostPart(group, member, report) {
  const { host, severity, title, change } = member
  const about = [
    ...(title === group.title && severity === group.severity ? [] : [' ', badge(severity), ' ', bdi(title)]),
    el('span', { class: 'hint' }, ` ${ageText([member], report.fleet, group)}`),
  ]
  const body = el('div', {})
  const part = el(
    'details',
    { 'data-host': host, ...(change ? { 'data-change': change } : {}) },
    el('summary', {}, hostName(host), about),
    body,
  )
  const open = () => fill(body, group, member, report)
  part.addEventListener('toggle', () => part.open && open(), { once: true })
  return part
}

/* Hosts of a finding: the one that was asked for, then those that are selected, then the others; some at a time. */
function hostParts(group, report, name) {
  const selected = new Set((report.tests.view(group)?.members || []).map(({ host }) => host))
  const rank = ({ host }) => (host === name ? 0 : selected.has(host) ? 1 : 2)
  const members = group.hosts.map((member) => [rank(member), member]).sort(([left], [right]) => left - right)
  const list = el('div', { class: 'members' })
  const more = el('button', { type: 'button', class: 'tool' })
  let shown = 0
  const show = () => {
    const next = members.slice(shown, shown + SHOWN_HOSTS)
    list.append(...next.map(([, member]) => hostPart(group, member, report)))
    shown += next.length
    more.hidden = shown === members.length
    more.textContent = t('Show more of {n} hosts', { n: number(members.length) })
  }
  more.addEventListener('click', show)
  show()
  list.firstElementChild.open = true
  return [list, more]
}

const shareText = (part, all) => `${number(part)} / ${number(all)} (${percent(all ? part / all : 0)})`
export const probability = (p) => (p < 1e-6 ? '< 0.000001' : p.toPrecision(2))

function common(group) {
  if (group.host_count < 2) return []
  const title = heading(t('Common factors of the affected hosts'))
  if (!group.common.length) return [title, hint(t('No statistically significant common factor, or too few hosts.'))]
  const lines = group.common.map((entry) => [
    el(
      'span',
      {},
      bdi(factor(entry)),
      entry.also.length
        ? el('span', { class: 'hint' }, t(' (the same hosts: {others})', { others: entry.also.join(', ') }))
        : '',
    ),
    shareText(entry.affected, entry.affected_of),
    shareText(entry.others, entry.others_of),
    probability(entry.p),
  ])
  return [
    title,
    plainTable([t('Property'), t('Affected hosts'), t('Other hosts'), 'p'], lines, [1, 2, 3]),
    hint(
      t('p: probability that chance alone explains the difference.'),
      ' ',
      t("Fisher's exact test, corrected by Holm's method for all comparisons of this report."),
    ),
  ]
}

/* On how many hosts with and without a kernel or module it is. */
function rollout(group) {
  if (!group.rollout.length) return []
  const lines = group.rollout.map(({ sentence }) => el('li', {}, bdi(sentence)))
  return [
    heading(t('With and without a kernel or module')),
    el('ul', { class: 'rollout' }, ...lines),
    hint(t('Counts, not a cause. Hosts on which the rule was not evaluated are not counted.')),
  ]
}

/* Only these addresses are links. */
export const webAddresses = (references) => references.filter((address) => address.startsWith('https://'))

function references(group) {
  const addresses = webAddresses(group.references)
  const links = addresses.map((address) => webLink(address, address.slice('https://'.length)))
  return addresses.length ? el('p', {}, t('Read more: '), listed(links)) : null
}

/* What a reader takes along: hosts, command, ticket, runbook. */
function handouts(group, { fleet, tests }) {
  const members = tests.view(group)?.members || group.hosts
  const { option, left } = limitOf(members.map(({ host }) => host))
  const command = commandOf(group.remedy)
  const runbook = runbookOf(fleet, group.rule)
  return el(
    'p',
    { class: 'copying' },
    option ? copyButton(t('Copy hosts as --limit'), () => option) : null,
    command ? copyButton(t('Copy the command'), () => command) : null,
    copyButton(t('Copy as Markdown ticket'), () => ticketOf(group, members, fleet)),
    runbook ? webLink(runbook, t('Runbook')) : null,
    left ? hint(t('{hosts} have names that no pattern can hold.', { hosts: plural(left, 'host') })) : null,
  )
}

/* The policy in force as far as this finding depends on it. */
function rulePart(group, { compliance }) {
  const rule = compliance.rules.find((one) => one.rule === group.rule)
  return rule ? [heading(t('Rule: {name}', { name: rule.name })), ruleDetails(rule)] : []
}

/* How many hosts are selected, and what has changed. */
function reachText(group, { tests }) {
  const selected = tests.view(group)?.members.length || 0
  return [
    selected < group.host_count ? t('{n} of them are selected.', { n: number(selected) }) : '',
    group.drift ? t('Since the earlier scan: {changes}.', { changes: changesText(group.drift) }) : '',
  ]
    .filter(Boolean)
    .map((text) => ` ${text}`)
}

/* What explains the finding, and what it explains. */
function relatives(group, { groups }) {
  const cause = groups.get(group.part_of)
  const parts = [...groups.values()].filter((one) => one.part_of === group.id)
  return [
    cause ? el('p', {}, t('part of: '), findingLink(cause.id, cause.title)) : null,
    parts.length ? el('p', {}, t('explains: '), listed(parts.map((one) => findingLink(one.id, one.title)))) : null,
  ]
}

/* name: of the host that the reader comes from; its own title, severity and evidence are shown first. */
export function showFinding(group, report, name) {
  const { fleet } = report
  const own = group.hosts.find(({ host }) => host === name)
  const shown = own || report.tests.view(group) || group
  const hosts = plural(fleet.counts.hosts.total, 'host')
  showDialog(
    el(
      'span',
      {},
      badge(shown.severity),
      ` ${word(group.category)}`,
      own ? el('span', {}, ` ${t('on')} `, hostName(own.host)) : null,
    ),
    shown.title,
    el('p', {}, t('On {n} of {hosts}.', { n: number(group.host_count), hosts }), reachText(group, report)),
    el('p', {}, `${t('Seen')}: ${ageText(own ? [own] : group.hosts, fleet, group)}`),
    relatives(group, report),
    heading(t('What to do')),
    el('p', { class: 'remedy' }, bdi(group.remedy)),
    references(group),
    handouts(group, report),
    common(group),
    rollout(group),
    heading(
      group.host_count === 1 ? t('Evidence') : t('Evidence, worst host first ({n})', { n: number(group.host_count) }),
    ),
    hostParts(group, report, name),
    rulePart(group, fleet),
    heading(t('Identity')),
    el(
      'dl',
      {},
      el('dt', {}, t('rule')),
      el('dd', {}, bdi(group.rule)),
      el('dt', {}, t('signature')),
      el('dd', {}, bdi(group.signature)),
    ),
  )
}
