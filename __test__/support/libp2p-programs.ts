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

/** How the programs are run. */
export interface RunOptions {
  /** The command that runs Node, if it is not to be run as it is. */
  readonly launcher?: readonly string[]
  /** Path of another Node in the folder of the programs. */
  readonly node?: string
}

/** Declares tests that run programs of `interop/libp2p`; one that reports the reason if they cannot be built. */
export async function libp2pPrograms(
  declare: (run: Run, folder: string) => void | Promise<void>,
  { launcher = [], node: other }: RunOptions = {}
): Promise<void> {
  const found = await findPeer('libp2p')
  if ('missing' in found) {
    declareMissing('libp2p', found.missing)
    return
  }
  const [own = '', folder = ''] = found.command
  const node = other === undefined ? own : join(folder, other)
  const env = { ...process.env, NODE_OPTIONS: '' }
  const [command = node, ...before] = [...launcher, node]
  await declare((args) => program(command, [...before, ...args], { cwd: folder, env }), folder)
}

/** Runs Node in the folder of the programs. */
export type Run = (args: readonly string[]) => ReturnType<typeof program>

/** Tests of each compliance suite. */
const TRANSPORT = 15
const ENCRYPTER = 4
const MUXER = 46

/** The groups of compliance.js, and the number of their tests. */
const COMPLIANCE: Readonly<Record<string, number>> = {
  yamux: MUXER,
  noise: ENCRYPTER,
  tls: ENCRYPTER,
  'tcp among the components of the suite': TRANSPORT,
  'tcp with noise and yamux': TRANSPORT,
  'tcp with tls and yamux': TRANSPORT,
  '@libp2p/tcp with noise and yamux': TRANSPORT,
  '@libp2p/tcp with tls and yamux': TRANSPORT,
  '@libp2p/websockets with noise and yamux': TRANSPORT,
  '@libp2p/websockets with tls and yamux': TRANSPORT
}

/** Declares a test for each compliance suite: every test of it passes, and there are as many as there should be. */
export function declareCompliance(run: Run): void {
  for (const [group, tests] of Object.entries(COMPLIANCE)) declareSuite(run, group, tests)
}

function declareSuite(run: Run, group: string, tests: number): void {
  test(`${group} passes ${tests} of ${tests}`, async (t) => {
    const report = await mocha(run, ['compliance.js', '--grep', `^${group} `])
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
