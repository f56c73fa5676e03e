/** Editing the text of a filter: the text is the state, and buttons only change it. Pure. */

export interface Token {
  text: string
  start: number
  /** exclusive */
  end: number
  kind: 'word' | 'key' | 'arg' | 'open'
}

/** Split a filter at spaces outside quotes, as the server does. A quote that is not closed takes the rest. */
export function tokens(text: string): Token[] {
  const found: Token[] = []
  let at = 0
  while (at < text.length) {
    if (/\s/.test(text[at]!)) { at += 1; continue }
    const start = at
    let open = false
    while (at < text.length && (open || !/\s/.test(text[at]!))) {
      if (text[at] === '"') open = !open
      at += 1
    }
    const term = text.slice(start, at)
    found.push({ text: term, start, end: at, kind: open ? 'open' : kind(term) })
  }
  return found
}

function kind(term: string): Token['kind'] {
  const bare = term.replace(/^[-!]/, '')
  if (bare.startsWith('"')) return 'word'
  if (/^[A-Za-z_.][\w.-]*:/.test(bare)) return 'key'
  return /^[A-Za-z_][\w-]*=/.test(bare) ? 'arg' : 'word'
}

/** Whether a term stands in the filter. */
export function has(text: string, term: string): boolean {
  return tokens(text).some((token) => token.text === term)
}

/** Add a term, or take it away if it is there. */
export function toggle(text: string, term: string): string {
  const kept = tokens(text).map((token) => token.text)
  const without = kept.filter((token) => token !== term)
  return (without.length < kept.length ? without : [...kept, term]).join(' ')
}

/** Replace every term of a key (`state:`) by one, or drop them for an empty value. */
export function setKey(text: string, key: string, value: string): string {
  const kept = tokens(text).map((token) => token.text).filter((token) => !token.startsWith(`${key}:`))
  return (value === '' ? kept : [...kept, `${key}:${quote(value)}`]).join(' ')
}

/** Quote a value that would otherwise be split. */
export function quote(value: string): string {
  return /[\s",]/.test(value) ? `"${value.replaceAll('"', '')}"` : value
}

/** A piece of the text, for showing it in colour; `bad` is what the server pointed at. */
export interface Piece {
  text: string
  kind: Token['kind'] | 'space' | 'name'
  bad: boolean
}

/** Cut the text into pieces that, put together, are the text again. */
export function pieces(text: string, bad: [number, number] | null): Piece[] {
  const cuts: [number, number, Piece['kind']][] = []
  let last = 0
  for (const token of tokens(text)) {
    if (token.start > last) cuts.push([last, token.start, 'space'])
    const name = token.kind === 'key' ? token.text.indexOf(':') + 1 : token.kind === 'arg' ? token.text.indexOf('=') + 1 : 0
    if (name > 0) cuts.push([token.start, token.start + name, 'name'])
    if (token.start + name < token.end) cuts.push([token.start + name, token.end, token.kind])
    last = token.end
  }
  if (last < text.length) cuts.push([last, text.length, 'space'])
  return cuts.flatMap(([start, end, kind]) => split(text, start, end, kind, bad))
}

function split(text: string, start: number, end: number, kind: Piece['kind'], bad: [number, number] | null): Piece[] {
  if (bad === null) return [{ text: text.slice(start, end), kind, bad: false }]
  const from = Math.min(Math.max(bad[0], start), end)
  const to = Math.min(Math.max(bad[1], start), end)
  return [
    { text: text.slice(start, from), kind, bad: false },
    { text: text.slice(from, to), kind, bad: true },
    { text: text.slice(to, end), kind, bad: false },
  ].filter((piece) => piece.text !== '')
}
