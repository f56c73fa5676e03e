/** Who is logged in, as far as this page knows. */

import { computed, shallowRef } from 'vue'
import * as rest from '@/api/rest'
import type { Session } from '@/api/wire'

export const session = shallowRef<Session | null>(null)

export const mayAct = computed(() => session.value !== null && session.value.role !== 'viewer')
export const mayControl = computed(() => session.value?.role === 'admin')

/** Ask the server who we are; True if it knows us. */
export async function restore(): Promise<boolean> {
  session.value = await rest.session()
  return session.value !== null
}

export async function login(token: string): Promise<void> {
  session.value = await rest.login(token)
}

export async function logout(): Promise<void> {
  await rest.logout()
  session.value = null
}

/** The server no longer knows us. */
export function forget(): void {
  session.value = null
}
