/** The zone in which this page shows and reads times: one for all of it, kept by the browser. */

import { computed, ref, watch } from 'vue'
import { recall, remember } from '@/shell/storage'
import { tick } from './clock'
import { zoneLabel } from './format'

export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone

function known(zone: string | null): zone is string {
  if (!zone) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

const stored = recall('zone')
export const zone = ref(known(stored) ? stored : browserZone)
watch(zone, (value) => remember('zone', value))

/** What stands beside times on screen: `UTC`, `CEST`. */
export const label = computed(() => zoneLabel(zone.value, tick.value))

/** Every zone that the browser knows, UTC and its own first. */
export function allZones(): string[] {
  const rest = Intl.supportedValuesOf('timeZone').filter((name) => name !== browserZone && name !== 'UTC')
  return [...new Set(['UTC', browserZone]), ...rest]
}
