/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dialog that shows one finding or one host. */
import { bdi, byId, el } from './dom.js'
import { t } from './messages.js'
import { keep } from './state.js'

const dialog = () => byId('detail')

export function showDialog(over, title, ...parts) {
  const close = el('button', { type: 'button', class: 'close' }, t('Close'))
  close.addEventListener('click', closeDialog)
  const head = el('div', { class: 'head' }, el('div', {}, over, el('h2', { id: 'detail-title' }, bdi(title))), close)
  dialog().firstElementChild.replaceChildren(head, ...parts.flat().filter(Boolean))
  if (!dialog().open) dialog().showModal()
  dialog().scrollTop = 0
}

export function closeDialog() {
  if (dialog().open) dialog().close()
}

/* Closing the dialog removes what it showed from the address. */
export function followDialog() {
  dialog().addEventListener('close', () => keep({ finding: '', host: '', with: '', rule: '' }))
  dialog().addEventListener('click', (event) => {
    if (event.target === dialog()) closeDialog()
  })
}
