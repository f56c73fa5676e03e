/** Asking for something to be done to a run, and telling what became of it. */

import { shallowReactive } from 'vue'
import * as rest from '@/api/rest'
import type { ActionDetail, RunAction } from '@/api/rest'
import type { Run, State } from '@/api/wire'
import { ask } from '@/shell/ask'
import { tellDone, tellFailure } from '@/shell/toasts'
import { MARKS, SIGNALS } from './states'

/** runs for which an answer is awaited */
export const pending: Set<string> = shallowReactive(new Set<string>())

const DONE: Record<RunAction, string> = {
  start: 'is started', skip: 'is skipped', stop: 'is being stopped', kill: 'is killed', signal: 'was sent the signal',
  mark: 'is marked', rerun: 'runs again',
}

const NAME: Record<RunAction, string> = {
  start: 'start', skip: 'skip', stop: 'stop', kill: 'kill', signal: 'signal', mark: 'mark', rerun: 'run again',
}

/** Do it, once: a second call for the same run while the first is under way is passed over. */
export async function perform(run: Run, action: RunAction, detail: ActionDetail = {}): Promise<void> {
  if (pending.has(run.run_id)) return
  pending.add(run.run_id)
  try {
    const after = await rest.act(run.run_id, action, detail)
    if (action === 'rerun') {
      tellDone(`${run.job_id} runs again as ${after.run_id}`, { to: `/runs/${after.run_id}`, text: `Open ${after.run_id}` })
    } else {
      tellDone(`${run.run_id} ${run.job_id} ${DONE[action]}`, { to: `/runs/${run.run_id}`, text: 'Open' })
    }
  } catch (error) {
    tellFailure(`Cannot ${NAME[action]} ${run.run_id}`, error)
  } finally {
    pending.delete(run.run_id)
  }
}

/** Ask what must be asked first (kill always asks), then do it. */
export async function request(run: Run, action: RunAction): Promise<void> {
  const name = `${run.run_id} ${run.job_id}`
  if (action === 'kill') {
    const text = ['SIGKILL is sent to its program and to all that it has started. It cannot clean up.']
    if ((await ask({ title: `Kill ${name}?`, text, confirm: 'Kill', danger: true })) === null) return
    return perform(run, 'kill')
  }
  if (action === 'signal') {
    const options = { label: 'Signal', values: SIGNALS, initial: 'HUP' }
    const signal = await ask({ title: `Send a signal to ${name}`, text: [], confirm: 'Send', options })
    return signal === null ? undefined : perform(run, 'signal', { signal })
  }
  if (action === 'mark') {
    const values = MARKS.filter((state) => state !== run.state)
    const text = [`It is ${run.state} now. What depends on it follows the new state; nothing is run again.`]
    const options = { label: 'State', values, initial: values[0] ?? 'success' }
    const state = await ask({ title: `Mark ${name} as`, text, confirm: 'Mark', options })
    return state === null ? undefined : perform(run, 'mark', { state: state as State })
  }
  return perform(run, action)
}
