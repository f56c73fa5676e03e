/** The document's title: what is on the page, and which installation it is. */

import { toValue, watchEffect, type MaybeRefOrGetter } from 'vue'

function host(): string {
  return location.host
}

export function useTitle(text: MaybeRefOrGetter<string>): void {
  watchEffect(() => { document.title = `${toValue(text)} - apsis@${host()}` })
}
