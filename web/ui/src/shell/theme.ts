/** Light or dark: as chosen, or as the system has it. `theme-boot.js` sets the first one before the first paint. */

import { ref, watch } from 'vue'
import { recall, remember } from './storage'

export type Theme = 'auto' | 'light' | 'dark'
export const THEMES: readonly Theme[] = ['auto', 'light', 'dark']

const stored = recall('theme')
export const theme = ref<Theme>(THEMES.find((known) => known === stored) ?? 'auto')
const system = matchMedia('(prefers-color-scheme: dark)')

function show(): void {
  const dark = theme.value === 'dark' || (theme.value === 'auto' && system.matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
}

export function startTheme(): void {
  system.addEventListener('change', show)
  watch(theme, (value) => { remember('theme', value); show() })
}
