/** Small choices kept by the browser; where it forbids that, they last as long as the page. */

const PREFIX = 'apsis.'

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name)
  } catch (error) {
    console.debug('nothing can be recalled', error)
    return null
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value)
  } catch (error) {
    console.debug('nothing can be remembered', error)
  }
}

export function drop(name: string): void {
  try {
    localStorage.removeItem(PREFIX + name)
  } catch (error) {
    console.debug('nothing to forget', error)
  }
}
