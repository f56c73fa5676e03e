/** Parts of a job's definition as one line of text. Pure. */

/** A value as a person would write it. */
export function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join(' ')
  if (value !== null && typeof value === 'object') {
    return Object.entries(value).map(([key, inner]) => `${key}=${plain(inner)}`).join(' ')
  }
  return String(value)
}

/** A condition, action, schedule or program: its type, then its fields. */
export function describe(part: unknown): string {
  if (typeof part === 'string') return part
  if (part === null || typeof part !== 'object') return String(part)
  const { type, t, text, ...rest } = part as Record<string, unknown>
  if (typeof text === 'string' && text) return text
  if (typeof rest.job_id === 'string') return jobCall(type ?? t, rest)
  const words = Object.entries(rest).filter(([, value]) => !empty(value)).map(([key, value]) => `${key}: ${plain(value)}`)
  return [type ?? t, words.join(', ')].filter(Boolean).join(' · ')
}

/** A job that is named with its args: `dependency · etl/load(date=2026-06-30)`, and what else is said of it. */
function jobCall(type: unknown, { job_id, args, ...rest }: Record<string, unknown>): string {
  const given = Object.entries((args ?? {}) as Record<string, unknown>).map(([name, value]) => `${name}=${plain(value)}`)
  const words = Object.entries(rest).filter(([, value]) => !empty(value)).map(([key, value]) => `${key}: ${plain(value)}`)
  const call = `${String(job_id)}${given.length > 0 ? `(${given.join(', ')})` : ''}`
  return [type, [call, ...words].join(', ')].filter(Boolean).join(' · ')
}

function empty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** What a program runs, on one line. */
export function command(program: Record<string, unknown>): string {
  for (const key of ['command', 'argv', 'function', 'url']) {
    const value = program[key]
    if (value !== undefined && value !== null) return plain(value).replace(/\s+/g, ' ').trim()
  }
  return describe(program)
}
