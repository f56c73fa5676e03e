/** A command that someone typed, as the definition of a job that is never loaded. Pure. */

export interface AdHoc {
  command: string
  cwd: string
  timeout: string
}

export function adHocJob(form: AdHoc): Record<string, unknown> {
  const program: Record<string, unknown> = { type: 'shell', command: form.command }
  if (form.cwd.trim()) program.cwd = form.cwd.trim()
  if (form.timeout.trim()) program.timeout = { duration: form.timeout.trim() }
  return { program, metadata: { labels: ['adhoc'] } }
}
