/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bar of shares of a whole, and the legend of its colours. */
import { el } from './dom.js'

const WIDTH = 1000
const HEIGHT = 12
const SVG = 'http://www.w3.org/2000/svg'

/* shares: [{class, title, value}] → [{class, title, x, width}], in thousandths of the whole; empty ones are left
   out. */
export function segments(shares) {
  const whole = shares.reduce((sum, { value }) => sum + value, 0) || 1
  let at = 0
  return shares
    .map((share) => {
      const width = (share.value / whole) * WIDTH
      at += width
      return { class: share.class, title: share.title, x: at - width, width }
    })
    .filter(({ width }) => width > 0)
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  node.append(...children)
  return node
}

/* titles: what people hear, and see on hovering. */
export const bar = (shares) =>
  svg(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      class: 'bar',
      role: 'img',
      'aria-label': shares.map(({ title }) => title).join('; '),
    },
    ...segments(shares).map(({ class: name, title, x, width }) =>
      svg(
        'rect',
        { x: x.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT, class: name },
        svg('title', {}, title),
      ),
    ),
  )

export const legend = (entries) =>
  el(
    'ul',
    { class: 'legend' },
    entries.map(({ class: name, title }) => el('li', { class: name }, title)),
  )
