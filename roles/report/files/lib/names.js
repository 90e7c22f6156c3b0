/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of hosts as the page shows them: without the domain that nearly all share. */

let domain = ''

/* common: from the first dot on, '' when there is none. */
export const useDomain = (common) => {
  domain = common || ''
}

export const shortName = (host) => (domain && host.endsWith(domain) ? host.slice(0, -domain.length) || host : host)
