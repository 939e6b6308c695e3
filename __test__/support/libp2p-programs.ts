/** Programs of js-libp2p with the components of ferroswarm/libp2p: those of interop/libp2p, over the built package. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { program } from './cli.ts'
import { declareMissing, findPeer } from './peer-program.ts'

interface MochaTest {
  readonly fullTitle: string
  readonly err: { readonly message?: string; readonly stack?: string }
}

interface MochaReport {
  readonly tests: readonly MochaTest[]
  readonly passes: readonly MochaTest[]
  readonly failures: readonly MochaTest[]
}

/**
 * Declares tests that run programs of `interop/libp2p`; one that reports the reason if it cannot be built. `launcher` is
 * the command that runs Node, if it is not to be run as it is.
 */
export async function libp2pPrograms(
  declare: (run: Run, folder: string) => void | Promise<void>,
  launcher: readonly string[] = []
): Promise<void> {
  const found = await findPeer('libp2p')
  if ('missing' in found) {
    declareMissing('libp2p', found.missing)
    return
  }
  const [node = '', folder = ''] = found.command
  const env = { ...process.env, NODE_OPTIONS: '' }
  const [command = node, ...before] = [...launcher, node]
  await declare((args) => program(command, [...before, ...args], { cwd: folder, env }), folder)
}

/** Runs Node in the folder of the programs. */
export type Run = (args: readonly string[], env?: NodeJS.ProcessEnv) => ReturnType<typeof program>

/** Declares a test that passes if every test of a group of a mocha file does, and there are as many of them. */
export function declareSuite(run: Run, file: string, group: string, tests: number): void {
  test(`${group} passes ${tests} of ${tests}`, async (t) => {
    const report = await mocha(run, [file, '--grep', `^${group} `])
    for (const { fullTitle, err } of report.failures) t.fail(`${fullTitle}: ${err.message}`)
    t.is(report.passes.length, tests)
  })
}

/** Runs mocha files, and declares a test for each of their tests. */
export async function declareFiles(run: Run, ...files: readonly string[]): Promise<void> {
  declareReport(await mocha(run, files))
}

/** Declares a test for each test of a report, with `suffix` behind its title. */
export function declareReport({ tests, passes }: MochaReport, suffix = ''): void {
  const passed = new Set(passes.map(({ fullTitle }) => fullTitle))
  for (const { fullTitle, err } of tests) {
    test(`${fullTitle}${suffix}`, (t) => {
      t.true(passed.has(fullTitle), err.stack ?? err.message)
    })
  }
}

/** Runs mocha. */
export async function mocha(run: Run, args: readonly string[]): Promise<MochaReport> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-mocha-'))
  const output = join(folder, 'report.json')
  try {
    const { err } = await run([
      'node_modules/mocha/bin/mocha.js',
      ...['--exit', '--timeout', '60000', '--reporter', 'json'],
      ...['--reporter-option', `output=${output}`],
      ...args
    ])
    const text = await readFile(output, 'utf8').catch(() => {
      throw new Error(`mocha has written no report: ${err}`)
    })
    return JSON.parse(text) as MochaReport
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
