/** Close codes of connections with go-libp2p, the only other implementation that has them. */
import test from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { type ConnectionClosedError, StreamResetError } from '../../ts/errors.ts'
import { createNode } from '../support/pair.ts'
import {
  declareMissing,
  findPeer,
  runClient,
  STACKS,
  startServer
} from '../support/peer-program.ts'

const CLOSE_PROTOCOL = '/bench/close/1.0.0'
const CLOSE_CODE = 43

const found = await findPeer('go')
if ('missing' in found) {
  declareMissing('go', found.missing)
} else {
  for (const security of ['noise', 'tls'] as const) {
    // go 71, go 72, go 73
    test.serial(
      `go server over ${security}: its code for the connection reaches every stream`,
      async (t) => {
        const server = await startServer(found.command, STACKS[security])
        try {
          const swarm = await createNode(t, { security: [security], services: {} })
          const connection = await swarm.dialAddr(server.addr)
          const [trigger, idle] = [
            await connection.newStream(CLOSE_PROTOCOL),
            await connection.newStream(CLOSE_PROTOCOL)
          ]
          const waiting = idle.read(1)
          await trigger.write(Uint8Array.of(1))
          for (const read of [trigger.read(1), waiting]) {
            const err = await t.throwsAsync(read, { instanceOf: StreamResetError })
            t.deepEqual([err.errorCode, err.remote], [CLOSE_CODE, true])
            t.is((err.cause as ConnectionClosedError).closeCode, CLOSE_CODE)
          }
          await connection.closed
          t.like(connection.closeReason, { closeCode: CLOSE_CODE, remote: true })
        } finally {
          await server.stop()
        }
      }
    )

    // go 71, go 73
    test.serial(`go client over ${security}: it sees our code for the connection`, async (t) => {
      const swarm = await createNode(t, { security: [security], services: {} })
      swarm.handle(CLOSE_PROTOCOL, async (stream, connection: Connection) => {
        await stream.read(1)
        await connection.closeWithError(CLOSE_CODE)
      })
      await swarm.listen('/ip4/127.0.0.1/tcp/0')
      const addr = `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`
      const line = await runClient(t, found.command, {
        stack: STACKS[security],
        addr,
        workload: 'close'
      })
      t.like(line, { errorCode: CLOSE_CODE, remote: true, isReset: true })
    })
  }
}
