/** Who is logged in, as far as this page knows. */

import { computed, shallowRef } from 'vue'
import * as rest from '@/api/rest'
import type { Session } from '@/api/wire'
import { drop, recall, remember } from './storage'

/** left behind by a login; the cookie itself is not for scripts to see */
const MARK = 'session'

export const session = shallowRef<Session | null>(null)

export const mayAct = computed(() => session.value !== null && session.value.role !== 'viewer')
export const mayControl = computed(() => session.value?.role === 'admin')

/** Ask the server who we are; not where nobody has logged in here, for which a refusal would be no news. */
export async function restore(): Promise<void> {
  if (recall(MARK) !== null) session.value = await rest.session()
}

export async function login(token: string): Promise<void> {
  session.value = await rest.login(token)
  remember(MARK, '1')
}

export async function logout(): Promise<void> {
  await rest.logout()
  forget()
}

/** The server no longer knows us. */
export function forget(): void {
  drop(MARK)
  session.value = null
}
