/** A scripted addon: the hot calls return what a test has queued, and are recorded in `calls`. */
import { ERROR_CODES } from '../../ts/errors.ts'
import type {
  CommandResult,
  HotCalls,
  Native,
  NativeConnectionFacts,
  NativeNode,
  NativeResources
} from '../../ts/native/addon.ts'
import { Order } from '../../ts/native/outbox.ts'
import { FLAG_REMOTE, HANDLE_PENDING, RECORD_WORDS, RecordKind } from '../../ts/native/record.ts'

/** One scripted stream. */
export interface FakeStream {
  inbox: number[]
  remoteEnded: boolean
  state: number
  room: number
  sent: number[]
  armed: boolean
}

export type Fake = ReturnType<typeof fakeNative>

const ORDER_NAMES = ['', ' closeWrite', ' close'] as const

const OPEN = 2
const CLOSE_READ = 3
const CLOSE_WRITE = 4
const CLOSE_BOTH = 5
const RESET = 6

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

export const FACTS: NativeConnectionFacts = [
  PEER,
  '\0'.repeat(36),
  '/ip4/127.0.0.1/tcp/4001',
  '/ip4/127.0.0.1/tcp/50000',
  2,
  '/noise',
  '/yamux/1.0.0',
  'yamux',
  1,
  1_000,
  2_500,
  0
]

/** Accounting without usage and limits. */
const RESOURCES: NativeResources = {
  openConnection: () => ({ scope: 1 }),
  setPeer: () => ({}),
  openStream: () => ({ scope: 1 }),
  setProtocol: () => ({}),
  setService: () => ({}),
  reserveMemory: () => ({}),
  releaseMemory: () => ({}),
  beginSpan: () => ({ scope: 1 }),
  done: () => {},
  hold: () => 1,
  unhold: () => {},
  stat: () => null,
  setLimit: () => ({}),
  holders: () => [],
  report: () => [],
  refused: () => 0,
  takePassed: () => null,
  consume: () => null,
  resetRates: () => {},
  mustVerify: () => false,
  close: () => {}
}

