import type { JobFinding } from './wire'

/** A request that did not do what was asked; every field may be shown to a person. */
export class ApiFailure extends Error {
  constructor(
    /** HTTP status; 0 when no answer came */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint = '',
    readonly loc = '',
    readonly requestId = '',
    readonly findings: JobFinding[] = [],
  ) {
    super(message)
    this.name = 'ApiFailure'
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Read the one error shape; anything else (a proxy's page, a cut answer) still becomes a sentence. */
export function readFailure(status: number, statusText: string, body: string): ApiFailure {
  try {
    const parsed = JSON.parse(body) as { error?: Record<string, unknown>; findings?: JobFinding[] }
    const error = parsed.error
    if (error && text(error.message)) {
      const findings = (error.findings ?? parsed.findings ?? []) as JobFinding[]
      return new ApiFailure(
        status, text(error.code), text(error.message), text(error.hint), text(error.loc), text(error.request_id), findings,
      )
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  const words = statusText || 'no reason given'
  return new ApiFailure(status, 'not_apsis', `The server answered ${status} (${words}), and not as Apsis does.`,
    'Something between this page and Apsis may have answered. Try again.')
}

/** What a person should read when a call failed, whatever was thrown. */
export function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error
  const message = error instanceof Error ? error.message : String(error)
  return new ApiFailure(0, 'unreachable', 'The server cannot be reached.', `Try again in a moment. (${message})`)
}
