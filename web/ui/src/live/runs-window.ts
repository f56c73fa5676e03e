/** The part of the list of runs that this page holds, and how snapshots and deltas change it. Pure. */

import type { Run } from '@/api/wire'
import type { Counts, Update } from './frames'

export type Order = 'asc' | 'desc'

export interface RunsWindow {
  /** in the order of the list; frozen, a change makes a new array */
  readonly rows: readonly Run[]
  /** runs that match, those that are not held too */
  readonly total: number
  /** False: `total` is a lower bound */
  readonly exact: boolean
  /** matching runs before the first row and after the last */
  readonly before: number
  readonly after: number
  readonly counts: Counts
}

export const NO_RUNS: RunsWindow = { rows: [], total: 0, exact: true, before: 0, after: 0, counts: {} }

/** What a run is sorted by: its schedule time, else the first moment known of it. */
export function timeKey(run: Run): string {
  if (run.schedule_time !== null) return run.schedule_time
  let first = ''
  for (const time of Object.values(run.timestamps)) if (first === '' || time < first) first = time
  return first
}

const number = (run: Run): number => Number(run.run_id.replace(/^\D+/, ''))

/** Order of the list, ascending: by time, then by the number of the run. */
export function compare(a: Run, b: Run): number {
  const left = timeKey(a)
  const right = timeKey(b)
  if (left !== right) return left < right ? -1 : 1
  return number(a) - number(b)
}

/** How many runs lie before the first row and after the last: a frame speaks of earlier and later, whatever the order. */
function beyond(frame: Update, order: Order, rows: number): Pick<RunsWindow, 'total' | 'before' | 'after'> {
  const [before, after] = [frame.before ?? 0, frame.after ?? 0]
  const total = frame.total ?? before + rows + after
  return order === 'asc' ? { total, before, after } : { total, before: after, after: before }
}

export function fromSnap(snap: Update, order: Order): RunsWindow {
  const rows = (snap.rows ?? []) as Run[]
  return { rows, ...beyond(snap, order, rows.length), exact: snap.exact ?? true, counts: snap.counts ?? {} }
}

/** The index at which `run` stands, or would stand, in sorted rows. */
function place(rows: readonly Run[], run: Run, sign: number): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sign * compare(rows[middle]!, run) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Return the window after a delta.
 *
 * The server sends only rows that belong into the window, and cuts it before it grows too large; so each
 * row is put in its place, also where that is another one than before.
 */
export function applyDelta(now: RunsWindow, delta: Update, order: Order): RunsWindow {
  const sign = order === 'asc' ? 1 : -1
  const changed = new Map(((delta.rows ?? []) as Run[]).map((run) => [run.run_id, run]))
  const gone = new Set(delta.gone ?? [])
  const rows = now.rows.filter((run) => !gone.has(run.run_id) && !changed.has(run.run_id))
  for (const run of changed.values()) if (!gone.has(run.run_id)) rows.splice(place(rows, run, sign), 0, run)
  return { rows, ...beyond(delta, order, rows.length), exact: delta.exact ?? now.exact, counts: delta.counts ?? now.counts }
}
