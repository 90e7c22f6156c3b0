/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actions that close most, each with its hosts and findings to take along. */
import { actionsOf } from '../lib/actions.js'
import { badge, bdi, el, findingLink, lead, nameList } from '../lib/dom.js'
import { onChange } from '../lib/filter.js'
import { plural } from '../lib/format.js'
import { copyButton, limitOf, ticketOf } from '../lib/handout.js'
import { t, word } from '../lib/messages.js'
import { viewsOf } from './selection.js'

const SHOWN = 5

function what({ culprit, closes, hosts }) {
  const findings = plural(closes.length, 'finding')
  const where = plural(hosts.length, 'host')
  if (!culprit) return el('span', { class: 'what' }, findingLink(closes[0].group.id, closes[0].title))
  const name = t('Update or replace {factor} {value}', { factor: word(culprit.factor), value: culprit.value })
  return el(
    'span',
    {},
    el('bdi', { class: 'what' }, name),
    ` ${t('on {hosts}: closes {findings}', { hosts: where, findings })}`,
  )
}

function item(action, fleet) {
  const { closes, hosts } = action
  const tickets = () => closes.map(({ group, members }) => ticketOf(group, members, fleet)).join('\n')
  const links = closes.map(({ group, title }) => el('li', {}, findingLink(group.id, title)))
  return el(
    'li',
    {},
    el('div', {}, badge(action.severity), ' ', what(action), ' ', nameList(hosts, hosts.length)),
    action.culprit ? el('ul', {}, links) : null,
    el('p', { class: 'remedy' }, bdi(closes[0].group.remedy)),
    el(
      'p',
      { class: 'copying' },
      limitOf(hosts).option ? copyButton(t('Copy hosts as --limit'), () => limitOf(hosts).option) : null,
      copyButton(t('Copy as Markdown ticket'), tickets),
    ),
  )
}

export function render(unused, root, report) {
  const list = el('ol', { class: 'actions' })
  root.append(lead(t('By severity, number of hosts and novelty of what an action closes. Five at most.')), list)
  const show = (views) => {
    const actions = actionsOf(views)
    list.replaceChildren(...actions.slice(0, SHOWN).map((action) => item(action, report.fleet)))
    return actions.length
  }
  onChange((tests) => show(viewsOf({ ...report, tests })))
  const whole = report.fleet.findings.map((group) => ({
    group,
    severity: group.severity,
    title: group.title,
    members: group.hosts,
  }))
  return show(whole)
}

/* The worst findings stand above, and the page shall not begin with twice the same. */
export const FOLDED = true
