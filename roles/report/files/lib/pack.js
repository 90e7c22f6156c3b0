/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data that the page holds packed: JSON as gzip in base64. */
import { byId } from './dom.js'

export async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))
  return new Response(stream).json()
}

const opened = new Map()

/* What the page holds of one host, of a kind: 'evidence' or 'facts'; undefined: it had no room.
   place: of the host in the fleet document; each: hosts of one part. */
export async function detailOf(kind, place, each) {
  const name = `${kind}-${Math.floor(place / each)}`
  const node = byId(name)
  if (!node) return undefined
  if (!opened.has(name)) opened.set(name, unpack(node.textContent))
  return (await opened.get(name))[place % each]
}
