/** The upgrades of a swarm that lists muxers of the application. Loaded by the first one. */
import type { UpgradeParameters } from '../upgrade/under-way.ts'
import { type MuxerChoice, YAMUX } from './choice.ts'
import type { Multiplexer } from './muxed.ts'
import { MuxedUpgrade, type MuxedUpgradesHost, type Muxers, type Offered } from './muxed-upgrade.ts'
import { yamux } from './yamux.ts'

/** The upgrades of one swarm. */
export class MuxedUpgrades {
  readonly #host: MuxedUpgradesHost
  readonly #muxers: Muxers

  /** `muxers` are those of the option. */
  constructor(host: MuxedUpgradesHost, muxers: readonly MuxerChoice[]) {
    this.#host = host
    this.#muxers = new Map(
      muxers.map((muxer): [protocol: string, offered: Offered] =>
        typeof muxer === 'string'
          ? [YAMUX, { muxer: nativeMuxer(host), engine: muxer }]
          : [muxer.protocol, { muxer, engine: '' }]
      )
    )
  }

  upgrade(parameters: UpgradeParameters): MuxedUpgrade {
    return new MuxedUpgrade(this.#host, this.#muxers, parameters)
  }
}

function nativeMuxer({ options }: MuxedUpgradesHost): Multiplexer {
  const { acceptBacklog, windowMaxBytes, writeStallTimeoutMs } = options.limits
  const { keepaliveIntervalMs, keepaliveTimeoutMs } = options.limits
  const muxer = yamux({
    acceptBacklog,
    windowMaxBytes,
    keepaliveIntervalMs,
    keepaliveTimeoutMs,
    writeStallTimeoutMs
  })
  return { newConnection: (duplex, { isServer }) => muxer.newConnection(duplex, { isServer }) }
}
