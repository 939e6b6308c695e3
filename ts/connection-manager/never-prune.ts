/** The option `connections.neverPrune`: remote addresses whose connections stay. */
import { connectionFacade } from '../connection/facade.ts'
import type { Connection } from '../connection.ts'
import { type AllowedNetwork, parseAllowed } from '../identity/networks.ts'
import { ipOf } from '../identity/parsed-address.ts'

type BlockList = InstanceType<typeof import('node:net')['BlockList']>

/** The networks of a list, of all peers or of some. */
export class NeverPruned {
  /** By peer; those of all peers by the empty text. */
  readonly #networks = new Map<string, BlockList>()
  readonly #answers = new WeakMap<Connection, boolean>()

  /** Throws `InvalidParametersError` for an entry that is no address or network, naming it after `name`. */
  constructor(entries: readonly string[], name: string) {
    for (const [index, entry] of entries.entries())
      this.#add(parseAllowed(entry, `${name}[${index}]`))
  }

  /** Whether it has no entry. */
  get isEmpty(): boolean {
    return this.#networks.size === 0
  }

  /** Returns whether the list has the address of a connection to a peer. The answer is kept: it takes a microsecond. */
  has(connection: Connection): boolean {
    if (this.isEmpty) return false
    let answer = this.#answers.get(connection)
    if (answer === undefined) {
      const { peer, remoteAddressText } = connectionFacade.coreOf(connection)
      answer = this.#matches(peer, remoteAddressText)
      this.#answers.set(connection, answer)
    }
    return answer
  }

  #matches(peer: string, address: string): boolean {
    const ip = ipOf(address)
    if (ip === undefined) return false
    const family = ip.includes(':') ? 'ipv6' : 'ipv4'
    return ['', peer].some((of) => this.#networks.get(of)?.check(ip, family) === true)
  }

  #add({ address, prefix, family, peer = '' }: AllowedNetwork): void {
    const { BlockList } = process.getBuiltinModule('node:net')
    const networks = this.#networks.get(peer) ?? new BlockList()
    networks.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
    this.#networks.set(peer, networks)
  }
}
