#!/usr/bin/env node
/** The command line: `ferroswarm <verb>`. One module a verb, loaded when it is called. */
import { createRequire } from 'node:module'
import { type Command, MisuseError, parseCall } from './command.ts'
import { Output } from './output.ts'

const VERBS: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  demo: () => import('./demo.ts'),
  listen: () => import('./listen.ts'),
  dial: () => import('./dial.ts'),
  ping: () => import('./ping.ts'),
  perf: () => import('./perf.ts'),
  open: () => import('./open.ts'),
  id: () => import('./id.ts')
}

const FOOTER = `Every verb takes --help and --json (one object a line; {"event":"error","code","message","attempts"}
if it fails). Exit code 0: done, 1: failed, 2: called wrongly. --version tells the version.
`

process.stdout.on('error', whenNobodyReads)
process.stderr.on('error', whenNobodyReads)
process.exitCode = await main(process.argv.slice(2))

async function main([verb, ...words]: readonly string[]): Promise<number> {
  const json = [verb, ...words].includes('--json')
  if (verb === undefined || verb === '--help' || verb === '-h' || verb === 'help') {
    process.stdout.write(await overview())
    return verb === undefined ? 2 : 0
  }
  if (verb === '--version' || verb === '-V') {
    const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }
    process.stdout.write(`ferroswarm ${version}\n`)
    return 0
  }
  const load = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
  if (load === undefined) {
    const known = Object.keys(VERBS).join(', ')
    return misuse(new Output(json), `"${verb}" is not a verb: ${known}`, 'ferroswarm')
  }
  const { command } = await load()
  const reports = command.reportsTo === 'stderr' ? process.stderr : process.stdout
  return run(command, words, new Output(json, reports))
}

/** Whoever read our output has seen enough, as `head` has: there is nothing left to do and nothing to complain of. */
function whenNobodyReads(err: NodeJS.ErrnoException): void {
  if (err.code !== 'EPIPE') throw err
  process.exit(0)
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

/** Aborted by the first Ctrl-C or SIGTERM; the second ends the process at once. */
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

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.values(VERBS).map(async (load) => {
      const { command } = await load()
      return `  ${command.name.padEnd(8)} ${command.summary}`
    })
  )
  return `usage: ferroswarm <verb> [options]\n\n${lines.join('\n')}\n\n${FOOTER}`
}

function helpOf(command: Command): string {
  const usage = `usage: ferroswarm ${command.name} ${command.usage}`
  return `${usage}\n\n${command.summary}.\n\n${command.help}\n\n${FOOTER}`
}
