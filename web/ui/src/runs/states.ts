/** What a state is called, what it allows, and which group it is in. Pure. */

import type { RunAction } from '@/api/rest'
import type { Run, State } from '@/api/wire'

const FINISHED: ReadonlySet<State> = new Set(['success', 'failure', 'error', 'skipped'])
const ACTIVE: ReadonlySet<State> = new Set(['waiting', 'starting', 'running', 'stopping'])
const BAD: ReadonlySet<State> = new Set(['failure', 'error'])
const WITH_PROGRAM: ReadonlySet<State> = new Set(['running', 'stopping'])

export const isFinished = (state: State) => FINISHED.has(state)
export const isActive = (state: State) => ACTIVE.has(state)
export const isBad = (state: State) => BAD.has(state)
export const hasProgram = (state: State) => WITH_PROGRAM.has(state)

export const title = (state: State) => state.charAt(0).toUpperCase() + state.slice(1)

/** Seconds after its due time from which a run counts as late. */
export const LATE = 60

export interface ActionChoice {
  action: RunAction
  label: string
  /** the state in which it is offered does not forbid it; else why */
  refused: string
  danger?: boolean
}

/** All that can be asked of a run, each with the reason why not where the state forbids it. */
export function choices(run: Pick<Run, 'state'>): ActionChoice[] {
  const { state } = run
  const finished = isFinished(state) ? `it has ended (${state})` : ''
  const notStarted = state === 'new' || state === 'scheduled' || state === 'waiting'
  const noProgram = hasProgram(state) ? '' : finished || 'its program does not run yet'
  return [
    { action: 'start', label: 'Start now', refused: notStarted ? '' : finished || 'it has started' },
    { action: 'skip', label: 'Skip', refused: notStarted ? '' : finished || 'it has started: stop it instead' },
    { action: 'stop', label: 'Stop', refused: state === 'stopping' ? 'it is being stopped' : state === 'starting' ? '' : noProgram },
    { action: 'signal', label: 'Signal…', refused: noProgram },
    { action: 'kill', label: 'Kill…', refused: state === 'starting' ? '' : noProgram, danger: true },
    { action: 'rerun', label: 'Run again', refused: finished ? '' : 'it has not ended' },
    { action: 'mark', label: 'Mark as…', refused: finished ? '' : 'it has not ended' },
  ]
}

export const SIGNALS = ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'TERM', 'CONT', 'TSTP'] as const
export const MARKS: readonly State[] = ['success', 'failure', 'error', 'skipped']
