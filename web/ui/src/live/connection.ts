/** The one websocket: connects, says hello, resumes after a loss, and tells what state it is in. */

import { shallowReactive } from 'vue'
import { afterBye, backoff, FINAL, SIGNED_OUT } from './backoff'
import { type Hello, type Out, type Outgoing, readFrame, type Refusal, type Topic, type Update, type WindowWish } from './frames'
import { greeting, judge, type Place } from './subscription'

export type ConnectionState = 'connecting' | 'live' | 'resyncing' | 'disconnected'

export interface Listener {
  update?(update: Update): void
  out?(out: Out): void
  refused?(refusal: Refusal): void
}

/** What the header shows of the connection. */
export interface Status {
  state: ConnectionState
  /** when the next attempt is due, milliseconds of this machine's clock; null: none is planned */
  retryAt: number | null
  /** when a frame last came, milliseconds of this machine's clock */
  heard: number | null
  /** why no further attempt is made */
  ended: string
  hello: Hello | null
}

const SILENCE = 35_000
const PING = 15_000
const STABLE = 10_000
const HIDDEN = 5 * 60_000

export class Connection {
  readonly status: Status = shallowReactive({ state: 'connecting', retryAt: null, heard: null, ended: '', hello: null })
  private socket: WebSocket | null = null
  private places = new Map<number, Place>()
  private listeners = new Map<number, Listener>()
  private lastId = 0
  private failures = 0
  private timer = 0
  private beat = 0
  private pings = 0
  private opened = 0
  private byeAfter: number | null = null
  private hiddenSince: number | null = null
  private running = false

  constructor(
    private readonly url: () => string,
    private readonly onClock: (now: string) => void,
    private readonly onSignedOut: () => void,
    /** an attempt ended before the server said hello: the browser hides why, so someone must ask by REST */
    private readonly onDoubt: () => void,
  ) {}

  /** Connect, and stay connected until `stop`. */
  start(): void {
    if (this.running) return
    this.running = true
    addEventListener('online', this.check)
    addEventListener('offline', this.check)
    addEventListener('pageshow', this.check)
    document.addEventListener('visibilitychange', this.check)
    this.beat = window.setInterval(this.tick, 5_000)
    this.connect()
  }

  stop(): void {
    this.running = false
    removeEventListener('online', this.check)
    removeEventListener('offline', this.check)
    removeEventListener('pageshow', this.check)
    document.removeEventListener('visibilitychange', this.check)
    clearInterval(this.beat)
    clearTimeout(this.timer)
    this.drop()
    this.status.hello = null
    this.status.state = 'connecting'
    this.failures = 0
  }

  /** Subscribe; the listener hears until `unsubscribe`, across losses of the connection. */
  subscribe(topic: Topic, listener: Listener): number {
    const id = ++this.lastId
    const place: Place = { id, topic, seq: null }
    this.places.set(id, place)
    this.listeners.set(id, listener)
    if (this.greeted) this.send({ t: 'sub', id, ...topic })
    return id
  }

  unsubscribe(id: number): void {
    if (!this.places.delete(id)) return
    this.listeners.delete(id)
    if (this.greeted) this.send({ t: 'unsub', id })
    this.settle()
  }

  /** Ask for another part of the list of runs; the answer is a snapshot. */
  moveWindow(id: number, window: WindowWish): void {
    const place = this.places.get(id)
    if (!place || place.topic.topic !== 'runs') return
    place.topic = { ...place.topic, window }
    // what we hold is of another part of the list: until the snapshot comes there is nothing to go on from
    place.seq = null
    if (this.greeted) this.send({ t: 'window', id, window })
  }

  /** Try again without waiting. */
  retryNow(): void {
    if (!this.running || this.socket) return
    clearTimeout(this.timer)
    this.connect()
  }

  private get greeted(): boolean {
    return this.status.hello !== null && this.socket?.readyState === WebSocket.OPEN && this.status.state !== 'connecting'
  }

  private send(frame: Outgoing): void {
    this.socket?.send(JSON.stringify(frame))
  }

  private connect(): void {
    this.status.retryAt = null
    this.status.ended = ''
    this.status.state = 'connecting'
    const socket = new WebSocket(this.url(), 'apsis.v1.json')
    this.socket = socket
    this.opened = Date.now()
    socket.onmessage = (event: MessageEvent<string>) => { if (this.socket === socket) this.hear(event.data) }
    socket.onclose = (event) => { if (this.socket === socket) this.lost(event.code, event.reason) }
  }

  private hear(text: string): void {
    this.status.heard = Date.now()
    const frame = readFrame(text)
    if (frame === null) return
    switch (frame.t) {
      case 'hello': return this.greet(frame)
      case 'pong': return this.onClock(frame.now)
      case 'bye': this.byeAfter = frame.after; return
      case 'resumed': return this.resumed(frame.id, frame.from)
      case 'snap': case 'delta': return this.update(frame)
      case 'out': return this.out(frame)
      case 'err': return this.refused(frame)
    }
  }

