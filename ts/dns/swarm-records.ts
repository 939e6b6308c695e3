/** The records of a swarm: looked up natively, addresses by the operating system on request. */
import { type AbortOptions, abortable, aborted, isAborted, onceAborted } from '../base/abort.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { DnsError, ERROR_CODES, errorCode, StateError } from '../errors.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import { printable } from '../text/printable.ts'
import type { DnsOptions } from './options.ts'
import type { DnsRecords } from './records.ts'
import { systemAddresses } from './system-addresses.ts'

/** The parts of a swarm used by its lookups. */
export interface RecordsHost extends Commands<'resolve' | 'cancel'> {
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}

/** The records of a swarm. Lookups reject with `StateError` if it is not started, and once it is closed. */
export class SwarmRecords implements DnsRecords {
  readonly #host: RecordsHost
  readonly #options: DnsOptions
  readonly #logger: Pick<Logger, 'debug'>

  constructor(host: RecordsHost, options: DnsOptions, logger: Pick<Logger, 'debug'>) {
    this.#host = host
    this.#options = options
    this.#logger = logger
  }

  async addresses(
    hostname: string,
    family: 4 | 6,
    { signal }: AbortOptions
  ): Promise<readonly string[]> {
    if (this.#options.resolver !== 'system') {
      return this.#find(hostname, family === 4 ? 'A' : 'AAAA', signal)
    }
    this.#assertOpen()
    try {
      const found = systemAddresses(hostname, family, this.#options)
      return await abortable(abortable(found, this.#host.signal), signal)
    } catch (err) {
      this.#assertOpen()
      throw err
    }
  }

  texts(hostname: string, { signal }: AbortOptions): Promise<readonly string[]> {
    return this.#find(hostname, 'TXT', signal)
  }

  async #find(
    hostname: string,
    kind: 'A' | 'AAAA' | 'TXT',
    signal: AbortSignal | undefined
  ): Promise<readonly string[]> {
    this.#assertOpen()
    if (isAborted(signal)) throw aborted(signal)
    const { request, result } = this.#host.command((node, id) => node.resolve(id, hostname, kind))
    const cancel = (): void => this.#host.node.cancel(request)
    const releases = [signal, this.#host.signal].map((end) => onceAborted(end, cancel))
    try {
      const { records = [], omitted = 0 } = await result
      if (omitted > 0) {
        this.#logger.debug(`${hostname}: ${omitted} texts are not UTF-8, or too long`)
      }
      return records
    } catch (err) {
      this.#assertOpen()
      if (isAborted(signal)) throw aborted(signal)
      throw err instanceof CommandError ? publicError(err, hostname) : err
    } finally {
      for (const release of releases) release()
    }
  }

  /** Throws `StateError` if the swarm is not started, or closed. */
  #assertOpen(): void {
    if (this.#host.signal.aborted) throw new StateError('the swarm is closed')
    // Its getter throws.
    void this.#host.node
  }
}

function publicError(err: CommandError, hostname: string): Error {
  const { code, detail } = err.result
  if (code < ERROR_CODES.ERR_DNS_FAILURE || code > ERROR_CODES.ERR_DNS_BAD_NAME) return err.plain()
  return new DnsError(printable(`${hostname}: ${detail}`), { hostname, code: errorCode(code) })
}
