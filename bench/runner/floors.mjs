// Floors, which must be held, and aims, which should be: ratios to another peer within a run, or figures of our own.

/** Ours divided by the peer's. */
export const atLeast = (against, floor, aim) => ({ against, of: 'value', op: '>=', floor, aim })
export const atMost = (against, floor, aim) => ({ against, of: 'value', op: '<=', floor, aim })

/** CPU time of both ends, ours divided by the peer's. */
export const cpuAtMost = (against, floor, aim) => ({ against, of: 'cpu', op: '<=', floor, aim })

/** The figure itself. */
export const ownAtMost = (floor, aim) => ({ against: null, of: 'value', op: '<=', floor, aim })
