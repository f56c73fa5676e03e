/** Half-filled forms, kept for as long as the tab lives. */

export function recallDraft<T>(name: string): Partial<T> {
  try {
    return JSON.parse(sessionStorage.getItem(`apsis.draft.${name}`) ?? '{}') as Partial<T>
  } catch (error) {
    console.debug('no draft', error)
    return {}
  }
}

export function rememberDraft(name: string, value: unknown): void {
  try {
    sessionStorage.setItem(`apsis.draft.${name}`, JSON.stringify(value))
  } catch (error) {
    console.debug('the draft cannot be kept', error)
  }
}
