/** What became of what was asked: a few notes in the corner. Failures stay until they are dismissed. */

import { shallowRef } from 'vue'
import { asFailure } from '@/api/failure'

export interface Toast {
  id: number
  kind: 'done' | 'failed'
  text: string
  hint: string
  detail: string
  link: { to: string; text: string } | null
}

const MOST = 4
const STAY = 6_000

export const toasts = shallowRef<readonly Toast[]>([])
let last = 0

function show(toast: Omit<Toast, 'id'>): number {
  const id = ++last
  toasts.value = [...toasts.value, { ...toast, id }].slice(-MOST)
  return id
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function tellDone(text: string, link: Toast['link'] = null): void {
  const id = show({ kind: 'done', text, hint: '', detail: '', link })
  setTimeout(() => dismiss(id), STAY)
}

/** Say what failed, with all that the server said of it. */
export function tellFailure(what: string, error: unknown): void {
  const failure = asFailure(error)
  const detail = [failure.status ? `HTTP ${failure.status}` : '', failure.requestId ? `request ${failure.requestId}` : '']
  show({
    kind: 'failed', text: `${what}: ${failure.message}`, hint: failure.hint, detail: detail.filter(Boolean).join(' · '), link: null,
  })
}
