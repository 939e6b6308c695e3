/** Longest text whose result is remembered, in characters: long ones are rare, and would be kept. */
const TEXT_MAX = 256

/** Remembers the results of a pure function for its last `max` texts; one that is undefined is not remembered. */
export function memoized<T>(of: (text: string) => T, max: number): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const remembered = known.get(text)
    if (remembered !== undefined) return remembered
    const result = of(text)
    if (result === undefined || text.length > TEXT_MAX) return result
    if (known.size >= max) {
      const [oldest = ''] = known.keys()
      known.delete(oldest)
    }
    known.set(text, result)
    return result
  }
}
