/** The option `dns` of a swarm. */
import {
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  oneOf
} from '../base/arguments.ts'
import type { NativeDnsOptions } from '../native/addon.ts'
import type { DnsResolverLike } from './records.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIP } = process.getBuiltinModule('node:net')

/** Options of name resolution. See docs/dns.md. */
export interface DnsOptions {
  /**
   * What looks up addresses: `native`, which queries name servers and reads the hosts file, or `system`, the resolver of
   * the operating system (`getaddrinfo`: nsswitch, mDNS, ...). TXT records are always looked up by `native`. Defaults to
   * `native`.
   */
  resolver?: 'native' | 'system'
  /**
   * Name servers for `native`, as `<ip>`, `<ip>:<port>` or `[<ipv6>]:<port>`. Without search domains. Defaults to the
   * configuration of the system, such as `/etc/resolv.conf`.
   */
  servers?: readonly string[]
  /** Milliseconds for an answer to one query, 1 to 30,000. Defaults to that of the system, usually 5,000. */
  timeout?: number
  /** Queries for one name, 1 to 5: a lookup takes `timeout × attempts`. Defaults to that of the system, usually 2. */
  attempts?: number
}

/** 30 s and 5, the bounds of resolv.conf(5). */
const TIMEOUT_MS_MAX = 30_000
const ATTEMPTS_MAX = 5

const PORT = 53
const WITH_PORT = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/

const DNS_CHECKS: OptionChecks<DnsOptions> = {
  resolver: oneOf('native', 'system'),
  servers: (value, name) => {
    if (!Array.isArray(value) || value.length === 0) {
      throw misuse(name, 'a list of at least one name server', value)
    }
    for (const server of value) {
      if (typeof server !== 'string' || serverOf(server) === undefined) {
        throw misuse(name, 'a list of <ip>, <ip>:<port> or [<ipv6>]:<port>', server)
      }
    }
  },
  timeout: integer(1, TIMEOUT_MS_MAX),
  attempts: integer(1, ATTEMPTS_MAX)
}

/** @internal Checks the option: a resolver of the application, or options of ours. */
export const checkDns: Check = (value, name) => {
  // `checkOptions` checks the type.
  if (!isResolver(value)) checkOptions(value as DnsOptions, DNS_CHECKS, name)
}

/** @internal Returns whether the option is a resolver of the application. */
export function isResolver(value: unknown): value is DnsResolverLike {
  return typeof (value as Partial<DnsResolverLike> | null | undefined)?.resolve === 'function'
}

/** @internal Returns the options of the native side, which a resolver of the application does not use. */
export function nativeDns(dns: DnsOptions | DnsResolverLike): NativeDnsOptions {
  if (isResolver(dns)) return { servers: [] }
  const { servers = [], timeout, attempts } = dns
  return {
    servers: servers.map(serverOf).filter((server) => server !== undefined),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(attempts === undefined ? {} : { attempts })
  }
}

function serverOf(text: string): string | undefined {
  const match = WITH_PORT.exec(text)
  const host = match?.[1] ?? match?.[2] ?? text
  const port = Number(match?.[3] ?? PORT)
  if (port < 1 || port > 65_535) return undefined
  // Brackets are for IPv6 alone.
  const expected = match?.[1] === undefined ? undefined : 6
  const family = isIP(host)
  if (family === 0 || host.includes('%') || (expected ?? family) !== family) return undefined
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`
}
