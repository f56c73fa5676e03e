/** One subscription's place in the stream: what it has seen, and what a frame means to it. Pure. */

import type { Topic, Update, WindowRange } from './frames'

export interface Place {
  id: number
  topic: Topic
  /** seq of the last frame taken in; null: no snapshot yet */
  seq: number | null
  /** of runs: the ends of the window as last told, without which the server cannot know what we have */
  range?: WindowRange
}

export type Verdict = 'snap' | 'apply' | 'old' | 'resync'

/** Decide what to do with an update: a delta applies only onto exactly what we have. */
export function judge(place: Pick<Place, 'seq'>, update: Pick<Update, 't' | 'seq' | 'from'>): Verdict {
  if (update.t === 'snap') return 'snap'
  // a delta that overtakes its snapshot belongs to an earlier subscription
  if (place.seq === null) return 'old'
  // the seq may stay the same: time alone, or a health check, is no event
  if (update.from === place.seq) return 'apply'
  return update.seq <= place.seq ? 'old' : 'resync'
}

/** What to send to a server that has just said hello: subscriptions with a place are resumed, the others begin. */
export function greeting(places: readonly Place[]): { resume: (Place & { seq: number })[]; begin: Place[] } {
  const resume = places.filter((place): place is Place & { seq: number } => place.seq !== null && place.topic.topic !== 'output')
  const begin = places.filter((place) => place.seq === null || place.topic.topic === 'output')
  return { resume, begin }
}
