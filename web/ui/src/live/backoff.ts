/** How long to wait before the next attempt to connect. */

export const CAP = 30_000
const FIRST = 500

/** Milliseconds before attempt `failures` (0 is the first after a loss): full jitter, so that many pages do not return at once. */
export function backoff(failures: number, random: () => number): number {
  const ceiling = Math.min(CAP, FIRST * 2 ** Math.min(failures, 16))
  return Math.round(ceiling * random())
}

/** Milliseconds to wait where the server has said when it will be back: that long, and a little spread. */
export function afterBye(after: number, random: () => number): number {
  return Math.round(Math.min(Math.max(after, 0), CAP) + 500 * random())
}

/** Close codes after which another attempt would end the same way. */
export const FINAL = new Set([4400, 4403, 4406])
export const SIGNED_OUT = 4401
