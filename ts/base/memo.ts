/** Longest text whose result is remembered, in characters: long ones are rare, and would be kept. */
const TEXT_MAX = 256

/** Remembers the results of a pure function for `max` texts, of which the oldest are forgotten first. */
export function memoized<T extends object>(
  of: (text: string) => T,
  max: number
): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const remembered = known.get(text)
    if (remembered !== undefined) return remembered
    const result = of(text)
    if (text.length > TEXT_MAX) return result
    if (known.size >= max) {
      const [oldest = ''] = known.keys()
      known.delete(oldest)
    }
    known.set(text, result)
    return result
  }
}
