/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens the data of the page, draws its parts, and follows its address. */
import { showComparison } from './detail/compare.js'
import { showFinding } from './detail/finding.js'
import { showHost } from './detail/host.js'
import { ruleDetails } from './detail/rule.js'
import { followColours, redrawCharts } from './lib/chart.js'
import { closeDialog, followDialog, showDialog } from './lib/dialog.js'
import { badge, byId, el } from './lib/dom.js'
import { number } from './lib/format.js'
import { FILTER_KEYS } from './lib/filter.js'
import { t, useLanguage } from './lib/messages.js'
import { useDomain } from './lib/names.js'
import { index } from './lib/model.js'
import { unpack } from './lib/pack.js'
import { followLinks, parse, state } from './lib/state.js'
import { followPrint } from './lib/print.js'
import { fold, openSection, sectionBody } from './lib/fold.js'
import { prepareTables, redrawTables, tablesBuilt, turnTables } from './lib/table.js'
import { applyFilter } from './page/findings.js'
import { followSelection } from './page/selection.js'

function showTrouble(text) {
  byId('trouble').textContent = text
  byId('trouble').hidden = false
}

let before = parse('')

/* Scrolls to a section and gives it the focus, as a link to it does. */
function goTo(section) {
  openSection(section.id)
  section.tabIndex = -1
  section.focus({ preventScroll: true })
  section.scrollIntoView()
}

/* What the address opens: true, if it names anything. */
function open(address, report) {
  const finding = report.groups.get(address.get('finding'))
  const host = report.hosts.get(address.get('host'))
  const other = report.hosts.get(address.get('with'))
  const rule = report.fleet.compliance.rules.find((one) => one.rule === address.get('rule'))
  if (finding) showFinding(finding, report, host && host.host)
  else if (host && other && other !== host) showComparison([host, other], report)
  else if (host && !address.get('with')) showHost(host, report)
  else if (rule) showDialog(badge(rule.severity), rule.name, ruleDetails(rule))
  else return false
  return true
}

function scroll(address, moved) {
  const named = byId(address.get('at') || '')
  if (moved(['at']) && named?.parentElement?.id === 'sections') goTo(named)
  else if (moved(FILTER_KEYS) && !byId('findings').contains(document.activeElement)) byId('findings').scrollIntoView()
}

function follow(report) {
  applyFilter(report)
  const [address, last] = [state(), before]
  before = address
  if (open(address, report)) return
  closeDialog()
  if (['finding', 'host', 'with', 'rule'].some((key) => address.get(key))) {
    showTrouble(t('The address names a finding or host that is not in this report.'))
    return
  }
  scroll(address, (keys) => keys.some((key) => (address.get(key) || '') !== (last.get(key) || '')))
}

function followWidth() {
  let width = innerWidth
  addEventListener('resize', () => {
    if (innerWidth === width) return
    width = innerWidth
    redrawTables()
    redrawCharts()
  })
}

/* The element that the address names, when it holds no state. */
function target() {
  const name = location.hash.slice(1)
  return name && !name.includes('=') ? byId(name) : null
}

/* Each part draws itself into its place and returns the number that its entry of the navigation shows, if any.
   Returns the keys of those that are folded at first: those that export FOLDED say so, others when they found
   nothing. */
function render(parts, report) {
  const folded = []
  for (const [key, part] of Object.entries(parts)) {
    const count = part.render(report.fleet[key], sectionBody(key), report)
    if (part.FOLDED ?? count === 0) folded.push(key)
    if (count === undefined) continue
    document.querySelector(`.sections a[href="#${key}"]`).append(el('span', {}, number(count)))
  }
  return folded
}

/* {probe: what its section exports under a name}, of the sections that do. SETTINGS: names of facts that an operator
   sets; ofHost(data, window in seconds, root): draws above the facts of one host. */
const exportsOf = (parts, { sections }, name) =>
  Object.fromEntries(sections.map(({ key, probe }) => [probe, parts[key][name]]).filter(([, exported]) => exported))

/* parts: {key of the fleet document or of the page: module}, in the order of the page. */
export async function start(parts) {
  useLanguage(document.documentElement.lang, JSON.parse(byId('messages').textContent))
  useDomain(document.documentElement.dataset.domain)
  let fleet
  try {
    fleet = await unpack(byId('fleet').textContent)
  } catch (error) {
    const reason = t('This browser cannot read the data of this report ({reason}).', { reason: error.message })
    showTrouble(`${reason} ${t('The verdict above is complete; a newer browser shows the rest.')}`)
    return
  }
  const report = {
    ...index(fleet),
    settings: exportsOf(parts, fleet, 'SETTINGS'),
    ofHost: exportsOf(parts, fleet, 'ofHost'),
  }
  byId('sections').hidden = false
  document.querySelector('.sections').hidden = false
  prepareTables(fleet.scan.scan_id)
  const folded = render(parts, report)
  followSelection(report)
  followDialog()
  followLinks()
  followColours()
  await tablesBuilt()
  followWidth()
  followPrint()
  fold(folded)
  addEventListener('hashchange', () => {
    openSection(target()?.id)
    follow(report)
  })
  follow(report)
  await turnTables()
  openSection(target()?.id)
  target()?.scrollIntoView()
  document.documentElement.dataset.ready = 'yes'
}
