/** The option `webSocket` of a swarm. */
import type { KeyObject } from 'node:crypto'
import type { Multiaddr } from '@multiformats/multiaddr'
import {
  aBoolean,
  aFunction,
  type Check,
  checkOptions,
  type OptionChecks,
  sizeText
} from '../base/arguments.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import { InvalidParametersError } from '../errors.ts'

/**
 * A certificate for TLS, and its private key: each as PEM, or as the path of a PEM file. A text with a line
 * `-----BEGIN …` is PEM.
 */
export interface WebSocketCertificate {
  /** The certificate, followed by those of the intermediate authorities. */
  cert: string | Uint8Array
  /** The private key, not encrypted. */
  key: string | Uint8Array
}

/** Where a request to a WebSocket listener has come from, and to. */
export interface WebSocketRequestInfo {
  /** The address of the remote, which is a proxy's if there is one. */
  readonly remoteAddr: Multiaddr
  /** The address of this end, with the `/ws` or `/tls/ws` of its listener. */
  readonly localAddr: Multiaddr
}

/** @internal The type of {@link WebSocketOptions.onRequest}. */
export type OnRequest = (
  request: Request,
  info: WebSocketRequestInfo
) => Response | Promise<Response>

/** Options of WebSocket. See docs/transports.md. */
export interface WebSocketOptions {
  /**
   * What listeners of `/tls/ws` present: several of them are chosen by the name that the dialler asks for, and the first
   * one if none fits. Without one, such addresses cannot be listened on. Defaults to none.
   */
  certificate?: WebSocketCertificate | readonly WebSocketCertificate[]
  /**
   * Certificates of the authorities that are trusted when dialling `/tls/ws`, in place of those of the operating system:
   * each PEM, or the path of a PEM file. Refused with `verify: false`.
   */
  roots?: string | Uint8Array | readonly (string | Uint8Array)[]
  /**
   * Whether certificates of peers are verified. Without it a name that leads elsewhere is noticed later, by the handshake
   * of libp2p within the WebSocket, which authenticates peers in any case. Defaults to true.
   */
  verify?: boolean
  /**
   * Answers requests to listeners that are no upgrade to WebSocket, such as those of a health check. Bodies of requests
   * have up to 64 KiB, those of answers up to 1 MiB; each is the last of its connection, whose time is
   * `connections.inboundUpgradeTimeout`: `request.signal` is aborted after that, and when the swarm closes, but not when
   * the remote leaves. A handler that throws, rejects or returns no `Response` is reported as that of any callback, and
   * answered by 500. Without it such requests get 404.
   *
   * @example
   * ```ts
   * webSocket: {
   *   onRequest: ({ url }) => new Response(null, { status: new URL(url).pathname === '/healthz' ? 204 : 404 })
   * }
   * ```
   */
  onRequest?: (request: Request, info: WebSocketRequestInfo) => Response | Promise<Response>
}

/** @internal The option, all PEM, with its defaults. */
export interface ResolvedWebSocketOptions {
  readonly certificates: readonly PemCertificate[]
  /** PEM; empty for those of the operating system. */
  readonly roots: readonly string[]
  readonly verify: boolean
  readonly onRequest: OnRequest | undefined
}

/** Certificates that one swarm can present: beyond a few hundred names a proxy is the place for them. */
const CERTIFICATES_MAX = 1_000

/** Bytes of one PEM: a bundle of all public authorities has some 250 KiB. */
const PEM_BYTES_MAX = 4 * 1024 * 1024

const PEM = /^-----BEGIN /m
const CERTIFICATE_BEGIN = '-----BEGIN CERTIFICATE-----'
const CERTIFICATE = new RegExp(`^${CERTIFICATE_BEGIN}\r?$`, 'm')
const KEY = /^-----BEGIN (?!ENCRYPTED )(?:[A-Z]+ )?PRIVATE KEY-----\r?$/m

const CERTIFICATE_CHECKS: OptionChecks<WebSocketCertificate> = { cert: aPem, key: aPem }

/** @internal Checks one or several certificates; {@link resolveCertificates} checks the contents. */
export const checkCertificates: Check = (value, name) => {
  eachOf(value, name, CERTIFICATES_MAX, (certificate, path) => {
    anObjectOfSecrets(certificate, path)
    // An object, by the check above.
    const { cert, key } = certificate as WebSocketCertificate
    checkOptions(certificate as WebSocketCertificate, CERTIFICATE_CHECKS, path)
    // A certificate without its key is of no use.
    aPem(cert, `${path}.cert`)
    aPem(key, `${path}.key`)
  })
}

const WEB_SOCKET_CHECKS: OptionChecks<WebSocketOptions> = {
  certificate: checkCertificates,
  roots: (value, name) => eachOf(value, name, CERTIFICATES_MAX, aPem),
  verify: aBoolean,
  onRequest: aFunction
}

/** @internal A certificate and its private key, which inspection does not show: one PEM may have both. */
export class PemCertificate {
  readonly #cert: string
  readonly #key: string

  constructor(cert: string, key: string) {
    this.#cert = cert
    this.#key = key
  }

  cert(): string {
    return this.#cert
  }

  key(): string {
    return this.#key
  }

  [INSPECT](...args: InspectArguments): string {
    return shown('PemCertificate', '', () => ({}), args)
  }
}

/** @internal Checks the option; {@link resolveWebSocket} checks the contents. Throws `InvalidParametersError`. */
export const checkWebSocket: Check = (value, name) => {
  anObjectOfSecrets(value, name)
  // An object, by the check above.
  checkOptions(value as WebSocketOptions, WEB_SOCKET_CHECKS, name)
  const { roots = [], verify } = value as WebSocketOptions
  if (verify === false && roots.length > 0) {
    throw new InvalidParametersError(
      `expected no ${name}.roots with ${name}.verify: false, which trusts any certificate`
    )
  }
}

