/** What stands in the rows of the grid: runs, the line at the present, and the two ends of what is loaded. Pure. */

import type { Run } from '@/api/wire'
import { timeKey, type RunsWindow } from '@/live/runs-window'

export type Item =
  | { kind: 'run'; run: Run; position: number }
  | { kind: 'now' }
  | { kind: 'edge'; side: 'before' | 'after'; count: number }

/** How many of the rows stand above the line at `now` (UTC text). */
export function nowIndex(rows: readonly Run[], now: string, order: 'asc' | 'desc'): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    const past = timeKey(rows[middle]!) <= now
    if (past === (order === 'asc')) low = middle + 1
    else high = middle
  }
  return low
}

/** The rows of the grid, from first to last; the line is left out where the present is not in the window. */
export function items(window: RunsWindow, nowAt: number): Item[] {
  const found: Item[] = []
  if (window.before > 0) found.push({ kind: 'edge', side: 'before', count: window.before })
  const inside = (nowAt > 0 || window.before === 0) && (nowAt < window.rows.length || window.after === 0)
  window.rows.forEach((run, index) => {
    if (inside && index === nowAt) found.push({ kind: 'now' })
    found.push({ kind: 'run', run, position: window.before + index })
  })
  if (inside && nowAt === window.rows.length) found.push({ kind: 'now' })
  if (window.after > 0) found.push({ kind: 'edge', side: 'after', count: window.after })
  return found
}

/** How many rows of `next` are not in `shown`, or the other way round. */
export function difference(shown: readonly Run[], next: readonly Run[]): number {
  const ids = new Set(shown.map((run) => run.run_id))
  let common = 0
  for (const run of next) common += Number(ids.has(run.run_id))
  return shown.length + next.length - 2 * common
}

/** The shown rows in their order, with the newest facts of each. */
export function refresh(shown: readonly Run[], next: readonly Run[]): Run[] {
  const newest = new Map(next.map((run) => [run.run_id, run]))
  return shown.map((run) => newest.get(run.run_id) ?? run)
}
