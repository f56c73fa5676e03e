/** The part of the list of runs that this page holds, and how snapshots and deltas change it. Pure. */

import type { Run } from '@/api/wire'
import type { Counts, Update } from './frames'

/** Never more rows than this, whatever the server sends. */
export const MOST_ROWS = 600

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

export function fromSnap(snap: Update): RunsWindow {
  const rows = (snap.rows ?? []) as Run[]
  const before = snap.before ?? 0
  const total = snap.total ?? rows.length
  return {
    rows, total, exact: snap.exact ?? true, before, after: snap.after ?? Math.max(0, total - before - rows.length),
    counts: snap.counts ?? {},
  }
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
 * A row beyond an end of the window that is not the end of the list is not taken in: there would be a
 * hole between it and its neighbour. It is counted instead, and comes with the window that is asked for next.
 */
export function applyDelta(now: RunsWindow, delta: Update, order: 'asc' | 'desc'): RunsWindow {
  const sign = order === 'asc' ? 1 : -1
  const changed = new Map(((delta.rows ?? []) as Run[]).map((run) => [run.run_id, run]))
  const gone = new Set(delta.gone ?? [])
  const rows = now.rows.filter((run) => !gone.has(run.run_id) && !changed.has(run.run_id))
  let { before, after } = now
  for (const run of changed.values()) {
    if (gone.has(run.run_id)) continue
    const index = place(rows, run, sign)
    if (index === 0 && before > 0 && rows.length > 0) before += Number(!held(now, run))
    else if (index === rows.length && after > 0 && rows.length > 0) after += Number(!held(now, run))
    else rows.splice(index, 0, run)
  }
  const cut = trim(rows)
  before = delta.before ?? before + cut
  const total = delta.total ?? before + rows.length + after
  // the server's total is the truth; what is not before and not held stands after
  after = delta.after ?? Math.max(0, total - before - rows.length)
  return { rows, total, exact: delta.exact ?? now.exact, before, after, counts: delta.counts ?? now.counts }
}

function held(now: RunsWindow, run: Run): boolean {
  return now.rows.some((row) => row.run_id === run.run_id)
}

/** Drop rows from the start until few enough are left; return how many. */
function trim(rows: Run[]): number {
  const over = Math.max(0, rows.length - MOST_ROWS)
  if (over > 0) rows.splice(0, over)
  return over
}
