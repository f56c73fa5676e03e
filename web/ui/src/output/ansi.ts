/**
 * Colours in a program's output: escape sequences become spans of plain text with a style. Pure.
 *
 * Spans end up as text nodes, so that nothing a program prints can become markup. Only SGR (colours and
 * weight) and links have an effect; every other sequence is dropped.
 */

export interface Style {
  /** colour: 0-15 by theme, else `#rrggbb` */
  fg: number | string | null
  bg: number | string | null
  bold: boolean
  dim: boolean
  italic: boolean
  underline: boolean
  inverse: boolean
  strike: boolean
}

export interface Span {
  text: string
  style: Style
}

export const PLAIN: Style = Object.freeze({
  fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, inverse: false, strike: false,
})

// CSI, OSC (ended by BEL or ST), other two-byte escapes, and control characters but tab
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f]/g

/** Return the spans of one line, and the style in which the next line begins. */
export function parseLine(line: string, start: Style): { spans: Span[]; style: Style } {
  const spans: Span[] = []
  let style = start
  let last = 0
  const push = (text: string) => {
    if (text === '') return
    const previous = spans.at(-1)
    if (previous && previous.style === style) previous.text += text
    else spans.push({ text, style })
  }
  SEQUENCE.lastIndex = 0
  for (let match = SEQUENCE.exec(line); match !== null; match = SEQUENCE.exec(line)) {
    push(line.slice(last, match.index))
    last = match.index + match[0].length
    if (match[2] === 'm') style = sgr(match[1] ?? '', style)
    else if (match[0] === '\x00') push('␀')
  }
  push(line.slice(last))
  return { spans, style }
}

/** The style after a line, without its text: cheap for the many lines that have no escape. */
export function styleAfter(line: string, start: Style): Style {
  return line.includes('\x1b') ? parseLine(line, start).style : start
}

const LEVELS = [0, 95, 135, 175, 215, 255]
const hex = (r: number, g: number, b: number) => `#${((1 << 24) | (r << 16) | (g << 8) | b).toString(16).slice(1)}`
const byte = (value: number | undefined) => Math.min(255, Math.max(0, value ?? 0))

/** A colour of the 256: the first 16 follow the theme. */
export function palette(index: number): number | string {
  if (index < 16) return Math.max(0, index)
  if (index >= 232) {
    const grey = 8 + 10 * (Math.min(index, 255) - 232)
    return hex(grey, grey, grey)
  }
  const cube = index - 16
  return hex(LEVELS[Math.floor(cube / 36)]!, LEVELS[Math.floor(cube / 6) % 6]!, LEVELS[cube % 6]!)
}

function sgr(text: string, start: Style): Style {
  const codes = text === '' ? [0] : text.split(/[;:]/).map(Number)
  const style = { ...start }
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index]!
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, index + 1)
      if (colour !== null) style[code === 38 ? 'fg' : 'bg'] = colour
      index += used
    } else {
      Object.assign(style, simple(code))
    }
  }
  return style
}

/** The colour that stands after 38 or 48, and how many numbers it took. */
function extended(codes: number[], at: number): [number | string | null, number] {
  if (codes[at] === 5) return [palette(byte(codes[at + 1])), 2]
  if (codes[at] === 2) return [hex(byte(codes[at + 1]), byte(codes[at + 2]), byte(codes[at + 3])), 4]
  return [null, 0]
}

function simple(code: number): Partial<Style> {
  if (code >= 30 && code <= 37) return { fg: code - 30 }
  if (code >= 90 && code <= 97) return { fg: code - 82 }
  if (code >= 40 && code <= 47) return { bg: code - 40 }
  if (code >= 100 && code <= 107) return { bg: code - 92 }
  switch (code) {
    case 0: return PLAIN
    case 1: return { bold: true }
    case 2: return { dim: true }
    case 3: return { italic: true }
    case 4: return { underline: true }
    case 7: return { inverse: true }
    case 9: return { strike: true }
    case 22: return { bold: false, dim: false }
    case 23: return { italic: false }
    case 24: return { underline: false }
    case 27: return { inverse: false }
    case 29: return { strike: false }
    case 39: return { fg: null }
    case 49: return { bg: null }
    default: return {}
  }
}
