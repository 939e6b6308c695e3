/** The native node behind a muxer without a swarm: it lives while there are connections. */
import { systemClock } from '../base/clock.ts'
import { CONNECTION_DEFAULTS, nativeTimeouts } from '../connection/config.ts'
import { NativeOpener } from '../connection/native-opener.ts'
import { DEFAULT_LIMITS, Direction, type Limits } from '../constants.ts'
import type { ErrorCode } from '../errors.ts'
import type { NativeNode, NativeRefusal } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { CommandHandle, Engine, NodeSink } from '../native/engine.ts'
import { environment } from '../native/environment.ts'
import type { ConnectionHandle, PipeHandle, RequestId } from '../native/handles.ts'
import { refusalError } from '../resource-manager/refusal.ts'
import type { TakenDuplex } from '../upgrade/duplex.ts'
import { destroyCarrier, Pump } from '../upgrade/pump.ts'
import { makeYamuxConn, type YamuxConn } from './yamux-conn.ts'

/** A connection that is not announced yet. */
interface Expected {
  readonly pump: Pump
  readonly resolve: (conn: YamuxConn) => void
}

/** The command that makes a connection, and the pump below it. */
interface Started extends CommandHandle {
  readonly pump: Pump
}

/** Makes the connections of one muxer. */
export class YamuxNode implements NodeSink {
  readonly loggedLevels = 0
  readonly #limits: Limits
  readonly #expected = new Map<RequestId, Expected>()
  #node: NativeNode | undefined
  // Connections, and those that are yet to come.
  #users = 0

  constructor(limits: Partial<Limits>) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
  }

  async connect(duplex: TakenDuplex, isServer: boolean): Promise<YamuxConn> {
    if (duplex.ended !== undefined) {
      destroyCarrier(duplex.conn)
      throw duplex.ended
    }
    const engine = environment()
    const { request, result, pump } = this.#start(engine, duplex, isServer)
    return new Promise((resolve, reject) => {
      this.#expected.set(request, { pump, resolve })
      result.catch((err: unknown) => {
        this.#expected.delete(request)
        pump.destroy()
        this.#release(engine)
        reject(err instanceof CommandError ? err.plain() : err)
      })
    })
  }

  #start(engine: Engine, duplex: TakenDuplex, isServer: boolean): Started {
    this.#users += 1
    try {
      const node = this.#running(engine)
      let pipe = 0
      const command = engine.command(node, (number) => {
        pipe = node.upgrade(number, {
          direction: isServer ? Direction.Inbound : Direction.Outbound,
          remoteAddress: '',
          localAddress: '',
          isChargedToPeer: false,
          muxerOnly: true
        })
      })
      // `upgrade` has returned the handle of a pipe.
      return { ...command, pump: new Pump(engine, systemClock, pipe as PipeHandle, duplex) }
    } catch (err) {
      destroyCarrier(duplex.conn)
      this.#release(engine)
      throw err
    }
  }

  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void {
    const engine = environment()
    const expected = request === 0 ? undefined : this.#expected.get(request)
    const host = {
      engine,
      scopeOf: () => undefined,
      // It has no transport.
      endText: () => null,
      takeRefusal: () => this.#node?.takeRefusal() ?? null,
      refusalError: (refusal: NativeRefusal, code?: ErrorCode) => refusalError(refusal, {}, code)
    }
    const opener = new NativeOpener(handle, host, expected?.pump)
    if (request === 0 || expected === undefined) {
      opener.closeAtOnce(0)
      return
    }
    this.#expected.delete(request)
    engine.retain()
    const ended = (): void => {
      engine.release()
      this.#release(engine)
    }
    expected.resolve(makeYamuxConn(engine, opener, ended))
  }

  onAttemptsFailed(): void {}

  onGateQuestions(): void {}

  onDiagnostic(): void {}

  onDropped(): void {}

  /** Returns the node, started if need be. */
  #running(engine: Engine): NativeNode {
    if (this.#node !== undefined) return this.#node
    const node = engine.makeNode({
      // Its identity is never used.
      privateKey: engine.native.generateKey('ed25519'),
      ioThreads: 1,
      // Nothing is upgraded or negotiated, so their timeouts do not matter.
      limits: { ...this.#limits, ...nativeTimeouts(CONNECTION_DEFAULTS) }
    })
    node.setRaw(true)
    engine.adoptNode(node.id, this)
    this.#node = node
    return node
  }

  /** Stops the node once nobody uses it. */
  #release(engine: Engine): void {
    this.#users -= 1
    const node = this.#node
    if (this.#users > 0 || node === undefined) return
    this.#node = undefined
    engine.dropNode(node.id)
    const { result } = engine.command(node, (request) => node.close(request, 0))
    result.catch(() => {
      // A node without connections has nothing to close but its threads.
    })
  }
}
