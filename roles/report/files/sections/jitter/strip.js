/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each host, worst first: a bar to its 99th percentile and a dot at its longest wait. */
import { bars, chartFigure, decadeAxis, decadesTo, draw } from '../../lib/chart.js'
import { micros, NONE, number } from '../../lib/format.js'
import { t } from '../../lib/messages.js'

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000]
const NAME_PX = 100
const NAME_CHARS = 12
const MANY_HOSTS = 400

/* Hosts with a 99th percentile, worst first. */
export const worstFirst = (hosts) =>
  hosts
    .filter(({ jitter }) => jitter && jitter.p99_us !== null)
    .sort((left, right) => right.jitter.p99_us - left.jitter.p99_us || right.jitter.max_us - left.jitter.max_us)

function chart(hosts, colour, axis) {
  const top = decadesTo(Math.max(10, ...hosts.map(({ jitter }) => jitter.max_us)))
  const each = (name) => hosts.map(({ jitter }) => Math.max(1, jitter[name]))
  const value = (self, time) => (time === null ? NONE : micros(time))
  const marks = (self, shown) =>
    shown.map((index) =>
      self.width / hosts.length > NAME_PX ? hosts[index].host.slice(0, NAME_CHARS) : number(index + 1),
    )
  return [
    {
      height: 200,
      scales: {
        x: { time: false, range: [-0.6, hosts.length - 0.4] },
        y: { distr: 3, log: 10, range: [0.8, top * 1.2] },
      },
      axes: [
        { ...axis, grid: { show: false }, incrs: STEPS, space: 60, values: marks },
        { ...axis, ...decadeAxis(top, micros) },
      ],
      series: [
        { label: t('Host'), value: (self, index) => (index === null ? NONE : hosts[index].host) },
        {
          label: t('99 % of the waits are at most'),
          fill: colour('--wakeup'),
          stroke: colour('--wakeup'),
          width: 0,
          points: { show: false },
          paths: bars([0.8, 40]),
          value,
        },
        {
          label: t('longest'),
          stroke: colour('--preempted'),
          width: 0,
          paths: () => null,
          points: { show: true, size: hosts.length > MANY_HOSTS ? 3 : 6, fill: colour('--preempted') },
          value,
        },
      ],
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [hosts.map((host, index) => index), each('p99_us'), each('max_us')],
  ]
}

export function stripPart(hosts, root) {
  const shown = worstFirst(hosts)
  if (shown.length < 2) return
  const figure = chartFigure(
    'jitter-strip',
    t('Run-queue latency of each host'),
    t('Each host, worst first. The time axis is logarithmic. A click opens the host.'),
  )
  root.append(figure)
  draw(
    figure,
    (colour, axis) => chart(shown, colour, axis),
    (index) => ({ host: shown[index].host }),
  )
}
