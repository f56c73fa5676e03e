import { expect, it, vi } from 'vitest'
import { ApiFailure } from '@/api/failure'
import { OutputReader } from '@/output/reader'

/** A stream that can be read by range, as the server serves it. */
function stream(text: () => string) {
  const asked: [number, number][] = []
  const reader = new OutputReader(async (start, stop) => {
    asked.push([start, stop])
    const bytes = new TextEncoder().encode(text()).subarray(start, stop)
    return { bytes, start, length: null, complete: false }
  }, (lines) => shifts.push(lines))
  const shifts: number[] = []
  return { reader, asked, shifts, last: () => reader.held().lines.at(-1)?.text, idle: () => vi.waitFor(() => expect(reader.busy.value).toBe(false)) }
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `${String(index).padStart(9, '0')}\n`).join('')

it('what grows is read on from where it was', async () => {
  let text = 'one\ntw'
  const { reader, asked, last, idle } = stream(() => text)
  reader.grown(6)
  await idle()
  expect(last()).toBe('tw')
  text += 'o\nthree\n'
  reader.grown(text.length)
  await idle()
  expect(reader.held().lines.map((line) => line.text)).toEqual(['one', 'two', 'three'])
  expect(asked).toEqual([[0, 6], [6, 14]])
})

it('growth that is told while reading is not forgotten', async () => {
  const text = numbered(60_000)
  const { reader, last, idle } = stream(() => text)
  reader.grown(10)
  reader.grown(text.length)
  await idle()
  expect(last()).toBe('000059999')
})

it('of a long stream the end is read first, and what is before it on demand', async () => {
  const text = numbered(300_000)
  const { reader, shifts, last, idle } = stream(() => text)
  reader.grown(text.length)
  await idle()
  expect(last()).toBe('000299999')
  const { start } = reader.held()
  expect(start).toBeGreaterThan(1_900_000)
  reader.follow = false
  await reader.earlier()
  expect(reader.held().start).toBeLessThan(start)
  expect(shifts.at(-1)).toBeGreaterThan(20_000)
  await reader.fromStart()
  expect(reader.held().lines[0]).toMatchObject({ text: '000000000', offset: 0 })
  reader.toEnd()
  await idle()
  expect(last()).toBe('000299999')
})

it('someone who reads is left where they are, while a stream grows without end', async () => {
  let text = numbered(10)
  const { reader, asked, idle } = stream(() => text)
  reader.grown(text.length)
  await idle()
  reader.follow = false
  text = numbered(2_000_000)
  reader.grown(text.length)
  await idle()
  expect(reader.held().start).toBe(0)
  expect(reader.held().end).toBeLessThan(5 * 1024 * 1024)
  expect(asked.length).toBeLessThan(20)
})

it('a failure is told, and the next growth tries again', async () => {
  let away = true
  const reader = new OutputReader(async (start) => {
    if (away) throw new ApiFailure(503, 'unavailable', 'the store is away')
    return { bytes: new TextEncoder().encode('here\n').subarray(start), start, length: null, complete: false }
  }, () => undefined)
  reader.grown(5)
  await vi.waitFor(() => expect(reader.failure.value?.message).toBe('the store is away'))
  away = false
  reader.grown(5)
  await vi.waitFor(() => expect(reader.held().lines[0]?.text).toBe('here'))
  expect(reader.failure.value).toBeNull()
})
