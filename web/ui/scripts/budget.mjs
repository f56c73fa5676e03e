// Check the weight of the built page: gzipped bytes of the first route, of all scripts and of all styles,
// and that nothing in it names another host.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const out = fileURLToPath(new URL('../../apsis_web/static', import.meta.url))
const KB = 1024
const LIMITS = { 'scripts of the first route': 90 * KB, 'all scripts': 140 * KB, 'all styles': 15 * KB }

// Names, not addresses that are loaded: XML namespaces, and the links of Vue's and UIkit's own messages.
const NAMES = [/^https?:\/\/www\.w3\.org\//, /^https:\/\/vuejs\.org\//, /^https:\/\/getuikit\.com/, /^https:\/\/router\.vuejs\.org/]

const page = readFileSync(join(out, 'index.html'), 'utf8')
const assets = readdirSync(join(out, 'assets')).map((name) => ({ name, data: readFileSync(join(out, 'assets', name)) }))
const weigh = (wanted) => assets.filter(wanted).reduce((sum, { data }) => sum + gzipSync(data).length, 0)

const first = new Set([...page.matchAll(/assets\/([\w.-]+\.js)/g)].map((match) => match[1]))
// the Runs page is what `/` shows, so its chunk and what that imports belong to the first route
const queue = assets.filter(({ name }) => /^RunsPage-.*\.js$/.test(name)).map(({ name }) => name)
queue.push(...first)
while (queue.length > 0) {
  const name = queue.pop()
  first.add(name)
  const text = assets.find((asset) => asset.name === name)?.data.toString('utf8') ?? ''
  for (const [, next] of text.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) if (!first.has(next)) queue.push(next)
}

const weights = {
  'scripts of the first route': weigh(({ name }) => first.has(name)),
  'all scripts': weigh(({ name }) => name.endsWith('.js')),
  'all styles': weigh(({ name }) => name.endsWith('.css')),
}
let bad = 0
for (const [what, bytes] of Object.entries(weights)) {
  const over = bytes > LIMITS[what]
  bad += Number(over)
  console.log(`${what}: ${(bytes / KB).toFixed(1)} KB of ${LIMITS[what] / KB} KB${over ? '  TOO MUCH' : ''}`)
}
for (const { name, data } of [...assets, { name: 'index.html', data: Buffer.from(page) }]) {
  for (const [address] of data.toString('utf8').matchAll(/https?:\/\/[\w.-]+[^\s"'`)]*/g)) {
    if (NAMES.some((known) => known.test(address))) continue
    bad += 1
    console.error(`${name}: names another host: ${address}`)
  }
}
process.exit(bad > 0 ? 1 : 0)
