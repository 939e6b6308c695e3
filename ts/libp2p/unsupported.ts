/** Options of js-libp2p's packages that have no meaning here. */
import { InvalidParametersError } from '../errors.ts'

/** Refuses the options of `what` that are named in `reasons`, each with its reason. */
export function withoutMeaning(
  options: object,
  what: string,
  reasons: Readonly<Record<string, string>>
): void {
  for (const [name, value] of Object.entries(options)) {
    const reason = reasons[name]
    if (value === undefined || reason === undefined) continue
    throw new InvalidParametersError(`${what} has no option ${name} here: ${reason}`)
  }
}
