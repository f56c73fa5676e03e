import { describe, expect, it } from 'vitest'
import type { Job } from '@/api/wire'
import { matches } from '@/filter/jobs'
import { has, pieces, quote, setKey, toggle, tokens } from '@/filter/text'

describe('the text of a filter', () => {
  it('is split at spaces, but not inside quotes', () => {
    expect(tokens('  a "b c"  job:"d e" x=1').map(({ text, kind }) => [text, kind])).toEqual([
      ['a', 'word'], ['"b c"', 'word'], ['job:"d e"', 'key'], ['x=1', 'arg'],
    ])
  })

  it('keeps the columns of its terms', () => expect(tokens(' ab  c').map(({ start, end }) => [start, end])).toEqual([[1, 3], [5, 6]]))
  it('may be half typed', () => expect(tokens('job:"un')[0]).toMatchObject({ text: 'job:"un', kind: 'open' }))
  it('takes a term in and out', () => {
    expect(toggle('a', 'is:active')).toBe('a is:active')
    expect(toggle('a is:active b', 'is:active')).toBe('a b')
    expect(has('a is:active', 'is:active')).toBe(true)
    expect(has('a is:active2', 'is:active')).toBe(false)
  })
  it('holds one term of a key', () => {
    expect(setKey('state:running a state:error', 'state', 'failure')).toBe('a state:failure')
    expect(setKey('a state:error', 'state', '')).toBe('a')
    expect(setKey('', 'job', 'two words')).toBe('job:"two words"')
  })
  it('quotes only what would be split', () => expect([quote('etl/load'), quote('a b'), quote('a,b')]).toEqual(['etl/load', '"a b"', '"a,b"']))
})

describe('its pieces', () => {
  it.each(['', '  a  ', 'job:etl/ state:x,y -z "q', 'date= a=b:c'])('put together are the text again: %s', (text) =>
    expect(pieces(text, [3, 5]).map((piece) => piece.text).join('')).toBe(text))

  it('mark what the server pointed at, and nothing else', () => {
    const bad = pieces('job:a state:faliure b', [12, 19]).filter((piece) => piece.bad)
    expect(bad.map((piece) => piece.text)).toEqual(['faliure'])
  })
})

describe('the filter of jobs', () => {
  const job = { job_id: 'etl/load prices', labels: ['prod'], params: ['date'], description: 'Loads the prices of a day' } as unknown as Job
  it.each([
    ['', true], ['LOAD', true], ['etl/ day', true], ['nothing', false], ['load -prod', false], ['label:prod', true], ['label:pro', false],
    ['job:etl/', true], ['!label:test', true], ['-', false],
  ])('%s finds it: %s', (text, found) => expect(matches(job, text)).toBe(found))
})
