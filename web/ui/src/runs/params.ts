/** The form of a job's params: what stands in it at first, and what is wrong with what was entered. Pure. */

import type { Job } from '@/api/wire'

/** Values by name, defaults filled in. */
export function initial(job: Pick<Job, 'params' | 'param_specs'>, given: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(job.params.map((name) => [name, given[name] ?? String(job.param_specs?.[name]?.default ?? '')]))
}

/** What is wrong, by name; empty if nothing is. The server checks again. */
export function wrong(job: Pick<Job, 'params' | 'param_specs'>, values: Record<string, string>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of job.params) {
    const value = values[name] ?? ''
    const spec = job.param_specs?.[name]
    if (value === '' && (spec?.default === undefined || spec.default === null)) found[name] = 'a value is needed'
    else if (spec?.choices?.length && !spec.choices.map(String).includes(value)) found[name] = `one of ${spec.choices.join(', ')}`
  }
  return found
}
