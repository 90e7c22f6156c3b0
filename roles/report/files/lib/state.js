/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of the page is in its address, so that a link shows what its sender saw. */

/* Returns the parameters with changes; empty values are removed. */
export function changed(parameters, changes) {
  const next = new URLSearchParams(parameters)
  for (const [key, value] of [...next]) if (!value) next.delete(key)
  for (const [key, value] of Object.entries(changes)) {
    if (value) next.set(key, value)
    else next.delete(key)
  }
  return next
}

export const parse = (hash) => new URLSearchParams(hash.replace(/^#/, ''))
export const fragment = (values) => `#${new URLSearchParams(values)}`

export const state = () => parse(location.hash)
/* Changes the address, as a click on a link does. */
export const go = (changes) => {
  location.hash = changed(state(), changes).toString()
}
/* Changes the address without a step back in the history. */
export const keep = (changes) => history.replaceState(null, '', `#${changed(state(), changes)}`)

/* The address to which a link leads from another one: a filter stays, what is open closes.
   own: the link's address; '#hosts', of a section, becomes a place of the page. */
export function merged(parameters, own) {
  const changes = own.includes('=') ? Object.fromEntries(parse(own)) : { at: own.replace(/^#/, '') }
  return `#${changed(parameters, { finding: '', host: '', with: '', rule: '', at: '', ...changes })}`
}

/* Gives a link of the page the whole address before the browser follows, copies or shows it. */
function complete(event) {
  const anchor = event.target.closest?.('a[href^="#"]')
  if (!anchor) return
  anchor.dataset.own ??= anchor.getAttribute('href')
  anchor.setAttribute('href', merged(state(), anchor.dataset.own))
}

export function followLinks() {
  for (const kind of ['pointerdown', 'focusin', 'contextmenu', 'click']) addEventListener(kind, complete, true)
}

/* {table: page} of the tables that an address turns to another page than the first. */
export function pagesOf(parameters) {
  const named = [...parameters].filter(([key, page]) => key.startsWith('page.') && page > 1)
  return new Map(named.map(([key, page]) => [key.slice(5), Math.floor(page)]))
}

/* [column, direction] by which an address sorts a table; the column is null when it has none such. */
export function sortOf(parameters, table, columns) {
  const [column, direction] = (parameters.get(`sort.${table}`) || '').split(':')
  return [columns.includes(column) ? column : null, direction === 'asc' ? 'asc' : 'desc']
}
