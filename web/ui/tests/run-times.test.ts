import { describe, expect, it } from 'vitest'
import { choices } from '@/runs/states'
import { elapsedSeconds, ending, lateBadge } from '@/runs/times'
import { due, run } from './runs'

const now = Date.parse('2026-06-30T14:10:00Z')
const begun = { running: '2026-06-30T14:05:00.000000Z' }

describe('elapsed', () => {
  it('runs with the clock that is given', () => expect(elapsedSeconds(run('r1', { state: 'running', timestamps: begun }), now)).toBe(300))
  it('goes on while the program is being stopped', () => expect(elapsedSeconds(run('r1', { state: 'stopping', timestamps: begun }), now)).toBe(300))
  it('stands once it has ended', () => expect(elapsedSeconds(run('r1', { state: 'success', elapsed: 7.5, timestamps: begun }), now)).toBe(7.5))
  it('is nothing where no program ran', () => {
    expect(elapsedSeconds(run('r1', { state: 'skipped' }), now)).toBeNull()
    expect(elapsedSeconds(run('r1', { state: 'error', timestamps: begun }), now)).toBeNull()
  })
  it('is never negative, though clocks differ', () => {
    expect(elapsedSeconds(run('r1', { state: 'running', timestamps: begun }), Date.parse('2026-06-30T14:04:00Z'))).toBe(0)
  })
})

describe('the badge of late runs', () => {
  it('comes a minute after the due time', () => {
    expect(lateBadge(due('r1', 0, { state: 'waiting' }), Date.parse('2026-06-30T14:00:59Z'))).toBe(0)
    expect(lateBadge(due('r1', 0, { state: 'waiting' }), Date.parse('2026-06-30T14:01:00Z'))).toBe(60)
  })
  it('stays on a run that began late', () => expect(lateBadge(due('r1', 0, { state: 'success', late_by: 242 }), now)).toBe(242))
  it('is not for what was never due, nor for what was skipped', () => {
    expect(lateBadge(run('r1', { state: 'waiting' }), now)).toBe(0)
    expect(lateBadge(due('r1', 0, { state: 'skipped' }), now)).toBe(0)
  })
})

describe('how it ended', () => {
  const exit = { code: null, signal: null, error: '', killed_by: '' }
  it.each([
    [{ ...exit, code: 0 }, ''], [{ ...exit, code: 3 }, 'exit 3'], [{ ...exit, signal: 9 }, 'signal 9'], [{ ...exit, error: 'no such file' }, 'no such file'],
  ])('%o reads %s', (given, text) => expect(ending(run('r1', { exit: given }))).toBe(text))
})

describe('what can be asked of a run', () => {
  const open = (state: Parameters<typeof choices>[0]['state']) => choices({ state }).filter(({ refused }) => refused === '').map(({ action }) => action)
  it('follows from its state', () => {
    expect(open('scheduled')).toEqual(['start', 'skip'])
    expect(open('running')).toEqual(['stop', 'signal', 'kill'])
    expect(open('stopping')).toEqual(['signal', 'kill'])
    expect(open('failure')).toEqual(['rerun', 'mark'])
  })
  it('says why not', () => expect(choices({ state: 'success' }).every(({ refused, action }) => refused !== '' || action === 'rerun' || action === 'mark')).toBe(true))
})
