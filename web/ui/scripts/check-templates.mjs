// Refuse a component whose template is not Pug, or that smuggles in HTML or a static style attribute.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

function* components(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* components(path)
    else if (name.endsWith('.vue')) yield path
  }
}

/** Return what is wrong with one component's source, as [line, sentence]. */
export function findings(source) {
  const found = []
  const lineOf = (index) => source.slice(0, index).split('\n').length
  for (const match of source.matchAll(/^<template(\s[^>]*)?>/gm)) {
    if (!/\blang="pug"/.test(match[1] ?? '')) found.push([lineOf(match.index), 'the template is not Pug: write <template lang="pug">'])
  }
  if (!/^<template/m.test(source)) found.push([1, 'the component has no template'])
  for (const match of source.matchAll(/\bv-html\b|\binnerHTML\b/g)) {
    found.push([lineOf(match.index), `${match[0]} would let a program's output become markup: use text`])
  }
  for (const match of source.matchAll(/[(\s]style="/g)) {
    found.push([lineOf(match.index), 'a static style attribute is refused by the content security policy: use a class'])
  }
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let count = 0
  let bad = 0
  for (const path of components(join(root, 'src'))) {
    count += 1
    for (const [line, sentence] of findings(readFileSync(path, 'utf8'))) {
      bad += 1
      console.error(`${relative(root, path)}:${line}: ${sentence}`)
    }
  }
  if (bad > 0) process.exit(1)
  console.log(`${count} components, all in Pug`)
}
