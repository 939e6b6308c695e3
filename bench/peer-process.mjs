// Servers and clients of interop/contract.md as processes, and their memory.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** Timeout of a client. js-libp2p's server needs half of it to accept 7,500 connections. */
const CLIENT_TIMEOUT_MS = 300_000
/** Timeout for a server to listen or answer, on a busy machine as well. */
const ANSWER_TIMEOUT_MS = 60_000
/** Timeout for a server to exit after the end of its input. */
const STOP_TIMEOUT_MS = 10_000

/** Starts a server; resolves once it listens. */
export async function startServer(command, stack) {
  const flags = ['--stack', stack, '--listen', '127.0.0.1:0']
  const server = new PeerProcess([...command, 'server', ...flags])
  const { addr } = await server.answer('--listen')
  return {
    addr,
    pid: server.pid,
    /** Sends a command of the contract; resolves to the answer. */
    command: (word) => {
      server.send(word)
      return server.answer(word)
    },
    stop: async () => {
      server.endInput()
      await server.ended(STOP_TIMEOUT_MS)
    }
  }
}

/** Starts a client. Its lines are read one by one; `send('')` resumes it after a line with a phase. */
export function startClient(command, stack, addr, args) {
  const given = Object.entries({ stack, addr, ...args }).filter(([, value]) => value !== undefined)
  const flags = given.flatMap(([name, value]) => [`--${name}`, String(value)])
  return new PeerProcess([...command, 'client', ...flags])
}

/** Runs a client to its end and resolves to its last line; calls `onLine` with each line before resuming the client. */
export async function runClient(command, stack, addr, args, onLine = () => {}) {
  const client = startClient(command, stack, addr, args)
  const ended = client.ended(CLIENT_TIMEOUT_MS)
  // The missing line reports the same failure.
  ended.catch(() => {})
  let last
  for (;;) {
    const line = await client.line()
    if (line === undefined) break
    last = line
    onLine(line)
    client.send('')
  }
  await ended
  return last
}

/** A process that prints lines of JSON. */
class PeerProcess {
  #child
  #lines
  #closed

  constructor([program, ...args]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    // The process may end before its input, which most never read; its exit code reports failures.
    this.#child.stdin.on('error', () => {})
    this.#closed = once(this.#child, 'close')
    this.#closed.catch(() => {})
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  get pid() {
    return this.#child.pid
  }

  /** Resolves to the next line; undefined after the last line of a process that succeeded. */
  async line() {
    const { value: text, done } = await this.#lines.next()
    if (done) return this.ended(STOP_TIMEOUT_MS)
    const line = JSON.parse(text)
    if (line.error !== undefined) throw new Error(line.error)
    return line
  }

  /** Resolves to the answer to a command. */
  answer(word) {
    return this.#within(ANSWER_TIMEOUT_MS, `no answer to ${word}`, () => this.line())
  }

  send(word) {
    this.#child.stdin.write(`${word}\n`)
  }

  endInput() {
    this.#child.stdin.end()
  }

  /** Resolves when the process has succeeded, within the timeout. */
  ended(timeoutMs) {
    return this.#within(timeoutMs, 'the peer has not ended', async () => {
      const [code, signal] = await this.#closed
      if (code !== 0) throw new Error(`the peer ended with ${signal ?? `exit code ${code}`}`)
    })
  }

  /** Resolves to the result of `wait`. After the timeout, kills the process and rejects with `late`. */
  async #within(timeoutMs, late, wait) {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#child.kill('SIGKILL')
    }, timeoutMs)
    try {
      return await wait()
    } catch (err) {
      throw isLate ? new Error(`${late} in ${timeoutMs / 1_000} s`) : err
    } finally {
      clearTimeout(timer)
    }
  }

  /** Kills the process. */
  async kill() {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

/** Returns the resident set size of a process in KiB; NaN without /proc. */
export function residentKiB(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
  } catch {
    return Number.NaN
  }
}
