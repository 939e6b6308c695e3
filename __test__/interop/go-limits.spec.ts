/** Limits of go-libp2p's resource manager and of ours: what the other side sees of a refusal. */
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { StreamErrorCode } from '../../ts/constants.ts'
import {
  DialAllFailedError,
  ResourceLimitExceededError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { CONTRACT, serveContract } from '../support/contract.ts'
import { createNode, until } from '../support/pair.ts'
import {
  declareMissing,
  findPeer,
  type PeerServer,
  runClient,
  type Security,
  STACKS,
  startServer
} from '../support/peer-program.ts'

const { ResourceLimitExceeded } = StreamErrorCode

const found = await findPeer('go')
if ('missing' in found) {
  declareMissing('go', found.missing)
} else {
  for (const security of ['noise', 'tls'] as const) declareAll(security, found.command)
}

function declareAll(security: Security, command: readonly string[]): void {
  const stack = STACKS[security]

  for (const flag of ['peer-streams-inbound', 'protocol-streams-inbound']) {
    // go 127
    test.serial(
      `go server over ${security} with --${flag}: its refusal of a second stream has its code`,
      async (t) => {
        const server = await serve(t, command, security, flag)
        const swarm = await createNode(t, { security: [security] })
        const connection = await swarm.dialAddr(server.addr)
        const held = await connection.newStream(CONTRACT.echo)
        await echo(t, held)
        const err = await t.throwsAsync(echoOn(t, connection), { instanceOf: StreamResetError })
        t.deepEqual([err.errorCode, err.remote], [ResourceLimitExceeded, true])
        // The refusal is that of one stream.
        await echo(t, held)
        await held.close()
        await t.notThrowsAsync(eventually(() => echoOn(t, connection)))
      }
    )
  }

  for (const flag of ['connections-inbound', 'peer-connections-inbound']) {
    // go 130
    test.serial(
      `go server over ${security} with --${flag}: a second connection ends, before any deadline`,
      async (t) => {
        const server = await serve(t, command, security, flag)
        const identity = (await createNode(t)).privateKey
        const [first, second] = await Promise.all([
          createNode(t, { security: [security], privateKey: identity }),
          createNode(t, { security: [security], privateKey: identity })
        ])
        const connection = await first.dialAddr(server.addr)
        await echoOn(t, connection)
        const err = await t.throwsAsync(reach(t, second, server.addr))
        t.false(isOurs(err), String(err))
        await until(() => second.getTotalConnections() === 0)
        t.false(connection.isClosed)
        await connection.close()
        await t.notThrowsAsync(eventually(() => reach(t, second, server.addr)))
      }
    )
  }

  const REFUSING: Record<string, LimitConfig> = {
    protocol: { protocols: { [CONTRACT.echo]: { streamsInbound: 1 } } },
    'protocol and peer': { protocolPeers: { [CONTRACT.echo]: { streamsInbound: 1 } } }
  }
  for (const [scope, limits] of Object.entries(REFUSING)) {
    // go 127
    test.serial(
      `go client over ${security}: our refusal by the limit of a ${scope} has its code`,
      async (t) => {
        const { swarm, addr } = await listening(t, security, limits)
        const line = await runClient(t, command, { stack, addr, workload: 'refused-stream' })
        t.is(line.errorCode, ResourceLimitExceeded)
        await until(() => swarm.getConnections().length === 0)
      }
    )
  }

  // go 127
  test.serial(
    `go client over ${security}: our refusal before the protocol is known has its code`,
    async (t) => {
      const { addr } = await listening(t, security, { connection: { streamsInbound: 0 } })
      const line = await runClient(t, command, { stack, addr, workload: 'reset' })
      t.is(line.errorCode, ResourceLimitExceeded)
    }
  )

  // go 130
  test.serial(
    `go client over ${security}: a connection that we refuse ends, before any deadline`,
    async (t) => {
      const { swarm, addr } = await listening(t, security, { transient: { connectionsInbound: 0 } })
      swarm.addEventListener('connected', () => t.fail('a refused connection was reported'))
      const line = await runClient(t, command, { stack, addr, workload: 'refused-connection' })
      t.false(line.isDeadline, String(line.message))
      t.regex(String(line.message), /failed to negotiate security protocol/)
    }
  )
}

/** Starts a server whose resource manager has one limit, of one. */
async function serve(
  t: ExecutionContext,
  command: readonly string[],
  security: Security,
  flag: string
): Promise<PeerServer> {
  const server = await startServer(command, STACKS[security], [`--${flag}`, '1'])
  t.teardown(() => server.stop())
  return server
}

async function listening(
  t: ExecutionContext,
  security: Security,
  limits: LimitConfig
): Promise<{ swarm: Swarm; addr: string }> {
  const swarm = await createNode(t, { security: [security], limits })
  serveContract(swarm)
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  return { swarm, addr: `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}` }
}

async function echo(t: ExecutionContext, stream: Stream): Promise<void> {
  await stream.write(Uint8Array.of(7))
  t.deepEqual([...(await stream.read(1))], [7])
}

/** Echoes on a stream of its own, which is closed afterwards. */
async function echoOn(t: ExecutionContext, connection: Connection): Promise<void> {
  const stream = await connection.newStream(CONTRACT.echo)
  await echo(t, stream)
  await stream.close()
}

/** Connects and echoes: go refuses a peer after the handshake, which its remote may end first. */
async function reach(t: ExecutionContext, swarm: Swarm, addr: string): Promise<void> {
  await echoOn(t, await swarm.dialAddr(addr))
}

/** Repeats an operation until it succeeds: go frees a scope after its remote has seen the end. */
async function eventually(operation: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + 10_000; ; ) {
    try {
      return await operation()
    } catch (err) {
      if (Date.now() > end) throw err
    }
  }
}

/** Whether a deadline or a limit of our side ended a dial or a stream. */
function isOurs(err: Error): boolean {
  const causes = err instanceof DialAllFailedError ? err.attempts.map(({ cause }) => cause) : [err]
  return causes.some(
    (cause) => cause instanceof TimeoutError || cause instanceof ResourceLimitExceededError
  )
}
