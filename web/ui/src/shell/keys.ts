/** Single-key commands, in force only where nobody is typing. */

import { onScopeDispose, ref } from 'vue'
import { recall, remember } from './storage'

export type Keymap = Record<string, (event: KeyboardEvent) => void>

const maps: Keymap[] = []
let prefix = ''
let prefixAt = 0
const PREFIX_LASTS = 1_500

/** Off: single letters do nothing (they get in the way of speech input). */
export const keysOn = ref(recall('keys') !== 'off')

export function switchKeys(on: boolean): void {
  keysOn.value = on
  remember('keys', on ? 'on' : 'off')
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName)
}

function hear(event: KeyboardEvent): void {
  if (!keysOn.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  if (typing(event.target) || document.querySelector('dialog[open]') !== null) return
  const onControl = event.target instanceof HTMLElement && event.target.closest('button, a, [role=menuitem]') !== null
  if (onControl && (event.key === 'Enter' || event.key === ' ')) return
  const chord = prefix !== '' && event.timeStamp - prefixAt < PREFIX_LASTS ? `${prefix} ${event.key}` : event.key
  prefix = ''
  // the page's own map stands above the shell's
  const handler = maps.toReversed().find((map) => chord in map)?.[chord]
  if (handler) {
    event.preventDefault()
    handler(event)
  } else if (event.key === 'g') {
    prefix = 'g'
    prefixAt = event.timeStamp
  }
}

export function startKeys(): void {
  addEventListener('keydown', hear)
}

/** Put a map in force until the component is left. */
export function useKeys(map: Keymap): void {
  maps.push(map)
  onScopeDispose(() => maps.splice(maps.indexOf(map), 1))
}
