/**
 * The layout of what `drain` writes; mirrors `crates/node/src/record.rs`. See docs/boundary.md.
 */

/** Words a record. */
export const RECORD_WORDS = 4

/** Records a drain has room for. */
export const RECORDS_MAX = 1_024

/** Records that one slot can need at once; an answer that leaves less room means that more may wait. */
export const RECORDS_PER_ENTRY = 6

/** The low byte of word 0. */
export const RecordKind = {
  streamOpened: 1,
  streamNegotiated: 2,
  streamReadable: 3,
  streamWritable: 4,
  streamReset: 5,
  streamClosed: 6,
  streamOutgoing: 7,
  connectionOpened: 8,
  connectionClosed: 9,
  protocolQuery: 10,
  connectionGoingAway: 11,
  diagnostics: 12,
  connectionCarried: 13,
  attemptsFailed: 14,
  completion: 16,
  listenerClosed: 17
} as const

/** Flags of streamReset and connectionClosed, above the low byte of word 0. */
export const FLAG_REMOTE = 1
/** Flag of connectionClosed: the clock of the keepalive ended it. */
export const FLAG_KEEPALIVE = 4
/** Flag of connectionClosed: the clock of bytes that the remote does not take. */
export const FLAG_WRITE_STALL = 8
/** Flag of connectionClosed: the clock of a frame that the remote does not complete. */
export const FLAG_FRAME_STALL = 16
/** Flag of streamReset: its connection was lost. */
export const FLAG_CONNECTION_LOST = 2
/** Flag of `feedReset`: the stream failed otherwise than by a reset. */
export const FLAG_FAULT = 4
/** Flag of streamReset: the lost connection had been closed by one of its ends, without an error. */
export const FLAG_ORDERLY = 8
/** Flag of streamReset and streamClosed: bytes or an end that were accepted here were not sent. */
export const FLAG_UNSENT = 16
/** Flag of streamReset: bytes that had arrived were not read. */
export const FLAG_UNREAD = 32

/** What `take` orders of the muxer of a foreign stream: bytes are left, end-of-stream, stop reading, reset. */
export const Taken = { more: 1, end: 2, discard: 4, reset: 8 } as const

/** A handle's low bits are the index of its slot, the ten above a generation. */
export const HANDLE_INDEX_MASK = 0xfffff

/**
 * Added to the answer of `open` while the stream is in INIT, and of `submit` to an end while the remote has not answered
 * the only proposal: `streamNegotiated` follows.
 */
export const HANDLE_PENDING = 1 << 30

/** Numbers from here on stand for predicates; protocols by name have smaller ones. */
export const PREDICATES_FROM = 1 << 20

/** Framings of `frame`. */
export const Framing = { varint: 0, fixed8: 1, fixed16: 2, fixed32: 3, fixed64: 4 } as const
export type Framing = keyof typeof Framing
