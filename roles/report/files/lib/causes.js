/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Causes of memory growth: who holds it, or that nobody does, with the parts of each beneath. */
import { bdi, el, findingLink, heading, hostLink, plainTable } from './dom.js'
import { bytesPerSecond, NONE, number, plural } from './format.js'
import { t, word } from './messages.js'

const HELD = { yes: () => t('held'), likely: () => t('likely held'), no: () => t('held by nobody') }
const rate = (value) => (value === null ? NONE : `${number(value)}/s`)
const memory = (value) => (value === null ? NONE : bytesPerSecond(value))

const owner = ({ owner, pid, unit }) =>
  bdi(owner + (pid === null ? '' : ` (${pid})`) + (unit === null ? '' : ` ${unit}`))

const parts = (cause) =>
  el(
    'details',
    {},
    el('summary', {}, plural(cause.parts.length, 'part')),
    cause.command === null ? null : el('p', {}, el('code', {}, bdi(cause.command))),
    el('p', {}, bdi(cause.evidence.join('; '))),
    plainTable(
      [t('Kind'), t('Place'), t('Per second'), t('Growth')],
      cause.parts.map((part) => [word(part.what), bdi(part.place), rate(part.per_s), memory(part.bytes_per_s)]),
      [2, 3],
    ),
  )

export function causesTable(root, causes) {
  if (!causes.length) return
  root.append(
    heading(t('Why memory grows')),
    plainTable(
      [t('Host'), t('Kind'), t('Holder'), t('Held'), t('Per second'), t('Growth'), t('Parts')],
      causes.map((cause) => [
        hostLink(cause.host),
        findingLink(cause.finding, word(cause.kind)),
        owner(cause),
        HELD[cause.held](),
        rate(cause.per_s),
        memory(cause.bytes_per_s),
        parts(cause),
      ]),
      [4, 5],
    ),
  )
}
