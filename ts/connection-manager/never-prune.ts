/** The option `connections.neverPrune`: remote addresses whose connections stay. */
import { ipOf } from '../identity/parsed-address.ts'
import { type AllowedNetwork, parseAllowed } from '../resource-manager/networks.ts'

type BlockList = InstanceType<typeof import('node:net')['BlockList']>

/** The networks of a list, of all peers or of some. */
export class NeverPruned {
  /** By peer; those of all peers by the empty text. */
  readonly #networks = new Map<string, BlockList>()

  /** Throws `InvalidParametersError` for an entry that is no address or network, naming it after `name`. */
  constructor(entries: readonly string[], name: string) {
    for (const [index, entry] of entries.entries())
      this.#add(parseAllowed(entry, `${name}[${index}]`))
  }

  get isEmpty(): boolean {
    return this.#networks.size === 0
  }

  /** Returns whether the list has the address of a connection to a peer. */
  has(peer: string, address: string): boolean {
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
