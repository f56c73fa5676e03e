/** The one client of the REST interface. */

import { ApiFailure, asFailure, readFailure } from './failure'
import type { Health, Instant, Job, JobFinding, LogEntry, Processes, Run, Sample, Session, State, Version } from './wire'

const BASE = '/api/v1'

export type RunAction = 'start' | 'skip' | 'stop' | 'kill' | 'signal' | 'mark' | 'rerun'
export interface ActionDetail {
  signal?: string
  state?: State
  as?: 'now' | 'then'
}

export interface NewRun {
  job_id?: string
  job?: Record<string, unknown>
  args?: Record<string, string>
  schedule_time?: Instant | null
  count?: number
  dry_run?: boolean
}

/** Bytes of an output stream, as they were asked for by range. */
export interface OutputSlice {
  bytes: Uint8Array
  start: number
  /** length of the whole stream at present, where the server said so */
  length: number | null
  complete: boolean
}

let xsrf = ''
let onSignedOut: () => void = () => undefined

/** Say what to do when the server no longer knows us. */
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler
}

function nonce(): string {
  // crypto.randomUUID exists only on https and localhost
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

async function call(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (method !== 'GET') {
    headers['Idempotency-Key'] = nonce()
    if (xsrf) headers['X-XSRF-Token'] = xsrf
  }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  let answer: Response
  try {
    answer = await fetch(BASE + path, {
      method, headers, signal, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw asFailure(error)
  }
  if (answer.ok) return answer
  const failure = readFailure(answer.status, answer.statusText, await answer.text())
  if (failure.status === 401 && path !== '/login' && path !== '/session') onSignedOut()
  throw failure
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await call(method, path, body, signal)
  const text = await answer.text()
  try {
    return JSON.parse(text) as T
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw readFailure(answer.status, 'an answer that is not JSON', text)
  }
}

const segment = encodeURIComponent

function keep(session: Session): Session {
  xsrf = session.xsrf
  return session
}

/** Who we are, or null when the server does not know us. */
export async function session(): Promise<Session | null> {
  try {
    return keep(await json<Session>('GET', '/session'))
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return null
    throw error
  }
}

export const login = async (token: string): Promise<Session> => keep(await json<Session>('POST', '/login', { token }))

export async function logout(): Promise<void> {
  await call('POST', '/logout')
  xsrf = ''
}

export const version = () => json<Version>('GET', '/version')
export const health = () => json<Health>('GET', '/health')
export const job = async (id: string): Promise<Job> => {
  const answer = await json<{ job?: Job } & Job>('GET', `/jobs/${segment(id)}`)
  return answer.job ?? answer
}
export const jobs = () => json<{ jobs: Job[]; errors: JobFinding[] }>('GET', '/jobs')
export const runs = (q: string, limit: number) =>
  json<{ runs: Run[]; total: number }>('GET', `/runs?q=${segment(q)}&limit=${limit}`)
export const log = async (id: string): Promise<LogEntry[]> =>
  (await json<{ log: LogEntry[] }>('GET', `/runs/${segment(id)}/log`)).log

export const processes = (id: string, signal?: AbortSignal) => json<Processes>('GET', `/runs/${segment(id)}/processes`, undefined, signal)
export const samples = async (id: string, signal?: AbortSignal): Promise<Sample[]> =>
  (await json<{ samples: Sample[] }>('GET', `/runs/${segment(id)}/samples`, undefined, signal)).samples

export const createRuns = async (wanted: NewRun): Promise<Run[]> =>
  (await json<{ runs: Run[] }>('POST', '/runs', wanted)).runs

export const act = async (id: string, action: RunAction, detail: ActionDetail = {}): Promise<Run> =>
  (await json<{ run: Run }>('POST', `/runs/${segment(id)}/${action}`, detail)).run

export const reloadJobs = () => json<{ added?: string[]; changed?: string[]; removed?: string[] }>('POST', '/jobs/reload', {})
export const restart = (service: string | null) => call('POST', '/control/restart', { service })

export const outputUrl = (id: string, stream: string) => `${BASE}/runs/${segment(id)}/output/${segment(stream)}`

/** Read bytes `start` to `stop` (exclusive) of a stream; a range past the end is empty, not an error. */
export async function output(id: string, stream: string, start: number, stop: number, signal?: AbortSignal): Promise<OutputSlice> {
  let answer: Response
  try {
    answer = await fetch(outputUrl(id, stream), {
      headers: { Range: `bytes=${start}-${stop - 1}` }, signal, credentials: 'same-origin', cache: 'no-store',
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw asFailure(error)
  }
  const complete = answer.headers.get('X-Output-Complete') === 'true'
  const total = /\/(\d+)$/.exec(answer.headers.get('Content-Range') ?? '')
  const length = total ? Number(total[1]) : null
  if (answer.status === 416) return { bytes: new Uint8Array(), start, length, complete }
  if (!answer.ok) {
    if (answer.status === 401) onSignedOut()
    throw readFailure(answer.status, answer.statusText, await answer.text())
  }
  const bytes = new Uint8Array(await answer.arrayBuffer())
  // a server that ignores Range answers 200 with everything
  if (answer.status === 200) return { bytes: bytes.subarray(start, stop), start, length: bytes.length, complete }
  return { bytes, start, length, complete }
}
