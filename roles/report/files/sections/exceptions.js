/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel reported in the logs of the hosts. */
import { badge, bdi, el, findingLink, heading, hostLink, hostList, lead, plainTable, webLink } from '../lib/dom.js'
import { minute, NONE, number, plural } from '../lib/format.js'
import { t, word } from '../lib/messages.js'
import { bySeverity } from '../lib/schema.js'
import { figure, grid, short } from '../lib/table.js'
import { timelinePart } from './exceptions/timeline.js'

function leadText(exceptions) {
  if (!exceptions.hosts) return t('No host had its logs read.')
  const kinds = Object.entries(exceptions.kinds).map(([kind, count]) => `${word(kind)} ${number(count)}`)
  return [
    t('Logs of {hosts} were read.', { hosts: plural(exceptions.hosts, 'host') }),
    kinds.length ? t('Reports by kind: {kinds}.', { kinds: kinds.join(', ') }) : t('They have no kernel exception.'),
    exceptions.cut ? plural(exceptions.cut, 'older one is not listed.', 'older ones are not listed.') : '',
  ].join(' ')
}

/* Context and details of an event, a line for each. */
export const factLines = ({ context, details }) =>
  Object.entries({ ...context, ...details })
    .map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('\n')

/* The same function alone may be another bug: the words say what is the same. */
function knownBug(bug) {
  const names = { culprit: t('function'), frames: t('callers'), module: t('module') }
  const same = bug.matched_by.map((part) => names[part]).join(', ')
  return [
    webLink(bug.references[0], bdi(bug.subject)),
    same ? t(' (possible: same {parts})', { parts: same }) : t(' (possible)'),
    bug.affected ? t(', this kernel lacks the fix') : '',
    bug.fixed.length ? t(', fixed in {releases}', { releases: bug.fixed.join(', ') }) : '',
    el('br'),
  ]
}

/* The function to blame, and the way to it: 'in X, called by Y, called by Z'. */
function wayIn({ culprit, called_by: callers }) {
  if (!culprit) return null
  const names = [t('in {function}', { function: culprit })]
  for (const caller of callers || []) names.push(t('called by {function}', { function: caller }))
  return el('div', { class: 'hint' }, bdi(names.join(', ')))
}

function lastSeen(value, event) {
  if (!event.in_window) return minute(value)
  return el('span', {}, minute(value), el('br'), el('strong', {}, t('during this scan')))
}

function excerpt(text, event) {
  const facts = factLines(event)
  const lines = text.split('\n').length
  return el(
    'details',
    {},
    el('summary', {}, plural(lines, 'line')),
    facts ? el('pre', {}, facts) : null,
    el('pre', {}, text),
  )
}

const columns = () => [
  {
    title: t('Severity'),
    field: 'severity',
    width: 100,
    responsive: 0,
    draw: (severity) => (severity ? badge(severity) : NONE),
    sorter: bySeverity,
  },
  {
    title: t('Exception'),
    field: 'title',
    minWidth: 180,
    widthGrow: 6,
    responsive: 0,
    draw: (title, event) => el('div', {}, findingLink(event.finding, title), wayIn(event)),
  },
  {
    title: t('Known bug'),
    field: 'known',
    optional: true,
    minWidth: 150,
    widthGrow: 2,
    responsive: 3,
    headerSort: false,
    draw: (bugs) => el('span', {}, (bugs || []).flatMap(knownBug)),
  },
  { title: t('Kind'), field: 'kind', minWidth: 110, responsive: 4, draw: word },
  figure(t('Times'), 'count', number, { width: 85, responsive: 2, widthGrow: 0 }),
  { title: t('Last seen (UTC)'), field: 'last_seen', width: 150, responsive: 2, draw: lastSeen },
  { title: t('First seen (UTC)'), field: 'first_seen', width: 150, responsive: 6, draw: minute },
  {
    title: t('Where'),
    field: 'host_count',
    minWidth: 160,
    widthGrow: 2,
    responsive: 3,
    sorter: 'number',
    draw: (count, { hosts }) => hostList(hosts, count),
  },
  {
    title: t('Excerpt'),
    field: 'excerpt',
    minWidth: 120,
    widthGrow: 2,
    responsive: 5,
    headerSort: false,
    draw: excerpt,
  },
]

function notesPart(notes) {
  if (!notes.length) return []
  const lines = notes.map(({ host, topic, text }) => [hostLink(host), word(topic), bdi(text)])
  return [heading(t('Host health')), plainTable([t('Host'), t('Topic'), t('Detail')], lines)]
}

function unreadPart(unread) {
  if (!unread.length) return []
  const lines = unread.map(({ source, reason, hosts }) => [bdi(source), bdi(reason), number(hosts)])
  return [heading(t('Unreadable logs')), plainTable([t('Source'), t('Reason'), t('Hosts')], lines, [2])]
}

export function render(exceptions, root, report) {
  root.append(lead(leadText(exceptions)))
  timelinePart(exceptions.events, root, report)
  grid(root, 'exceptions', exceptions.events, columns(), {
    ...short(exceptions.events),
    open: ({ finding }) => ({ finding }),
    placeholder: exceptions.hosts ? t('No kernel exception was found.') : t('No log was read.'),
  })
  root.append(...notesPart(exceptions.notes || []), ...unreadPart(exceptions.unread))
  return exceptions.events.length
}
