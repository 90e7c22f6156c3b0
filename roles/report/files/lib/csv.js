/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables as CSV, safe to open in a spreadsheet. */

/* A number, or one line that no spreadsheet takes for a formula: what could be one begins with an apostrophe. */
export function cell(value) {
  if (typeof value === 'number') return String(value)
  const line = value.replace(/\s+/g, ' ').trim()
  const safe = /^[=+\-@|%\uff1d\uff0b\uff0d\uff20]/.test(line) ? `'${line}` : line
  return `"${safe.replaceAll('"', '""')}"`
}

/* lines: rows of texts and numbers. The byte order mark makes spreadsheets read UTF-8. */
export const csv = (lines) => '\ufeff' + lines.map((line) => line.map(cell).join(',') + '\r\n').join('')
