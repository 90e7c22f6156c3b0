/* SPDX-License-Identifier: GPL-3.0-or-later */
/* global Tabulator, uPlot */
/* What hosts sent reaches the page as text nodes only: never as HTML, an attribute that runs, or an address. */
(async () => {
  'use strict'

  const SEVERITIES = ['fatal', 'critical', 'error', 'warning', 'info']
  const PAGE_ROWS = 20
  const byId = (id) => document.getElementById(id)

  function el (tag, attributes, ...children) {
    const node = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value)
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child)
    return node
  }

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
  const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
  const decimal = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
  const number = (value) => value === null || value === undefined ? '–' : (Number.isInteger(value) ? integer : decimal).format(value)
  const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || one + 's'}`

  function scaled (value, base, units) {
    if (value === null || value === undefined) return '–'
    let unit = 0
    while (Math.abs(value) >= base && unit < units.length - 1) { value /= base; unit++ }
    return `${decimal.format(value)} ${units[unit]}`
  }
  const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])
  const micros = (value) => value >= 1e6 ? `${decimal.format(value / 1e6)} s` : scaled(value, 1000, ['µs', 'ms'])
  const seconds = (value) => value === null || value === undefined ? '–' : value && value < 1 ? `${decimal.format(value * 1000)} ms` : `${decimal.format(value)} s`
  const percent = (value) => value === null || value === undefined ? '–' : `${value && Math.abs(value) < 0.0005 ? '< 0.1' : decimal.format(value * 100)} %`
  const instant = (value) => value ? `${value.slice(0, 16).replace('T', ' ')} UTC` : '–'

  const UNITS = [[/bytes_per_s$/, (value) => `${bytes(value)}/s`], [/bytes(_|$)/, bytes], [/_us$/, micros], [/_s$/, seconds], [/share$/, percent]]
  const percentileName = (name) => /^p\d+$/.test(name)

  function measured (name, value, inMicros) {
    const unit = UNITS.find(([pattern]) => pattern.test(name))
    if (unit) return unit[1](value)
    return inMicros && percentileName(name) ? micros(value) : number(value)
  }

  // --- small parts ----------------------------------------------------------------------------------------------------
  const badge = (severity) => el('span', { class: `badge is-${SEVERITIES.includes(severity) ? severity : 'unknown'}` }, severity)
  const link = (key, value, text) => el('a', { href: `#${new URLSearchParams({ [key]: value })}` }, el('bdi', {}, text))
  const label = (name) => name.replace(/(_bytes_per_s|_us|_s|_bytes)$/, '').replaceAll('_', ' ')

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
    if (typeof value === 'boolean') return document.createTextNode(value ? 'yes' : 'no')
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
    const head = el('tr', {}, heads.map((text, place) => el('th', { scope: 'col', ...kind(place) }, text)))
    const body = lines.map((line) => el('tr', {}, line.map((item, place) => el('td', kind(place), item))))
    return el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('thead', {}, head), el('tbody', {}, body)))
  }

  const built = []
  const tables = []

  /* Columns: {title, field, draw(value, row) → node or text, …}. A cell without draw would be HTML to Tabulator. */
  function grid (id, data, columns, options = {}) {
    const { open, ...rest } = options
    const made = new Tabulator(byId(id), {
      data,
      columns: columns.map(({ draw, ...column }) => ({
        formatter: (cell) => {
          const drawn = draw ? draw(cell.getValue(), cell.getData()) : cell.getValue()
          return drawn instanceof Node ? drawn : document.createTextNode(drawn === null || drawn === undefined ? '–' : String(drawn))
        },
        sorterParams: { alignEmptyValues: 'bottom' },
        ...column
      })),
      columnDefaults: { resizable: false, headerSortStartingDir: 'desc', vertAlign: 'top' },
      layout: 'fitColumns',
      responsiveLayout: 'hide',
      pagination: data.length > PAGE_ROWS,
      paginationSize: PAGE_ROWS,
      paginationCounter: 'rows',
      placeholder: 'Nothing to show.',
      nestedFieldSeparator: false,
      renderVertical: 'basic', // a page of rows needs no scrolling of its own
      autoResize: false, // it draws rows anew when they are scrolled to, and a click in that moment is lost
      ...rest
    })
    tables.push(made)
    built.push(new Promise((resolve) => made.on('tableBuilt', resolve)))
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
  function go (changes) {
    const next = state()
    for (const [key, value] of [...next]) if (!value) next.delete(key)
    for (const [key, value] of Object.entries(changes)) if (value) next.set(key, value); else next.delete(key)
    location.hash = next.toString()
  }
  function drop (...keys) {
    const next = state()
    for (const key of keys) next.delete(key)
    history.replaceState(null, '', `#${next}`)
  }

  let fleet
  try {
    fleet = await unpack(byId('fleet').textContent)
  } catch (error) {
    complain(`The data of this report cannot be read by this browser (${error.message}). The verdict above is complete; a newer browser shows the rest.`)
    return
  }
  const groups = new Map(fleet.findings.map((group) => [group.id, group]))
  const hosts = new Map(fleet.hosts.map((host) => [host.host, host]))
  const rank = (left, right) => SEVERITIES.indexOf(right) - SEVERITIES.indexOf(left)
  byId('sections').hidden = false
  document.querySelector('.sections').hidden = false

  const hostList = (list, total) => {
    const shown = list.slice(0, 3).flatMap((host, place) => [place ? ', ' : '', link('host', host.host, host.host)])
    return el('span', {}, shown, total > 3 ? `, … ${number(total)} in all` : '')
  }

  // --- findings -------------------------------------------------------------------------------------------------------
  const search = new Map(fleet.findings.map((group) => [group.id,
    [group.title, group.category, group.severity, group.signature, group.rule, ...group.hosts.map((host) => host.host)].join('\n').toLowerCase()]))
  const findings = grid('findings-table', fleet.findings, [
    { title: 'Severity', field: 'severity', width: 100, responsive: 0, draw: badge, sorter: rank },
    { title: 'What', field: 'title', minWidth: 190, widthGrow: 6, responsive: 0, draw: (title, group) => link('finding', group.id, title) },
    { title: 'Category', field: 'category', width: 125, responsive: 3 },
    { title: 'Where', field: 'host_count', minWidth: 170, widthGrow: 3, responsive: 2, sorter: 'number', draw: (count, group) => hostList(group.hosts, count) },
    figure('Hosts', 'host_count', number, { width: 85, responsive: 1, widthGrow: 0 })
  ], { open: (group) => ({ finding: group.id }), placeholder: fleet.findings.length ? 'No finding matches the filter.' : 'No findings.' })

  const chips = [...document.querySelectorAll('.chip')]
  function filter () {
    const wanted = (state().get('severity') || '').split(',').filter((severity) => SEVERITIES.includes(severity))
    const words = (state().get('q') || '').toLowerCase().split(/\s+/).filter(Boolean)
    const fits = (group) => (!wanted.length || wanted.includes(group.severity)) && words.every((word) => search.get(group.id).includes(word))
    findings.setFilter(fits)
    for (const chip of chips) chip.setAttribute('aria-pressed', String(wanted.includes(chip.dataset.severity)))
    if (document.activeElement !== byId('q')) byId('q').value = state().get('q') || ''
    byId('shown').textContent = wanted.length || words.length ? `${number(fleet.findings.filter(fits).length)} of ${plural(fleet.findings.length, 'finding')}` : ''
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
    const next = state()
    if (byId('q').value.trim()) next.set('q', byId('q').value.trim()); else next.delete('q')
    history.replaceState(null, '', `#${next}`)
    filter()
  })

  // --- one finding, one host ------------------------------------------------------------------------------------------
  const dialog = byId('detail')
  function show (over, title, ...parts) {
    const close = el('button', { type: 'button', class: 'close' }, 'Close')
    close.addEventListener('click', () => dialog.close())
    dialog.firstElementChild.replaceChildren(
      el('header', {}, el('div', {}, over, el('h2', { id: 'detail-title' }, el('bdi', {}, title))), close), ...parts.filter(Boolean))
    if (!dialog.open) dialog.showModal()
    dialog.scrollTop = 0
  }
  dialog.addEventListener('close', () => drop('finding', 'host'))
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close() })

  function showFinding (group) {
    const where = group.hosts.map((host, place) => {
      const head = el('summary', {}, el('bdi', {}, host.host), el('span', {}, host.title === group.title ? '' : ` — ${host.title}`))
      const body = host.evidence.map((item) => evidence(item))
      if (host.count > host.evidence.length) body.push(el('p', { class: 'hint' }, `${plural(host.count, 'finding')} of this kind on this host; ${number(host.evidence.length)} shown.`))
      body.push(el('p', {}, el('a', { href: `#${new URLSearchParams({ host: host.host })}` }, 'Everything about this host')))
      const part = el('details', {}, head, body)
      part.open = place === 0
      return part
    })
    const references = group.references.filter((address) => address.startsWith('https://'))
    show(el('span', {}, badge(group.severity), ` ${group.category}`), group.title,
      el('p', {}, `On ${number(group.host_count)} of ${plural(fleet.counts.hosts.total, 'host')}.`),
      el('h3', {}, 'What to do'), el('p', { class: 'remedy' }, group.remedy),
      references.length ? el('p', {}, 'Read more: ', references.flatMap((address, place) => [place ? ', ' : '', el('a', { href: address, rel: 'noopener noreferrer', target: '_blank' }, address.slice(8))])) : null,
      el('h3', {}, group.host_count === 1 ? 'Evidence' : `Evidence, worst host first (${number(group.host_count)})`), ...where.slice(0, 100),
      where.length > 100 ? el('p', { class: 'hint' }, `${number(where.length - 100)} more hosts: see fleet.json, or filter the table of hosts.`) : null,
      el('h3', {}, 'Identity'), el('dl', {}, el('dt', {}, 'rule'), el('dd', {}, group.rule), el('dt', {}, 'signature'), el('dd', {}, el('bdi', {}, group.signature))))
  }

  function showHost (host) {
    const found = fleet.findings.filter((group) => group.hosts.some((entry) => entry.host === host.host))
    const probes = Object.entries(host.probes).map(([name, probe]) => [name, probe.status, probe.engine, seconds(probe.window_s), seconds(probe.cost.cpu_s), bytes(probe.cost.max_rss_bytes),
      number(probe.cost.lost_events), el('bdi', {}, [probe.reason, probe.remedy].filter(Boolean).join(' — ') || (probe.cost.truncated ? 'lists were cut' : '–'))])
    show(el('span', {}, badge(host.state)), host.host,
      host.reason ? el('p', {}, el('bdi', {}, host.reason)) : null,
      host.groups.length ? el('p', { class: 'hint' }, `Groups: ${host.groups.join(', ')}`) : null,
      el('h3', {}, 'Findings'),
      found.length ? el('ul', {}, found.map((group) => el('li', {}, badge(group.severity), ' ', link('finding', group.id, group.title)))) : el('p', {}, host.coverage === 'none' ? 'Nothing was measured here, so nothing could be found.' : 'None.'),
      probes.length ? el('h3', {}, 'Probes') : null,
      probes.length ? table(['Probe', 'Status', 'Engine', 'Window', 'CPU time', 'Memory', 'Lost events', 'Reason and remedy'], probes) : null,
      host.system ? el('h3', {}, 'System') : null, host.system ? evidence(host.system) : null,
      host.jitter ? el('h3', {}, 'Jitter') : null, host.jitter ? evidence(host.jitter) : null)
  }

  function follow () {
    filter()
    const group = groups.get(state().get('finding'))
    const host = hosts.get(state().get('host'))
    if (group) showFinding(group)
    else if (host) showHost(host)
    else {
      if (dialog.open) dialog.close()
      if (state().get('finding') || state().get('host')) complain('What this address points to is not in this report.')
      else if (state().get('severity') && !byId('findings').contains(document.activeElement)) byId('findings').scrollIntoView()
    }
  }

  // --- leaks ----------------------------------------------------------------------------------------------------------
  const leaks = fleet.leaks
  const suspected = leaks.outstanding.filter((leak) => leak.finding).length
  byId('leaks-lead').textContent = leaks.hosts
    ? `${suspected ? plural(suspected, 'call stack is', 'call stacks are') : 'No call stack is'} suspected of leaking. Listed is all kernel memory that was allocated in the window and not freed by its end, on ${plural(leaks.hosts, 'host')}; most of it is caches at work.${leaks.cut ? ` ${number(leaks.cut)} smaller entries are not listed.` : ''}`
    : 'No host measured kernel memory.'
  grid('leaks-table', leaks.outstanding, [
    { title: 'Suspected', field: 'finding', width: 110, responsive: 0, headerSort: false, draw: (id) => id ? badge(groups.get(id).severity) : '' },
    { title: 'Function', field: 'culprit', minWidth: 170, widthGrow: 3, responsive: 0, draw: (name, leak) => leak.finding ? link('finding', leak.finding, name) : el('bdi', {}, name) },
    { title: 'Module', field: 'module', minWidth: 90, widthGrow: 1, responsive: 3, draw: (name) => name === null ? 'kernel' : name },
    { title: 'Type', field: 'type', width: 70, responsive: 5 },
    figure('Growth, all hosts', 'growth_bytes_per_s', (value) => `${bytes(value)}/s`, { responsive: 0, minWidth: 110 }),
    figure('Not freed', 'bytes_outstanding', bytes, { responsive: 4, minWidth: 115 }),
    figure('Oldest', 'oldest_age_s', seconds, { responsive: 6 }),
    figure('Persistence', 'persistence', percent, { responsive: 6, minWidth: 128 }),
    { title: 'Where', field: 'host_count', minWidth: 150, widthGrow: 2, responsive: 2, sorter: 'number', draw: (count, leak) => hostList(leak.hosts, count) },
    { title: 'Stack of the worst host', field: 'stack', minWidth: 140, widthGrow: 3, responsive: 4, headerSort: false, draw: (stack) => el('details', {}, el('summary', {}, stack.length ? plural(stack.length, 'frame') : 'not captured'), el('pre', {}, stack.join('\n') || '–')) }
  ])

  // --- jitter ---------------------------------------------------------------------------------------------------------
  const jitter = fleet.jitter
  const traced = Object.values(jitter.histograms).some((histogram) => Object.keys(histogram).length)
  byId('jitter-lead').textContent = jitter.hosts
    ? `${plural(jitter.count, 'wait')} of tasks for a CPU on ${plural(jitter.hosts, 'host')}; ${number(jitter.over_threshold)} longer than ${jitter.thresholds_us.map(micros).join(' or ')}${jitter.max_host ? `; longest ${micros(jitter.max_us)} on ${jitter.max_host}` : ''}.`
    : 'No host measured run-queue latency.'
  const buckets = [...new Set(Object.values(jitter.histograms).flatMap((histogram) => Object.keys(histogram).map(Number)))].sort((left, right) => left - right)
  let chart = null
  function drawChart () {
    if (chart) chart.destroy()
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
    const place = byId('jitter-chart')
    const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') }, font: '12px system-ui, sans-serif' }
    const series = (wait, tint, align) => ({ label: wait === 'wakeup' ? 'after waking up' : 'after losing the CPU', fill: tint, stroke: tint, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.42, 60], align }), value: (self, value) => value === null ? '–' : integer.format(value) })
    const counts = (wait) => buckets.map((bucket) => jitter.histograms[wait][bucket] || null)
    const most = Math.max(...buckets.flatMap((bucket) => [jitter.histograms.wakeup[bucket] || 0, jitter.histograms.preempted[bucket] || 0]), 1)
    const top = Math.ceil(Math.log10(most * 1.2))
    const decades = Array.from({ length: top + 1 }, (unused, power) => 10 ** power)
    chart = new uPlot({
      width: place.clientWidth || 600,
      height: 260,
      scales: { x: { time: false, range: [-0.6, buckets.length - 0.4] }, y: { distr: 3, log: 10, range: [0.5, 10 ** top] } },
      axes: [
        { ...axis, grid: { show: false }, space: 58, splits: () => buckets.map((bucket, index) => index), incrs: [1, 2, 3, 4, 6, 8], values: (self, places) => { const step = Math.ceil(buckets.length / Math.max(1, Math.floor(self.width / 70))); return places.map((index) => index % step ? '' : micros(buckets[index])) } },
        { ...axis, size: 62, splits: () => decades, filter: (self, splits) => splits, values: (self, splits) => splits.map((value) => new Intl.NumberFormat('en', { notation: 'compact' }).format(value)) }
      ],
      series: [
        { label: 'wait', value: (self, index) => index === null ? '–' : `${micros(buckets[index])} to ${micros(buckets[index] ? 2 * buckets[index] : 1)}` },
        series('wakeup', color('--wakeup'), -1),
        series('preempted', color('--preempted'), 1)
      ],
      cursor: { y: false, drag: { x: false, y: false } }
    }, [buckets.map((bucket, index) => index), counts('wakeup'), counts('preempted')], place)
  }
  if (traced) {
    drawChart()
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawChart)
    const waits = [['all', jitter.percentiles_us], ['after waking up', jitter.percentiles_us_by_wait.wakeup], ['after losing the CPU', jitter.percentiles_us_by_wait.preempted]]
    byId('jitter-percentiles').append(
      table(['Share of waits', ...waits.map(([name]) => name)],
        [['p50', '50 %'], ['p90', '90 %'], ['p99', '99 %'], ['p999', '99.9 %']].map(([name, text]) => [text, ...waits.map(([, values]) => micros(values[name] ?? null))])
          .concat([['longest', micros(jitter.max_us), '', '']]), [1, 2, 3]),
      el('p', { class: 'hint' }, 'So long or shorter. Each is the upper bound of the histogram bucket that holds it.'))
  } else {
    document.querySelector('#jitter .split').hidden = true
  }
  grid('jitter-table', jitter.events, [
    figure('Waited', 'delay_us', micros, { width: 95, responsive: 0, widthGrow: 0 }),
    { title: 'Host', field: 'host', minWidth: 110, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    { title: 'Task', field: 'comm', minWidth: 110, widthGrow: 2, responsive: 1, draw: (comm, event) => el('bdi', {}, `${comm} (${event.pid})`) },
    { title: 'Ran instead', field: 'instead', minWidth: 130, widthGrow: 3, responsive: 0, headerSort: false, draw: (other) => other ? el('bdi', {}, `${other.comm} (${other.pid}), ${micros(other.ran_us)} of it`) : 'the CPU was mostly idle' },
    { title: 'Wait began', field: 'wait', minWidth: 130, responsive: 4, draw: (wait) => wait === 'wakeup' ? 'at its wake-up' : 'when it lost the CPU' },
    figure('CPU', 'cpu', number, { width: 70, responsive: 3, widthGrow: 0 }),
    figure('Priority', 'prio', (prio) => prio < 100 ? `${prio} (real-time)` : number(prio), { responsive: 5 }),
    figure('At', 'at_s', seconds, { responsive: 5, width: 85, widthGrow: 0 })
  ], { ...tenRows(jitter.events), placeholder: jitter.hosts ? 'No wait was longer than the threshold.' : 'Nothing was measured.' })

  // --- interference ---------------------------------------------------------------------------------------------------
  const interference = fleet.interference
  byId('interference-lead').textContent = interference.hosts
    ? `Interrupts of ${plural(interference.hosts, 'host')}. Vectors of the same kind and name are added up over hosts${interference.cut ? `; ${number(interference.cut)} smaller ones are not listed` : ''}.`
    : 'No host measured interrupts.'
  grid('vectors-table', interference.vectors, [
    { title: 'Kind', field: 'kind', width: 90, responsive: 1 },
    { title: 'Vector', field: 'name', minWidth: 120, widthGrow: 2, responsive: 0 },
    figure('Hosts', 'hosts', number, { width: 80, responsive: 4, widthGrow: 0 }),
    figure('Interrupts', 'count', number, { responsive: 3, minWidth: 120 }),
    figure('Per second', 'rate_per_s', number, { responsive: 5 }),
    figure('Time in it', 'total_us', micros, { responsive: 2 }),
    figure('Longest', 'longest_us', micros, { responsive: 1 }),
    { title: 'Longest on', field: 'longest_host', minWidth: 110, widthGrow: 1, responsive: 5, draw: (name) => name === null ? '–' : link('host', name, name) },
    { title: 'Largest share of one CPU', field: 'worst_share', minWidth: 160, widthGrow: 2, responsive: 0, sorter: 'number', draw: shareBar },
    { title: 'Share on', field: 'worst_host', minWidth: 130, widthGrow: 1, responsive: 4, draw: (name, vector) => name === null ? '–' : el('span', {}, link('host', name, name), ` CPU ${vector.worst_cpu}`) }
  ], { placeholder: 'Nothing was measured.' })
  grid('cpus-table', interference.cpus, [
    { title: 'Host', field: 'host', minWidth: 130, widthGrow: 2, responsive: 0, draw: (name) => link('host', name, name) },
    figure('CPU', 'cpu', number, { width: 80, responsive: 0, widthGrow: 0 }),
    { title: 'Share of its time in interrupts', field: 'share', minWidth: 170, widthGrow: 4, responsive: 0, sorter: 'number', draw: shareBar }
  ], { ...tenRows(interference.cpus), placeholder: 'Not measured.' })

  // --- exceptions -----------------------------------------------------------------------------------------------------
  const exceptions = fleet.exceptions
  const kinds = Object.entries(exceptions.kinds).map(([kind, count]) => `${kind.replaceAll('_', ' ')} ${number(count)}`).join(', ')
  byId('exceptions-lead').textContent = exceptions.hosts
    ? `Logs of ${plural(exceptions.hosts, 'host')} were read. ${kinds ? `Reports by kind: ${kinds}.` : 'No kernel exception is in them.'}${exceptions.cut ? ` ${number(exceptions.cut)} older ones are not listed.` : ''}`
    : 'No host had its logs read.'
  const facts = (event) => Object.entries({ ...event.context, ...event.details }).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join('\n')
  grid('exceptions-table', exceptions.events, [
    { title: 'Severity', field: 'severity', width: 100, responsive: 0, draw: (severity) => severity ? badge(severity) : '–', sorter: rank },
    { title: 'What', field: 'title', minWidth: 180, widthGrow: 4, responsive: 0, draw: (title, event) => event.finding ? link('finding', event.finding, title) : el('bdi', {}, title) },
    { title: 'Known bug', field: 'known', minWidth: 150, widthGrow: 2, responsive: 3, headerSort: false, draw: (bugs) => el('span', {}, ...(bugs || []).flatMap((bug) => [el('a', { href: bug.references[0], rel: 'noopener noreferrer', target: '_blank' }, bug.subject), bug.affected ? ' (this kernel has it)' : ' (perhaps)', bug.fixed.length ? `, fixed in ${bug.fixed.join(', ')}` : '', el('br')])) },
    { title: 'Kind', field: 'kind', minWidth: 110, responsive: 4, draw: (kind) => kind.replaceAll('_', ' ') },
    figure('Times', 'count', number, { width: 85, responsive: 2, widthGrow: 0 }),
    { title: 'Last seen', field: 'last_seen', width: 165, responsive: 2, draw: (value, event) => event.in_window ? el('span', {}, instant(value), el('br'), el('strong', {}, 'during this scan')) : instant(value) },
    { title: 'First seen', field: 'first_seen', width: 165, responsive: 6, draw: instant },
    { title: 'Where', field: 'host_count', minWidth: 140, widthGrow: 2, responsive: 3, sorter: 'number', draw: (count, event) => hostList(event.hosts, count) },
    { title: 'Excerpt', field: 'excerpt', minWidth: 230, widthGrow: 5, responsive: 5, headerSort: false, draw: (text, event) => el('details', {}, el('summary', {}, el('bdi', {}, text.split('\n')[0] || '–')), el('pre', {}, facts(event)), el('pre', {}, text)) }
  ], { open: (event) => ({ finding: event.finding }), placeholder: exceptions.hosts ? 'No kernel exception was found.' : 'Nothing was read.' })
  if ((exceptions.notes || []).length) {
    byId('exceptions-unread').append(el('h3', {}, 'What no log tells'),
      table(['Host', 'About', 'What'], exceptions.notes.map((note) => [link('host', note.host, note.host), note.topic, el('bdi', {}, note.text)]), []))
  }
  if (exceptions.unread.length) {
    byId('exceptions-unread').append(el('h3', {}, 'Logs that could not be read'),
      table(['Source', 'Reason', 'Hosts'], exceptions.unread.map((source) => [el('bdi', {}, source.source), el('bdi', {}, source.reason), number(source.hosts)]), [2]))
  }

  // --- hosts ----------------------------------------------------------------------------------------------------------
  const found = (host) => el('span', {}, SEVERITIES.filter((severity) => host.findings[severity]).flatMap((severity) => [el('span', { class: `badge is-${severity}` }, `${host.findings[severity]} ${severity}`), ' ']))
  const weight = (host) => SEVERITIES.reduce((sum, severity) => sum * 1000 + Math.min(999, host.findings[severity]), 0)
  grid('hosts-table', fleet.hosts, [
    { title: 'Host', field: 'host', minWidth: 105, widthGrow: 2, responsive: 0, headerSortStartingDir: 'asc', draw: (name) => link('host', name, name) },
    { title: 'State', field: 'state', width: 120, responsive: 0, draw: (value, host) => host.coverage === 'none' ? badge(value === 'scanned' ? 'blind' : value) : host.coverage === 'partial' ? 'partly scanned' : value },
    { title: 'Findings', field: 'findings', minWidth: 105, widthGrow: 2, responsive: 1, draw: (value, host) => found(host), sorter: (left, right, first, second) => weight(first.getData()) - weight(second.getData()) },
    { title: 'Reason', field: 'reason', minWidth: 170, widthGrow: 4, responsive: 2, headerSort: false, draw: (reason, host) => el('bdi', {}, reason || reasons(host) || '') },
    figure('p99 wait', 'p99', micros, { responsive: 3, width: 100, widthGrow: 0, mutator: (value, host) => host.jitter ? host.jitter.p99_us : null }),
    { title: 'Kernel', field: 'kernel', minWidth: 130, widthGrow: 2, responsive: 4, mutator: (value, host) => host.system ? host.system.kernel : null },
    { title: 'Distribution', field: 'distribution', minWidth: 120, widthGrow: 2, responsive: 5, mutator: (value, host) => host.system ? host.system.distribution : null },
    { title: 'Groups', field: 'groups', minWidth: 110, widthGrow: 1, responsive: 6, headerSort: false, draw: (names) => names.join(', ') }
  ], { open: (host) => ({ host: host.host }) })
  function reasons (host) {
    return Object.entries(host.probes).filter(([, probe]) => probe.status !== 'ok').map(([name, probe]) => `${name} ${probe.status}: ${probe.reason}`)
      .concat(host.not_measured.filter((name) => !(name in host.probes)).map((name) => `${name} left no result`)).join('; ')
  }

  // --- measurement ----------------------------------------------------------------------------------------------------
  const measurement = fleet.measurement
  const said = (counts) => Object.entries(counts).map(([name, count]) => `${name} ${number(count)}`).join(', ') || '–'
  byId('measurement-lead').textContent = measurement.first_started_at
    ? `Measured from ${instant(measurement.first_started_at)}${measurement.last_started_at === measurement.first_started_at ? '' : ` (the last host began at ${instant(measurement.last_started_at)})`}, all probes of a host in one window${fleet.scan.duration_s ? ` of ${fleet.scan.duration_s} s` : ''}. CPU time is that of the probes' own processes; what their programs took inside the kernel is not in it.`
    : 'Nothing was measured.'
  grid('measurement-table', measurement.probes, [
    { title: 'Probe', field: 'probe', minWidth: 120, widthGrow: 2, responsive: 0, headerSort: false },
    { title: 'Hosts by status', field: 'statuses', minWidth: 140, widthGrow: 2, responsive: 0, headerSort: false, draw: said },
    { title: 'Engines', field: 'engines', minWidth: 120, widthGrow: 2, responsive: 2, headerSort: false, draw: said },
    { title: 'Window', field: 'window_s_min', minWidth: 110, responsive: 3, headerSort: false, draw: (least, probe) => least === null ? '–' : least === probe.window_s_max ? seconds(least) : `${seconds(least)} to ${seconds(probe.window_s_max)}` },
    figure('CPU, all hosts', 'cpu_s_total', seconds, { responsive: 2 }),
    figure('CPU, worst host', 'cpu_s_worst', (value, probe) => el('span', {}, seconds(value), probe.cpu_s_worst_host === null ? '' : el('br'), probe.cpu_s_worst_host === null ? '' : link('host', probe.cpu_s_worst_host, probe.cpu_s_worst_host)), { responsive: 1, minWidth: 130 }),
    figure('Memory, worst', 'max_rss_bytes_worst', bytes, { responsive: 4 }),
    figure('Set-up, worst', 'setup_s_worst', seconds, { responsive: 5 }),
    figure('Lost events', 'lost_events', (lost, probe) => lost ? `${number(lost)} on ${plural(probe.lost_events_hosts, 'host')}` : '0', { responsive: 3 }),
    figure('Lists cut', 'truncated_hosts', (count) => count ? plural(count, 'host') : '–', { responsive: 6 })
  ], { placeholder: 'No probe gave a result.' })
  if (fleet.problems.length) {
    byId('problems').append(el('h3', {}, 'Problems of this report'), table(['File', 'What is wrong'], fleet.problems.map((problem) => [el('bdi', {}, problem.file || '–'), el('bdi', {}, problem.reason)])))
  }

  // --- self-test ------------------------------------------------------------------------------------------------------
  if (fleet.selftest.rows.length) {
    grid('selftest-table', fleet.selftest.rows, [
      { title: 'Kernel', field: 'kernel', minWidth: 140, widthGrow: 2, responsive: 0 },
      { title: 'Probe', field: 'probe', minWidth: 100, responsive: 0 },
      { title: 'Injected', field: 'title', minWidth: 160, widthGrow: 3, responsive: 1 },
      { title: 'Verdict', field: 'verdict', width: 100, responsive: 0 },
      { title: 'Why', field: 'reason', minWidth: 170, widthGrow: 4, responsive: 2, headerSort: false, draw: (reason) => el('bdi', {}, reason) },
      { title: 'On', field: 'tested_at', width: 165, responsive: 1, draw: instant },
      { title: 'Host', field: 'host', minWidth: 100, responsive: 3, draw: (name) => el('bdi', {}, name) },
      { title: 'Engine', field: 'engine', width: 90, responsive: 4 }
    ], tenRows(fleet.selftest.rows))
  }

  const badges = { findings: fleet.findings.length, leaks: suspected, exceptions: exceptions.events.length, hosts: fleet.hosts.length }
  for (const [section, count] of Object.entries(badges)) document.querySelector(`.sections a[href="#${section}"]`).append(el('span', {}, number(count)))

  await Promise.all(built)
  let width = innerWidth
  addEventListener('resize', () => {
    if (innerWidth === width) return
    width = innerWidth
    for (const made of tables) made.redraw(true)
    if (chart) drawChart()
  })
  addEventListener('hashchange', follow)
  follow()
  const target = location.hash.length > 1 && !location.hash.includes('=') && byId(location.hash.slice(1))
  if (target) target.scrollIntoView()
  document.documentElement.dataset.ready = 'yes'
})()
