/**
 * The lines of an output stream that this page holds: a window of bytes, decoded. Pure.
 *
 * Bytes are appended at the end as they come, and prepended by blocks when someone reads back. The window
 * is bounded: the oldest lines go when it grows too large, and can be loaded again.
 */

import { PLAIN, type Style, styleAfter } from './ansi'

export const WINDOW_BYTES = 8 * 1024 * 1024
/** Lines held at most: a browser cannot draw a scroll area of more than 33 million pixels. */
const MOST_LINES = 400_000
/** Characters of one line that are shown; a longer one says how long it is. */
export const LINE_SHOWN = 16 * 1024

export interface Line {
  text: string
  /** offset of its first byte in the stream */
  offset: number
  /** the colours that are in force where it begins */
  style: Style
}

/** Bytes after which a line that has no end is cut, so that a stream without newlines cannot grow without bound. */
const LINE_BYTES = 1024 * 1024

const NEWLINE = 10

/** What a terminal would show of a line on which a program went back with `\r`: the last that it wrote. */
export function collapse(text: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === '\r') end -= 1
  const from = text.lastIndexOf('\r', end - 1)
  return text.slice(from + 1, end)
}

function decode(bytes: Uint8Array): string {
  // one whole line at a time, so that no character is split; what is not UTF-8 becomes U+FFFD
  return collapse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
}

export class OutputLines {
  lines: Line[] = []
  /** offset of the first byte held */
  start: number
  /** offset after the last byte held */
  end: number
  /** number of the first line held, from 0; null where the window began in the middle of the stream */
  first: number | null
  /** True: `start` is not known to be the start of a line, so that the first piece is left out */
  private ragged: boolean
  /** bytes after the last newline */
  private rest: Uint8Array<ArrayBufferLike> = new Uint8Array()
  private restShown = false
  private style: Style = PLAIN

  constructor(start = 0, private readonly limit = WINDOW_BYTES) {
    this.start = start
    this.end = start
    this.first = start === 0 ? 0 : null
    this.ragged = start > 0
  }

  /**
   * Take in bytes that follow those held; what overlaps is passed over.
   *
   * Returns how many lines were dropped at the start to stay within the limit.
   * Raises RangeError where bytes are missing in between: the caller must read those first.
   */
  append(bytes: Uint8Array, offset: number): number {
    if (offset > this.end) throw new RangeError(`bytes ${this.end} to ${offset} are missing`)
    const fresh = bytes.subarray(Math.min(this.end - offset, bytes.length))
    if (fresh.length === 0) return 0
    if (this.restShown) {
      this.lines.pop()
      this.restShown = false
    }
    let at = this.end - this.rest.length
    const data = join(this.rest, fresh)
    this.end += fresh.length
    let from = 0
    for (let newline = data.indexOf(NEWLINE); newline >= 0; newline = data.indexOf(NEWLINE, from)) {
      if (this.ragged) this.begin(at + newline + 1 - from)
      else this.push(decode(data.subarray(from, newline)), at)
      at += newline + 1 - from
      from = newline + 1
    }
    while (data.length - from > LINE_BYTES && !this.ragged) {
      this.push(decode(data.subarray(from, from + LINE_BYTES)), at)
      at += LINE_BYTES
      from += LINE_BYTES
    }
    this.rest = data.slice(from)
    if (this.rest.length > 0 && !this.ragged) {
      // shown at once: a progress bar has no newline until it is done
      const { style } = this
      this.push(decode(this.rest), at)
      this.style = style
      this.restShown = true
    }
    return this.trim()
  }

  /**
   * Take in the block of bytes that ends where the window starts.
   *
   * Returns how many lines were added; the newest are dropped where that makes the window too large.
   */
  prepend(bytes: Uint8Array, offset: number): number {
    if (offset + bytes.length !== this.start) throw new RangeError('the block does not end where the window starts')
    const before = new OutputLines(offset, Number.POSITIVE_INFINITY)
    // the window starts at a line, so that the block ends with a newline
    before.append(bytes, offset)
    if (before.lines.length === 0) return 0
    this.start = before.start
    this.first = offset === 0 ? 0 : this.first === null ? null : this.first - before.lines.length
    this.lines = [...before.lines, ...this.lines]
    this.trimEnd()
    return before.lines.length
  }

  /** Bytes held. */
  get size(): number {
    return this.end - this.start
  }

  /** So much is held that someone who reads should ask for more, or lines would go at the other end. */
  get full(): boolean {
    return this.size > this.limit / 2 || this.lines.length > MOST_LINES / 2
  }

  private begin(offset: number): void {
    this.ragged = false
    this.start = offset
  }

  private push(text: string, offset: number): void {
    this.lines.push({ text, offset, style: this.style })
    this.style = styleAfter(text, this.style)
  }

  private get tooLarge(): boolean {
    return this.size > this.limit || this.lines.length > MOST_LINES
  }

  private trim(): number {
    if (!this.tooLarge) return 0
    // an eighth more than needed, so that it does not happen with every append
    const wanted = this.end - this.limit * 0.875
    let drop = Math.max(0, this.lines.length - MOST_LINES * 0.875)
    while (drop < this.lines.length - 1 && this.lines[drop]!.offset < wanted) drop += 1
    drop = Math.min(Math.floor(drop), this.lines.length - 1)
    if (drop <= 0) return 0
    this.lines.splice(0, drop)
    this.start = this.lines[0]!.offset
    if (this.first !== null) this.first += drop
    return drop
  }

  private trimEnd(): void {
    if (!this.tooLarge) return
    const wanted = this.start + this.limit * 0.875
    let keep = Math.min(this.lines.length, Math.floor(MOST_LINES * 0.875))
    while (keep > 1 && this.lines[keep - 1]!.offset > wanted) keep -= 1
    const next = this.lines[keep]
    if (!next) return
    this.lines.length = keep
    this.end = next.offset
    this.style = next.style
    this.rest = new Uint8Array()
    this.restShown = false
  }
}

function join(head: Uint8Array, tail: Uint8Array): Uint8Array {
  if (head.length === 0) return tail
  const whole = new Uint8Array(head.length + tail.length)
  whole.set(head)
  whole.set(tail, head.length)
  return whole
}
