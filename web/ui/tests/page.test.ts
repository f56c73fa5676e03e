import { describe, expect, it } from 'vitest'
import { readFailure } from '@/api/failure'
import { difference, items, nowIndex, refresh } from '@/pages/runs/items'
import { NO_RUNS } from '@/live/runs-window'
import { describe as words } from '@/runs/describe'
import { initial, wrong } from '@/runs/params'
import { findings } from '../scripts/check-templates.mjs'
import { due } from './runs'

describe('the line of the present', () => {
  const rows = [due('r1', 10), due('r2', 20), due('r3', 30)]
  it('stands between what was due and what is', () => {
    expect(nowIndex(rows, '2026-06-30T14:00:20.000999Z', 'asc')).toBe(2)
    expect(nowIndex(rows, '2026-06-30T13:00:00.000Z', 'asc')).toBe(0)
    expect(nowIndex(rows.toReversed(), '2026-06-30T14:00:25.000Z', 'desc')).toBe(1)
  })
  it('is left out where the present is not in the window', () => {
    const kinds = (nowAt: number, before: number, after: number) => items({ ...NO_RUNS, rows, before, after }, nowAt).map((item) => item.kind).join(' ')
    expect(kinds(2, 1, 1)).toBe('edge run run now run edge')
    expect(kinds(0, 0, 0)).toBe('now run run run')
    expect(kinds(3, 0, 5)).toBe('run run run edge')
    expect(kinds(0, 5, 0)).toBe('edge run run run')
  })
})

describe('rows under the pointer', () => {
  const shown = [due('r1', 10), due('r2', 20)]
  const next = [due('r0', 5), due('r2', 20, { state: 'running' })]
  it('stay, with new facts', () => expect(refresh(shown, next).map((run) => [run.run_id, run.state])).toEqual([['r1', 'scheduled'], ['r2', 'running']]))
  it('are told apart from those that wait', () => expect(difference(shown, next)).toBe(2))
})

describe('an answer that is no answer', () => {
  it('is read in the one shape of errors', () => {
    const failure = readFailure(409, 'Conflict', '{"error":{"code":"conflict","message":"r1 has ended","hint":"rerun it","loc":"","request_id":"ab12"}}')
    expect(failure).toMatchObject({ status: 409, code: 'conflict', message: 'r1 has ended', hint: 'rerun it', requestId: 'ab12' })
  })
  it('is told even when a proxy wrote it', () => {
    expect(readFailure(502, 'Bad Gateway', '<html>oops').message).toContain('502')
    expect(readFailure(500, '', '{"cut').message).toContain('500')
  })
})

describe('the form of a job', () => {
  const job = { params: ['date', 'region'], param_specs: { region: { default: 'eu', choices: ['eu', 'us'] } } }
  it('is filled with what is known', () => expect(initial(job, { date: 'x' })).toEqual({ date: 'x', region: 'eu' }))
  it('asks for what is missing', () => {
    expect(wrong(job, { date: '', region: 'eu' })).toEqual({ date: 'a value is needed' })
    expect(wrong(job, { date: 'x', region: 'mars' })).toEqual({ region: 'one of eu, us' })
  })
})

it('parts of a definition read as a line', () => {
  expect(words({ type: 'dependency', job_id: 'etl/load', args: { date: '1' }, states: ['success'] })).toBe('dependency · etl/load(date=1), states: success')
  expect(words({ type: 'daily', text: '10:00 UTC' })).toBe('10:00 UTC')
})

describe('the check of templates', () => {
  it('accepts Pug', () => expect(findings('<template lang="pug">\n.a\n</template>')).toEqual([]))
  it.each([['<template>\n<a/>\n</template>'], ['<script></script>'], ['<template lang="pug">\n.a(v-html="x")\n</template>'], ['<template lang="pug">\n.a(style="x")\n</template>']])(
    'refuses %j', (source) => expect(findings(source)).not.toEqual([]))
})
