/** `ferroswarm dial`: connects once; reports the negotiated stack and the duration of each stage. */
import type { Connection } from '../connection.ts'
import { identify } from '../protocols/identify.ts'
import { printable } from '../text/printable.ts'
import type { Call, Command, ExitCode } from './command.ts'
import { DIAL_HELP, DIAL_OPTIONS, present, stackOf, withConnection } from './connect.ts'
import { milliseconds, rounded } from './output.ts'

/** The verb. */
export const command: Command = {
  name: 'dial',
  usage: '<multiaddr> [options]',
  help: `${DIAL_HELP}

With --json: {"event":"summary","peerId","remoteAddr","security","muxer","agentVersion",
"protocolVersion","protocols","listenAddrs","observedAddr","stagesMs":{"connect","security","muxer",
"identify"}}. Fields that the peer does not send are null.`,
  options: DIAL_OPTIONS,
  positionals: [1, 1],
  run: (call) => withConnection(call, (connection) => report(call, connection))
}

async function report({ out, signal }: Call, connection: Connection): Promise<ExitCode> {
  const start = performance.now()
  const peer = await identify(connection, { signal })
  const { connect, security, muxer } = connection.dialReport
  const stages = { connect, security, muxer, identify: performance.now() - start }
  const event = {
    event: 'summary',
    peerId: connection.remotePeer.toString(),
    remoteAddr: connection.remoteAddr.toString(),
    ...stackOf(connection),
    agentVersion: peer.agentVersion ?? null,
    protocolVersion: peer.protocolVersion ?? null,
    protocols: peer.protocols,
    listenAddrs: peer.listenAddrs.map((addr) => addr.toString()),
    observedAddr: peer.observedAddr?.toString() ?? null,
    stagesMs: Object.fromEntries(Object.entries(stages).map(([stage, ms]) => [stage, rounded(ms)]))
  }
  const line = (name: string, text: string): string =>
    `  ${out.style('dim', name.padEnd(12))} ${text}`
  out.event(
    event,
    [
      `connected to ${out.style('bold', event.peerId)}`,
      line('address', event.remoteAddr),
      line('security', event.security),
      // Connections of QUIC have none.
      ...present({ muxer: event.muxer }).map((muxer) => line('muxer', muxer)),
      line('agent', printable(peer.agentVersion ?? 'it does not say')),
      line('sees us at', event.observedAddr ?? 'it does not say'),
      ...event.listenAddrs.map((addr) => line('listens on', addr)),
      ...peer.protocols.map((protocol) => line('speaks', printable(protocol))),
      ...Object.entries(stages).map(([stage, ms]) => line(`${stage} took`, milliseconds(ms)))
    ].join('\n')
  )
  return 0
}
