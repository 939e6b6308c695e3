/** The listeners of a swarm. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { InvalidParametersError, ListenError } from './errors.ts'
import { type AddrLike, addressText, multiaddrOf } from './identity/address.ts'
import { CommandError } from './native/command-error.ts'
import { attemptOf, nativeError } from './native/native-error.ts'
import type { NodeHost } from './node-host.ts'

/** One bound listener. */
export interface Listener {
  /** What was asked for. */
  readonly requested: string
  /** What was bound, without `/p2p`. */
  readonly addresses: readonly string[]
}

interface Bound extends Listener {
  readonly handle: number
}

/** Listeners by the address asked for. */
export class Listeners {
  readonly #host: NodeHost
  readonly #bound = new Map<string, Bound>()
  readonly #pending = new Map<string, Promise<void>>()

  constructor(host: NodeHost) {
    this.#host = host
  }

  addresses(): Multiaddr[] {
    return [...this.#bound.values()].flatMap(({ addresses }) => addresses.map(multiaddrOf))
  }

  listen(addrs: readonly AddrLike[]): Promise<true> {
    const texts = addrs.map(addressText)
    if (texts.length === 0) throw new InvalidParametersError('expected at least one address')
    return this.#listenAll([...new Set(texts)])
  }

  unlisten(addr: AddrLike): Promise<boolean> {
    return this.#unlisten(addressText(addr))
  }

  /** The node is closed; whatever was not told by itself is told now. */
  closed(): void {
    for (const bound of [...this.#bound.values()]) this.#ended(bound)
  }

  async #listenAll(texts: readonly string[]): Promise<true> {
    const outcomes = await Promise.allSettled(texts.map((text) => this.#listenOnce(text)))
    if (outcomes.some(({ status }) => status === 'fulfilled')) return true
    const failures = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : []
    )
    throw listenError(texts, failures)
  }

  #listenOnce(text: string): Promise<void> {
    if (this.#find(text) !== undefined) return Promise.resolve()
    let pending = this.#pending.get(text)
    if (pending === undefined) {
      pending = this.#bind(text).finally(() => this.#pending.delete(text))
      this.#pending.set(text, pending)
    }
    return pending
  }

  async #bind(text: string): Promise<void> {
    const command = this.#host.command((node, request) => node.listen(request, text), this.listen)
    const { listener, addresses } = await command.result
    if (listener === undefined) throw nativeError(900, 'a listen without a listener')
    const bound: Bound = { requested: text, addresses: addresses ?? [text], handle: listener }
    this.#bound.set(text, bound)
    this.#host.retain()
    this.#host.engine.adoptListener(listener, () => this.#ended(bound))
    for (const address of bound.addresses) this.#host.notifyAddress('listen', address)
  }

  async #unlisten(text: string): Promise<boolean> {
    const bound = this.#find(text)
    if (bound === undefined) return false
    await this.#host.command((node, request) => node.unlisten(request, bound.handle), this.unlisten)
      .result
    this.#ended(bound)
    return true
  }

  #find(text: string): Bound | undefined {
    const asked = this.#bound.get(text)
    if (asked !== undefined) return asked
    return [...this.#bound.values()].find(({ addresses }) => addresses.includes(text))
  }

  #ended(bound: Bound): void {
    if (this.#bound.get(bound.requested) !== bound) return
    this.#bound.delete(bound.requested)
    this.#host.release()
    for (const address of bound.addresses) this.#host.notifyAddress('listenClose', address)
  }
}

function listenError(texts: readonly string[], failures: readonly unknown[]): Error {
  const [first] = failures
  if (!(first instanceof CommandError)) return first as Error
  const attempts = failures.map((failure, index) => {
    const result = failure instanceof CommandError ? failure.result : { code: 900 }
    return attemptOf({
      address: texts[index] ?? '',
      stage: 'listen',
      code: result.code,
      detail: result.detail ?? '',
      elapsedMs: 0,
      ...result.attempts?.[0]
    })
  })
  const reasons = attempts.map(({ address, cause }) => `${address}: ${cause.message}`).join('; ')
  return first.as(
    new ListenError(`listening failed: ${reasons}`, { attempts, cause: attempts[0]?.cause })
  )
}
