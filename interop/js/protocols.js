export const BULK = '/bench/bulk/1.0.0'
export const PING = '/ipfs/ping/1.0.0'
export const REQUEST = '/bench/rr/1.0.0'
export const MESSAGES = '/bench/msgs/1.0.0'
export const ECHO = '/bench/echo/1.0.0'
export const RESET = '/bench/reset/1.0.0'
export const LP = '/bench/lp/1.0.0'
export const LENGTHS = '/interop/lengths/1.0.0'

/** Size of the writes in every bulk transfer. */
export const BLOCK_BYTES = 64 * 1024
