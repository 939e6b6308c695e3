/**
 * Addresses by the resolver of the operating system, `getaddrinfo`: it blocks, and Node.js runs it on a few of its own
 * threads. An I/O thread would have to wait for it when a node stops.
 */
import { abortable, TimeLimit } from '../base/abort.ts'
import { DnsError, type ErrorCode } from '../errors.ts'
import { printable } from '../text/printable.ts'
import type { DnsOptions } from './options.ts'

/** 5 s and 2, the defaults of resolv.conf(5). */
const TIMEOUT_MS = 5_000
const ATTEMPTS = 2

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: 'ERR_DNS_NOT_FOUND',
  ENODATA: 'ERR_DNS_NO_RECORDS'
}

const REASONS: Partial<Record<ErrorCode, string>> = {
  ERR_DNS_NOT_FOUND: 'the system knows no such name, or no address of this family',
  ERR_DNS_NO_RECORDS: 'the system knows no address of this family'
}

/** Resolves to the addresses of a host. `getaddrinfo` cannot be cancelled; at a timeout its result is dropped. */
export async function systemAddresses(
  hostname: string,
  family: 4 | 6,
  { timeout = TIMEOUT_MS, attempts = ATTEMPTS }: DnsOptions
): Promise<readonly string[]> {
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  const ms = timeout * attempts
  const limit = new TimeLimit(ms, undefined)
  try {
    const found = await abortable(lookup(hostname, { all: true, family }), limit.signal)
    return found.map(({ address }) => address)
  } catch (err) {
    throw publicError(
      err,
      hostname,
      limit.isUp ? `the system has not answered within ${ms} ms` : ''
    )
  } finally {
    limit.clear()
  }
}

function publicError(cause: unknown, hostname: string, late: string): DnsError {
  if (late !== '') {
    return new DnsError(printable(`${hostname}: ${late}`), { hostname, code: 'ERR_DNS_TIMEOUT' })
  }
  const { code: name = '', message } = cause as NodeJS.ErrnoException
  const code = CODES[name] ?? 'ERR_DNS_FAILURE'
  return new DnsError(printable(`${hostname}: ${REASONS[code] ?? message}`), {
    hostname,
    code,
    cause
  })
}
