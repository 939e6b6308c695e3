/** Requests to WebSocket listeners that are no upgrade: the option `webSocket.onRequest`. Loaded if it is set. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { AbortError, TimeoutError } from '../errors.ts'
import { loadMultiaddrs } from '../identity/load.ts'
import type { NativeHttpAnswer, NativeHttpRequest, NativeNode } from '../native/addon.ts'
import type { OnRequest } from '../transport/websocket-options.ts'

const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** Maximum length of the body of an answer: that of `crates/websocket/src/upgrade/plain.rs`. */
const BODY_BYTES_MAX = 1024 * 1024

const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i
const SOCKET = /\/ip([46])\/([^/]+)\/tcp\/(\d+)/

/** What requests need of their swarm. */
export interface HttpRequestsHost {
  readonly node: Pick<NativeNode, 'takeRequests' | 'answerRequest'>
  readonly onRequest: OnRequest
  readonly clock: Clock
  /** Milliseconds after which the native side gives a connection up. */
  readonly timeout: number
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
  readonly onFailure: OnFailure
}

/** Answers the requests of one swarm. */
export class HttpRequests {
  readonly #host: HttpRequestsHost
  // With its request, whose signal the platform aborts only while the request is referenced.
  readonly #pending = new Map<AbortController, Request>()

  constructor(host: HttpRequestsHost) {
    this.#host = host
    host.signal.addEventListener('abort', () => this.#abort(), { once: true })
  }

  /** Answers what the native side has read. */
  take(): void {
    const { node, signal } = this.#host
    // Those of a swarm that closes end with their connections.
    if (signal.aborted) return
    for (const request of node.takeRequests()) void this.#serve(request)
  }

  #abort(): void {
    for (const controller of this.#pending.keys()) {
      controller.abort(new AbortError('the swarm is closing'))
    }
  }

  async #serve(received: NativeHttpRequest): Promise<void> {
    // False for a connection that was given up, whose answer nobody waits for.
    this.#host.node.answerRequest(received.ticket, await this.#answer(received))
  }

  async #answer(received: NativeHttpRequest): Promise<NativeHttpAnswer> {
    const url = urlOf(received)
    if (url === undefined) return statusAnswer(400)
    const controller = new AbortController()
    const request = requestOf(received, url, controller.signal)
    if (request === undefined) return statusAnswer(501)
    const { clock, timeout } = this.#host
    const timer = clock.setTimer(() => {
      controller.abort(new TimeoutError(`the request was not answered within ${timeout} ms`))
    }, timeout)
    this.#pending.set(controller, request)
    const answer = await this.#handle(received, request)
    this.#pending.delete(controller)
    clock.clearTimer(timer)
    return answer
  }

  async #handle(received: NativeHttpRequest, request: Request): Promise<NativeHttpAnswer> {
    const { onRequest, onFailure } = this.#host
    const { multiaddr } = loadMultiaddrs()
    const { signal } = request
    try {
      const response: unknown = await onRequest(request, {
        remoteAddr: multiaddr(received.remoteAddress),
        localAddr: multiaddr(received.localAddress)
      })
      return await answerOf(response, signal)
    } catch (err) {
      // The end of the swarm, or of the time, is no failure of the handler.
      if (signal.aborted) return statusAnswer(503)
      onFailure(err, onRequest, 'webSocket.onRequest failed')
      return statusAnswer(500)
    }
  }
}

/** Returns the URL of a request; undefined if it has none. */
function urlOf({ target, headers, localAddress, isSecure }: NativeHttpRequest): URL | undefined {
  const absolute = /^https?:\/\//i.test(target)
  const hosts = headers.filter((_, at) => at % 2 === 1 && headers[at - 1]?.toLowerCase() === 'host')
  const [host = hostOf(localAddress)] = hosts
  if (hosts.length > 1 || !HOST.test(host)) return undefined
  const path = target.startsWith('/') ? target : `/${target}`
  try {
    return new URL(absolute ? target : `${isSecure ? 'https' : 'http'}://${host}${path}`)
  } catch {
    return undefined
  }
}

/** Returns the host of the listener, for a request of HTTP/1.0 without one. */
function hostOf(localAddress: string): string {
  const [, family, host = '', port = ''] = SOCKET.exec(localAddress) ?? []
  return family === '6' ? `[${host}]:${port}` : `${host}:${port}`
}

/** Returns the request; undefined for a method that the platform does not take: `CONNECT`, `TRACE` and `TRACK`. */
function requestOf(
  { method, headers, body }: NativeHttpRequest,
  url: URL,
  signal: AbortSignal
): Request | undefined {
  const pairs: [string, string][] = []
  for (let at = 0; at < headers.length; at += 2) {
    pairs.push([headers[at] ?? '', headers[at + 1] ?? ''])
  }
  // The platform gives these no body.
  const hasBody = body.length > 0 && method !== 'GET' && method !== 'HEAD'
  // The native side shares no memory.
  const contents = hasBody ? (body as Uint8Array<ArrayBuffer>) : null
  try {
    return new Request(url, { method, headers: pairs, signal, body: contents })
  } catch {
    return undefined
  }
}

/** Returns the answer of a response. Throws for what is none, and for one that is too large. */
async function answerOf(response: unknown, signal: AbortSignal): Promise<NativeHttpAnswer> {
  if (!(response instanceof Response)) {
    throw new TypeError(
      `expected a Response, received ${response === null ? 'null' : typeof response}`
    )
  }
  const { status, statusText, headers } = response
  if (status === 0)
    throw new TypeError('expected a Response with a status, received Response.error()')
  return {
    status,
    reason: statusText === '' ? (STATUS_CODES[status] ?? '') : statusText,
    headers: [...headers].flat(),
    body: await bodyOf(response, signal)
  }
}

async function bodyOf({ body }: Response, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  // Whatever leaves the loop cancels the body.
  for await (const chunk of body ?? []) {
    if (!(chunk instanceof Uint8Array))
      throw new TypeError('expected the body of a Response to be bytes')
    signal.throwIfAborted()
    length += chunk.length
    if (length > BODY_BYTES_MAX) {
      throw new TypeError(`the body of a Response exceeds ${BODY_BYTES_MAX} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}

function statusAnswer(status: number): NativeHttpAnswer {
  const reason = STATUS_CODES[status] ?? ''
  const headers = ['content-type', 'text/plain']
  return { status, reason, headers, body: Buffer.from(`${status} ${reason}\n`) }
}
