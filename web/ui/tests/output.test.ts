import { describe, expect, it } from 'vitest'
import { parseLine, PLAIN, styleAfter } from '@/output/ansi'
import { collapse, OutputLines } from '@/output/lines'

const encode = (text: string) => new TextEncoder().encode(text)
const texts = (output: OutputLines) => output.lines.map((line) => line.text)

describe('output that comes in pieces', () => {
  const text = 'Grüße, 世界 🚀\nzweite Zeile\r\n\nlast without end'

  it('is the same, wherever it is cut', () => {
    const data = encode(text)
    const whole = new OutputLines()
    whole.append(data, 0)
    expect(texts(whole)).toEqual(['Grüße, 世界 🚀', 'zweite Zeile', '', 'last without end'])
    for (let cut = 0; cut <= data.length; cut += 1) {
      const parts = new OutputLines()
      parts.append(data.subarray(0, cut), 0)
      parts.append(data.subarray(cut), cut)
      expect(texts(parts)).toEqual(texts(whole))
      expect(parts.lines.map((line) => line.offset)).toEqual(whole.lines.map((line) => line.offset))
    }
  })

  it('that overlaps is taken once', () => {
    const output = new OutputLines()
    output.append(encode('one\ntwo\n'), 0)
    output.append(encode('two\nthree\n'), 4)
    output.append(encode('one\n'), 0)
    expect(texts(output)).toEqual(['one', 'two', 'three'])
    expect(output.end).toBe(14)
  })

  it('may not leave a hole', () => expect(() => new OutputLines().append(encode('x'), 5)).toThrow(RangeError))

  it('shows a line before it has ended', () => {
    const output = new OutputLines()
    output.append(encode('50%'), 0)
    expect(texts(output)).toEqual(['50%'])
    output.append(encode('\r60%\ndone'), 3)
    expect(texts(output)).toEqual(['60%', 'done'])
  })

  it('is coloured the same, though a line was shown before it had ended', () => {
    const output = new OutputLines()
    output.append(encode('\x1b[31mre'), 0)
    output.append(encode('d\x1b[0m\nplain'), 7)
    expect(output.lines.map((line) => line.style)).toEqual([PLAIN, PLAIN])
  })

  it('that is not UTF-8 is shown all the same', () => {
    const output = new OutputLines()
    output.append(new Uint8Array([0x61, 0xff, 0x62, 0x0a]), 0)
    expect(texts(output)).toEqual(['a\ufffdb'])
  })

  it('without any newline is cut, and nothing of it is lost', () => {
    const output = new OutputLines()
    const piece = encode('x'.repeat(300_000))
    for (let at = 0; at < 10; at += 1) output.append(piece, at * piece.length)
    expect(output.lines.length).toBe(3)
    expect(output.lines.reduce((sum, line) => sum + line.text.length, 0)).toBe(3_000_000)
  })
})

describe('a window over a long output', () => {
  const lines = Array.from({ length: 1000 }, (_, index) => `line ${String(index).padStart(4, '0')}\n`)
  const data = encode(lines.join(''))

  it('that begins in the middle begins with a whole line', () => {
    const output = new OutputLines(15)
    output.append(data.subarray(15, 40), 15)
    expect(texts(output)).toEqual(['line 0002', 'line 0003'])
    expect(output.start).toBe(20)
    expect(output.first).toBeNull()
  })

  it('drops the oldest when it grows too large, and counts on', () => {
    const output = new OutputLines(0, 1000)
    let dropped = 0
    for (let at = 0; at < 5000; at += 100) dropped += output.append(data.subarray(at, at + 100), at)
    expect(output.size).toBeLessThanOrEqual(1000)
    expect(output.first).toBe(dropped)
    expect(output.lines[0]?.text).toBe(`line ${String(dropped).padStart(4, '0')}`)
    expect(output.lines.at(-1)?.text).toBe('line 0499')
  })

  it('can be read backwards, to the very start', () => {
    const output = new OutputLines(500)
    output.append(data.subarray(500, 700), 500)
    while (output.start > 0) {
      const from = Math.max(0, output.start - 130)
      output.prepend(data.subarray(from, output.start), from)
    }
    expect(texts(output)).toEqual(lines.slice(0, 70).map((line) => line.trimEnd()))
    expect(output.first).toBe(0)
  })

  it('drops the newest when it is read backwards too far, and can go on from there', () => {
    const output = new OutputLines(2000, 1000)
    output.append(data.subarray(2000, 2900), 2000)
    while (output.start > 1000) {
      const from = Math.max(0, output.start - 200)
      output.prepend(data.subarray(from, output.start), from)
    }
    expect(output.size).toBeLessThanOrEqual(1000)
    output.append(data.subarray(output.end, output.end + 50), output.end)
    const numbers = texts(output).map((text) => Number(text.slice(5)))
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => numbers[0]! + index))
  })
})

it.each([['a\rb', 'b'], ['a\r', 'a'], ['10%\r20%\r30%', '30%'], ['\r\r', ''], ['plain', 'plain']])('of %j a terminal shows %j', (text, shown) =>
  expect(collapse(text)).toBe(shown))

describe('colours', () => {
  const spans = (line: string, start = PLAIN) => parseLine(line, start).spans.map(({ text, style }) => [text, style.fg, style.bold])

  it('end where they end', () => expect(spans('a\x1b[31mb\x1b[0mc')).toEqual([['a', null, false], ['b', 1, false], ['c', null, false]]))
  it('go on in the next line', () => {
    const style = styleAfter('\x1b[1;32mx', PLAIN)
    expect(spans('y', style)).toEqual([['y', 2, true]])
  })
  it('are of 16, 256 or all', () => {
    expect(spans('\x1b[95mx')).toEqual([['x', 13, false]])
    expect(spans('\x1b[38;5;196mx')).toEqual([['x', '#ff0000', false]])
    expect(spans('\x1b[38;5;232mx')).toEqual([['x', '#080808', false]])
    expect(spans('\x1b[38;2;1;2;3mx')).toEqual([['x', '#010203', false]])
  })
  it('of other sequences leave nothing behind', () => {
    expect(spans('a\x1b[2Kb\x1b]8;;javascript:alert(1)\x07c\x1b]8;;\x07\x1b(Bd\x07')).toEqual([['abcd', null, false]])
    expect(spans('cut \x1b[3')).toEqual([['cut 3', null, false]])
  })
  it('never become markup', () => expect(spans('<img onerror=x>')).toEqual([['<img onerror=x>', null, false]]))
})