/**
 * @internal Returns the checked option with its defaults; files are read. Throws `InvalidParametersError`, which shows
 * nothing of a key, for a file that cannot be read, for anything but a certificate and a private key in PEM, and for a key
 * that is not that of its certificate, or of a kind that TLS cannot use.
 */
export function resolveWebSocket({
  certificate = [],
  roots = [],
  verify = true,
  onRequest
}: WebSocketOptions = {}): ResolvedWebSocketOptions {
  return Object.freeze({
    certificates: resolveCertificates(certificate, 'webSocket.certificate'),
    roots: listOf(roots).map((root, index) => {
      const name = `webSocket.roots${Array.isArray(roots) ? `[${index}]` : ''}`
      return certificatesOf(root, name, 'certificates')
    }),
    verify,
    onRequest
  })
}

/** @internal Returns checked certificates, as {@link resolveWebSocket} does; `name` is what errors call them. */
export function resolveCertificates(
  given: WebSocketCertificate | readonly WebSocketCertificate[],
  name: string
): readonly PemCertificate[] {
  const several = Array.isArray(given)
  return listOf(given).map((each, index) =>
    certificateOf(each, several ? `${name}[${index}]` : name)
  )
}

function certificateOf({ cert, key }: WebSocketCertificate, name: string): PemCertificate {
  const certPem = certificatesOf(cert, `${name}.cert`, 'a certificate')
  const keyPem = pemOf(key, `${name}.key`, KEY, 'a private key that is not encrypted')
  const { createPrivateKey, X509Certificate } = process.getBuiltinModule('node:crypto')
  let isPair: boolean
  let isUsable: boolean
  try {
    const privateKey = createPrivateKey(keyPem)
    isPair = new X509Certificate(certPem).checkPrivateKey(privateKey)
    isUsable = canSign(privateKey)
  } catch {
    // Without the cause, which may show a part of the key.
    throw new InvalidParametersError(
      `expected ${name} to be a certificate and a private key in PEM`
    )
  }
  if (!isPair) {
    throw new InvalidParametersError(
      `expected ${name}.key to be the private key of ${name}.cert, received another one`
    )
  }
  if (isUsable) return new PemCertificate(certPem, keyPem)
  throw new InvalidParametersError(
    `expected ${name}.key to be RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, or Ed25519`
  )
}

/** Curves of ECDSA in TLS 1.3 (RFC 8446, section 4.2.3). */
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']

/** Returns whether the native TLS can sign by a key. */
function canSign({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  const { modulusLength = 0, namedCurve } = asymmetricKeyDetails
  if (asymmetricKeyType === 'rsa') return modulusLength >= 2_048 && modulusLength <= 8_192
  if (asymmetricKeyType === 'ec') return CURVES.includes(namedCurve)
  return asymmetricKeyType === 'ed25519'
}

/** Returns PEM that is given, or that a file has; each certificate in it is well-formed. */
function certificatesOf(given: string | Uint8Array, name: string, what: string): string {
  const pem = pemOf(given, name, CERTIFICATE, what)
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  const blocks = pem.split(CERTIFICATE).slice(1)
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(`${CERTIFICATE_BEGIN}${block}`)
    } catch {
      const which = blocks.length === 1 ? 'it' : `that with the index ${index}`
      throw new InvalidParametersError(
        `expected ${name} to be ${what} in PEM, and ${which} is malformed`
      )
    }
  }
  return pem
}

/** Returns PEM that is given, or that a file has. */
function pemOf(given: string | Uint8Array, name: string, form: RegExp, what: string): string {
  const text = typeof given === 'string' ? given : Buffer.from(given).toString('latin1')
  const pem = typeof given === 'string' && !PEM.test(text) ? contentsOf(text, name) : text
  if (pem.length <= PEM_BYTES_MAX && form.test(pem)) return pem
  throw new InvalidParametersError(`expected ${name} to be ${what} in PEM`)
}

/** Returns the contents of a file. What is taken for its path may be a key in the wrong form, which is not shown. */
function contentsOf(path: string, name: string): string {
  try {
    return process.getBuiltinModule('node:fs').readFileSync(path, 'latin1')
  } catch (err) {
    const { code = 'unreadable' } = err as { code?: string }
    throw new InvalidParametersError(
      `expected ${name} to be PEM or the path of a readable file, received neither (${code})`
    )
  }
}

/** An object; what is given in its place may be a key, which is not shown. */
function anObjectOfSecrets(value: unknown, name: string): void {
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) return
  throw new InvalidParametersError(`expected ${name} to be an object, received ${sizeText(value)}`)
}

function aPem(value: unknown, name: string): void {
  const isText = typeof value === 'string' || value instanceof Uint8Array
  if (isText && value.length > 0 && value.length <= PEM_BYTES_MAX) return
  throw new InvalidParametersError(
    `expected ${name} to be PEM, as text or bytes, or the path of a file, received ${sizeText(value)}`
  )
}

function eachOf(value: unknown, name: string, max: number, check: Check): void {
  if (!Array.isArray(value)) {
    check(value, name)
    return
  }
  if (value.length > max) {
    throw new InvalidParametersError(
      `expected ${name} to have at most ${max} entries, received ${value.length}`
    )
  }
  for (const [index, each] of value.entries()) check(each, `${name}[${index}]`)
}

function listOf<T extends object | string>(value: T | readonly T[]): readonly T[] {
  // A type guard would not narrow a readonly array.
  return Array.isArray(value) ? value : [value as T]
}
