/** Instants and durations as text. Pure; formatters are cached because making one is slow. */

const formatters = new Map<string, Intl.DateTimeFormat>()
const labels = new Map<string, Intl.DateTimeFormat>()

export interface Parts {
  year: string
  month: string
  day: string
  hour: string
  minute: string
  second: string
  weekday: string
}

/** The fields of an instant in a zone; `time` in milliseconds since the epoch. */
export function parts(time: number, zone: string): Parts {
  let formatter = formatters.get(zone)
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', weekday: 'short', year: 'numeric', month: '2-digit', day: '2-digit',
      hour: '2-digit', minute: '2-digit', second: '2-digit',
    })
    formatters.set(zone, formatter)
  }
  const found = { year: '', month: '', day: '', hour: '', minute: '', second: '', weekday: '' }
  for (const { type, value } of formatter.formatToParts(time)) if (type in found) found[type as keyof Parts] = value
  return found
}

/** Short name of a zone at an instant: `UTC`, `CEST`, `GMT+5:30`. */
export function zoneLabel(zone: string, time: number): string {
  if (zone === 'UTC') return 'UTC'
  let formatter = labels.get(zone)
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName: 'short', hour: '2-digit' })
    labels.set(zone, formatter)
  }
  return formatter.formatToParts(time).find((part) => part.type === 'timeZoneName')?.value ?? zone
}

const DAY = 86_400_000

const date = (of: Parts) => `${of.year}-${of.month}-${of.day}`
const clock = (of: Parts) => `${of.hour}:${of.minute}:${of.second}`

/** `14:32:07` today, `Mon 14:32` within six days, `06-30 14:32` within the year, else `2025-06-30`. */
export function shortTime(time: number, now: number, zone: string): string {
  const then = parts(time, zone)
  const today = parts(now, zone)
  if (date(then) === date(today)) return clock(then)
  if (Math.abs(time - now) < 6 * DAY) return `${then.weekday} ${then.hour}:${then.minute}`
  if (then.year === today.year) return `${then.month}-${then.day} ${then.hour}:${then.minute}`
  return date(then)
}

/** `2026-06-30 16:32:07` in a zone, without its name. */
export function longTime(time: number, zone: string): string {
  const then = parts(time, zone)
  return `${date(then)} ${clock(then)}`
}

/** `2026-06-30 16:32:07.120` in a zone: for what happens many times a second. */
export function exactTime(time: number, zone: string): string {
  return `${longTime(time, zone)}.${String(Math.floor(time) % 1000).padStart(3, '0')}`
}

/** `2026-06-30T14:32:07Z` */
export function utcTime(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')
}

export function clockTime(time: number, zone: string): string {
  return clock(parts(time, zone))
}

const pad = (value: number) => String(value).padStart(2, '0')

/** A stopwatch: `40 ms`, `0.4 s`, `12 s`, `2:06`, `1:02:03`, `3 d 04:12`; `seconds` may be fractional. */
export function elapsed(seconds: number): string {
  if (seconds < 0) return '0 s'
  if (seconds > 0 && seconds < 0.1) return `${Math.max(1, Math.round(seconds * 1000))} ms`
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`
  const whole = Math.floor(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes}:${pad(whole % 60)}`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours}:${pad(minutes % 60)}:${pad(whole % 60)}`
  return `${Math.floor(hours / 24)} d ${pad(hours % 24)}:${pad(minutes % 60)}`
}

/** A span in two units: `40s`, `2m53s`, `1h05m`, `3d4h`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${pad(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86_400)}d${Math.floor((whole % 86_400) / 3600)}h`
}

/** `in 2m53s`, `3m12s ago`, `now` */
export function relative(time: number, now: number): string {
  const seconds = Math.round((time - now) / 1000)
  if (seconds === 0) return 'now'
  return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`
}

/** Bytes with a binary prefix: `0 B`, `940 B`, `1.2 GiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return unit === 0 ? `${count} B` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}
