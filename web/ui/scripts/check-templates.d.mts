/** Return what is wrong with one component's source, as [line, sentence]. */
export function findings(source: string): [number, string][]
