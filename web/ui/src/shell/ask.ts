/** One question at a time, in a dialog; answered by a promise. */

import { shallowRef } from 'vue'

export interface Question {
  title: string
  text: readonly string[]
  confirm: string
  danger?: boolean
  /** one of these must be chosen */
  options?: { label: string; values: readonly string[]; initial: string }
  /** this word must be typed */
  typed?: string
}

export interface Asked extends Question {
  answer(value: string | null): void
}

export const asked = shallowRef<Asked | null>(null)

/** Ask; resolves with the chosen option (or an empty text), or null if it was cancelled. */
export function ask(question: Question): Promise<string | null> {
  asked.value?.answer(null)
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer(value) {
        asked.value = null
        resolve(value)
      },
    }
  })
}
