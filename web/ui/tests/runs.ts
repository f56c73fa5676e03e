import type { Run } from '@/api/wire'

/** A run with nothing special, but for what is given. */
export function run(id: string, given: Partial<Run> = {}): Run {
  return {
    run_id: id, job_id: 'etl/load', args: {}, state: 'scheduled', reason: '', schedule_time: null, stop_time: null, timestamps: {}, labels: [],
    expected: true, host: null, reachable: true, program: {}, conditions: [], actions: [], job_version: '', rerun_of: null, reruns: [],
    late_by: null, elapsed: null, exit: null, rusage: null, outputs: {}, pid: null, rev: 1, ...given,
  }
}

export const due = (id: string, second: number, given: Partial<Run> = {}): Run =>
  run(id, { schedule_time: `2026-06-30T14:00:${String(second).padStart(2, '0')}.000000Z`, ...given })
