// Runs before the first paint, so that a chosen theme never flashes; see theme.ts for the rest.
(() => {
  let choice = 'auto'
  try {
    choice = localStorage.getItem('apsis.theme') || 'auto'
  } catch (error) {
    // storage may be forbidden; the system's theme is a fair answer then
    console.debug('no stored theme', error)
  }
  const dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
