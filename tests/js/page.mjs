/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A page for scripts that make elements, without a browser. */
import { createRequire } from 'node:module'

const { parseHTML } = createRequire(new URL('../../.cache/node/package.json', import.meta.url))('linkedom')

/* Makes an empty page the global one, at an address with a fragment; returns its body. */
export function openPage(hash = '') {
  const { document, Node } = parseHTML('<!doctype html><html lang="en"><head></head><body></body></html>')
  const location = { hash }
  const replaceState = (state, title, address) => {
    location.hash = address
  }
  Object.assign(globalThis, { document, Node, location, history: { replaceState } })
  return document.body
}
