/** Subscriptions as a page uses them: refs that follow the server until the page is left. */

import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import type { Health, Job, JobFinding, LogEntry, Run, StreamLength } from '@/api/wire'
import type { Refusal, Update, WindowWish } from './frames'
import { connection } from './live'
import { mergeJobs, mergeLog } from './merging'
import { applyDelta, fromSnap, NO_RUNS, type RunsWindow } from './runs-window'

/** The list of runs: the last result stays until another is there, also when the new filter is refused. */
export class RunsFeed {
  readonly window: ShallowRef<RunsWindow> = shallowRef(NO_RUNS)
  readonly refusal: ShallowRef<Refusal | null> = shallowRef(null)
  readonly loaded: Ref<boolean> = ref(false)
  /** grows with each snapshot: the rows may be another part of the list */
  readonly snaps: Ref<number> = ref(0)
  /** the subscription whose rows are shown, and the one that shall take its place once it answers; 0: none */
  private id = 0
  private pending = 0
  private wish: WindowWish

  constructor(private q: string, wish: WindowWish) {
    this.wish = wish
    this.subscribe()
    onScopeDispose(() => { connection.unsubscribe(this.id); connection.unsubscribe(this.pending) })
  }

  /** Show the runs that match another text. */
  filter(q: string): void {
    if (q === this.q && this.refusal.value === null) return
    this.q = q
    this.subscribe()
  }

  move(wish: WindowWish): void {
    this.wish = wish
    connection.moveWindow(this.id, wish)
  }

  private subscribe(): void {
    const wish = this.wish
    const id = connection.subscribe({ topic: 'runs', q: this.q, window: wish }, {
      update: (update) => {
        if (this.pending === id) this.accept(id)
        if (id === this.id) this.take(update)
      },
      refused: (refusal) => {
        if (this.pending !== id) return
        this.pending = 0
        this.refusal.value = refusal
      },
    })
    // a candidate that was itself replaced before it answered
    if (this.pending !== 0) connection.unsubscribe(this.pending)
    this.pending = id
  }

  private accept(id: number): void {
    if (this.id !== 0) connection.unsubscribe(this.id)
    this.id = id
    this.pending = 0
    this.refusal.value = null
  }

  private take(update: Update): void {
    if (update.t === 'snap') {
      this.window.value = fromSnap(update, this.wish.order)
      this.loaded.value = true
      this.snaps.value += 1
    } else {
      this.window.value = applyDelta(this.window.value, update, this.wish.order)
    }
  }
}

export interface RunFeed {
  run: ShallowRef<Run | null>
  log: ShallowRef<readonly LogEntry[]>
  streams: ShallowRef<Record<string, StreamLength>>
  refusal: ShallowRef<Refusal | null>
}

/** One run: its facts, its action log, and how long its outputs are. */
export function followRun(runId: string): RunFeed {
  const feed: RunFeed = { run: shallowRef(null), log: shallowRef([]), streams: shallowRef({}), refusal: shallowRef(null) }
  const facts = connection.subscribe({ topic: 'run', run: runId }, {
    update(update) {
      if (update.run) feed.run.value = update.run
      feed.log.value = update.t === 'snap' ? (update.log ?? []) : mergeLog(feed.log.value, update.log ?? [])
    },
    refused: (refusal) => { feed.refusal.value = refusal },
  })
  const output = connection.subscribe({ topic: 'output', run: runId }, {
    out: (out) => { feed.streams.value = { ...feed.streams.value, ...out.streams } },
    // a run without output is told by the facts; anything else is
    refused: (refusal) => { if (refusal.code !== 'not_found') feed.refusal.value = refusal },
  })
  onScopeDispose(() => { connection.unsubscribe(facts); connection.unsubscribe(output) })
  return feed
}

export interface JobsFeed {
  jobs: ShallowRef<readonly Job[]>
  errors: ShallowRef<readonly JobFinding[]>
  loaded: Ref<boolean>
}

/** All jobs, by id, and what is wrong with the files that could not be loaded. */
export function followJobs(): JobsFeed {
  const feed: JobsFeed = { jobs: shallowRef([]), errors: shallowRef([]), loaded: ref(false) }
  const id = connection.subscribe({ topic: 'jobs', q: '' }, {
    update(update) {
      const base = update.t === 'snap' ? [] : feed.jobs.value
      feed.jobs.value = mergeJobs(base, (update.rows ?? []) as Job[], update.gone ?? [])
      if (update.errors) feed.errors.value = update.errors
      feed.loaded.value = true
    },
  })
  onScopeDispose(() => connection.unsubscribe(id))
  return feed
}

/** Services and checks. */
export function followHealth(): ShallowRef<Health | null> {
  const health: ShallowRef<Health | null> = shallowRef(null)
  const id = connection.subscribe({ topic: 'health' }, {
    update: (update) => { if (update.health) health.value = update.health },
  })
  onScopeDispose(() => connection.unsubscribe(id))
  return health
}
