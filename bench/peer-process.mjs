// Servers and clients of interop/contract.md as processes, and what the system knows about them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A client that takes longer is stuck, or its server: that of js-libp2p takes on its 7,500th connection in half of it. */
const CLIENT_TIMEOUT_MS = 300_000
/** A server that takes longer to listen or to answer is stuck, however busy the machine. */
const ANSWER_TIMEOUT_MS = 60_000
/** What a server has to end in once its input has. */
const STOP_TIMEOUT_MS = 10_000

/** Start a server; resolves once it listens. */
export async function startServer(command, stack) {
  const flags = ['--stack', stack, '--listen', '127.0.0.1:0']
  const server = new PeerProcess([...command, 'server', ...flags])
  const { addr } = await server.answer('--listen')
  return {
    addr,
    pid: server.pid,
    /** Its answer to a word of the contract. */
    ask: (word) => {
      server.tell(word)
      return server.answer(word)
    },
    stop: async () => {
      server.endInput()
      await server.ended(STOP_TIMEOUT_MS)
    }
  }
}

/** Start a client: its lines are read one by one, and `tell('')` lets it go on after those that ask for it. */
export function startClient(command, stack, addr, args) {
  const given = Object.entries({ stack, addr, ...args }).filter(([, value]) => value !== undefined)
  const flags = given.flatMap(([name, value]) => [`--${name}`, String(value)])
  return new PeerProcess([...command, 'client', ...flags])
}

/** Run a client to its end and give its last line; calls `onLine` for each one, then lets the client go on. */
export async function runClient(command, stack, addr, args, onLine = () => {}) {
  const client = startClient(command, stack, addr, args)
  const ended = client.ended(CLIENT_TIMEOUT_MS)
  // It is told again by the line that does not come.
  ended.catch(() => {})
  let last
  for (;;) {
    const line = await client.line()
    if (line === undefined) break
    last = line
    onLine(line)
    client.tell('')
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
    // It may end before its input does, and most never read it; how it ended tells the rest.
    this.#child.stdin.on('error', () => {})
    this.#closed = once(this.#child, 'close')
    this.#closed.catch(() => {})
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  get pid() {
    return this.#child.pid
  }

  /** The next line, undefined behind the last one of a process that ended well. */
  async line() {
    const { value: text, done } = await this.#lines.next()
    if (done) return this.ended(STOP_TIMEOUT_MS)
    const line = JSON.parse(text)
    if (line.error !== undefined) throw new Error(line.error)
    return line
  }

  /** The line that answers a word. */
  answer(word) {
    return this.#within(ANSWER_TIMEOUT_MS, `no answer to ${word}`, () => this.line())
  }

  tell(word) {
    this.#child.stdin.write(`${word}\n`)
  }

  endInput() {
    this.#child.stdin.end()
  }

  /** Resolves when the process has ended well, after so long at most. */
  ended(timeoutMs) {
    return this.#within(timeoutMs, 'the peer has not ended', async () => {
      const [code, signal] = await this.#closed
      if (code !== 0) throw new Error(`the peer ended with ${signal ?? `exit code ${code}`}`)
    })
  }

  /** What `wait` comes to. A process that is waited for longer is ended, and `late` says what it has not done. */
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

  /** Ends it at once. */
  async kill() {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

/** The resident set of a process in KiB; NaN where there is no /proc. */
export function residentKiB(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
  } catch {
    return Number.NaN
  }
}
