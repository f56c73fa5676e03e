import { describe, expect, it } from 'vitest'
import { afterBye, backoff, CAP } from '@/live/backoff'
import { mergeJobs, mergeLog } from '@/live/merging'
import { readFrame, type Update } from '@/live/frames'
import { applyDelta, compare, fromSnap, NO_RUNS } from '@/live/runs-window'
import { greeting, judge } from '@/live/subscription'
import type { Job } from '@/api/wire'
import { due, run } from './runs'

const delta = (part: Partial<Update>): Update => ({ t: 'delta', id: 1, from: 1, seq: 2, before: 0, after: 0, ...part })
const snap = (part: Partial<Update>): Update => ({ t: 'snap', id: 1, seq: 1, before: 0, after: 0, ...part })
const ids = (window: { rows: readonly { run_id: string }[] }) => window.rows.map((row) => row.run_id)

describe('the window of runs', () => {
  const start = fromSnap(snap({ rows: [due('r1', 10), due('r2', 20), due('r3', 30)], total: 8, before: 2, after: 3, counts: { running: 1 } }), 'asc')

  it('is what the snapshot says', () => {
    expect(ids(start)).toEqual(['r1', 'r2', 'r3'])
    expect(start).toMatchObject({ total: 8, before: 2, after: 3, exact: true, counts: { running: 1 } })
  })

  it('takes a changed row in its place, without touching the one before', () => {
    const next = applyDelta(start, delta({ rows: [due('r2', 20, { state: 'running' })], before: 2, after: 3 }), 'asc')
    expect(next.rows[1]?.state).toBe('running')
    expect(start.rows[1]?.state).toBe('scheduled')
    expect(next.rows[0]).toBe(start.rows[0])
  })

  it('puts a new row where its time belongs, and drops what is gone', () => {
    const next = applyDelta(start, delta({ rows: [due('r9', 25)], gone: ['r1'], total: 8, before: 2, after: 3 }), 'asc')
    expect(ids(next)).toEqual(['r2', 'r9', 'r3'])
  })

  it('moves a row whose time has changed', () => {
    expect(ids(applyDelta(start, delta({ rows: [due('r1', 40)] }), 'asc'))).toEqual(['r2', 'r3', 'r1'])
  })

  it('orders runs of the same time by number, not by text', () => {
    expect(ids(applyDelta(NO_RUNS, delta({ rows: [due('r10', 5), due('r9', 5), due('r100', 5)] }), 'asc'))).toEqual(['r9', 'r10', 'r100'])
  })

  it('turned around means later by before', () => {
    const window = fromSnap(snap({ rows: [due('r3', 30), due('r1', 10)], total: 7, before: 4, after: 1 }), 'desc')
    expect(window).toMatchObject({ before: 1, after: 4 })
    expect(ids(applyDelta(window, delta({ rows: [due('r2', 20)], before: 4, after: 1 }), 'desc'))).toEqual(['r3', 'r2', 'r1'])
  })

  it('holds each run once, whatever is repeated', () => {
    const again = delta({ rows: [due('r2', 20), due('r2', 20)] })
    expect(ids(applyDelta(applyDelta(start, again, 'asc'), again, 'asc'))).toEqual(['r1', 'r2', 'r3'])
  })

  it('sorts a run that was never due by the first moment known of it', () => {
    const adhoc = run('r5', { timestamps: { running: '2026-06-30T14:00:16.000000Z', starting: '2026-06-30T14:00:15.000000Z' } })
    expect(compare(due('r1', 14), adhoc)).toBeLessThan(0)
    expect(compare(due('r9', 15), adhoc)).toBeGreaterThan(0)
  })
})

describe('a delta', () => {
  it('applies onto exactly what we have', () => expect(judge({ seq: 5 }, delta({ from: 5, seq: 9 }))).toBe('apply'))
  it('may leave the number as it was', () => expect(judge({ seq: 5 }, delta({ from: 5, seq: 5 }))).toBe('apply'))
  it('that we have seen is passed over', () => expect(judge({ seq: 9 }, delta({ from: 5, seq: 9 }))).toBe('old'))
  it('that leaves a hole makes us begin again', () => expect(judge({ seq: 5 }, delta({ from: 7, seq: 9 }))).toBe('resync'))
  it('before any snapshot belongs to another subscription', () => expect(judge({ seq: null }, delta({}))).toBe('old'))
  it('is no match for a snapshot, which always counts', () => expect(judge({ seq: 9 }, snap({ seq: 3 }))).toBe('snap'))
})

describe('after a lost connection', () => {
  const runs = { id: 1, seq: 7, range: ['1.2', null] as [string, null], topic: { topic: 'runs', q: '', window: { order: 'asc', anchor: 'now', before: 1, after: 1 } } as const }

  it('what has a place is resumed, what has none begins', () => {
    const fresh = { id: 2, seq: null, topic: { topic: 'run', run: 'r1' } as const }
    const output = { id: 3, seq: null, topic: { topic: 'output', run: 'r1' } as const }
    const { resume, begin } = greeting([runs, fresh, output])
    expect(resume).toEqual([runs])
    expect(begin.map(({ id }) => id)).toEqual([2, 3])
  })

  it('attempts come within half a second first, then ever later, up to a bound', () => {
    expect(backoff(0, () => 0.999)).toBeLessThanOrEqual(500)
    expect(backoff(3, () => 1)).toBe(4000)
    expect(backoff(50, () => 1)).toBe(CAP)
    expect(backoff(3, () => 0)).toBe(0)
  })

  it('a server that said when it is back is given that long', () => {
    expect(afterBye(2000, () => 0)).toBe(2000)
    expect(afterBye(10 ** 9, () => 0)).toBe(CAP)
  })

  it('entries of a log that come again are not shown twice', () => {
    const entry = (seq: number) => ({ seq, at: '', actor: 'scheduler', event: 'note', old: '', reason: '' })
    expect(mergeLog([entry(1), entry(2)], [entry(2), entry(3)]).map(({ seq }) => seq)).toEqual([1, 2, 3])
  })
})

it('jobs are replaced, added and removed by id', () => {
  const job = (job_id: string, version = '') => ({ job_id, version }) as Job
  const merged = mergeJobs([job('b'), job('c')], [job('a'), job('c', '2')], ['b'])
  expect(merged.map((one) => [one.job_id, one.version])).toEqual([['a', ''], ['c', '2']])
})

it('a frame of a kind that we do not know is passed over', () => {
  expect(readFrame('{"t":"weather","id":1}')).toBeNull()
  expect(readFrame('{"t":"pong","n":1,"now":""}')).toMatchObject({ t: 'pong' })
})
