/** The frames of the websocket `apsis.v1.json`, as the server sends them and as we do. */

import type { Health, Instant, Job, JobFinding, LogEntry, Run, State, StreamLength } from '@/api/wire'

export interface WindowWish {
  order: 'asc' | 'desc'
  anchor: 'now' | Instant
  before: number
  after: number
}

export type WindowRange = [string | null, string | null]

export type Topic =
  | { topic: 'runs'; q: string; window: WindowWish }
  | { topic: 'run'; run: string }
  | { topic: 'output'; run: string }
  | { topic: 'jobs'; q: string }
  | { topic: 'health' }

export type Counts = Partial<Record<State, number>>

export interface Hello {
  t: 'hello'
  v: number
  inst: string
  seq: number
  now: Instant
  /** seconds between the server's heartbeats */
  hb: number
  user: string
  role: string
  build: string
  home: string
}

/** A snapshot or a delta; the fields that are there follow from the topic. */
export interface Update {
  t: 'snap' | 'delta'
  id: number
  seq: number
  from?: number
  /** why a snapshot came where a resume was asked for */
  reset?: 'instance' | 'history' | 'window' | 'filter'
  /** ends of the window of runs, to be handed back at a resume; null: nothing lies beyond */
  range?: WindowRange
  total?: number
  exact?: boolean
  /** matching runs earlier and later than the window, whatever its order */
  before?: number
  after?: number
  rows?: Run[] | Job[]
  gone?: string[]
  counts?: Counts
  /** null: the run was withdrawn */
  run?: Run | null
  log?: LogEntry[]
  errors?: JobFinding[]
  health?: Health
}

export interface Out {
  t: 'out'
  id: number
  streams: Record<string, StreamLength>
}

export interface Refusal {
  t: 'err'
  /** null: the frame that is refused could not be read */
  id: number | null
  code: string
  msg: string
  hint?: string
  /** start and end column (0-based, exclusive) of the part of the query that is wrong */
  at?: [number, number]
}

export type Incoming =
  | Hello
  | Update
  | Out
  | Refusal
  | { t: 'resumed'; id: number; from: number }
  | { t: 'pong'; n: number; now: Instant }
  | { t: 'bye'; after: number }

export type Outgoing =
  | ({ t: 'sub'; id: number } & Topic)
  | { t: 'window'; id: number; window: WindowWish }
  | { t: 'unsub'; id: number }
  | { t: 'ping'; n: number }
  | { t: 'resume'; inst: string; subs: ({ id: number; seq: number; range?: WindowRange } & Topic)[] }

/** Read a frame; null is a frame of a kind that this page does not know, which it must pass over. */
export function readFrame(text: string): Incoming | null {
  const frame = JSON.parse(text) as Incoming
  switch (frame.t) {
    case 'hello': case 'snap': case 'delta': case 'out': case 'err': case 'resumed': case 'pong': case 'bye':
      return frame
    default:
      return null
  }
}
