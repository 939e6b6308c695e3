/**
 * Our framers compared with those of go- and js-libp2p: the inputs each accepts, and the bytes each writes.
 *
 * FERROSWARM_LENGTHS sets the number of inputs. Defaults to 10,000.
 */
import test from 'ava'
import {
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError
} from '../../ts/errors.ts'
import { type Framing, readExactly } from '../../ts/io/index.ts'
import type { Stream } from '../../ts/stream.ts'
import { framer, wireOf } from '../support/framers.ts'
import { createNode, pattern } from '../support/pair.ts'
import { declareMissing, findPeer, startServer } from '../support/peer-program.ts'
import { type Random, seeded } from '../support/random.ts'
import { pieces, ScriptedCarrier } from '../support/readers.ts'

const LENGTHS = '/interop/lengths/1.0.0'
const LP = '/bench/lp/1.0.0'
const INPUTS = Number(process.env.FERROSWARM_LENGTHS ?? 10_000)
const INPUTS_A_STREAM = 2_000
const LIMIT = 300
const CLEAN = 0
const INSIDE = 1
const TOO_LARGE = 2
const MALFORMED = 3

interface Cut {
  readonly end: number
  readonly messages: readonly Uint8Array[]
}

/** Parses an input with our framer. */
async function ours(framing: Framing, input: Uint8Array): Promise<Cut> {
  const reader = framer(framing, new ScriptedCarrier(pieces(input, 7)), LIMIT)
  const messages: Uint8Array[] = []
  try {
    for await (const message of reader) messages.push(message)
    return { end: CLEAN, messages }
  } catch (err) {
    if (err instanceof MissingLengthError || err instanceof MissingMessageError) {
      return { end: INSIDE, messages }
    }
    if (err instanceof MessageTooLargeError) return { end: TOO_LARGE, messages }
    if (err instanceof MsgioError) return { end: MALFORMED, messages }
    throw err
  }
}

function bytesOf(random: Random, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => random(256))
}

/** Messages, sometimes truncated or followed by an error. */
function randomInput(random: Random, framing: Framing): Uint8Array {
  const messages = Array.from({ length: random(4) }, () =>
    bytesOf(random, random(8) === 0 ? 120 + random(20) : random(12))
  )
  const wire = Buffer.from(wireOf(framing, messages))
  switch (random(6)) {
    case 0:
      return new Uint8Array(wire.subarray(0, random(wire.length + 1)))
    case 1:
      return new Uint8Array(Buffer.concat([wire, bytesOf(random, random(12))]))
    case 2:
      // Lengths around the limit.
      return new Uint8Array(Buffer.concat([wire, prefixOf(framing, LIMIT - 1 + random(4))]))
    case 3:
      return new Uint8Array(Buffer.concat([wire, longPrefix(random, framing)]))
    default:
      return new Uint8Array(wire)
  }
}

function prefixOf(framing: Framing, length: number): Uint8Array {
  return wireOf(framing, [new Uint8Array(length)]).slice(0, -length)
}

function longPrefix(random: Random, framing: Framing): Uint8Array {
  if (framing !== 'varint') return bytesOf(random, 4)
  const long = bytesOf(random, 1 + random(11)).map((byte) => byte | 0x80)
  return random(2) === 0 ? long : new Uint8Array([...long, random(128)])
}

/** Parses inputs with the peer's framer. */
async function theirs(stream: Stream, framing: Framing, inputs: Uint8Array[]): Promise<Cut[]> {
  const head = Buffer.alloc(5)
  head[0] = framing === 'varint' ? 0 : 4
  head.writeUInt32BE(LIMIT, 1)
  const sending = (async () => {
    await stream.write(head)
    for (const input of inputs) await stream.write(wireOf('fixed32', [input]))
    await stream.closeWrite()
  })()
  const cuts: Cut[] = []
  while (cuts.length < inputs.length) {
    const [end = 0] = await readExactly(stream, 1)
    const size = Buffer.from(await readExactly(stream, 4)).readUInt32BE()
    const wire = await readExactly(stream, size)
    const { end: own, messages } = await ours(framing, wire)
    if (own !== CLEAN) throw new Error('the peer wrote messages that we cannot read')
    if (Buffer.compare(wireOf(framing, messages), wire) !== 0) {
      throw new Error('the peer frames the same messages differently')
    }
    cuts.push({ end, messages })
  }
  await sending
  return cuts
}

