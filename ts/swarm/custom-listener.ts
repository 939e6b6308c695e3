/** Listening by a transport of the application. */
import { anArray, objectWith } from '../base/arguments.ts'
import type { OnFailure } from '../base/events.ts'
import { InvalidParametersError } from '../errors.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import type { Opened, Transport, TransportListener } from '../transport/transport.ts'

/** The parts of a swarm used by listeners of the application's transports. */
export interface CustomListenerHost {
  /** Upgrades a duplex, or adds a connection, that a remote has opened. */
  accept(opened: Opened, remoteAddr: AddrLike | undefined): void
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}

/** A listener of a transport of the application. */
export interface CustomListener {
  readonly addresses: readonly string[]
  readonly stop: () => Promise<void>
}

const aListener: (value: unknown, name: string) => asserts value is TransportListener =
  objectWith('close')

/** Listens on an address. Rejects with whatever the transport throws. */
export async function listenBy(
  transport: Transport,
  address: string,
  reusePort: boolean,
  host: CustomListenerHost
): Promise<CustomListener> {
  if (reusePort) throw new InvalidParametersError('reusePort is an option of tcp')
  const listener = await transport.listen?.(
    multiaddrOf(address),
    (opened, remoteAddr) => host.accept(opened, addressOf(remoteAddr, transport, host)),
    { signal: host.signal }
  )
  aListener(listener, 'the listener of the transport')
  const stop = async (): Promise<void> => listener.close()
  try {
    anArray(listener.addresses, 'the addresses of the listener')
    return { addresses: listener.addresses.map((addr) => parseAddress(addr).text), stop }
  } catch (err) {
    // Nothing else would ever stop it.
    await stop()
    throw err
  }
}

/** Returns an address of a remote; undefined for one that is none, which is reported. */
function addressOf(
  addr: AddrLike | undefined,
  transport: Transport,
  host: CustomListenerHost
): AddrLike | undefined {
  if (addr === undefined) return undefined
  try {
    parseAddress(addr)
    return addr
  } catch (err) {
    host.onFailure(err, transport, 'a transport has accepted a connection from an invalid address')
    return undefined
  }
}
