/** Times that people enter, read in the zone that the page shows. Pure. */

import { parts } from './format'

/**
 * The instant that `2026-06-30T22:00[:00]` names in a zone, milliseconds; null if it is not such a text.
 *
 * A time that a change of clocks leaves out becomes the one as much later; of one that comes twice, the first is taken.
 */
export function readLocal(text: string, zone: string): number | null {
  const naive = Date.parse(`${text}Z`)
  if (Number.isNaN(naive) || !/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text)) return null
  // the offset at the naive instant is right or one change of clocks off; the offsets a day on either side cover both
  const candidates = [-86_400_000, 0, 86_400_000].map((shift) => naive - offset(naive + shift, zone))
  const exact = candidates.filter((time) => time + offset(time, zone) === naive)
  return exact.length > 0 ? Math.min(...exact) : candidates[0]!
}

/** A zone's lead over UTC at an instant, milliseconds. */
function offset(time: number, zone: string): number {
  const of = parts(time, zone)
  const local = Date.parse(`${of.year}-${of.month}-${of.day}T${of.hour}:${of.minute}:${of.second}Z`)
  return local - Math.floor(time / 1000) * 1000
}