/** Returns a known difference of an implementation from the specification and from us, if the input meets one. */
type Differs = (framing: Framing, input: Uint8Array, own: Cut) => string | undefined

const DIFFERENCES: Record<'go' | 'js', Differs> = {
  go: () => undefined,
  js(framing, input, own) {
    const taken = wireOf(framing, own.messages).length
    const rest = input.subarray(taken)
    if (framing === 'varint') {
      if (own.end === MALFORMED)
        return 'accepts varints that are not minimal, and waits for more of a ninth byte'
      if (own.end === INSIDE && rest.length > 8) return 'gives up on a length after 8 bytes'
      if (own.end === TOO_LARGE && rest.findIndex((byte) => byte < 0x80) >= 7) {
        return 'gives up on lengths of more than 53 bits'
      }
    }
    const isPrefix = own.end === INSIDE && rest.length === prefixBytes(framing, rest)
    return isPrefix ? 'treats an end right after a length as one between messages' : undefined
  }
}

function prefixBytes(framing: Framing, rest: Uint8Array): number {
  return framing === 'varint' ? rest.findIndex((byte) => byte < 0x80) + 1 : 4
}

// Before any test is declared, as ava requires all declarations at once.
const PEERS = { go: await findPeer('go'), js: await findPeer('js') }

for (const name of ['go', 'js'] as const) {
  const found = PEERS[name]
  if ('missing' in found) {
    declareMissing(name, found.missing)
    continue
  }
  const { command } = found

  // A117, A112
  test.serial(
    `accepts and refuses the same inputs as ${name}, over ${INPUTS} random ones`,
    async (t) => {
      const server = await startServer(command, 'tcp-noise-yamux')
      t.teardown(() => server.stop())
      const swarm = await createNode(t, { security: ['noise'] })
      const connection = await swarm.dialAddr(server.addr)
      const random = seeded(0x1e46)
      const seen = [0, 0, 0, 0]
      const differences = new Map<string, number>()
      for (let done = 0; done < INPUTS; done += INPUTS_A_STREAM) {
        const framing: Framing = (done / INPUTS_A_STREAM) % 2 === 0 ? 'varint' : 'fixed32'
        const inputs = Array.from({ length: INPUTS_A_STREAM }, () => randomInput(random, framing))
        const stream = await connection.newStream(LENGTHS)
        const cuts = await theirs(stream, framing, inputs)
        for (const [index, input] of inputs.entries()) {
          const own = await ours(framing, input)
          seen[own.end] = (seen[own.end] ?? 0) + 1
          const difference = DIFFERENCES[name](framing, input, own)
          if (difference !== undefined) {
            differences.set(difference, (differences.get(difference) ?? 0) + 1)
            continue
          }
          const hex = Buffer.from(input).toString('hex')
          if (cuts[index]?.end !== own.end) {
            t.fail(`${framing} ${hex}: we end with ${own.end}, ${name} with ${cuts[index]?.end}`)
          }
          t.deepEqual(cuts[index]?.messages, own.messages, hex)
        }
        await stream.close()
      }
      t.true(
        seen.every((count) => count > 0),
        `every end was seen: ${seen}`
      )
      for (const [what, count] of differences) t.log(`${count} times, ${name} ${what}`)
    }
  )

  if (name !== 'js') continue
  // A117
  test.serial('messages() and lpStream of js-libp2p read each other', async (t) => {
    const server = await startServer(command, 'tcp-noise-yamux')
    t.teardown(() => server.stop())
    const swarm = await createNode(t, { security: ['noise'] })
    const connection = await swarm.dialAddr(server.addr)
    const messages = (await connection.newStream(LP)).messages()
    const sizes = [0, 1, 127, 128, 16_383, 16_384, 70_000, 1_000_000]
    const head = Buffer.alloc(8)
    head.writeBigUInt64BE(BigInt(sizes.length))
    await messages.writeMsg(head)
    for (const size of sizes) await messages.writeMsg(pattern(size))
    t.is(Buffer.from(await messages.readMsg()).readBigUInt64BE(), BigInt(sizes.length))
    await messages.close()
  })
}
