/**
 * Layout of the records written by `drain`; mirrors `crates/node/src/record.rs`. See docs/boundary.md.
 */

/** Words per record. */
export const RECORD_WORDS = 4

/** Maximum records per drain. */
export const RECORDS_MAX = 1_024

/** Maximum records of one slot; a drain that leaves less room than this may have more pending. */
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
  pipeReady: 15,
  completion: 16,
  listenerClosed: 17,
  gateQuestions: 18,
  httpRequests: 19
} as const

/** Flags of streamReset and connectionClosed, above the low byte of word 0. */
export const FLAG_REMOTE = 1
/** Flag of connectionClosed: the keepalive timeout expired. */
export const FLAG_KEEPALIVE = 4
/** Flag of connectionClosed: the write stall timeout expired. */
export const FLAG_WRITE_STALL = 8
/** Flag of connectionClosed: the remote did not complete a frame in time. */
export const FLAG_FRAME_STALL = 16
/** Flag of connectionClosed: the transport has said more, which `endText` returns. */
export const FLAG_EXPLAINED = 32
/** Flag of streamReset: its connection was lost. */
export const FLAG_CONNECTION_LOST = 2
/** Flag of `feedReset`: the stream failed other than by a reset. */
export const FLAG_FAULT = 4
/** Flag of streamReset: the lost connection was closed by either end without an error. */
export const FLAG_ORDERLY = 8
/** Flag of streamReset and streamClosed: accepted bytes or an accepted end-of-stream were not sent. */
export const FLAG_UNSENT = 16
/** Flag of streamReset: received bytes were not read. */
export const FLAG_UNREAD = 32
/** Flag of completion: the command has made a connection, to which its result adds nothing; it is not taken. */
export const FLAG_EMPTY = 1

/** Flags of pipeReady: room for bytes to feed, bytes to take or their end. */
export const PipeReady = { hasRoom: 1, hasOutput: 2 } as const

/** Hooks of the gate, as bits. */
export const GateHook = { accept: 1, secured: 2, upgraded: 4 } as const

/** Lists of the gate. */
export const GateList = { allow: 0, deny: 1 } as const

/** Kinds of the events of a `NativeMuxerSession`. */
export const MuxerEvent = {
  opened: 1,
  data: 2,
  finished: 3,
  reset: 4,
  writable: 5,
  acked: 6,
  goAway: 7
} as const

/** Words of such an event. */
export const MUXER_EVENT_WORDS = 3

/** Orders of `take` to the muxer of a foreign stream: more bytes, end-of-stream, stop reading, reset. */
export const Taken = { more: 1, end: 2, discard: 4, reset: 8 } as const

/** Low bits of a handle: the index of its slot. The ten bits above are a generation. */
export const HANDLE_INDEX_MASK = 0xfffff

/**
 * Set in the result of `open` while the stream is in INIT, and in that of `submit` for an end while the remote has not
 * answered the only proposal: `streamNegotiated` follows.
 */
export const HANDLE_PENDING = 1 << 30

/** Protocol numbers from here on are those of predicates; protocols by name have smaller ones. */
export const PREDICATES_FROM = 1 << 20

/** Framing ids of `frame`. */
export const Framing = { varint: 0, fixed8: 1, fixed16: 2, fixed32: 3, fixed64: 4 } as const
export type Framing = keyof typeof Framing
