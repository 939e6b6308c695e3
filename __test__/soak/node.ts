/** A node of the soak test: a swarm with low marks that is closed and made again with the same key. */
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createSwarm, type Swarm } from '../../ts/swarm.ts'
import type { Random } from '../support/random.ts'
import { LegalEvents } from './legal-events.ts'

export const ECHO = '/ferroswarm/soak/echo/1.0.0'

const OPTIONS: SwarmOptions = {
  ioThreads: 1,
  retry: { maxRetries: 1, initialDelay: 5 },
  limits: { loopbackExempt: false },
  connections: {
    max: 64,
    high: 8,
    low: 4,
    min: 2,
    gracePeriod: 50,
    silencePeriod: 100,
    autoConnectInterval: 500,
    autoConnectCooldown: 50,
    autoConnectMaxCooldown: 1_000,
    reconnect: { interval: 50, retries: 3 },
    decayResolution: 100,
    dialTimeout: 2_000
  }
}

export class SoakNode {
  swarm!: Swarm
  events!: LegalEvents
  #key: Uint8Array | undefined
  #restarting: Promise<void> | undefined
  /** Violations of swarms that are closed. */
  readonly violations: string[] = []

  /** Creates the swarm, with the key of the one before. */
  async start(random: Random): Promise<void> {
    const swarm = await createSwarm({
      ...OPTIONS,
      ...(this.#key === undefined ? {} : { privateKey: this.#key }),
      gater: {
        peerDial: () => random(50) > 0
      }
    })
    this.#key = swarm.identity.privateKeyBytes
    this.swarm = swarm
    this.events = new LegalEvents(swarm)
    swarm.handle(ECHO, async (stream) => {
      for await (const bytes of stream) await stream.write(bytes)
      await stream.close()
    })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
  }

  /** Closes the swarm and makes another one, unless that is under way. */
  restart(random: Random): Promise<void> {
    this.#restarting ??= this.stop()
      .then(() => this.start(random))
      .finally(() => {
        this.#restarting = undefined
      })
    return this.#restarting
  }

  /** Closes the swarm and checks that nothing is left of it. */
  async stop(): Promise<void> {
    const { swarm, events } = this
    await swarm.close({ drainTimeout: 500 })
    this.violations.push(...events.violations)
    if (events.connections > 0)
      this.violations.push(`${events.connections} connections left by events`)
    if (swarm.getTotalConnections() > 0) this.violations.push('connections left')
    const { numConnsInbound, numConnsOutbound, numStreamsInbound, numStreamsOutbound, memory } =
      swarm.resourceManager.stat().system
    const used =
      numConnsInbound + numConnsOutbound + numStreamsInbound + numStreamsOutbound + memory
    if (used > 0) this.violations.push(`resources left: ${used}`)
  }
}
