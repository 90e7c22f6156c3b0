/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evidence and facts of single hosts. */
import { detailOf } from './pack.js'

const EVIDENCE_HOSTS = 64
const FACTS_HOSTS = 16

/* Evidence of a finding on a host, a list; undefined: the page has no room for it. */
export async function evidenceOf(report, group, name) {
  const found = await detailOf('evidence', report.places.get(name), EVIDENCE_HOSTS)
  return found && found[group.id]
}

/* {modules, probes: {name: data}} of a host; undefined: the page has no room for it, null: its file cannot be read. */
export const factsOf = (report, name) => detailOf('facts', report.places.get(name), FACTS_HOSTS)
