/** Runs the foreign peers as processes. Their contract is interop/contract.md; a server exits when its input ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { writeFiles } from '../../interop/certificate.mjs'
import { program, ROOT } from './cli.ts'

/** A stack, as named by the contract. */
export type Stack = 'quic' | `${'tcp' | 'ws' | 'wss'}-${Security}-yamux`

export type Security = 'noise' | 'tls'

/** The stack of each security protocol. */
export const STACKS = {
  noise: 'tcp-noise-yamux',
  tls: 'tcp-tls-yamux'
} as const satisfies Record<Security, Stack>

/** The command that runs a peer, or the reason that it is missing. */
export type FoundPeer = { readonly command: readonly string[] } | { readonly missing: string }

/** A running server. */
export interface PeerServer {
  /** Includes `/p2p`. */
  readonly addr: string
  /** Lets it connect to a peer and ping it; resolves to its answer. go, js and rust only. */
  dial(addr: string): Promise<Record<string, unknown>>
  /** Ends its input and waits for its exit. Rejects if its exit code is not 0. */
  stop(): Promise<void>
}

/** Maximum duration of a server's exit; generous, as it only keeps a stuck one from lingering. */
const STOP_TIMEOUT_MS = 30_000

/** The peers that are built already, set by `npm test`; if set, no other peer is built. */
const PEERS = process.env.FERROSWARM_TEST_PEERS?.split(' ')

/** Finds a peer, and builds it first if needed: from scratch that takes minutes. */
export async function findPeer(name: string): Promise<FoundPeer> {
  if (PEERS?.includes(name) === false) {
    return { missing: 'it is not built; "npm run test:interop" builds it' }
  }
  const { code, out, err } = await program(process.execPath, ['interop/build.mjs', name])
  if (code !== 0) throw new Error(`interop/build.mjs ${name} ended with code ${code}: ${err}`)
  return JSON.parse(out) as FoundPeer
}

/** Declares one test in place of a missing peer's tests, titled with the reason; it fails where CI is set. */
export function declareMissing(name: string, missing: string): void {
  const declare = process.env.CI === undefined ? test.skip : test
  declare(`the ${name} peer is missing: ${missing}`, (t) => t.fail(missing))
}

/** Starts a server on a free port of loopback; resolves once it listens. `flags` are those of this peer alone. */
export async function startServer(
  command: readonly string[],
  stack: Stack,
  flags: readonly string[] = []
): Promise<PeerServer> {
  const child = start(command, ['server', '--stack', stack, '--listen', '127.0.0.1:0', ...flags])
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const reader = lines(child)
  const answer = async (): Promise<Record<string, unknown>> => {
    const [line] = (await Promise.race([
      once(reader, 'line'),
      ended.then(([code]) => Promise.reject(new Error(`the server ended with code ${code}`)))
    ])) as [string]
    return JSON.parse(line) as Record<string, unknown>
  }
  const { addr } = (await answer()) as { addr: string }
  return {
    addr,
    dial(target) {
      child.stdin?.write(`dial ${target}\n`)
      return answer()
    },
    async stop() {
      child.stdin?.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      const [code, signal] = await ended
      clearTimeout(timer)
      if (code !== 0) throw new Error(`the server ended with ${signal ?? `code ${code}`}`)
    }
  }
}

/** Starts a server for the tests of a file; returns a getter of its address. */
export function declareServer(
  name: string,
  command: readonly string[],
  stack: Stack,
  flags: readonly string[] = []
): () => string {
  let server: PeerServer | undefined
  test.before(`start the ${name} server over ${stack}`, async () => {
    server = await startServer(command, stack, flags)
  })
  test.after.always(`stop the ${name} server over ${stack}`, () => server?.stop())
  return () => server?.addr ?? ''
}

/** Paths of the files that `interop/certificate.mjs` writes. */
export interface PeerFiles {
  readonly cert: string
  readonly key: string
  readonly psk: string
  /** The hash of the certificate's key, as browsers take it. */
  readonly spki: string
}

/** Writes a certificate and the key of a private network for the peers of a test file, until its process exits. */
export async function peerFiles(): Promise<PeerFiles> {
  const files = await writeFiles()
  // No hook of ava: none can be declared before a wait that precedes tests.
  process.once('exit', () => rmSync(dirname(files.cert), { recursive: true }))
  return files
}

/** Runs a client until it exits, at the latest when the test ends; resolves to the line that it printed. */
export async function runClient(
  t: ExecutionContext,
  command: readonly string[],
  options: { stack: Stack; addr: string; workload: string; n?: number; bytes?: number },
  flags: readonly string[] = []
): Promise<Record<string, unknown>> {
  const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = start(command, ['client', ...given, ...flags])
  const ended = once(child, 'close')
  t.teardown(async () => {
    if (child.kill('SIGKILL')) await ended
  })
  const printed: string[] = []
  lines(child).on('line', (line) => printed.push(line))
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null]
  t.is(code, 0, `the client ended with ${signal ?? `code ${code}`}: ${printed}`)
  t.is(printed.length, 1, `the client printed ${printed}`)
  return JSON.parse(printed[0] ?? '') as Record<string, unknown>
}

function start([path = '', ...before]: readonly string[], args: readonly string[]): ChildProcess {
  const child = spawn(path, [...before, ...args], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'inherit']
  })
  // It exited before its input ended: its exit code is checked instead.
  child.stdin.on('error', () => {})
  return child
}

function lines({ stdout }: ChildProcess): ReturnType<typeof createInterface> {
  if (stdout === null) throw new Error('expected the standard output of a peer to be a pipe')
  return createInterface({ input: stdout })
}
