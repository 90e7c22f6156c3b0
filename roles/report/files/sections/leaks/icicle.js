/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Icicle graph of memory that was not freed, by call stack: callers above, what they call below, as wide as its
   bytes. */
import { chartFigure, wholeFleet } from '../../lib/chart.js'
import { bdi, el } from '../../lib/dom.js'
import { foldedPart } from '../../lib/fold.js'
import { bytes, percent } from '../../lib/format.js'
import { t } from '../../lib/messages.js'

const ROW_PX = 20
const LEAST_SHARE = 0.004 // of the width; what is smaller cannot be seen
const LISTED = 30

/* A frame without its offset. */
export const functionOf = (frame) => frame.replace(/\+0x[0-9a-f]+(\/0x[0-9a-f]+)?/i, '')

/* {name, value, suspect, children: [the same]}: entries with equal callers share a node. value: bytes that end in
   it. */
export function treeOf(entries) {
  const root = { name: '', value: 0, suspect: false, children: [] }
  for (const { stack, bytes_outstanding: size, finding } of entries) {
    if (!stack.length || size <= 0) continue
    let node = root
    for (const frame of [...stack].reverse()) {
      const name = functionOf(frame)
      let next = node.children.find((child) => child.name === name)
      if (!next) {
        next = { name, value: 0, suspect: false, children: [] }
        node.children.push(next)
      }
      next.suspect = next.suspect || Boolean(finding)
      node = next
    }
    node.value += size
  }
  return root
}

function cell(node, whole, x0, x1) {
  const from = Math.max(0, (node.x0 - x0) / (x1 - x0))
  const to = Math.min(1, (node.x1 - x0) / (x1 - x0))
  if (to - from < LEAST_SHARE || !node.depth) return null
  const made = el('div', { class: `frame${node.data.suspect ? ' suspect' : ''}`, translate: 'no' }, bdi(node.data.name))
  made.style.left = `${100 * from}%`
  made.style.width = `${100 * (to - from)}%`
  made.style.top = `${(node.depth - 1) * ROW_PX}px`
  made.title = `${node.data.name}: ${bytes(node.value)} (${percent(node.value / whole)})`
  return made
}

function drawInto(place, entries) {
  const root = d3.partition()(
    d3
      .hierarchy(treeOf(entries))
      .sum(({ value }) => value)
      .sort((left, right) => right.value - left.value),
  )
  place.style.height = `${root.height * ROW_PX}px`
  /* Shows a node as wide as the graph; its callers keep their rows. */
  function show(focus) {
    const cells = []
    root.each((node) => {
      const made = cell(node, root.value, focus.x0, focus.x1)
      if (!made) return
      made.addEventListener('click', () => show(node === focus ? root : node))
      cells.push(made)
    })
    place.replaceChildren(...cells)
  }
  show(root)
}

export function iciclePart(entries, root) {
  const drawn = entries.filter(({ stack, bytes_outstanding: size }) => stack.length && size > 0)
  if (!drawn.length) return
  const part = foldedPart(root, t('Unfreed bytes by call stack'), drawn.length)
  const lines = () =>
    drawn
      .slice(0, LISTED)
      .map((entry) => [
        bdi(entry.culprit),
        bytes(entry.bytes_outstanding),
        bdi(entry.stack.map(functionOf).join(' ← ')),
      ])
  const figure = chartFigure(
    'leaks-icicle',
    t('Icicle graph of unfreed bytes by call stack'),
    { heads: () => [t('Function'), t('Not freed'), t('Stack of the worst host')], lines, numeric: [1] },
    t('Callers stand above what they call; the width is the memory not freed, by the stack of the worst host.'),
    ' ',
    t('What is suspected of leaking is red. A click widens a part, a second click shows all.'),
  )
  part.append(wholeFleet(), figure)
  figure.firstElementChild.classList.add('icicle')
  drawInto(figure.firstElementChild, drawn)
}
