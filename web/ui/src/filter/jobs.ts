/** The incremental filter of the list of jobs: every word must be found. Pure. */

import type { Job } from '@/api/wire'
import { tokens } from './text'

/** Whether a job has every word in its id, labels, params or description; `-word` must not be there, `label:x` is exact. */
export function matches(job: Job, text: string): boolean {
  const hay = [job.job_id, ...job.labels, ...job.params, job.description].join('\n').toLowerCase()
  return tokens(text).every((token) => {
    const negated = /^[-!]/.test(token.text) && token.text.length > 1
    const term = token.text.slice(negated ? 1 : 0).replaceAll('"', '').toLowerCase()
    return found(job, hay, term) !== negated
  })
}

function found(job: Job, hay: string, term: string): boolean {
  if (term.startsWith('label:')) return job.labels.some((label) => label.toLowerCase() === term.slice(6))
  if (term.startsWith('job:')) return job.job_id.toLowerCase().includes(term.slice(4).replaceAll('*', ''))
  return hay.includes(term)
}
