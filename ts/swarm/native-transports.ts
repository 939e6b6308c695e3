/** The options of native transports, as the native side takes them. Loaded if there are any. */
import type { NativeCertificate, NativeNodeOptions } from '../native/addon.ts'
import type { PemCertificate } from '../transport/websocket-options.ts'
import type { SwarmSettings } from './options.ts'

/** Returns those that are set; native defaults apply to the others. */
export function nativeTransports({
  quic,
  webSocket,
  psk
}: Pick<SwarmSettings, 'quic' | 'webSocket' | 'psk'>): Pick<
  NativeNodeOptions,
  'quic' | 'webSocket' | 'psk'
> {
  return {
    ...(quic && {
      quic: {
        idleTimeoutMs: quic.idleTimeout,
        keepaliveIntervalMs: quic.keepAliveInterval,
        handshakeTimeoutMs: quic.handshakeTimeout,
        streamWindowBytes: quic.streamWindow,
        connectionWindowBytes: quic.connectionWindow,
        maxStreams: quic.maxStreams
      }
    }),
    ...(webSocket && {
      webSocket: {
        certificates: nativeCertificates(webSocket.certificates),
        roots: [...webSocket.roots],
        verify: webSocket.verify,
        passesRequests: webSocket.onRequest !== undefined
      }
    }),
    ...(psk && { psk: psk.contents() })
  }
}

/** Returns certificates as the native side takes them. */
export function nativeCertificates(certificates: readonly PemCertificate[]): NativeCertificate[] {
  return certificates.map((each) => ({ cert: each.cert(), key: each.key() }))
}

const NOT_VERIFIED = 'certificates of WebSocket servers are not verified: webSocket.verify is false'

/** Warns of options that give up protection: to the log, or as a process warning if nothing logs warnings. */
export function warnOfRisks({ webSocket, log }: Pick<SwarmSettings, 'webSocket' | 'log'>): void {
  if (webSocket?.verify !== false || log.write('warn', 'swarm', NOT_VERIFIED)) return
  process.emitWarning(NOT_VERIFIED, { type: 'FerroswarmWarning', code: 'WARN_NOT_VERIFIED' })
}
