/** A node of the soak test: a swarm with low marks that is closed and made again with the same key. */
import { rmSync } from 'node:fs'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createSwarm, type Swarm } from '../../ts/swarm.ts'
import { Observer } from '../support/observer.ts'
import type { Random } from '../support/random.ts'

export const ECHO = '/ferroswarm/soak/echo/1.0.0'

const OPTIONS: SwarmOptions = {
  ioThreads: 1,
  retry: { maxRetries: 1, initialDelay: 5 },
  // Loopback counts: subnets and rates refuse some.
  limits: {
    loopbackExempt: false,
    rates: [{ family: 4, prefix: 32, perSecond: 200, burst: 100 }]
  },
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
  observer!: Observer
  readonly #path: string
  #key: Uint8Array | undefined
  #restarting: Promise<void> | undefined
  /** What was wrong with swarms that are closed. */
  readonly violations: string[] = []

  /** Its peerstore is the file at `path`. */
  constructor(path: string) {
    this.#path = path
  }

  /** Creates the swarm, with the key of the one before. */
  async start(random: Random): Promise<void> {
    const often = (): boolean => random(50) > 0
    const swarm = await createSwarm({
      ...OPTIONS,
      ...(this.#key === undefined ? {} : { privateKey: this.#key }),
      peerstore: { path: this.#path },
      gater: { peerDial: often, addrDial: often, accept: often, secured: often, upgraded: often }
    })
    this.#key = swarm.identity.privateKeyBytes
    this.swarm = swarm
    this.observer = new Observer()
    swarm.notify(this.observer)
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
    const { swarm, observer } = this
    await swarm.close({ drainTimeout: 500 })
    this.violations.push(...observer.faults)
    const { size, streams } = observer
    if (size + streams > 0) this.violations.push(`${size} connections, ${streams} streams left`)
    if (swarm.getTotalConnections() > 0)
      this.violations.push('connections are listed after the close')
    const { system } = swarm.resourceManager.stat()
    const used = Object.values(system).reduce((sum, count) => sum + count, 0)
    if (used > 0) this.violations.push(`resources left: ${JSON.stringify(system)}`)
  }

  /** Removes its file. */
  remove(): void {
    rmSync(this.#path, { force: true })
  }
}
