/** Reads one output stream as it grows: follows its end, or stays where someone reads. */

import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import { asFailure, type ApiFailure } from '@/api/failure'
import type { OutputSlice } from '@/api/rest'
import { OutputLines } from './lines'

const BLOCK = 256 * 1024
/** What is read at first, and again when the reader has fallen behind by more than that. */
const TAIL = 1024 * 1024

export type HeldLines = Pick<OutputLines, 'lines' | 'start' | 'end' | 'first'>

export type ReadBytes = (start: number, stop: number, signal: AbortSignal) => Promise<OutputSlice>

export class OutputReader {
  /** grows with each change of the lines, which are changed in place */
  private readonly version: Ref<number> = ref(0)
  private lines = new OutputLines()
  readonly failure: ShallowRef<ApiFailure | null> = shallowRef(null)
  readonly busy: Ref<boolean> = ref(false)
  readonly length: Ref<number> = ref(0)
  follow = true
  private begun = false
  private readonly abort = new AbortController()

  constructor(
    private readonly read: ReadBytes,
    /** told before lines come or go at the start: how many, so that the view stays in its place */
    private readonly onShift: (lines: number) => void,
  ) {}

  /** What is held of the stream; whoever asks is told of each change. */
  held(): HeldLines {
    void this.version.value
    const { lines, start, end, first } = this.lines
    return { lines, start, end, first }
  }

  /** The stream has this length now. */
  grown(length: number): void {
    this.length.value = Math.max(this.length.value, length)
    void this.pump()
  }

  /** Follow the end, from wherever the window is. */
  toEnd(): void {
    this.follow = true
    void this.pump()
  }

  /** Read the block before the window. */
  async earlier(): Promise<void> {
    const { start } = this.lines
    if (start === 0 || this.busy.value) return
    const from = Math.max(0, start - BLOCK)
    await this.reading(async () => {
      const { bytes } = await this.read(from, start, this.abort.signal)
      if (bytes.length !== start - from) throw new Error(`bytes ${from} to ${start} came incomplete`)
      const added = this.lines.prepend(bytes, from)
      this.version.value += 1
      this.onShift(added)
    })
  }

  /** Read the block after the window, where it does not reach the end. */
  async later(): Promise<void> {
    if (!this.busy.value && this.lines.end < this.length.value) await this.reading(() => this.block())
  }

  /** Start over from the beginning of the stream. */
  async fromStart(): Promise<void> {
    if (this.busy.value) return
    this.follow = false
    if (this.lines.start === 0) return
    this.restart(0)
    await this.later()
  }

  close(): void {
    this.abort.abort()
  }

  private restart(at: number): void {
    this.lines = new OutputLines(at)
    this.version.value += 1
  }

  private async pump(): Promise<void> {
    if (this.busy.value) return
    await this.reading(async () => {
      while (this.wanted()) await this.block()
    })
  }

  private wanted(): boolean {
    const { end, full } = this.lines
    if (end >= this.length.value) return false
    if (!this.follow) return this.begun && !full
    if (!this.begun || this.length.value - end > TAIL) {
      const at = Math.max(0, this.length.value - TAIL)
      if (at > end) this.restart(at)
      this.begun = true
    }
    return true
  }

  private async block(): Promise<void> {
    const { end } = this.lines
    const stop = Math.min(end + BLOCK, this.length.value)
    const { bytes } = await this.read(end, stop, this.abort.signal)
    if (bytes.length === 0) {
      // the length was ahead of what can be read; the next one will say so again
      this.length.value = end
      return
    }
    const dropped = this.lines.append(bytes, end)
    this.failure.value = null
    this.version.value += 1
    if (dropped > 0) this.onShift(-dropped)
  }

  private async reading(work: () => Promise<void>): Promise<void> {
    this.busy.value = true
    try {
      await work()
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return
      this.failure.value = asFailure(error)
    } finally {
      this.busy.value = false
    }
  }
}
