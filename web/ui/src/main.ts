import { createApp } from 'vue'
import { whenSignedOut as whenRestSignedOut } from '@/api/rest'
import App from '@/App.vue'
import { whenSignedOut } from '@/live/live'
import { router } from '@/router'
import { startKeys } from '@/shell/keys'
import { forget, restore } from '@/shell/session'
import { startTheme } from '@/shell/theme'
import { tellFailure } from '@/shell/toasts'
import { startClock } from '@/time/clock'
import '@/styles/main.less'

function signedOut(): void {
  forget()
  const { path, fullPath } = router.currentRoute.value
  if (path !== '/login') void router.push({ path: '/login', query: { next: fullPath } })
}

async function main(): Promise<void> {
  startTheme()
  startClock()
  startKeys()
  whenRestSignedOut(signedOut)
  whenSignedOut(signedOut)
  try {
    await restore()
  } catch (error) {
    tellFailure('Who is logged in is not known', error)
  }
  createApp(App).use(router).mount('#app')
}

void main()
