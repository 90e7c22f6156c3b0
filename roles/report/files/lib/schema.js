/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words of the fleet document that have an order. */

/* Worst first. */
export const SEVERITIES = ['fatal', 'critical', 'error', 'warning', 'info']
export const CHANGES = [
  'new',
  'worse',
  'unchanged',
  'better',
  'resolved',
  'rebooted',
  'not_measured_now',
  'not_measured_before',
]

/* 0 is the worst. */
export const severityRank = (severity) => SEVERITIES.indexOf(severity)
/* For sorting: the worst is the largest. */
export const bySeverity = (left, right) => severityRank(right) - severityRank(left)
export const worst = (severities) =>
  severities.reduce((one, other) => (severityRank(one) <= severityRank(other) ? one : other))

/* One number that sorts hosts by their findings: {severity: count}. */
export const findingsWeight = (counts) =>
  SEVERITIES.reduce((sum, severity) => sum * 1000 + Math.min(999, counts[severity]), 0)