  private greet(hello: Hello): void {
    this.onClock(hello.now)
    this.status.hello = hello
    this.byeAfter = null
    if (this.greetedSocket === this.socket) {
      // another history, on the same connection: the server sends snapshots of all by itself
      this.instance = hello.inst
      return
    }
    this.greetedSocket = this.socket
    const { resume, begin } = greeting([...this.places.values()])
    // the server compares the instance, and answers with snapshots where ours is gone
    this.status.state = this.places.size > 0 ? 'resyncing' : 'live'
    if (resume.length > 0) {
      const subs = resume.map(({ id, topic, seq, range }) => ({ id, seq, range, ...topic }))
      this.send({ t: 'resume', inst: this.instance, subs })
    }
    for (const { id, topic } of begin) this.send({ t: 'sub', id, ...topic })
    this.instance = hello.inst
    this.waiting = new Set(this.places.keys())
    this.settle()
  }

  private greetedSocket: WebSocket | null = null
  /** the journal that our places belong to */
  private instance = ''
  /** subscriptions that have not answered since the last hello */
  private waiting = new Set<number>()

  private settle(id?: number): void {
    if (id !== undefined) this.waiting.delete(id)
    for (const known of this.waiting) if (!this.places.has(known)) this.waiting.delete(known)
    if (this.waiting.size === 0 && this.status.state === 'resyncing') this.status.state = 'live'
  }

  private resumed(id: number, from: number): void {
    const place = this.places.get(id)
    if (place && place.seq !== null && from !== place.seq) this.begin(place)
    else this.settle(id)
  }

  private begin(place: Place): void {
    place.seq = null
    this.send({ t: 'unsub', id: place.id })
    this.send({ t: 'sub', id: place.id, ...place.topic })
  }

  private update(update: Update): void {
    const place = this.places.get(update.id)
    if (!place) return
    const verdict = judge(place, update)
    if (verdict === 'old') return
    if (verdict === 'resync') return this.begin(place)
    place.seq = update.seq
    if (update.range) place.range = update.range
    this.listeners.get(update.id)?.update?.(update)
    this.settle(update.id)
  }

  private out(out: Out): void {
    this.listeners.get(out.id)?.out?.(out)
    this.settle(out.id)
  }

  private refused(refusal: Refusal): void {
    if (refusal.id === null) return
    const listener = this.listeners.get(refusal.id)
    this.places.delete(refusal.id)
    this.listeners.delete(refusal.id)
    this.settle(refusal.id)
    listener?.refused?.(refusal)
  }

  private lost(code: number, reason: string): void {
    const greeted = this.status.state !== 'connecting'
    const stable = greeted && Date.now() - this.opened > STABLE
    this.socket = null
    this.status.state = 'disconnected'
    if (!this.running) return
    if (code === SIGNED_OUT) return this.onSignedOut()
    if (FINAL.has(code)) {
      this.status.ended = reason || `the server closed the connection for good (${code}); reload the page`
      return
    }
    if (!greeted) this.onDoubt()
    if (stable) this.failures = 0
    const delay = this.byeAfter === null ? backoff(this.failures, Math.random) : afterBye(this.byeAfter, Math.random)
    this.byeAfter = null
    this.failures += 1
    this.plan(delay)
  }

  private plan(delay: number): void {
    clearTimeout(this.timer)
    if (this.paused) {
      this.status.retryAt = null
      return
    }
    this.status.retryAt = Date.now() + delay
    this.timer = window.setTimeout(() => this.connect(), delay)
  }

  /** A machine without a network still reaches itself. */
  private get online(): boolean {
    return navigator.onLine || ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname)
  }

  /** No attempts while the machine is offline, or while nobody has looked for minutes. */
  private get paused(): boolean {
    return !this.online || (this.hiddenSince !== null && Date.now() - this.hiddenSince > HIDDEN)
  }

  private check = (): void => {
    this.hiddenSince = document.hidden ? (this.hiddenSince ?? Date.now()) : null
    if (!this.running || document.hidden) return
    if (!this.online) return this.drop('offline')
    if (this.socket === null && !this.status.ended) this.retryNow()
    else this.tick()
  }

  private tick = (): void => {
    if (!this.socket || this.status.state === 'connecting') {
      if (this.socket && Date.now() - this.opened > SILENCE) this.drop('no hello')
      return
    }
    const quiet = Date.now() - (this.status.heard ?? this.opened)
    if (quiet > SILENCE) this.drop('silence')
    else if (quiet > PING - 2_500) this.send({ t: 'ping', n: ++this.pings })
  }

  private drop(reason?: string): void {
    const socket = this.socket
    this.socket = null
    socket?.close()
    if (reason !== undefined && socket) this.lost(0, reason)
  }
}
