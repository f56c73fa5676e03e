/** The server's clock as this page knows it, and the one ticker. */

import { computed, ref } from 'vue'

/** the server's clock minus ours, milliseconds */
let offset = 0

/** Milliseconds since the epoch by the server's clock; elapsed times follow it even where ours is wrong. */
export const tick = ref(Date.now())

/** True while the numbers may be old: clocks stand still, and say so. */
export const stale = ref(false)

let timer = 0

export function serverNow(): number {
  return Date.now() + offset
}

/** Take the server's time from a frame that has just come. */
export function hearServerTime(now: string): void {
  const theirs = Date.parse(now)
  if (Number.isNaN(theirs)) return
  const found = theirs - Date.now()
  // network jitter is not a change of clock
  if (Math.abs(found - offset) > 250) offset = found
  beat()
}

function beat(): void {
  if (!stale.value) tick.value = serverNow()
}

function run(): void {
  clearTimeout(timer)
  if (document.hidden) return
  beat()
  // on the second, so that clocks on screen change together
  timer = window.setTimeout(run, 1000 - (serverNow() % 1000) + 5)
}

/** Tick once a second while the page can be seen. */
export function startClock(): void {
  document.addEventListener('visibilitychange', run)
  run()
}

export const nowText = computed(() => new Date(tick.value).toISOString())
