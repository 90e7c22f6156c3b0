/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything about one finding. */
import { showDialog } from '../lib/dialog.js'
import { badge, bdi, el, heading, hint, listed, plainTable, webLink } from '../lib/dom.js'
import { evidence } from '../lib/evidence.js'
import { number, percent, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { factor } from '../lib/model.js'
import { fragment } from '../lib/state.js'
import { changesText } from '../page/changes.js'

const SHOWN_HOSTS = 100

function hostPart(group, host, place) {
  const title = host.title === group.title ? '' : ` — ${host.title}`
  const body = host.evidence.map((item) => evidence(item))
  if (host.count > host.evidence.length) {
    const findings = plural(host.count, 'finding')
    body.push(
      hint(t('{findings} of this kind on this host; {n} shown.', { findings, n: number(host.evidence.length) })),
    )
  }
  body.push(el('p', {}, el('a', { href: fragment({ host: host.host }) }, t('All results of this host'))))
  const part = el('details', {}, el('summary', {}, bdi(host.host), el('span', {}, title)), body)
  part.open = place === 0
  return part
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
    plainTable(['', t('Affected hosts'), t('Other hosts'), 'p'], lines, [1, 2, 3]),
    hint(
      t('p: probability that chance alone explains the difference.'),
      ' ',
      t("Fisher's exact test, corrected by Holm's method for all comparisons of this report."),
    ),
  ]
}

/* Only these addresses are links. */
export const webAddresses = (references) => references.filter((address) => address.startsWith('https://'))

function references(group) {
  const addresses = webAddresses(group.references)
  const links = addresses.map((address) => webLink(address, address.slice('https://'.length)))
  return addresses.length ? el('p', {}, t('Read more: '), listed(links)) : null
}

export function showFinding(group, { fleet }) {
  const hosts = plural(fleet.counts.hosts.total, 'host')
  const changes = group.drift
    ? ` ${t('Since the earlier scan: {changes}.', { changes: changesText(group.drift) })}`
    : ''
  const shown = group.hosts.slice(0, SHOWN_HOSTS)
  const more = group.hosts.length - shown.length
  showDialog(
    el('span', {}, badge(group.severity), ` ${word(group.category)}`),
    group.title,
    el('p', {}, t('On {n} of {hosts}.', { n: number(group.host_count), hosts }), changes),
    heading(t('What to do')),
    el('p', { class: 'remedy' }, bdi(group.remedy)),
    references(group),
    common(group),
    heading(
      group.host_count === 1 ? t('Evidence') : t('Evidence, worst host first ({n})', { n: number(group.host_count) }),
    ),
    shown.map((host, place) => hostPart(group, host, place)),
    more ? hint(t('{n} more hosts: see fleet.json, or filter the table of hosts.', { n: number(more) })) : null,
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
