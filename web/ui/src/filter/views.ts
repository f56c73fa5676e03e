/** The views that stand above the list of runs: each is a name and a filter's text. */

import type { State } from '@/api/wire'
import type { Counts } from '@/live/frames'

export interface View {
  name: string
  q: string
  /** the states whose counts stand beside the name */
  states: readonly State[]
}

export const VIEWS: readonly View[] = [
  { name: 'All', q: '', states: [] },
  { name: 'Active', q: 'is:active', states: ['waiting', 'starting', 'running', 'stopping'] },
  { name: 'Problems', q: 'is:bad', states: ['failure', 'error'] },
  { name: 'Scheduled', q: 'state:scheduled', states: [] },
  { name: 'Finished', q: 'is:finished', states: [] },
]

export function count(view: View, counts: Counts): number {
  return view.states.reduce((sum, state) => sum + (counts[state] ?? 0), 0)
}
