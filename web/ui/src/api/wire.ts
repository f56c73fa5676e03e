/** What the server sends: the plain JSON forms of runs, jobs, health and errors. */

export const STATES = [
  'new', 'scheduled', 'waiting', 'starting', 'running', 'stopping', 'success', 'failure', 'error', 'skipped',
] as const
export type State = (typeof STATES)[number]

/** A UTC instant as text, `2026-06-30T14:32:07.120000Z`: it sorts as time does. */
export type Instant = string

export interface Exit {
  code: number | null
  signal: number | null
  error: string
  killed_by: string
}

export interface Usage {
  utime: number
  stime: number
  maxrss: number
  minflt: number
  majflt: number
  inblock: number
  oublock: number
  nvcsw: number
  nivcsw: number
}

export interface Run {
  run_id: string
  job_id: string
  args: Record<string, string>
  state: State
  reason: string
  schedule_time: Instant | null
  stop_time: Instant | null
  timestamps: Partial<Record<State, Instant>>
  labels: string[]
  expected: boolean
  host: string | null
  reachable: boolean
  program: Record<string, unknown>
  conditions: Record<string, unknown>[]
  actions: Record<string, unknown>[]
  job_version: string
  rerun_of: string | null
  reruns: string[]
  late_by: number | null
  elapsed: number | null
  exit: Exit | null
  rusage: Usage | null
  outputs: Record<string, number>
  pid: number | null
  rev: number
}

export interface LogEntry {
  seq: number
  at: Instant
  actor: string
  event: string
  old: string
  reason: string
}

export interface ParamSpec {
  default?: string | number | null
  choices?: (string | number)[] | null
  pattern?: string | null
  description?: string
}

export interface JobSchedule {
  type?: string
  enabled?: boolean
  args?: Record<string, string>
  text?: string
  /** IANA zone that its times are in, where it has one */
  tz?: string
  [key: string]: unknown
}

export interface Job {
  job_id: string
  params: string[]
  param_specs?: Record<string, ParamSpec>
  schedules: JobSchedule[]
  program: Record<string, unknown>
  conditions: Record<string, unknown>[]
  actions: Record<string, unknown>[]
  successors: unknown[]
  metadata: Record<string, unknown>
  labels: string[]
  description: string
  version: string
  file: string | null
  next: Instant | null
  paused: unknown
}

export interface JobFinding {
  file: string
  line: number | null
  column: number | null
  severity?: string
  code?: string
  message: string
}

export type CheckStatus = 'ok' | 'warn' | 'fail'

export interface Check {
  id: string
  status: CheckStatus
  message: string
  since: Instant | null
}

export interface ServiceStatus {
  name: string
  pid: number | null
  state: string
  since: Instant | null
  restarts: number
  rss: number | null
  error?: string
  log?: string[]
}

export interface Health {
  status: CheckStatus
  checks: Check[]
  services: ServiceStatus[]
}

export interface Session {
  user: string
  role: 'viewer' | 'operator' | 'admin'
  xsrf: string
}

export interface Version {
  version: string
  instance: string
  home: string
}

export interface StreamLength {
  length: number
  complete: boolean
}

/** One process of a run's tree; `depth` 0 is the program itself. */
export interface LiveProcess {
  pid: number
  depth: number
  name: string
  status: string
  /** per cent of one core */
  cpu: number
  rss: number
  threads: number
  /** bytes so far; null where they may not be known */
  read: number | null
  written: number | null
}

/** What a run uses now; beyond `live` and `processes` only where it is live. */
export interface Processes {
  run_id: string
  live: boolean
  host: string | null
  at?: Instant
  processes: LiveProcess[]
  total?: number
  cpu?: number
  rss?: number
  peak_cpu?: number
  peak_rss?: number
  peak_processes?: number
}

/** One point of the series that is kept with a run: sums over its processes. */
export interface Sample {
  at: Instant
  cpu: number
  rss: number
  processes: number
  threads: number
  read: number
  written: number
}
