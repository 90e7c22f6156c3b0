/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of a search: kernel:6.1, module:acme, severity:error; -word excludes. */

const WORDS = 30
const MODULE = 'module:'

/* {words, without}: what must be in a text, and what must not. */
export function parseSearch(text) {
  const all = text.toLowerCase().split(/\s+/).filter(Boolean).slice(0, WORDS)
  return {
    words: all.filter((word) => !word.startsWith('-')),
    without: all.filter((word) => word.startsWith('-') && word.length > 1).map((word) => word.slice(1)),
  }
}

/* Texts that a word with a prefix finds: the prefix and the value, on a line of its own. */
export const tagged = (tag, value) => `${tag}:${value}`

/* Places of the set bits of a hexadecimal number. */
export function placesOf(mask) {
  const found = []
  for (let digit = 0; digit < mask.length; digit++) {
    const bits = parseInt(mask[mask.length - 1 - digit], 16)
    for (let bit = 0; bit < 4; bit++) if (bits & (1 << bit)) found.push(4 * digit + bit)
  }
  return found
}

/* {word: set of names of hosts} of the words that name a module, by the begin of its name. */
export function moduleHosts({ modules = [], hosts }, words) {
  const found = new Map()
  for (const word of words.filter((one) => one.startsWith(MODULE))) {
    const name = word.slice(MODULE.length)
    const masks = modules.filter(({ module }) => module.toLowerCase().startsWith(name)).map((one) => one.hosts)
    found.set(word, new Set(masks.flatMap(placesOf).map((place) => hosts[place].host)))
  }
  return found
}
