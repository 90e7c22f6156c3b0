/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small curve of a value over time. */
const WIDTH = 150
const HEIGHT = 28
const SVG = 'http://www.w3.org/2000/svg'

/* points: [[seconds, value], …]; least: the value at the bottom → the points of a polyline. */
export function polyline(points, least = 0) {
  const end = points.at(-1)[0] || 1
  const range = Math.max(1, ...points.map(([, value]) => value - least))
  const x = (at) => ((at / end) * WIDTH).toFixed(1)
  const y = (value) => (HEIGHT - 1 - ((value - least) / range) * (HEIGHT - 2)).toFixed(1)
  return points.map(([at, value]) => `${x(at)},${y(value)}`).join(' ')
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  return node
}

/* label: what people hear in its place. */
export function curve(points, label, least = 0) {
  const picture = svg('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    width: WIDTH,
    height: HEIGHT,
    class: 'curve',
    role: 'img',
    'aria-label': label,
  })
  picture.append(
    svg('polyline', { points: polyline(points, least), fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5 }),
  )
  return picture
}
