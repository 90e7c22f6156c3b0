/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a reader takes along from a finding: the hosts as a pattern of Ansible, a command, a ticket. */
import { el } from './dom.js'
import { plural } from './format.js'
import { t, word } from './messages.js'

/* Names that mean nothing else to a shell or to Ansible. */
const SAFE = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const TICKET_HOSTS = 50
const SHOWN_MS = 2000

/* {option, left}: --limit with the hosts; left: how many have names that cannot stand there. */
export function limitOf(hosts) {
  const safe = hosts.filter((host) => SAFE.test(host))
  return { option: safe.length ? `--limit '${safe.join(',')}'` : '', left: hosts.length - safe.length }
}

/* The command of a remedy, which ends with it; '' when it has none. */
export function commandOf(remedy) {
  const mark = t('First check: {command}', { command: '' }).trim()
  const at = remedy.lastIndexOf(mark)
  return at < 0 ? '' : remedy.slice(at + mark.length).trim()
}

/* Text that Markdown leaves as it is. */
const code = (text) => `\`${text.replaceAll('`', "'").replace(/\s+/g, ' ').trim()}\``

export const runbookOf = ({ runbooks }, rule) =>
  runbooks && runbooks.startsWith('https://') ? runbooks + encodeURIComponent(rule) : ''

/* A finding as a ticket in Markdown. members: hosts {host, title}. What hosts sent stands in code. */
export function ticketOf(group, members, fleet) {
  const names = members.slice(0, TICKET_HOSTS).map(({ host }) => code(host))
  const more = members.length - names.length
  const runbook = runbookOf(fleet, group.rule)
  return [
    `## ${word(group.severity)}: ${code(group.title)}`,
    '',
    `- ${plural(members.length, 'host')}: ${names.join(', ')}${more ? `, +${more}` : ''}`,
    `- ${t('rule')}: ${code(group.rule)}, ${t('signature')}: ${code(group.signature)}`,
    `- ${t('scan')}: ${code(fleet.scan.scan_id)}`,
    ...group.rollout.map(({ sentence }) => `- ${code(sentence)}`),
    ...(runbook ? [`- ${t('Runbook')}: <${runbook}>`] : []),
    '',
    `### ${t('What to do')}`,
    '',
    code(group.remedy),
    '',
  ].join('\n')
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    const field = el('textarea', { readonly: '' })
    field.value = text
    const place = document.querySelector('dialog[open]') || document.body
    place.append(field)
    field.select()
    document.execCommand('copy')
    field.remove()
  }
}

/* A button that copies what make() returns, and says so. */
export function copyButton(name, make) {
  const button = el('button', { type: 'button', class: 'tool' }, name)
  const said = el('span', { role: 'status', class: 'hint' })
  button.addEventListener('click', async (event) => {
    event.stopPropagation()
    await copy(make())
    said.textContent = ` ${t('copied')}`
    setTimeout(() => {
      said.textContent = ''
    }, SHOWN_MS)
  })
  return el('span', { class: 'copies' }, button, said)
}
