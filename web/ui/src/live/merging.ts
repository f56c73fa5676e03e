/** Putting together what we have and what has come. Pure. */

import type { Job, LogEntry } from '@/api/wire'

/** Append entries that are not there yet: a resumed stream may repeat some. */
export function mergeLog(have: readonly LogEntry[], more: readonly LogEntry[]): readonly LogEntry[] {
  const last = have.at(-1)?.seq ?? -1
  const fresh = more.filter((entry) => entry.seq > last)
  return fresh.length > 0 ? [...have, ...fresh] : have
}

/** Replace, add and remove jobs, in order of id. */
export function mergeJobs(have: readonly Job[], changed: readonly Job[], gone: readonly string[]): readonly Job[] {
  const byId = new Map(have.map((job) => [job.job_id, job]))
  for (const job of changed) byId.set(job.job_id, job)
  for (const id of gone) byId.delete(id)
  return [...byId.values()].sort((a, b) => (a.job_id < b.job_id ? -1 : 1))
}
