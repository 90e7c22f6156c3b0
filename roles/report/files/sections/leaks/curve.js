/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small curve of bytes outstanding from the begin to the end of the window. */
import { bytes, seconds } from '../../lib/format.js'
import { t } from '../../lib/messages.js'

const WIDTH = 150
const HEIGHT = 28
const SVG = 'http://www.w3.org/2000/svg'

/* points: [[seconds, bytes], …] → the points of a polyline. */
export function polyline(points) {
  const end = points.at(-1)[0] || 1
  const most = Math.max(1, ...points.map(([, value]) => value))
  const x = (at) => ((at / end) * WIDTH).toFixed(1)
  const y = (value) => (HEIGHT - 1 - (value / most) * (HEIGHT - 2)).toFixed(1)
  return points.map(([at, value]) => `${x(at)},${y(value)}`).join(' ')
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  return node
}

export function curve(points) {
  const [end, size] = points.at(-1)
  const picture = svg('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    width: WIDTH,
    height: HEIGHT,
    class: 'curve',
    role: 'img',
    'aria-label': t('from 0 to {size} in {time}', { size: bytes(size), time: seconds(end || 1) }),
  })
  picture.append(
    svg('polyline', { points: polyline(points), fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5 }),
  )
  return picture
}
