/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language of the page. The English text is the key of a translation. */

let catalog = new Map()
let language = 'en'

/* translations: {English text: text} */
export function useLanguage(name, translations) {
  language = name
  catalog = new Map(Object.entries(translations))
}

export const currentLanguage = () => language

/* For texts of this page, never for what hosts send. {name} in a text stands for a value. */
export function t(text, values = {}) {
  return (catalog.get(text) || text).replace(/\{(\w+)\}/g, (all, name) =>
    Object.hasOwn(values, name) ? values[name] : all,
  )
}

/* A word of the schema: a severity, state, kind or field, with spaces for underscores. */
export const word = (name) => t(name.replaceAll('_', ' '))

/* The text for a number of things: '{n} host' or '{n} hosts'. A translation has one form, under the singular. */
export function countText(count, one, many = one + 's') {
  const key = `{n} ${one}`
  return catalog.has(key) || count === 1 ? key : `{n} ${many}`
}
