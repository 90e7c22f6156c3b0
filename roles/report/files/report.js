/* SPDX-License-Identifier: GPL-3.0-or-later */
/* global Tabulator, uPlot */
/* What hosts sent reaches the page as text nodes only: never as HTML, an attribute that runs, or an address. */
(async () => {
  'use strict'

  const SEVERITIES = ['fatal', 'critical', 'error', 'warning', 'info']
  const CHANGES = ['new', 'worse', 'unchanged', 'better', 'resolved', 'rebooted', 'not_measured_now', 'not_measured_before']
  const PAGE_ROWS = 20
  const byId = (id) => document.getElementById(id)

  function el (tag, attributes, ...children) {
    const node = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value)
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child)
    return node
  }

  // --- language: the English text is the key ---------------------------------------------------------------------------
  const messages = new Map(Object.entries(JSON.parse(byId('messages').textContent)))
  const language = document.documentElement.lang
  /* For texts of this page and words of its schema, never for what hosts send. */
  const t = (text, values = {}) => (messages.get(text) || text).replace(/\{(\w+)\}/g, (all, name) => Object.hasOwn(values, name) ? values[name] : all)

  function complain (text) {
    byId('trouble').textContent = text
    byId('trouble').hidden = false
  }

  async function unpack (text) {
    const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0))
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))
    return new Response(stream).json()
  }

  // --- numbers for people ---------------------------------------------------------------------------------------------
  const integer = new Intl.NumberFormat(language, { maximumFractionDigits: 0 })
  const decimal = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 })
  const number = (value) => value === null || value === undefined ? '–' : (Number.isInteger(value) ? integer : decimal).format(value)
  const plural = (count, one, many) => t(messages.has(`{n} ${one}`) ? `{n} ${one}` : `{n} ${count === 1 ? one : many || one + 's'}`, { n: number(count) })

  function scaled (value, base, units) {
    if (value === null || value === undefined) return '–'
    let unit = 0
    while (Math.abs(value) >= base && unit < units.length - 1) { value /= base; unit++ }
    return `${decimal.format(value)} ${units[unit]}`
  }
  const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])
  const micros = (value) => value >= 1e6 ? `${decimal.format(value / 1e6)} s` : scaled(value, 1000, ['µs', 'ms'])
  const seconds = (value) => value === null || value === undefined ? '–' : value && value < 1 ? `${decimal.format(value * 1000)} ms` : value >= 172800 ? `${decimal.format(value / 86400)} d` : value >= 7200 ? `${decimal.format(value / 3600)} h` : `${decimal.format(value)} s`
  const percent = (value) => value === null || value === undefined ? '–' : `${value && Math.abs(value) < 0.0005 ? '< 0.1' : decimal.format(value * 100)} %`
  const instant = (value) => value ? `${value.slice(0, 16).replace('T', ' ')} UTC` : '–'

  const UNITS = [[/bytes_per_s$/, (value) => `${bytes(value)}/s`], [/bytes(_|$)/, bytes], [/_us$/, micros], [/_s$/, seconds], [/share$/, percent]]
  const percentileName = (name) => /^p\d+$/.test(name)

  function measured (name, value, inMicros) {
    const unit = UNITS.find(([pattern]) => pattern.test(name))
    if (unit) return unit[1](value)
    if (['pid', 'irq'].includes(name)) return String(value) // names, no quantities
    return inMicros && percentileName(name) ? micros(value) : number(value)
  }

  // --- small parts ----------------------------------------------------------------------------------------------------
  const badge = (severity) => el('span', { class: `badge is-${SEVERITIES.includes(severity) ? severity : 'unknown'}` }, t(severity))
  const link = (key, value, text) => el('a', { href: `#${new URLSearchParams({ [key]: value })}`, class: `to-${key}` }, el('bdi', {}, text))
  const label = (name) => t(name.replace(/(_bytes_per_s|_us|_s|_bytes)$/, '').replaceAll('_', ' '))

  function shareBar (value) {
    if (value === null || value === undefined) return document.createTextNode('–')
    const fill = el('i')
    fill.style.width = `${Math.min(100, value * 100)}%`
    return el('span', {}, el('span', { class: 'share', 'aria-hidden': 'true' }, fill), percent(value))
  }

  /* Shows any evidence: its shape is the policy's business. */
  function evidence (value, name = '', inMicros = false) {
    if (value === null || value === undefined) return document.createTextNode('–')
    if (typeof value === 'number') return el('span', { title: String(value) }, measured(name, value, inMicros))
    if (typeof value === 'boolean') return document.createTextNode(t(value ? 'yes' : 'no'))
    if (typeof value === 'string') return name === 'excerpt' ? el('pre', {}, value) : el('bdi', {}, value || '–')
    if (Array.isArray(value)) {
      if (!value.length) return document.createTextNode('–')
      if (value.every((item) => typeof item !== 'object')) return ['stack', 'trace'].includes(name) ? el('pre', {}, value.join('\n')) : el('bdi', {}, value.join(', '))
      return rows(value.filter((item) => item && typeof item === 'object' && !Array.isArray(item)))
    }
    const list = el('dl')
    for (const [key, item] of Object.entries(value)) {
      list.append(el('dt', {}, label(key)), el('dd', {}, evidence(item, key, /_us/.test(name))))
    }
    return list
  }

  function rows (items) {
    const names = [...new Set(items.flatMap((item) => Object.keys(item)))]
    const cell = (item, name) => typeof item[name] === 'object' && item[name] && !Array.isArray(item[name])
      ? el('bdi', {}, Object.entries(item[name]).map(([key, value]) => `${label(key)} ${typeof value === 'number' ? measured(key, value) : value ?? '–'}`).join(', '))
      : evidence(item[name], name)
    return table(names.map(label), items.map((item) => names.map((name) => cell(item, name))))
  }

  function table (heads, lines, numeric = []) {
    const kind = (place) => numeric.includes(place) ? { class: 'number' } : {}
    const head = el('tr', {}, heads.map((text, place) => el('th', { scope: 'col', ...kind(place) }, t(text))))
    const body = lines.map((line) => el('tr', {}, line.map((item, place) => el('td', kind(place), item))))
    return el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('Table') }, el('table', { class: 'plain' }, el('thead', {}, head), el('tbody', {}, body)))
  }

  // --- CSV of what is seen ----------------------------------------------------------------------------------------------
  /* One line that no spreadsheet takes for a formula: what could be one begins with an apostrophe. */
  function neutral (text) {
    const line = text.replace(/\s+/g, ' ').trim()
    return `"${(/^[=+\-@|%\uff1d\uff0b\uff0d\uff20]/.test(line) ? `'${line}` : line).replaceAll('"', '""')}"`
  }

  function saveCsv (name, made, columns) {
    const lines = made.getRows('active').map((row) => columns.map(({ field, draw }) => {
      const data = row.getData()
      const drawn = draw ? draw(data[field], data) : data[field]
      const text = drawn instanceof Node ? drawn.textContent : drawn === null || drawn === undefined ? '' : String(drawn)
      return neutral(text)
    }).join(','))
    const text = '\ufeff' + [columns.map(({ title }) => neutral(t(title))).join(','), ...lines].join('\r\n') + '\r\n'
    const link = el('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/csv' })), download: `${fleet.scan.scan_id}-${name}.csv` })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60000)
  }

  const PAGING = {
    first: t('First'), first_title: t('First page'), last: t('Last'), last_title: t('Last page'), prev: t('Previous'), prev_title: t('Previous page'),
    next: t('Next'), next_title: t('Next page'), page_size: t('Rows'), page_title: t('Show page'), all: t('All'),
    counter: { showing: t('Showing'), of: t('of'), rows: t('rows'), pages: t('pages') }
  }
  /* Tabulator's headers sort by mouse alone, and its holder takes the focus for scrolling that our tables do not have.
     Its pages are turned by buttons, which have no place inside of a grid. */
  function reachable (table) {
    table.querySelector('.tabulator-tableholder').removeAttribute('tabindex')
    const footer = table.querySelector('.tabulator-footer')
    if (footer) table.after(el('div', { class: 'tabulator' }, footer))
    for (const head of table.querySelectorAll('.tabulator-col.tabulator-sortable')) {
      head.tabIndex = 0
      head.addEventListener('keydown', (event) => { if (['Enter', ' '].includes(event.key)) { event.preventDefault(); head.click() } })
    }
  }

  const built = []
  const tables = []
  const turned = [] // what turns tables to the pages that the address names

  /* Columns: {title, field, draw(value, row) → node or text, …}. A cell without draw would be HTML to Tabulator. */
  function grid (id, data, columns, options = {}) {
    const { open, ...rest } = options
    const name = id.replace(/-table$/, '')
    const least = ({ width = 0, minWidth = 40 }) => Math.max(width, minWidth)
    const room = (fixed) => columns.filter(({ responsive, width }) => responsive === 0 && Boolean(width) === fixed).reduce((sum, column) => sum + least(column), 0)
    const squeeze = Math.min(1, (byId(id).clientWidth - room(true)) / room(false)) // on a narrow screen nothing that always shows is cut
    const [sorted, direction] = (state().get(`sort.${name}`) || '').split(':')
    const made = new Tabulator(byId(id), {
      data,
      initialSort: columns.some((column) => column.field === sorted) ? [{ column: sorted, dir: direction === 'asc' ? 'asc' : 'desc' }] : [],
      columns: columns.map(({ draw, title, ...column }) => ({
        title: t(title),
        formatter: (cell) => {
          const drawn = draw ? draw(cell.getValue(), cell.getData()) : cell.getValue()
          return drawn instanceof Node ? drawn : document.createTextNode(drawn === null || drawn === undefined ? '–' : String(drawn))
        },
        sorterParams: { alignEmptyValues: 'bottom' },
        ...column,
        ...(column.responsive === 0 && !column.width ? { minWidth: Math.floor(least(column) * squeeze) } : {})
      })),
      columnDefaults: { resizable: false, headerSortStartingDir: 'desc', vertAlign: 'top' },
      layout: 'fitColumns',
      responsiveLayout: 'hide',
      pagination: data.length > PAGE_ROWS,
      paginationSize: PAGE_ROWS,
      paginationCounter: 'rows',
      placeholder: t('Nothing to show.'),
      langs: { [language]: { pagination: PAGING } },
      locale: language,
      nestedFieldSeparator: false,
      renderVertical: 'basic', // a page of rows needs no scrolling of its own
      autoResize: false, // it draws rows anew when they are scrolled to, and a click in that moment is lost
      ...rest,
      ...(rest.placeholder ? { placeholder: t(rest.placeholder) } : {})
    })
    tables.push(made)
    built.push(new Promise((resolve) => made.on('tableBuilt', () => { reachable(byId(id)); resolve() })))
    if (pages.has(name)) turned.push(() => made.setPage(Math.min(pages.get(name), made.getPageMax() || 1)))
    made.on('dataSorted', (sorters) => {
      const said = sorters.length ? `${sorters[0].field}:${sorters[0].dir}` : ''
      if ((state().get(`sort.${name}`) || '') !== said) keep({ [`sort.${name}`]: said })
    })
    made.on('renderComplete', () => { // a filter turns to the first page without a word
      const page = made.getPage() > 1 ? String(made.getPage()) : ''
      if ((state().get(`page.${name}`) || '') !== page) keep({ [`page.${name}`]: page })
    })
    if (data.length) {
      const save = el('button', { type: 'button', class: 'tool' }, t('Save what is seen as CSV'))
      save.addEventListener('click', () => saveCsv(name, made, columns))
      byId(id).after(el('p', { class: 'tools' }, save))
    }
    if (open) {
      byId(id).classList.add('opens')
      made.on('rowClick', (event, row) => { if (!event.target.closest('a, details')) go(open(row.getData())) })
    }
    return made
  }
  const tenRows = (data) => ({ paginationSize: 10, pagination: data.length > 10 })
  const figure = (title, field, draw, more) => ({ title, field, draw, hozAlign: 'right', headerHozAlign: 'right', cssClass: 'number', sorter: 'number', minWidth: 90, widthGrow: 1, ...more })

  // --- state in the address -------------------------------------------------------------------------------------------
  const state = () => new URLSearchParams(location.hash.slice(1))
  const pages = new Map([...state()].filter(([key, page]) => key.startsWith('page.') && page > 1).map(([key, page]) => [key.slice(5), Math.floor(page)]))
  function go (changes) {
    const next = state()
    for (const [key, value] of [...next]) if (!value) next.delete(key)
    for (const [key, value] of Object.entries(changes)) if (value) next.set(key, value); else next.delete(key)
    location.hash = next.toString()
  }
  /* Changes the address without a step back in the history. */
  function keep (changes) {
    const next = state()
    for (const [key, value] of [...next]) if (!value) next.delete(key)
    for (const [key, value] of Object.entries(changes)) if (value) next.set(key, value); else next.delete(key)
    history.replaceState(null, '', `#${next}`)
  }

  let fleet
  try {
    fleet = await unpack(byId('fleet').textContent)
  } catch (error) {
    complain(t('The data of this report cannot be read by this browser ({reason}). The verdict above is complete; a newer browser shows the rest.', { reason: error.message }))
    return
  }
  const groups = new Map(fleet.findings.map((group) => [group.id, group]))
  const hosts = new Map(fleet.hosts.map((host) => [host.host, host]))
  const rank = (left, right) => SEVERITIES.indexOf(right) - SEVERITIES.indexOf(left)
  byId('sections').hidden = false
  document.querySelector('.sections').hidden = false

  const hostList = (list, total) => {
    const shown = list.slice(0, 3).flatMap((host, place) => [place ? ', ' : '', link('host', host.host, host.host)])
    return el('span', {}, shown, total > 3 ? t(', … {n} in all', { n: number(total) }) : '')
  }

  // --- findings -------------------------------------------------------------------------------------------------------
  const factor = (entry) => `${t(entry.factor.replaceAll('_', ' '))} ${entry.value}`
  const search = new Map(fleet.findings.map((group) => [group.id,
    [group.title, group.category, group.severity, group.signature, group.rule, ...group.common.map(factor), ...group.hosts.map((host) => host.host)].join('\n').toLowerCase()]))
  const findings = grid('findings-table', fleet.findings, [
    { title: 'Severity', field: 'severity', width: 100, responsive: 0, draw: badge, sorter: rank },
    { title: 'What', field: 'title', minWidth: 190, widthGrow: 6, responsive: 0, draw: (title, group) => link('finding', group.id, title) },
    { title: 'Category', field: 'category', width: 125, responsive: 3, draw: (category) => t(category) },
    { title: 'Where', field: 'host_count', minWidth: 170, widthGrow: 3, responsive: 2, sorter: 'number', draw: (count, group) => hostList(group.hosts, count) },
    figure('Hosts', 'host_count', number, { width: 85, responsive: 1, widthGrow: 0 }),
    { title: 'In common', field: 'common', minWidth: 150, widthGrow: 2, responsive: 4, headerSort: false, draw: (common) => common.length ? el('bdi', {}, factor(common[0])) : '–' },
    ...(fleet.drift ? [{ title: 'Since', field: 'drift', minWidth: 110, widthGrow: 1, responsive: 4, headerSort: false, draw: (counts) => changesOf(counts) }] : [])
  ], { open: (group) => ({ finding: group.id }), placeholder: fleet.findings.length ? 'No finding matches the filter.' : 'No findings.' })
  function changesOf (counts) {
    return counts ? CHANGES.filter((change) => counts[change]).map((change) => `${number(counts[change])} ${t(change)}`).join(', ') || '–' : '–'
  }

  // --- map: hosts by category -------------------------------------------------------------------------------------------
  const categories = [...new Set(fleet.findings.map((group) => group.category))].sort()
  const byHost = new Map()
  for (const group of fleet.findings) {
    for (const member of group.hosts) {
      if (!byHost.has(member.host)) byHost.set(member.host, [])
      byHost.get(member.host).push({ group, severity: member.severity })
    }
  }
  const place = (severity) => SEVERITIES.indexOf(severity)
  const mapped = fleet.hosts.filter((host) => byHost.has(host.host)).map((host) => {
    const row = { host: host.host }
    for (const category of categories) {
      const found = byHost.get(host.host).filter(({ group }) => group.category === category)
      row[category] = found.length ? { severity: found.map(({ severity }) => severity).reduce((one, other) => place(one) <= place(other) ? one : other), count: found.length } : null
    }
    return row
  })
  const heat = (value, row, category) => value
    ? el('a', { class: `heat is-${value.severity}`, href: `#${new URLSearchParams({ category, q: row.host })}` }, t(value.severity), value.count > 1 ? ` × ${number(value.count)}` : '')
    : ''
  const order = (value) => value ? (SEVERITIES.length - place(value.severity)) * 1000 + value.count : 0
  const map = grid('map-table', mapped, [
    { title: 'Host', field: 'host', minWidth: 130, widthGrow: 2, responsive: 0, headerSortStartingDir: 'asc', draw: (name) => link('host', name, name) },
    ...categories.map((category) => ({ title: category, field: category, minWidth: 105, widthGrow: 1, responsive: 1, cssClass: 'heated', draw: (value, row) => heat(value, row, category), sorter: (left, right) => order(left) - order(right) }))
  ], {
    placeholder: mapped.length ? 'No host matches the filter.' : 'No findings.',
    responsiveLayout: 'collapse', // what has no room of its own stands below, or a host would look better than it is
    responsiveLayoutCollapseFormatter: (cells) => el('p', { class: 'folded', role: 'gridcell' }, cells.filter(({ value }) => value.textContent).map(({ title, value }) => el('span', {}, `${title} `, value)))
  })

  // --- changes ------------------------------------------------------------------------------------------------------------
  const drift = fleet.drift
  let changes = null
  if (drift) {
    const gone = [[drift.hosts_added_count, 'host was not in it', 'hosts were not in it'], [drift.hosts_removed_count, 'host is gone', 'hosts are gone'],
      [drift.rebooted_count, 'host was started anew', 'hosts were started anew'], [drift.kernels_count, 'host runs another kernel', 'hosts run another kernel']]
    byId('changes-lead').textContent = t('Compared with the scan {scan} of {at} ({hosts}). Both scans are judged by the same policy.', { scan: drift.baseline.scan_id, at: instant(drift.baseline.started_at), hosts: plural(drift.baseline.hosts, 'host') }) +
      gone.filter(([count]) => count).map(([count, one, many]) => ` ${t('{said}.', { said: plural(count, one, many) })}`).join('')
    changes = grid('changes-table', drift.groups, [
      { title: 'Severity', field: 'severity', width: 100, responsive: 0, draw: badge, sorter: rank },
      { title: 'What', field: 'title', minWidth: 190, widthGrow: 5, responsive: 0, draw: (title, entry) => entry.finding ? link('finding', entry.finding, title) : el('bdi', {}, title) },
      { title: 'Changes, by hosts', field: 'counts', minWidth: 150, widthGrow: 3, responsive: 0, headerSort: false, draw: changesOf },
      { title: 'Where', field: 'hosts', minWidth: 200, widthGrow: 4, responsive: 2, headerSort: false, draw: (names) => el('span', {}, CHANGES.filter((change) => names[change]).map((change) => el('div', {}, `${t(change)}: `, names[change].slice(0, 3).flatMap((name, at) => [at ? ', ' : '', hosts.has(name) ? link('host', name, name) : el('bdi', {}, name)]), names[change].length > 3 ? ', …' : ''))) }
    ], { open: (entry) => ({ finding: entry.finding }), placeholder: drift.groups.length ? 'No change matches the filter.' : 'No finding then or now.' })
    const lists = [['Hosts that were not in it', drift.hosts_added], ['Hosts that are gone', drift.hosts_removed], ['Hosts that were started anew', drift.rebooted], ['Hosts that run another kernel', drift.kernels.map((change) => `${change.host}: ${change.before} → ${change.now || '–'}`)]]
    byId('changes-hosts').append(...lists.filter(([, names]) => names.length).map(([title, names]) => el('details', {}, el('summary', {}, t(title)), el('p', {}, el('bdi', {}, names.join(', '))))))
  } else {
    byId('changes-lead').textContent = t('There is no earlier scan to compare with. Name one with ksysak_baseline, or the folder of all results for the last one before this.')
  }

  // --- the filter, for findings, map, changes and hosts ---------------------------------------------------------------------
  const chips = [...document.querySelectorAll('.chip')]
  const selects = [...document.querySelectorAll('.filter select')]
  const offered = { category: categories, group: [...new Set(fleet.hosts.flatMap((host) => host.groups))].sort(), change: CHANGES }
  for (const select of selects) {
    const said = select.dataset.key === 'group' ? (value) => value : t
    select.append(...offered[select.dataset.key].map((value) => el('option', { value }, said(value))))
    select.addEventListener('change', () => { keep({ [select.dataset.key]: select.value }); filter() })
  }
  const known = new Map(fleet.hosts.map((host) => [host.host, [host.host, host.state, host.reason, ...host.groups, ...(host.system ? [host.system.kernel, host.system.distribution] : [])].join('\n').toLowerCase()]))
  let hostTable = null
  let later = 0
  /* typing: the tables further down wait until the keyboard rests. */
  function filter (typing = false) {
    const now = state()
    const wanted = (now.get('severity') || '').split(',').filter((severity) => SEVERITIES.includes(severity))
    const words = (now.get('q') || '').toLowerCase().split(/\s+/).filter(Boolean)
    const [category, group, change] = ['category', 'group', 'change'].map((key) => now.get(key) || '')
    const members = group ? new Set(fleet.hosts.filter((host) => host.groups.includes(group)).map((host) => host.host)) : null
    const narrow = (one) => (!wanted.length || wanted.includes(one.severity)) && (!category || one.category === category)
    const fits = (one) => narrow(one) && words.every((word) => search.get(one.id).includes(word)) && (!members || one.hosts.some((host) => members.has(host.host))) && (!change || !drift || (one.drift && one.drift[change] > 0))
    const fitting = new Set(fleet.findings.filter(fits).map((one) => one.id))
    const active = wanted.length || words.length || category || group || change
    const ofHost = (name) => (byHost.get(name) || []).filter((one) => fitting.has(one.group.id) && (!wanted.length || wanted.includes(one.severity)))
    const hostFits = (host) => (!members || members.has(host.host)) && (!(wanted.length || category || change) || ofHost(host.host).length > 0) && (words.every((word) => known.get(host.host).includes(word)) || ofHost(host.host).length > 0)
    const set = (table, test) => { if (table) { if (active) table.setFilter(test); else if (table.getFilters().length) table.clearFilter() } }
    set(findings, (one) => fitting.has(one.id))
    const others = () => {
      set(map, (row) => (!members || members.has(row.host)) && ofHost(row.host).length > 0)
      set(changes, (entry) => narrow(entry) && (!change || entry.counts[change] > 0) && words.every((word) => `${entry.title}\n${entry.signature}\n${Object.values(entry.hosts).flat().join('\n')}`.toLowerCase().includes(word)) && (!members || Object.values(entry.hosts).flat().some((name) => members.has(name))))
      set(hostTable, hostFits)
    }
    clearTimeout(later)
    if (typing) later = setTimeout(others, 250); else others()
    for (const chip of chips) chip.setAttribute('aria-pressed', String(wanted.includes(chip.dataset.severity)))
    for (const select of selects) select.value = now.get(select.dataset.key) || ''
    if (document.activeElement !== byId('q')) byId('q').value = now.get('q') || ''
    byId('shown').textContent = active ? t('{n} of {all}', { n: number(fitting.size), all: plural(fleet.findings.length, 'finding') }) : ''
  }
  for (const chip of chips) {
    chip.addEventListener('click', () => {
      const wanted = new Set((state().get('severity') || '').split(',').filter(Boolean))
      if (!wanted.delete(chip.dataset.severity)) wanted.add(chip.dataset.severity)
      go({ severity: [...wanted].join(',') })
    })
  }
  document.querySelector('.filter').addEventListener('submit', (event) => event.preventDefault())
  byId('q').addEventListener('input', () => {
    keep({ q: byId('q').value.trim() })
    filter(true)
  })

  // --- one finding, one host ------------------------------------------------------------------------------------------
  const dialog = byId('detail')
  function show (over, title, ...parts) {
    const close = el('button', { type: 'button', class: 'close' }, t('Close'))
    close.addEventListener('click', () => dialog.close())
    dialog.firstElementChild.replaceChildren(
      el('div', { class: 'head' }, el('div', {}, over, el('h2', { id: 'detail-title' }, el('bdi', {}, title))), close), ...parts.filter(Boolean))
    if (!dialog.open) dialog.showModal()
    dialog.scrollTop = 0
  }
  dialog.addEventListener('close', () => keep({ finding: '', host: '' }))
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close() })

  function showFinding (group) {
    const where = group.hosts.map((host, place) => {
      const head = el('summary', {}, el('bdi', {}, host.host), el('span', {}, host.title === group.title ? '' : ` — ${host.title}`))
      const body = host.evidence.map((item) => evidence(item))
      if (host.count > host.evidence.length) body.push(el('p', { class: 'hint' }, t('{findings} of this kind on this host; {n} shown.', { findings: plural(host.count, 'finding'), n: number(host.evidence.length) })))
      body.push(el('p', {}, el('a', { href: `#${new URLSearchParams({ host: host.host })}` }, t('Everything about this host'))))
      const part = el('details', {}, head, body)
      part.open = place === 0
      return part
    })
    const references = group.references.filter((address) => address.startsWith('https://'))
    show(el('span', {}, badge(group.severity), ` ${t(group.category)}`), group.title,
      el('p', {}, t('On {n} of {hosts}.', { n: number(group.host_count), hosts: plural(fleet.counts.hosts.total, 'host') }), group.drift ? ` ${t('Since the earlier scan: {changes}.', { changes: changesOf(group.drift) })}` : ''),
      el('h3', {}, t('What to do')), el('p', { class: 'remedy' }, el('bdi', {}, group.remedy)),
      references.length ? el('p', {}, t('Read more: '), references.flatMap((address, place) => [place ? ', ' : '', el('a', { href: address, rel: 'noopener noreferrer', target: '_blank' }, address.slice(8))])) : null,
      ...commonOf(group),
      el('h3', {}, group.host_count === 1 ? t('Evidence') : t('Evidence, worst host first ({n})', { n: number(group.host_count) })), ...where.slice(0, 100),
      where.length > 100 ? el('p', { class: 'hint' }, t('{n} more hosts: see fleet.json, or filter the table of hosts.', { n: number(where.length - 100) })) : null,
      el('h3', {}, t('Identity')), el('dl', {}, el('dt', {}, t('rule')), el('dd', {}, el('bdi', {}, group.rule)), el('dt', {}, t('signature')), el('dd', {}, el('bdi', {}, group.signature))))
  }

  function commonOf (group) {
    if (group.host_count < 2) return []
    const title = el('h3', {}, t('What these hosts have in common'))
    if (!group.common.length) return [title, el('p', { class: 'hint' }, t('Nothing is surely more common on them than on the others, or there are too few hosts to tell.'))]
    const share = (part, all) => `${number(part)} / ${number(all)} (${percent(all ? part / all : 0)})`
    return [title, table(['', 'Affected hosts', 'Other hosts', 'p'], group.common.map((entry) => [
      el('span', {}, el('bdi', {}, factor(entry)), entry.also.length ? el('span', { class: 'hint' }, t(' (the same hosts: {others})', { others: entry.also.join(', ') })) : ''),
      share(entry.affected, entry.affected_of), share(entry.others, entry.others_of), entry.p < 1e-6 ? '< 0.000001' : entry.p.toPrecision(2)]), [1, 2, 3]),
    el('p', { class: 'hint' }, t('p: how likely so much in common is by chance (Fisher\'s exact test, corrected for all comparisons of this report by Holm\'s method).'))]
  }

  function showHost (host) {
    const found = (byHost.get(host.host) || []).map(({ group }) => group)
    const probes = Object.entries(host.probes).map(([name, probe]) => [el('bdi', {}, name), t(probe.status), el('bdi', { class: 'wide' }, [probe.reason, probe.remedy].filter(Boolean).join(' — ') || (probe.cost.truncated ? t('lists were cut') : '–')),
      el('bdi', {}, probe.engine), seconds(probe.window_s), seconds(probe.cost.cpu_s), bytes(probe.cost.max_rss_bytes), number(probe.cost.lost_events)])
    show(el('span', {}, badge(host.state)), host.host,
      host.reason ? el('p', {}, el('bdi', {}, host.reason)) : null,
      host.groups.length ? el('p', { class: 'hint' }, `${t('Groups')}: `, el('bdi', {}, host.groups.join(', '))) : null,
      el('h3', {}, t('Findings')),
      found.length ? el('ul', {}, found.map((group) => el('li', {}, badge(group.severity), ' ', link('finding', group.id, group.title)))) : el('p', {}, t(host.coverage === 'none' ? 'Nothing was measured here, so nothing could be found.' : 'None.')),
      probes.length ? el('h3', {}, t('Probes')) : null,
      probes.length ? table(['Probe', 'Status', 'Reason and remedy', 'Engine', 'Window', 'CPU time', 'Memory', 'Lost events'], probes) : null,
      host.system ? el('h3', {}, t('System')) : null, host.system ? evidence(host.system) : null,
      host.jitter ? el('h3', {}, t('Jitter')) : null, host.jitter ? evidence(host.jitter) : null)
  }

  function follow () {
    filter()
    const group = groups.get(state().get('finding'))
    const host = hosts.get(state().get('host'))
    if (group) showFinding(group)
    else if (host) showHost(host)
    else {
      if (dialog.open) dialog.close()
      if (state().get('finding') || state().get('host')) complain(t('What this address points to is not in this report.'))
      else if (['severity', 'category', 'change', 'group'].some((key) => state().get(key)) && !byId('findings').contains(document.activeElement)) byId('findings').scrollIntoView()
    }
  }

  // --- leaks ----------------------------------------------------------------------------------------------------------
  const leaks = fleet.leaks
  const suspected = leaks.outstanding.filter((leak) => leak.finding).length
  // Bytes outstanding from the begin to the end of the window; what they were is told in words beside.
  function curve (points) {
    const [width, height] = [150, 28]
    const end = points[points.length - 1][0] || 1
    const most = Math.max(1, ...points.map((point) => point[1]))
    const line = points.map(([at, value]) => `${(at / end * width).toFixed(1)},${(height - 1 - value / most * (height - 2)).toFixed(1)}`).join(' ')
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    const path = document.createElementNS(svg.namespaceURI, 'polyline')
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height, class: 'curve', role: 'img', 'aria-label': t('from 0 to {size} in {time}', { size: bytes(points[points.length - 1][1]), time: seconds(end) }) })) svg.setAttribute(name, value)
    for (const [name, value] of Object.entries({ points: line, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5 })) path.setAttribute(name, value)
    svg.append(path)
    return svg
  }
  byId('leaks-lead').textContent = leaks.hosts
    ? [suspected ? t('{places} suspected of leaking.', { places: plural(suspected, 'call stack is', 'call stacks are') }) : t('No call stack is suspected of leaking.'),
        t('Listed is all kernel memory that was allocated in the window and not freed by its end, on {hosts}; most of it is caches at work. A row\'s stack says why it is a leak, or none.', { hosts: plural(leaks.hosts, 'host') }),
        leaks.cut ? t('{n} smaller entries are not listed.', { n: number(leaks.cut) }) : ''].join(' ')
    : t('No host measured kernel memory.')
  grid('leaks-table', leaks.outstanding, [
    { title: 'Verdict', field: 'finding', width: 100, responsive: 0, headerSort: false, draw: (id, leak) => id ? badge(groups.get(id).severity) : t(leak.verdict) },
    { title: 'Function', field: 'culprit', minWidth: 170, widthGrow: 3, responsive: 0, draw: (name, leak) => leak.finding ? link('finding', leak.finding, name) : el('bdi', {}, name) },
    { title: 'Module', field: 'module', minWidth: 90, widthGrow: 1, responsive: 3, draw: (name) => name === null ? t('kernel') : el('bdi', {}, name) },
    { title: 'Type', field: 'type', width: 90, responsive: 5 },
    figure('Growth, all hosts', 'growth_bytes_per_s', (value) => `${bytes(value)}/s`, { responsive: 0, minWidth: 110 }),
    figure('Not freed', 'bytes_outstanding', bytes, { responsive: 4, minWidth: 115 }),
    figure('Oldest', 'oldest_age_s', seconds, { responsive: 6 }),
    figure('Confidence', 'confidence', percent, { responsive: 3, minWidth: 128 }),
    { title: 'Outstanding over time', field: 'trend', width: 170, responsive: 4, headerSort: false, draw: (points) => points.length > 1 ? curve(points) : '' },
    { title: 'Where', field: 'host_count', minWidth: 150, widthGrow: 2, responsive: 2, sorter: 'number', draw: (count, leak) => hostList(leak.hosts, count) },
    { title: 'Stack of the worst host', field: 'stack', minWidth: 140, widthGrow: 3, responsive: 4, headerSort: false, draw: (stack, leak) => el('details', {}, el('summary', {}, stack.length ? plural(stack.length, 'frame') : t('not captured')), el('p', {}, el('bdi', {}, leak.reasons.join('; '))), el('pre', {}, stack.join('\n') || '–')) }
  ])

  // --- pictures -------------------------------------------------------------------------------------------------------
  const pictures = []
  /* make(color, axis) → [options of uPlot, data]; it is drawn anew when the window or the colours change. */
  function picture (id, make, open) {
    const place = byId(id)
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
    let drawn = null
    const draw = () => {
      if (drawn) drawn.destroy()
      const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') }, font: '12px system-ui, sans-serif' }
      const [options, data] = make(color, axis)
      drawn = new uPlot({ width: place.clientWidth || 600, ...options }, data, place)
      if (open) drawn.over.addEventListener('click', () => { if (drawn.cursor.idx !== null) go(open(drawn.cursor.idx)) })
    }
    draw()
    pictures.push(draw)
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const draw of pictures) draw() })
  const eachDecade = (top, said) => {
    const decades = Array.from({ length: Math.round(Math.log10(top)) + 1 }, (unused, power) => 10 ** power)
    return { size: 62, splits: () => decades, filter: (self, splits) => splits, values: (self, splits) => splits.map(said) }
  }

  // --- jitter ---------------------------------------------------------------------------------------------------------
  const jitter = fleet.jitter
  const traced = Object.values(jitter.histograms).some((histogram) => Object.keys(histogram).length)
  byId('jitter-lead').textContent = jitter.hosts
    ? t('{said}.', { said: t('{waits} of tasks for a CPU on {hosts}; {n} longer than {thresholds}', { waits: plural(jitter.count, 'wait'), hosts: plural(jitter.hosts, 'host'), n: number(jitter.over_threshold), thresholds: jitter.thresholds_us.map(micros).join(' / ') }) +
      (jitter.max_host ? t('; longest {time} on {host}', { time: micros(jitter.max_us), host: jitter.max_host }) : '') })
    : t('No host measured run-queue latency.')
  const buckets = [...new Set(Object.values(jitter.histograms).flatMap((histogram) => Object.keys(histogram).map(Number)))].sort((left, right) => left - right)
  function histogram (color, axis) {
    const series = (wait, tint, align) => ({ label: t(wait === 'wakeup' ? 'after waking up' : 'after losing the CPU'), fill: tint, stroke: tint, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.42, 60], align }), value: (self, value) => value === null ? '–' : integer.format(value) })
    const counts = (wait) => buckets.map((bucket) => jitter.histograms[wait][bucket] || null)
    const most = Math.max(...buckets.flatMap((bucket) => [jitter.histograms.wakeup[bucket] || 0, jitter.histograms.preempted[bucket] || 0]), 1)
    const top = Math.ceil(Math.log10(most * 1.2))
    return [{
      height: 260,
      scales: { x: { time: false, range: [-0.6, buckets.length - 0.4] }, y: { distr: 3, log: 10, range: [0.5, 10 ** top] } },
      axes: [
        { ...axis, grid: { show: false }, space: 58, splits: () => buckets.map((bucket, index) => index), incrs: [1, 2, 3, 4, 6, 8], values: (self, places) => { const step = Math.ceil(buckets.length / Math.max(1, Math.floor(self.width / 70))); return places.map((index) => index % step ? '' : micros(buckets[index])) } },
        { ...axis, ...eachDecade(10 ** top, (value) => new Intl.NumberFormat(language, { notation: 'compact' }).format(value)) }
      ],
      series: [
        { label: t('wait'), value: (self, index) => index === null ? '–' : t('{least} to {most}', { least: micros(buckets[index]), most: micros(buckets[index] ? 2 * buckets[index] : 1) }) },
        series('wakeup', color('--wakeup'), -1),
        series('preempted', color('--preempted'), 1)
      ],
      cursor: { y: false, drag: { x: false, y: false } }
    }, [buckets.map((bucket, index) => index), counts('wakeup'), counts('preempted')]]
  }
  if (traced) {
    picture('jitter-chart', histogram)
    const waits = [['all', jitter.percentiles_us], ['after waking up', jitter.percentiles_us_by_wait.wakeup], ['after losing the CPU', jitter.percentiles_us_by_wait.preempted]]
    byId('jitter-percentiles').append(
      table(['Share of waits', ...waits.map(([name]) => name)],
        [['p50', '50 %'], ['p90', '90 %'], ['p99', '99 %'], ['p999', '99.9 %']].map(([name, text]) => [text, ...waits.map(([, values]) => micros(values[name] ?? null))])
            .concat([[t('longest'), micros(jitter.max_us), '', '']]), [1, 2, 3]),
      el('p', { class: 'hint' }, t('So long or shorter. Each is the upper bound of the histogram bucket that holds it.')))
  } else {
    document.querySelector('#jitter .split').hidden = true
  }
  const strip = fleet.hosts.filter((host) => host.jitter && host.jitter.p99_us !== null).sort((left, right) => right.jitter.p99_us - left.jitter.p99_us || right.jitter.max_us - left.jitter.max_us)
  /* A bar to the 99th percentile and a dot at the longest wait of each host, worst first. */
  function hostStrip (color, axis) {
    const top = 10 ** Math.ceil(Math.log10(Math.max(10, ...strip.map((host) => host.jitter.max_us))))
    const each = (name) => strip.map((host) => Math.max(1, host.jitter[name]))
    const time = (self, value) => value === null ? '–' : micros(value)
    return [{
      height: 200,
      scales: { x: { time: false, range: [-0.6, strip.length - 0.4] }, y: { distr: 3, log: 10, range: [0.8, top * 1.2] } },
      axes: [
        { ...axis, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000], space: 60, values: (self, places) => places.map((index) => self.width / strip.length > 100 ? strip[index].host.slice(0, 12) : number(index + 1)) },
        { ...axis, ...eachDecade(top, micros) }
      ],
      series: [
        { label: t('Host'), value: (self, index) => index === null ? '–' : strip[index].host },
        { label: t('99 % of its waits are shorter than'), fill: color('--wakeup'), stroke: color('--wakeup'), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 40] }), value: time },
        { label: t('longest'), stroke: color('--preempted'), width: 0, paths: () => null, points: { show: true, size: strip.length > 400 ? 3 : 6, fill: color('--preempted') }, value: time }
      ],
      cursor: { y: false, drag: { x: false, y: false } }
    }, [strip.map((host, index) => index), each('p99_us'), each('max_us')]]
  }
  if (strip.length > 1) picture('jitter-strip', hostStrip, (index) => ({ host: strip[index].host })); else byId('jitter-strip').parentElement.hidden = true
  grid('jitter-table', jitter.events, [
    figure('Waited', 'delay_us', micros, { width: 95, responsive: 0, widthGrow: 0 }),
    { title: 'Host', field: 'host', minWidth: 110, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    { title: 'Task', field: 'comm', minWidth: 110, widthGrow: 2, responsive: 1, draw: (comm, event) => el('bdi', {}, `${comm} (${event.pid})`) },
    { title: 'Ran instead', field: 'longest_runner', minWidth: 130, widthGrow: 3, responsive: 0, headerSort: false, draw: (other, event) => other ? el('span', {}, el('bdi', {}, `${other.comm} (${other.pid})`), t(', {time} of it', { time: micros(other.ran_us) })) : event.unattributed_us > event.idle_us ? t('not known: too many turns') : t('the CPU was mostly idle') },
    { title: 'Wait began', field: 'wait', minWidth: 130, responsive: 4, draw: (wait) => t(wait === 'wakeup' ? 'at its wake-up' : 'when it lost the CPU') },
    figure('CPU', 'cpu', number, { width: 70, responsive: 3, widthGrow: 0 }),
    figure('Priority', 'prio', (prio) => prio < 100 ? t('{n} (real-time)', { n: prio }) : number(prio), { responsive: 5 }),
    figure('At', 'at_s', seconds, { responsive: 5, width: 85, widthGrow: 0 })
  ], { ...tenRows(jitter.events), placeholder: jitter.hosts ? 'No wait was longer than the threshold.' : 'Nothing was measured.' })

  const stalls = jitter.stall_counts
  byId('stalls-lead').textContent = stalls.hosts
    ? t('{irqoff} with interrupts off, {nosched} without a task switch that was due, on {hosts}. {cpu_not_running} a CPU stood still without a reason in the kernel: a machine that is paused, a long interrupt.', { irqoff: number(stalls.irqoff), nosched: number(stalls.nosched), cpu_not_running: plural(stalls.cpu_not_running, 'time'), hosts: plural(stalls.hosts, 'host') }) +
      (stalls.syscall === undefined ? '' : ` ${t('{calls} kept a CPU for too long.', { calls: plural(stalls.syscall, 'system call') })}`)
    : t('No host was watched for stalls.')
  const stallNames = { irqoff: 'interrupts off', nosched: 'no task switch', cpu_not_running: 'stood still', syscall: 'long system call' }
  grid('stalls-table', jitter.stalls, [
    figure('At most', 'delay_us', micros, { width: 95, responsive: 0, widthGrow: 0 }),
    figure('At least', 'least_us', micros, { width: 95, responsive: 4, widthGrow: 0 }),
    { title: 'Kind', field: 'kind', minWidth: 120, responsive: 0, draw: (kind, stall) => el('span', {}, t(stallNames[kind]), stall.certain || kind === 'cpu_not_running' ? '' : t(' (perhaps)')) },
    { title: 'Host', field: 'host', minWidth: 110, widthGrow: 2, responsive: 1, draw: (name) => link('host', name, name) },
    { title: 'Function', field: 'culprit', minWidth: 140, widthGrow: 2, responsive: 1, draw: (name) => name === null ? '–' : el('bdi', {}, name) },
    { title: 'Task', field: 'comm', minWidth: 110, widthGrow: 1, responsive: 3, draw: (comm, stall) => el('bdi', {}, `${comm} (${stall.pid})`) },
    figure('CPU', 'cpu', number, { width: 70, responsive: 5, widthGrow: 0 }),
    figure('At', 'at_s', seconds, { responsive: 5, width: 85, widthGrow: 0 }),
    { title: 'Stack', field: 'stack', minWidth: 130, widthGrow: 2, responsive: 2, headerSort: false, draw: (stack, stall) => el('details', {}, el('summary', {}, stack.length ? plural(stack.length, 'frame') : t('not captured')), el('p', {}, el('bdi', {}, stall.reasons.join('; '))), el('pre', {}, stack.join('\n') || '–')) }
  ], { ...tenRows(jitter.stalls), placeholder: stalls.hosts ? 'No stall was longer than the threshold.' : 'Not measured.' })

  // --- interference ---------------------------------------------------------------------------------------------------
  const interference = fleet.interference
  byId('interference-lead').textContent = interference.hosts
    ? t('Interrupts of {hosts}. Vectors of the same kind and name are added up over hosts{cut}.', { hosts: plural(interference.hosts, 'host'), cut: interference.cut ? t('; {n} smaller ones are not listed', { n: number(interference.cut) }) : '' })
    : t('No host measured interrupts.')
  grid('vectors-table', interference.vectors, [
    { title: 'Kind', field: 'kind', width: 90, responsive: 1 },
    { title: 'Vector', field: 'name', minWidth: 120, widthGrow: 2, responsive: 0, draw: (name) => el('bdi', {}, name) },
    figure('Hosts', 'hosts', number, { width: 80, responsive: 4, widthGrow: 0 }),
    figure('Interrupts', 'count', number, { responsive: 3, minWidth: 120 }),
    figure('Per second', 'rate_per_s', number, { responsive: 5 }),
    figure('Time in it', 'total_us', micros, { responsive: 2 }),
    figure('Mean', 'mean_us', micros, { responsive: 5 }),
    figure('Longest', 'longest_us', micros, { responsive: 1 }),
    { title: 'Longest on', field: 'longest_host', minWidth: 110, widthGrow: 1, responsive: 5, draw: (name) => name === null ? '–' : link('host', name, name) },
    { title: 'Largest share of one CPU', field: 'worst_share', minWidth: 160, widthGrow: 2, responsive: 0, sorter: 'number', draw: shareBar },
    { title: 'Share on', field: 'worst_host', minWidth: 130, widthGrow: 1, responsive: 4, draw: (name, vector) => name === null ? '–' : el('span', {}, link('host', name, name), ` CPU\u00a0${vector.worst_cpu}`) }
  ], { placeholder: 'Nothing was measured.' })
  grid('cpus-table', interference.cpus, [
    { title: 'Host', field: 'host', minWidth: 130, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    figure('CPU', 'cpu', number, { width: 80, responsive: 0, widthGrow: 0 }),
    { title: 'Share of its time in interrupts', field: 'share', minWidth: 170, widthGrow: 4, responsive: 0, sorter: 'number', draw: shareBar },
    { title: 'Taken by the hypervisor', field: 'steal', minWidth: 150, widthGrow: 2, responsive: 1, sorter: 'number', draw: shareBar }
  ], { ...tenRows(interference.cpus), placeholder: 'Not measured.' })
  grid('timers-table', interference.timers, [
    { title: 'Kind', field: 'kind', width: 90, responsive: 3 },
    { title: 'Function', field: 'function', minWidth: 140, widthGrow: 2, responsive: 0, draw: (name) => el('bdi', {}, name) },
    figure('Hosts', 'hosts', number, { width: 80, responsive: 4, widthGrow: 0 }),
    figure('Timers', 'count', number, { responsive: 3 }),
    figure('Time in it', 'total_us', micros, { responsive: 2 }),
    figure('Longest', 'longest_us', micros, { responsive: 4 }),
    figure('Most per second', 'worst_rate_per_s', number, { responsive: 0, minWidth: 130 }),
    { title: 'Most on', field: 'worst_host', minWidth: 110, widthGrow: 1, responsive: 1, draw: (name) => link('host', name, name) },
    { title: 'Started by', field: 'started_by', minWidth: 120, widthGrow: 2, responsive: 1, headerSort: false, draw: (owner) => owner ? el('bdi', {}, `${owner.comm} (${owner.pid})`) : '–' }
  ], { ...tenRows(interference.timers), placeholder: 'Not measured.' })
  grid('threads-table', interference.threads, [
    { title: 'Host', field: 'host', minWidth: 110, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    { title: 'Kernel thread', field: 'comm', minWidth: 140, widthGrow: 3, responsive: 0, draw: (comm, thread) => el('bdi', {}, `${comm} (${thread.pid})`) },
    figure('CPU time', 'cpu_us', micros, { responsive: 1 }),
    { title: 'Share of one CPU', field: 'share', minWidth: 150, widthGrow: 2, responsive: 0, sorter: 'number', draw: shareBar }
  ], { ...tenRows(interference.threads), placeholder: 'Not measured.' })

  // --- exceptions -----------------------------------------------------------------------------------------------------
  const exceptions = fleet.exceptions
  const kinds = Object.entries(exceptions.kinds).map(([kind, count]) => `${t(kind.replaceAll('_', ' '))} ${number(count)}`).join(', ')
  byId('exceptions-lead').textContent = exceptions.hosts
    ? [t('Logs of {hosts} were read.', { hosts: plural(exceptions.hosts, 'host') }), kinds ? t('Reports by kind: {kinds}.', { kinds }) : t('No kernel exception is in them.'),
        exceptions.cut ? t('{n} older ones are not listed.', { n: number(exceptions.cut) }) : ''].join(' ')
    : t('No host had its logs read.')
  const facts = (event) => Object.entries({ ...event.context, ...event.details }).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join('\n')
  grid('exceptions-table', exceptions.events, [
    { title: 'Severity', field: 'severity', width: 100, responsive: 0, draw: (severity) => severity ? badge(severity) : '–', sorter: rank },
    { title: 'What', field: 'title', minWidth: 180, widthGrow: 4, responsive: 0, draw: (title, event) => event.finding ? link('finding', event.finding, title) : el('bdi', {}, title) },
    { title: 'Known bug', field: 'known', minWidth: 150, widthGrow: 2, responsive: 3, headerSort: false, draw: (bugs) => el('span', {}, ...(bugs || []).flatMap((bug) => [el('a', { href: bug.references[0], rel: 'noopener noreferrer', target: '_blank' }, el('bdi', {}, bug.subject)), t(bug.affected ? ' (this kernel has it)' : ' (perhaps)'), bug.fixed.length ? t(', fixed in {releases}', { releases: bug.fixed.join(', ') }) : '', el('br')])) },
    { title: 'Kind', field: 'kind', minWidth: 110, responsive: 4, draw: (kind) => t(kind.replaceAll('_', ' ')) },
    figure('Times', 'count', number, { width: 85, responsive: 2, widthGrow: 0 }),
    { title: 'Last seen', field: 'last_seen', width: 180, responsive: 2, draw: (value, event) => event.in_window ? el('span', {}, instant(value), el('br'), el('strong', {}, t('during this scan'))) : instant(value) },
    { title: 'First seen', field: 'first_seen', width: 180, responsive: 6, draw: instant },
    { title: 'Where', field: 'host_count', minWidth: 140, widthGrow: 2, responsive: 3, sorter: 'number', draw: (count, event) => hostList(event.hosts, count) },
    { title: 'Excerpt', field: 'excerpt', minWidth: 230, widthGrow: 5, responsive: 5, headerSort: false, draw: (text, event) => el('details', {}, el('summary', {}, el('bdi', {}, text.split('\n')[0] || '–')), ...(facts(event) ? [el('pre', {}, facts(event))] : []), el('pre', {}, text)) }
  ], { open: (event) => ({ finding: event.finding }), placeholder: exceptions.hosts ? 'No kernel exception was found.' : 'Nothing was read.' })
  // --- exceptions on a time line ------------------------------------------------------------------------------------------
  const LANES = 12
  const SHOWN_DAYS = 31
  const TINTS = { fatal: '--fatal', critical: '--critical', error: '--error', warning: '--warning-fill', info: '--info', null: '--soft' }
  const moment = (text) => Date.parse(text) / 1000
  const scanned = moment(fleet.scan.ended_at || fleet.scan.started_at || fleet.generated_at)
  const dated = exceptions.events.filter((event) => event.last_seen)
  const marks = dated.map((event) => ({ event, from: moment(event.first_seen || event.last_seen), to: moment(event.last_seen) }))
    .filter(({ to }) => to > scanned - SHOWN_DAYS * 86400 && to < scanned + 86400).sort((one, other) => one.to - other.to)
  const byKind = new Map()
  for (const { event } of marks) byKind.set(event.kind, Math.min(byKind.get(event.kind) ?? 9, event.severity ? place(event.severity) : 8))
  const laneKinds = [...byKind].sort(([one, worst], [other, worse]) => worst - worse || one.localeCompare(other)).map(([kind]) => kind)
  const lanes = laneKinds.length > LANES ? [...laneKinds.slice(0, LANES - 1), null] : laneKinds // null: all other kinds
  const laneOf = (kind) => lanes.length - 1 - (lanes.includes(kind) ? lanes.indexOf(kind) : lanes.length - 1)
  const earliest = Math.max(scanned - SHOWN_DAYS * 86400, Math.min(...marks.map(({ from }) => from)))
  const latest = Math.max(scanned, ...marks.map(({ to }) => to))
  const room = Math.max(60, latest - earliest) * 0.03

  function timeLine (color, axis) {
    const tints = [...SEVERITIES, null].filter((severity) => marks.some(({ event }) => event.severity === severity))
    const narrow = byId('exceptions-line').clientWidth < 600
    const iso = (value) => new Date(value * 1000).toISOString()
    /* A line from the first to the last time that it was seen, a dot at the last. */
    const drawMarks = (severity) => (self, series) => {
      const { ctx } = self
      const tint = color(TINTS[severity])
      Object.assign(ctx, { strokeStyle: tint, fillStyle: tint, lineWidth: 2 * devicePixelRatio })
      for (const mark of marks.filter(({ event }) => event.severity === severity)) {
        const [left, right] = [mark.from, mark.to].map((value) => self.valToPos(value, 'x', true))
        const height = self.valToPos(laneOf(mark.event.kind), 'y', true)
        ctx.beginPath()
        ctx.moveTo(left, height)
        ctx.lineTo(right, height)
        ctx.stroke()
        ctx.beginPath()
        ctx.arc(right, height, 5 * devicePixelRatio, 0, 2 * Math.PI)
        ctx.fill()
      }
      return null
    }
    const nearest = (self) => {
      let [best, least] = [null, 15]
      marks.forEach((mark, index) => {
        const [left, right] = [mark.from, mark.to].map((value) => self.valToPos(value, 'x'))
        const away = Math.hypot(Math.max(left - self.cursor.left, 0, self.cursor.left - right), self.valToPos(laneOf(mark.event.kind), 'y') - self.cursor.top)
        if (away < least) [best, least] = [index, away]
      })
      return best
    }
    const scanLine = (self) => {
      const { ctx, bbox } = self
      const left = self.valToPos(scanned, 'x', true)
      if (left < bbox.left || left > bbox.left + bbox.width) return
      ctx.save()
      Object.assign(ctx, { strokeStyle: color('--soft'), lineWidth: devicePixelRatio })
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio])
      ctx.beginPath()
      ctx.moveTo(left, bbox.top)
      ctx.lineTo(left, bbox.top + bbox.height)
      ctx.stroke()
      ctx.restore()
    }
    return [{
      height: 70 + 28 * lanes.length,
      scales: { x: { range: (self, least, most) => least === marks[0].to && most === marks.at(-1).to ? [earliest - room, latest + room] : [least, most] }, y: { range: [-0.6, lanes.length - 0.4] } },
      axes: [
        { ...axis, space: 90, values: (self, places, unused, space, step) => places.map((value, index) => step >= 86400 ? iso(value).slice(0, 10) : iso(value).slice(11, 16) + (index === 0 || value % 86400 === 0 ? `\n${iso(value).slice(0, 10)}` : '')) },
        { ...axis, size: narrow ? 140 : 190, splits: () => lanes.map((kind, index) => index), values: (self, places) => places.map((index) => { const kind = lanes[lanes.length - 1 - index]; return kind === null ? t('other kinds') : t(kind.replaceAll('_', ' ')) }) }
      ],
      tzDate: (value) => uPlot.tzDate(new Date(value * 1000), 'UTC'),
      series: [
        { label: t('Last seen'), value: (self, value) => value === null ? '–' : instant(iso(value)) },
        ...tints.map((severity) => ({ label: severity === null ? t('no finding') : t(severity), stroke: color(TINTS[severity]), fill: color(TINTS[severity]), width: 2, points: { show: false }, paths: drawMarks(severity), value: (self, value, unused, index) => value === null || index === null ? '' : `${marks[index].event.title.slice(0, 80)} (${plural(marks[index].event.host_count, 'host')})` }))
      ],
      hooks: { drawAxes: [scanLine] },
      cursor: { y: false, drag: { x: true, y: false }, points: { show: false }, dataIdx: nearest },
      legend: { markers: { width: 0 } }
    }, [marks.map(({ to }) => to), ...tints.map((severity) => marks.map(({ event }) => event.severity === severity ? laneOf(event.kind) : null))]]
  }
  if (marks.length) {
    const left = exceptions.events.length - marks.length
    picture('exceptions-line', timeLine, (index) => ({ finding: marks[index].event.finding }))
    byId('exceptions-line').nextElementSibling.append(left ? ` ${t('{n} without a date or from another month are in the table alone.', { n: number(left) })}` : '')
  } else {
    byId('exceptions-line').parentElement.hidden = true
  }
  if (exceptions.unread.length) {
    byId('exceptions-unread').append(el('h3', {}, t('Logs that could not be read')),
      table(['Source', 'Reason', 'Hosts'], exceptions.unread.map((source) => [el('bdi', {}, source.source), el('bdi', {}, source.reason), number(source.hosts)]), [2]))
  }

  // --- host health ------------------------------------------------------------------------------------------------------
  const health = fleet.host_health
  byId('host_health-lead').textContent = health.hosts
    ? [t('The health of {hosts} was read.', { hosts: plural(health.hosts, 'host') }),
        health.cut ? t('{n} more facts are not listed.', { n: number(health.cut) }) : ''].join(' ')
    : t('No host was read.')
  const healthHosts = (row) => el('details', {}, el('summary', {}, plural(row.host_count, 'host')),
    ...row.hosts.map(({ host, detail }) => el('div', {}, link('host', host, host), el('bdi', {}, detail ? ` ${detail}` : ''))))
  if (health.rows.length) {
    byId('host_health-table').append(table(['Topic', 'Fact', 'Hosts'],
      health.rows.map((row) => [t(row.topic), el('bdi', {}, t(row.text, row.values)), healthHosts(row)])))
  }

  // --- outliers ---------------------------------------------------------------------------------------------------------
  const MEASURES = {
    interrupted_share: ['largest share of a CPU in interrupts', percent], interrupts_per_s: ['interrupts per second', number], probe_cpu_s: ['CPU time of the probes', seconds],
    unfreed_bytes_per_s: ['kernel memory not freed, per second', bytes], wait_longest_us: ['longest wait for a CPU', micros], wait_p99_us: ['99th percentile of waits for a CPU', micros]
  }
  const unlike = fleet.outliers.flatMap((entry) => entry.outliers.map((found) => ({ ...found, measure: entry.measure, median: entry.median })))
  grid('outliers-table', unlike, [
    { title: 'Host', field: 'host', minWidth: 130, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    { title: 'Measure', field: 'measure', minWidth: 170, widthGrow: 3, responsive: 0, draw: (measure) => t(MEASURES[measure][0]) },
    figure('Value', 'value', (value, entry) => MEASURES[entry.measure][1](value), { responsive: 0 }),
    figure('Median of the fleet', 'median', (value, entry) => MEASURES[entry.measure][1](value), { responsive: 1, minWidth: 140 }),
    figure('Standard deviations above', 'score', number, { responsive: 2, minWidth: 150 })
  ], { ...tenRows(unlike), placeholder: fleet.outliers.length ? 'No host is far above the others.' : 'Too few hosts to compare.' })

  // --- compliance -------------------------------------------------------------------------------------------------------
  const compliance = fleet.compliance
  const broken = compliance.rules.filter((rule) => rule.fail).length
  byId('compliance-lead').textContent = t('{kept} of {rules} are kept on every host that could be judged. A host counts as waived when all that a rule found there is waived.', { kept: number(compliance.rules.length - broken), rules: plural(compliance.rules.length, 'rule') })
  const outcome = (title, field, more) => figure(title, field, (count) => count ? number(count) : '–', { minWidth: 80, ...more })
  grid('compliance-table', compliance.rules, [
    { title: 'Rule', field: 'rule', minWidth: 150, widthGrow: 3, responsive: 0, headerSortStartingDir: 'asc', draw: (rule, row) => row.fail ? link('q', rule, rule) : el('bdi', {}, rule) },
    { title: 'Severity', field: 'severity', width: 100, responsive: 2, draw: badge, sorter: rank },
    { title: 'Category', field: 'category', width: 125, responsive: 3, draw: (category) => t(category) },
    outcome('Fail', 'fail', { responsive: 0 }), outcome('Waived', 'waived', { responsive: 1 }), outcome('Pass', 'pass', { responsive: 0 }),
    outcome('Not judged', 'unknown', { responsive: 1, minWidth: 100 }), outcome('Off', 'off', { responsive: 3 }),
    { title: 'Kept by', field: 'share', minWidth: 140, widthGrow: 2, responsive: 2, sorter: 'number', mutator: (value, row) => row.pass + row.fail + row.waived ? row.pass / (row.pass + row.fail + row.waived) : null, draw: shareBar },
    { title: 'Policy', field: 'file', minWidth: 110, responsive: 4, draw: (file) => el('bdi', {}, file) }
  ], { placeholder: 'The policy has no rules.', pagination: false })
  const saidBy = (waiver) => [el('bdi', {}, waiver.owner), el('bdi', {}, waiver.reason), waiver.expires, el('bdi', {}, waiver.place)]
  if (compliance.waived.length) {
    byId('waivers').append(el('h3', {}, t('Waived')), table(['Severity', 'What', 'Hosts', 'Owner', 'Reason', 'Until', 'Where it is written'], compliance.waived.map((entry) => [badge(entry.severity), el('bdi', {}, entry.title), hostList(entry.hosts.map((host) => ({ host })), entry.host_count), ...saidBy(entry)])))
  }
  for (const [title, waivers] of [['Waivers that have expired and do not count', compliance.expired], ['Waivers that waived nothing', compliance.unused]]) {
    if (waivers.length) byId('waivers').append(el('h3', {}, t(title)), table(['Rule or signature', 'Owner', 'Reason', 'Until', 'Where it is written'], waivers.map((waiver) => [el('bdi', {}, waiver.rule || waiver.signature), ...saidBy(waiver)])))
  }

  // --- hosts ----------------------------------------------------------------------------------------------------------
  const found = (host) => el('span', {}, SEVERITIES.filter((severity) => host.findings[severity]).flatMap((severity) => [el('span', { class: `badge is-${severity}` }, `${host.findings[severity]} ${t(severity)}`), ' ']))
  const weight = (host) => SEVERITIES.reduce((sum, severity) => sum * 1000 + Math.min(999, host.findings[severity]), 0)
  hostTable = grid('hosts-table', fleet.hosts, [
    { title: 'Host', field: 'host', minWidth: 105, widthGrow: 2, responsive: 0, headerSortStartingDir: 'asc', draw: (name) => link('host', name, name) },
    { title: 'State', field: 'state', width: 120, responsive: 0, draw: (value, host) => host.coverage === 'none' ? badge(value === 'scanned' ? 'blind' : value) : t(host.coverage === 'partial' ? 'partly scanned' : value) },
    { title: 'Findings', field: 'findings', minWidth: 105, widthGrow: 2, responsive: 1, draw: (value, host) => found(host), sorter: (left, right, first, second) => weight(first.getData()) - weight(second.getData()) },
    { title: 'Reason', field: 'reason', minWidth: 170, widthGrow: 4, responsive: 2, headerSort: false, draw: (reason, host) => el('bdi', {}, reason || reasons(host) || '') },
    figure('p99 wait', 'p99', micros, { responsive: 3, width: 100, widthGrow: 0, mutator: (value, host) => host.jitter ? host.jitter.p99_us : null }),
    { title: 'Kernel', field: 'kernel', minWidth: 130, widthGrow: 2, responsive: 4, mutator: (value, host) => host.system ? host.system.kernel : null, draw: (name) => el('bdi', {}, name || '–') },
    { title: 'Distribution', field: 'distribution', minWidth: 120, widthGrow: 2, responsive: 5, mutator: (value, host) => host.system ? host.system.distribution : null, draw: (name) => el('bdi', {}, name || '–') },
    { title: 'Groups', field: 'groups', minWidth: 110, widthGrow: 1, responsive: 6, headerSort: false, draw: (names) => el('bdi', {}, names.join(', ')) }
  ], { open: (host) => ({ host: host.host }), placeholder: fleet.hosts.length ? 'No host matches the filter.' : 'Nothing to show.' })
  function reasons (host) {
    return Object.entries(host.probes).filter(([, probe]) => probe.status !== 'ok').map(([name, probe]) => `${name} ${t(probe.status)}: ${probe.reason}`)
      .concat(host.not_measured.filter((name) => !(name in host.probes)).map((name) => t('{probe} left no result', { probe: name }))).join('; ')
  }

  // --- measurement ----------------------------------------------------------------------------------------------------
  const measurement = fleet.measurement
  const said = (counts) => Object.entries(counts).map(([name, count]) => `${t(name)} ${number(count)}`).join(', ') || '–'
  const windowText = fleet.scan.duration_s ? t(' of {n} s', { n: fleet.scan.duration_s }) : ''
  const last = measurement.last_started_at === measurement.first_started_at ? '' : t(' (the last host began at {at})', { at: instant(measurement.last_started_at) })
  byId('measurement-lead').textContent = measurement.first_started_at
    ? t('Measured from {at}{last}, all probes of a host in one window{window}. CPU time is that of the probes\' own processes; what their programs took inside the kernel is not in it.', { at: instant(measurement.first_started_at), last, window: windowText })
    : t('Nothing was measured.')
  grid('measurement-table', measurement.probes, [
    { title: 'Probe', field: 'probe', minWidth: 120, widthGrow: 2, responsive: 0, headerSort: false },
    { title: 'Hosts by status', field: 'statuses', minWidth: 140, widthGrow: 2, responsive: 0, headerSort: false, draw: said },
    { title: 'Engines', field: 'engines', minWidth: 120, widthGrow: 2, responsive: 2, headerSort: false, draw: said },
    { title: 'Window', field: 'window_s_min', minWidth: 110, responsive: 3, headerSort: false, draw: (least, probe) => least === null ? '–' : least === probe.window_s_max ? seconds(least) : t('{least} to {most}', { least: seconds(least), most: seconds(probe.window_s_max) }) },
    figure('CPU, all hosts', 'cpu_s_total', seconds, { responsive: 2 }),
    figure('CPU, worst host', 'cpu_s_worst', (value, probe) => el('span', {}, seconds(value), probe.cpu_s_worst_host === null ? '' : el('br'), probe.cpu_s_worst_host === null ? '' : link('host', probe.cpu_s_worst_host, probe.cpu_s_worst_host)), { responsive: 1, minWidth: 130 }),
    figure('Memory, worst', 'max_rss_bytes_worst', bytes, { responsive: 4, minWidth: 105 }),
    figure('Set-up, worst', 'setup_s_worst', seconds, { responsive: 5 }),
    figure('Lost events', 'lost_events', (lost, probe) => lost ? t('{n} on {hosts}', { n: number(lost), hosts: plural(probe.lost_events_hosts, 'host') }) : '0', { responsive: 3 }),
    figure('Lists cut', 'truncated_hosts', (count) => count ? plural(count, 'host') : '–', { responsive: 6 })
  ], { placeholder: 'No probe gave a result.' })
  if (fleet.problems.length) {
    byId('problems').append(el('h3', {}, t('Problems of this report')), table(['File', 'What is wrong'], fleet.problems.map((problem) => [el('bdi', {}, problem.file || '–'), el('bdi', {}, problem.reason)])))
  }

  // --- self-test ------------------------------------------------------------------------------------------------------
  if (fleet.selftest.rows.length) {
    grid('selftest-table', fleet.selftest.rows, [
      { title: 'Kernel', field: 'kernel', minWidth: 140, widthGrow: 2, responsive: 0, draw: (kernel) => el('bdi', {}, kernel) },
      { title: 'Probe', field: 'probe', minWidth: 100, responsive: 0 },
      { title: 'Injected', field: 'title', minWidth: 160, widthGrow: 3, responsive: 1, draw: (title) => el('bdi', {}, t(title)) },
      { title: 'Verdict', field: 'verdict', width: 100, responsive: 0, draw: (verdict) => t(verdict) },
      { title: 'Why', field: 'reason', minWidth: 170, widthGrow: 4, responsive: 2, headerSort: false, draw: (reason) => el('bdi', {}, reason) },
      { title: 'On', field: 'tested_at', width: 180, responsive: 1, draw: instant },
      { title: 'Host', field: 'host', minWidth: 100, responsive: 3, draw: (name) => el('bdi', {}, name) },
      { title: 'Engine', field: 'engine', width: 90, responsive: 4 }
    ], tenRows(fleet.selftest.rows))
  }

  const badges = { findings: fleet.findings.length, map: mapped.length, outliers: unlike.length, compliance: broken, leaks: suspected, exceptions: exceptions.events.length, hosts: fleet.hosts.length }
  for (const [section, count] of Object.entries(badges)) document.querySelector(`.sections a[href="#${section}"]`).append(el('span', {}, number(count)))

  await Promise.all(built)
  let width = innerWidth
  addEventListener('resize', () => {
    if (innerWidth === width) return
    width = innerWidth
    for (const made of tables) made.redraw(true)
    for (const draw of pictures) draw()
  })
  addEventListener('hashchange', follow)
  follow()
  await Promise.all(turned.map((turn) => turn()))
  const target = location.hash.length > 1 && !location.hash.includes('=') && byId(location.hash.slice(1))
  if (target) target.scrollIntoView()
  document.documentElement.dataset.ready = 'yes'
})()
