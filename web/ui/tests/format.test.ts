import { describe, expect, it } from 'vitest'
import { bytes, elapsed, exactTime, longTime, relative, shortTime, span, utcTime, zoneLabel } from '@/time/format'
import { readLocal } from '@/time/entry'

const at = (text: string) => Date.parse(text)

describe('times on screen', () => {
  const now = at('2026-06-30T14:32:07Z')

  it('are short, and say as much of the date as is needed', () => {
    expect(shortTime(at('2026-06-30T09:00:01Z'), now, 'UTC')).toBe('09:00:01')
    expect(shortTime(at('2026-06-28T09:00:01Z'), now, 'UTC')).toBe('Sun 09:00')
    expect(shortTime(at('2026-06-01T09:00:01Z'), now, 'UTC')).toBe('06-01 09:00')
    expect(shortTime(at('2025-06-01T09:00:01Z'), now, 'UTC')).toBe('2025-06-01')
  })

  it('are in the zone that was chosen, its day included', () => {
    expect(shortTime(at('2026-06-30T22:30:00Z'), now, 'Europe/Berlin')).toBe('Wed 00:30')
    expect(longTime(at('2026-06-30T14:32:07Z'), 'Asia/Kolkata')).toBe('2026-06-30 20:02:07')
  })

  it('name midnight 00, never 24', () => expect(longTime(at('2026-06-30T00:00:00Z'), 'UTC')).toBe('2026-06-30 00:00:00'))
  it('show milliseconds where order matters', () => expect(exactTime(at('2026-06-30T00:00:00.007Z'), 'UTC')).toBe('2026-06-30 00:00:00.007'))
  it('in UTC drop the fraction', () => expect(utcTime(at('2026-06-30T14:32:07.120Z'))).toBe('2026-06-30T14:32:07Z'))

  it('are labelled by the zone as it is at that instant', () => {
    expect(zoneLabel('Europe/Berlin', at('2026-06-30T12:00:00Z'))).toBe('CEST')
    expect(zoneLabel('Europe/Berlin', at('2026-12-30T12:00:00Z'))).toBe('CET')
    expect(zoneLabel('UTC', now)).toBe('UTC')
  })
})

describe('durations', () => {
  it.each([
    [-1, '0 s'], [0, '0 s'], [0.013, '13 ms'], [0.0001, '1 ms'], [0.42, '0.4 s'], [12, '12 s'], [59.9, '59 s'],
    [126, '2:06'], [3723, '1:02:03'], [274_320, '3 d 04:12'],
  ])('%s seconds read %s', (seconds, text) => expect(elapsed(seconds)).toBe(text))

  it.each([[40, '40s'], [173, '2m53s'], [3900, '1h05m'], [273_600, '3d4h']])('a span of %s is %s', (seconds, text) =>
    expect(span(seconds)).toBe(text))

  it('are told from now, both ways', () => {
    expect(relative(10_000, 0)).toBe('in 10s')
    expect(relative(0, 192_000)).toBe('3m12s ago')
    expect(relative(400, 0)).toBe('now')
  })
})

it.each([[0, '0 B'], [940, '940 B'], [1024, '1.0 KiB'], [1_288_490_189, '1.2 GiB'], [20 * 1024 ** 2, '20 MiB']])('%s bytes are %s', (count, text) =>
  expect(bytes(count)).toBe(text))

describe('a time that is entered', () => {
  const read = (text: string, zone: string) => {
    const time = readLocal(text, zone)
    return time === null ? null : new Date(time).toISOString()
  }

  it('is read in the zone of the page', () => {
    expect(read('2026-06-30T22:00', 'Europe/Berlin')).toBe('2026-06-30T20:00:00.000Z')
    expect(read('2026-01-15T22:00:30', 'America/New_York')).toBe('2026-01-16T03:00:30.000Z')
    expect(read('2026-06-30T22:00', 'UTC')).toBe('2026-06-30T22:00:00.000Z')
    expect(read('2026-06-30T05:30', 'Asia/Kolkata')).toBe('2026-06-30T00:00:00.000Z')
  })

  it('is the first of two where clocks are put back', () => expect(read('2026-10-25T02:30', 'Europe/Berlin')).toBe('2026-10-25T00:30:00.000Z'))
  it('is an hour on where clocks are put forward', () => expect(read('2026-03-29T02:30', 'Europe/Berlin')).toBe('2026-03-29T01:30:00.000Z'))
  it('is nothing where it is no time', () => expect(read('soon', 'UTC')).toBeNull())
})
