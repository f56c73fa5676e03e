import { createRouter, createWebHistory } from 'vue-router'
import { session } from '@/shell/session'

/** The path of a job's page: its id has slashes of its own, which stay. */
export const jobPath = (jobId: string): string => `/job/${jobId.split('/').map(encodeURIComponent).join('/')}`

/** A place of this page to return to after the login; anything else is not followed. */
export function safeNext(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) ? next : '/runs'
}

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', redirect: '/runs' },
    { path: '/login', component: () => import('@/pages/login/LoginPage.vue'), meta: { open: true } },
    { path: '/runs', component: () => import('@/pages/runs/RunsPage.vue'), meta: { fixed: true } },
    { path: '/runs/:id', component: () => import('@/pages/run/RunPage.vue'), meta: { fixed: true } },
    { path: '/jobs', component: () => import('@/pages/jobs/JobsPage.vue') },
    { path: '/job/:id+', component: () => import('@/pages/job/JobPage.vue') },
    { path: '/new', component: () => import('@/pages/new/NewRunPage.vue') },
    { path: '/control', component: () => import('@/pages/control/ControlPage.vue') },
    { path: '/help', component: () => import('@/pages/help/HelpPage.vue') },
    { path: '/:rest(.*)*', component: () => import('@/pages/MissingPage.vue') },
  ],
})

router.beforeEach((to) => {
  if (session.value !== null || to.meta.open) return true
  return { path: '/login', query: to.fullPath === '/runs' || to.fullPath === '/' ? {} : { next: to.fullPath } }
})
