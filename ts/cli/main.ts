#!/usr/bin/env node
/** The command line: `ferroswarm <verb>`. One module per verb, loaded on demand. */
import { createRequire } from 'node:module'
import { AddonError } from '../native/load-error.ts'
import { type Command, MisuseError, parseCall } from './command.ts'
import { Output } from './output.ts'

interface Verb {
  /** One clause for the list of verbs, which is printed without loading the addon. */
  readonly summary: string
  load(): Promise<{ command: Command }>
}

const VERBS: Readonly<Record<string, Verb>> = {
  demo: {
    summary: 'Show two nodes talking on this machine',
    load: () => import('./demo.ts')
  },
  listen: {
    summary: 'Run a node that serves ping, identify and echo',
    load: () => import('./listen.ts')
  },
  dial: {
    summary: 'Connect to a peer and identify it',
    load: () => import('./dial.ts')
  },
  check: {
    summary: 'Try every address of a peer, and say what works and what does not',
    load: () => import('./check.ts')
  },
  ping: {
    summary: 'Measure round trips to a peer',
    load: () => import('./ping.ts')
  },
  perf: {
    summary: 'Measure throughput to a peer that serves /perf/1.0.0',
    load: () => import('./perf.ts')
  },
  open: {
    summary: 'Open a stream and pipe standard input and output through it',
    load: () => import('./open.ts')
  },
  id: {
    summary: 'Generate a key and show its peer id',
    load: () => import('./id.ts')
  },
  doctor: {
    summary: 'Look at a project of js-libp2p, and say what keeps its connections from being native',
    load: () => import('./doctor.ts')
  }
}

const FOOTER = `Every verb takes --help and --json (one object per line; {"event":"attempt"} for each address that fails,
{"event":"error","code","message","attempts"} if all do). Exit code 0: done, 1: failed, 2: usage error. --version prints the version.
`

process.stdout.on('error', onOutputError)
process.stderr.on('error', onOutputError)
process.exitCode = await main(process.argv.slice(2))

async function main([verb, ...words]: readonly string[]): Promise<number> {
  const json = [verb, ...words].includes('--json')
  if (verb === undefined || verb === '--help' || verb === '-h' || verb === 'help') {
    process.stdout.write(overview())
    return verb === undefined ? 2 : 0
  }
  if (verb === '--version' || verb === '-V') {
    // The package.json of this package.
    const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }
    process.stdout.write(`ferroswarm ${version}\n`)
    return 0
  }
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
  if (known === undefined) {
    const names = Object.keys(VERBS).join(', ')
    return misuse(new Output(json), `"${verb}" is not a verb: ${names}`, 'ferroswarm')
  }
  const command = await loaded(known, new Output(json))
  if (command === undefined) return 1
  const reports = command.reportsTo === 'stderr' ? process.stderr : process.stdout
  return run(command, words, new Output(json, reports))
}

/** Exits successfully on EPIPE: the reader of our output, such as `head`, has closed the pipe. */
function onOutputError(err: NodeJS.ErrnoException): void {
  if (err.code !== 'EPIPE') throw err
  process.exit(0)
}

/** Loads a verb; returns undefined, after printing the error, if the addon cannot be loaded. */
async function loaded(verb: Verb, out: Output): Promise<Command | undefined> {
  try {
    return (await verb.load()).command
  } catch (err) {
    if (!(err instanceof AddonError)) throw err
    const { code, message } = err
    if (out.json) out.event({ event: 'error', code, message, attempts: [] }, '')
    else process.stderr.write(`${message}\n`)
    return undefined
  }
}

async function run(command: Command, words: readonly string[], out: Output): Promise<number> {
  const name = `ferroswarm ${command.name}`
  let doing = command.name
  try {
    const { positionals, values } = parseCall(command, words)
    if (values.flag('help')) {
      process.stdout.write(helpOf(command))
      return 0
    }
    doing = [command.name, ...positionals].join(' ')
    return await command.run({ positionals, values, out, signal: interruption() })
  } catch (err) {
    if (err instanceof MisuseError) return misuse(out, err.message, name)
    const { printFailure } = await import('./failure.ts')
    printFailure(out, command.name, doing, err)
    return 1
  }
}

/** Returns a signal aborted by the first Ctrl-C or SIGTERM; the second exits at once. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(1)
    controller.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  return controller.signal
}

function misuse(out: Output, message: string, name: string): number {
  if (out.json) out.event({ event: 'error', code: 'ERR_USAGE', message, attempts: [] }, '')
  else process.stderr.write(`${name}: ${message}\nSee "${name} --help".\n`)
  return 2
}

function overview(): string {
  const lines = Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  return `usage: ferroswarm <verb> [options]\n\n${lines.join('\n')}\n\n${FOOTER}`
}

function helpOf(command: Command): string {
  const usage = `usage: ferroswarm ${command.name} ${command.usage}`
  return `${usage}\n\n${VERBS[command.name]?.summary}.\n\n${command.help}\n\n${FOOTER}`
}
