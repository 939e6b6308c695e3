/** Peers whose process stands still, and peers that leave as soon as they have connected. */
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { TimeoutError } from '../../ts/errors.ts'
import { readExactly } from '../../ts/io/index.ts'
import { times } from '../support/bad-input.ts'
import { running } from '../support/cli.ts'
import { addressOf, assertEcho, echoing, hashOf } from '../support/echo.ts'
import { createNode, outcomeOf, pattern, until } from '../support/pair.ts'
import { processFigures } from '../support/process-figures.ts'
import { programUrl } from '../support/program.ts'
import { usageOf } from '../support/scopes.ts'

const MIB = 1024 * 1024
/** Memory of a connection: `limits.connection.memory`. */
const MEMORY_MAX = 32 * MIB
/** Several intervals of the keepalives below. */
const STOPPED_MS = 1_000
const KEEPALIVES = {
  limits: { keepaliveIntervalMs: 200 },
  quic: { keepAliveInterval: 200, idleTimeout: 20_000 }
}
const ECHO_PROTOCOL = '/test/echo'
const VISITS = 200

const CASES = {
  tcp: '/ip4/127.0.0.1/tcp/0',
  quic: '/ip4/127.0.0.1/udp/0/quic-v1',
  ws: '/ip4/127.0.0.1/tcp/0/ws'
}

/** Starts a peer in a process of its own; returns the process and a connection to it. */
async function peerAt(t: ExecutionContext, listen: string) {
  const program = programUrl('busy-listener').pathname
  const { child, firstLine } = await running(t, [program, 'yamux', listen])
  const node = await createNode(t, KEEPALIVES)
  return { child, node, connection: await node.dialAddr(firstLine) }
}

async function roundTrip(t: ExecutionContext, connection: Connection): Promise<void> {
  const stream = await connection.newStream(ECHO_PROTOCOL)
  const sent = pattern(10_000)
  await stream.write(sent)
  t.is(hashOf(await readExactly(stream, sent.length)), hashOf(sent))
  await stream.close()
}

for (const [name, listen] of Object.entries(CASES)) {
  // A166
  test(`over ${name} a peer whose process stood still for a time answers afterwards`, async (t) => {
    const { child, connection } = await peerAt(t, listen)
    await roundTrip(t, connection)
    const stream = await connection.newStream(ECHO_PROTOCOL)
    child.kill('SIGSTOP')
    const sent = pattern(100_000)
    await stream.write(sent)
    const answer = readExactly(stream, sent.length)
    await new Promise((resolve) => setTimeout(resolve, STOPPED_MS))
    t.is(await outcomeOf(answer), 'waits')
    child.kill('SIGCONT')
    t.is(hashOf(await answer), hashOf(sent))
    await roundTrip(t, connection)
    t.false(connection.isClosed)
  })

  // A167
  test(`over ${name} a peer whose process stands still holds up its own writers alone`, async (t) => {
    const [stopped, other] = await Promise.all([peerAt(t, listen), peerAt(t, listen)])
    const stream = await stopped.connection.newStream(ECHO_PROTOCOL)
    await roundTrip(t, stopped.connection)
    stopped.child.kill('SIGSTOP')
    stream.setWriteDeadline(Date.now() + STOPPED_MS)
    const block = pattern(256 * 1024)
    const writing = (async () => {
      for (;;) await stream.write(block)
    })()
    const held = until(() => usageOf(stopped.node, 'system').memory > 0)
    await roundTrip(t, other.connection)
    await t.throwsAsync(writing, { instanceOf: TimeoutError })
    await held
    t.true(usageOf(stopped.node, 'system').memory <= MEMORY_MAX)
    await roundTrip(t, other.connection)
    t.false(stopped.connection.isClosed)
  })
}

for (const [name, listen] of Object.entries(CASES)) {
  // A153
  test.serial(
    `peers over ${name} that leave as soon as they have connected leave nothing`,
    async (t) => {
      const unlimited = {
        connections: { maxPerPeer: VISITS, max: VISITS },
        limits: 'unlimited'
      } as const
      const listener = await echoing(t, listen, unlimited)
      const dialer = await createNode(t, unlimited)
      const visit = async (): Promise<void> => {
        const connection = await dialer.dialAddr(addressOf(listener), listener.peerId, {
          force: true
        })
        await connection.closeWithError(0)
      }
      const nodes = [listener, dialer]
      const isReleased = (): boolean =>
        nodes.every((node) => Object.values(usageOf(node, 'system')).every((used) => used === 0))
      await visit()
      await until(isReleased)
      const before = processFigures()
      await Promise.all(
        times(8, async () => {
          for (let count = 0; count < VISITS / 8; count += 1) await visit()
        })
      )
      await until(() => isReleased() && processFigures().descriptors <= before.descriptors)
      await assertEcho(t, await dialer.dialAddr(addressOf(listener), listener.peerId), 1_000)
    }
  )
}
