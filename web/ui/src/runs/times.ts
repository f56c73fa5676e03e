/** When a run was due, began and ended, how long it takes, and how late it is. Pure: the present is an argument. */

import type { Run } from '@/api/wire'
import { hasProgram, isActive, isFinished, LATE } from './states'

const millis = (text: string | null | undefined): number | null => (text ? Date.parse(text) : null)

export const scheduled = (run: Run): number | null => millis(run.schedule_time)

/** When the program began: the moment it ran, or for one that ended at once, was being started. */
export function started(run: Run): number | null {
  return millis(run.timestamps.running) ?? (run.elapsed !== null ? millis(run.timestamps.starting) : null)
}

export function ended(run: Run): number | null {
  return isFinished(run.state) ? millis(run.timestamps[run.state]) : null
}

/** Seconds that the program has run by `now`, or ran; null: it never did. */
export function elapsedSeconds(run: Run, now: number): number | null {
  if (run.elapsed !== null) return run.elapsed
  const start = millis(run.timestamps.running)
  if (start === null || !hasProgram(run.state)) return null
  return Math.max(0, Math.floor((now - start) / 1000))
}

/** Seconds between due time and start, or `now` while it has not started; null where it was not due. */
export function lateSeconds(run: Run, now: number): number | null {
  if (run.late_by !== null) return run.late_by
  const due = scheduled(run)
  if (due === null || !(isActive(run.state) || run.state === 'scheduled')) return null
  const start = millis(run.timestamps.running)
  return ((start ?? now) - due) / 1000
}

/** Seconds late if that is worth a badge, else 0. */
export function lateBadge(run: Run, now: number): number {
  const late = lateSeconds(run, now)
  return late !== null && late >= LATE && run.state !== 'skipped' ? late : 0
}

/** One line on how it ended: `exit 3`, `signal 9`, or nothing for a plain success. */
export function ending(run: Run): string {
  const { exit } = run
  if (!exit) return ''
  if (exit.error) return exit.error
  if (exit.signal !== null) return `signal ${exit.signal}`
  if (exit.code !== null && exit.code !== 0) return `exit ${exit.code}`
  return ''
}