/** Creates a fake addon. `room` is the initial send room of its streams. */
export function fakeNative({ room = 256 * 1024 }: { room?: number } = {}) {
  const streams = new Map<number, FakeStream>()
  const calls: string[] = []
  const queue: [number, number, number, number][] = []
  const names: string[] = ['']
  let ring: () => void = () => {}
  let nextStream = 1
  const results = new Map<number, CommandResult>()

  const addStream = (armed: boolean, state = OPEN): number => {
    const handle = nextStream
    nextStream += 1
    streams.set(handle, { inbox: [], remoteEnded: false, state, room, sent: [], armed })
    return handle
  }
  const fail = (code: keyof typeof ERROR_CODES): number => -ERROR_CODES[code]
  const at = (handle: number): FakeStream => {
    const stream = streams.get(handle)
    if (stream === undefined) throw new Error(`the fake has no stream ${handle}`)
    return stream
  }
  const closed = (handle: number, left: number): void => {
    queue.push([RecordKind.streamClosed, handle, left, 0])
  }
  const finish = (handle: number, stream: FakeStream): number => {
    if (stream.state === CLOSE_BOTH) closed(handle, stream.inbox.length)
    return stream.state
  }
  const end = (handle: number, stream: FakeStream, order: Order): void => {
    if (order === Order.none) return
    if (order === Order.close) stream.inbox = []
    const both = order === Order.close || stream.state === CLOSE_READ
    stream.state = both ? CLOSE_BOTH : CLOSE_WRITE
    finish(handle, stream)
  }

  const hot: HotCalls = {
    attachment: 1,
    drain(records) {
      const taken = queue.splice(0, records.length / RECORD_WORDS)
      for (const [index, record] of taken.entries()) records.set(record, index * RECORD_WORDS)
      return taken.length
    },
    open(connection, protocols) {
      calls.push(`open ${connection} [${[...protocols].join()}]`)
      const state = protocols.length > 1 ? 1 : OPEN
      const handle = addStream(true, state)
      return state === 1 ? handle + HANDLE_PENDING : handle
    },
    read(handle, into) {
      const stream = streams.get(handle)
      if (stream === undefined) return fail('ERR_STALE_HANDLE')
      if (stream.state === RESET) return fail('ERR_STREAM_RESET')
      if (stream.inbox.length > 0) {
        const bytes = stream.inbox.splice(0, into.length)
        into.set(bytes)
        return bytes.length
      }
      if (!stream.remoteEnded) {
        stream.armed = true
        return 0
      }
      stream.state = stream.state === CLOSE_WRITE ? CLOSE_BOTH : CLOSE_READ
      finish(handle, stream)
      return fail('ERR_STREAM_EOF')
    },
    readLeft: () => 0,
    readMessages: () => 0,
    frame: () => 0,
    write(handle, bytes) {
      const stream = at(handle)
      if (stream.state === RESET) return fail('ERR_STREAM_RESET')
      const accepted = Math.min(stream.room, bytes.length)
      calls.push(`write ${handle} ${accepted}/${bytes.length}`)
      stream.sent.push(...bytes.subarray(0, accepted))
      stream.room -= accepted
      return accepted
    },
    submit(table, count, staging) {
      let offset = 0
      const rows: string[] = []
      for (let index = 0; index < count; index += 1) {
        const row = index * 3
        const [handle, length, order] = [...table.subarray(row, row + 3)] as [number, number, Order]
        const stream = at(handle)
        rows.push(`${handle}:${length}${ORDER_NAMES[order]}`)
        if (stream.state === RESET) {
          table[row + 1] = fail('ERR_STREAM_RESET')
        } else {
          stream.sent.push(...staging.subarray(offset, offset + length))
          stream.room = Math.max(stream.room - length, 0)
          table[row + 1] = stream.room
          end(handle, stream, order)
        }
        offset += length
      }
      calls.push(`submit ${rows.join(' ')}`)
      return 0
    },
    flushBeforeDrain: () => hot.flush(),
    flush() {
      calls.push('flush')
      return 0
    },
    closeRead(handle) {
      const stream = at(handle)
      calls.push(`closeRead ${handle}`)
      if (stream.state === OPEN) stream.state = CLOSE_READ
      else if (stream.state === CLOSE_WRITE) stream.state = CLOSE_BOTH
      return finish(handle, stream)
    },
    discard(handle) {
      calls.push(`discard ${handle}`)
      const stream = at(handle)
      stream.inbox = []
      return stream.state
    },
    remove(handle) {
      calls.push(`remove ${handle}`)
      closed(handle, 0)
      return CLOSE_BOTH
    },
    resetBehind: () => RESET,
    reset(handle, code) {
      const stream = at(handle)
      calls.push(`reset ${handle} ${code}`)
      stream.state = RESET
      closed(handle, 0)
      return RESET
    },
    setState(handle, state) {
      const stream = at(handle)
      if (stream.state > state) return fail('ERR_STREAM_STATE')
      stream.state = state
      return finish(handle, stream)
    },
    openForeign() {
      const handle = addStream(true)
      return handle
    },
    feed: () => fail('ERR_INTERNAL'),
    feedEnd: () => fail('ERR_INTERNAL'),
    feedReset: () => fail('ERR_INTERNAL'),
    take: () => fail('ERR_INTERNAL'),
    feedPipe: () => fail('ERR_INTERNAL'),
    takePipe: () => fail('ERR_INTERNAL'),
    endPipe: () => fail('ERR_INTERNAL'),
    dropPipe: () => fail('ERR_INTERNAL'),
    answer(stream, handler, inboundMax) {
      calls.push(`answer ${stream} ${handler} ${inboundMax}`)
      return 0
    },
    closeConnection(connection, code, atOnce) {
      calls.push(`closeConnection ${connection} ${code} ${atOnce}`)
      return 0
    },
    allowEarlyFin: () => 0,
    counters(into) {
      into.set([7, 8])
      return 2
    },
    measure: () => fail('ERR_INTERNAL'),
    listenTo: () => 0,
    takeDiagnostics: () => 0,
    hold(on) {
      calls.push(`hold ${on}`)
      return 0
    }
  }

  const node = {
    id: 1,
    peerId: PEER,
    publicKey: new Uint8Array(36),
    setHandlers: () => {},
    resources: () => RESOURCES,
    scopeOf: () => null,
    endText: () => null,
    takeRefusal: () => null,
    setRaw: () => {},
    takeRequests: () => [],
    answerRequest: () => false,
    setCertificates: (certificates) => void calls.push(`setCertificates ${certificates.length}`),
    listen: () => {},
    unlisten: () => {},
    resolve: () => {},
    dial: () => {},
    upgrade: () => 0,
    accept: () => {},
    takeAttempts: () => ({ failed: [], underWay: [] }),
    cancel: () => {},
    connection: () => FACTS,
    takeResult: (request: number) => results.get(request) ?? { code: 0 },
    stopAccepting: () => {},
    drain: () => {},
    close: () => {}
  } satisfies NativeNode

  const native: Native = {
    attach(doorbell) {
      ring = doorbell
      return hot
    },
    enableLoopPolling() {
      calls.push('enableLoopPolling')
    },
    openFilesMax: () => 1_024,
    internProtocol(_attachment, name) {
      if (name.length > 140) {
        throw Object.assign(new Error('too long'), { code: 'ERR_INVALID_PARAMETERS' })
      }
      names.push(name)
      return names.length - 1
    },
    forgetProtocol(_attachment, protocol) {
      calls.push(`forget ${names[protocol]}`)
    },
    queriedProtocol: (_attachment, stream) => `/queried/${stream}`,
    protocolName: (_attachment, protocol) => names[protocol] ?? '',
    generateKey: () => new Uint8Array(68),
    describeKey: () => ({
      type: 'ed25519',
      peerId: PEER,
      publicKey: new Uint8Array(36)
    }),
    sign: () => new Uint8Array(64),
    peerOfKey: () => ({ peerId: PEER, multihash: new Uint8Array(38) }),
    verify: () => true,
    swarmKeyFingerprint: () => '',
    nativeTables: () => ({}),
    // Lists and hooks are tested with real nodes.
    NativeGate: class {
      add = () => true
      remove = () => 0
      networks = () => []
      ruleOf = () => null
      takeQuestions = () => []
      answer = () => false
    },
    NativeNode: class {
      constructor() {
        // The constructor returns the one node of this fake.
        // biome-ignore lint/correctness/noConstructorReturn: a fake for `new`.
        return node
      }
    } as unknown as Native['NativeNode'],
    // No test over this fake uses a store or a secure session.
    NativeStore: undefined as never,
    NativeMuxerSession: undefined as never,
    NativeSecureSession: undefined as never
  }

  return {
    native,
    node,
    calls,
    results,
    stream: at,
    /** Queues a record without ringing. */
    put: (kind: number, handle: number, a = 0, b = 0, flags = 0): void => {
      queue.push([kind | (flags << 8), handle, a, b])
    },
    ring: (): void => ring(),
    /** Removes and returns all queued records. */
    takeQueued: (): [number, number, number, number][] => queue.splice(0),
    requeue: (records: [number, number, number, number][]): void => {
      queue.push(...records)
    },
    /** Returns the handle of the next stream. */
    nextHandle: (): number => nextStream,
    /** Delivers bytes to a stream. */
    deliver(handle: number, bytes: ArrayLike<number>): void {
      const stream = at(handle)
      stream.inbox.push(...Array.from(bytes))
      if (!stream.armed) return
      stream.armed = false
      queue.push([RecordKind.streamReadable, handle, stream.inbox.length, 0])
      ring()
    },
    /** Ends the remote's half. */
    end(handle: number): void {
      const stream = at(handle)
      stream.remoteEnded = true
      if (!stream.armed) return
      stream.armed = false
      queue.push([RecordKind.streamReadable, handle, stream.inbox.length, 0])
      ring()
    },
    /** Resets a stream by the remote. */
    remoteReset(handle: number, code: number): void {
      at(handle).state = RESET
      queue.push([RecordKind.streamReset | (FLAG_REMOTE << 8), handle, code, 0])
      closed(handle, 0)
      ring()
    },
    /** Reports room to write. */
    writable(handle: number, credit: number): void {
      at(handle).room = credit
      queue.push([RecordKind.streamWritable, handle, credit, 0])
      ring()
    },
    /** Queues an inbound stream without ringing; returns its handle. */
    inbound(connection: number, protocol: number): number {
      const handle = addStream(false)
      queue.push([RecordKind.streamOpened, handle, connection, protocol])
      return handle
    }
  }
}
