/** Programs of js-libp2p with the components of ferroswarm/libp2p: those of interop/libp2p, over the built package. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { program, ROOT } from './cli.ts'
import { declareMissing, findPeer } from './peer-program.ts'

const FERROSWARM_LIBP2P = pathToFileURL(join(ROOT, 'dist', 'libp2p', 'index.js')).href

interface MochaReport {
  readonly stats: { readonly tests: number; readonly passes: number }
  readonly failures: readonly { readonly fullTitle: string; readonly err: { message?: string } }[]
}

/** Declares tests that run programs of `interop/libp2p`; one that reports the reason if it cannot be built. */
export async function libp2pPrograms(declare: (run: Run) => void): Promise<void> {
  const found = await findPeer('libp2p')
  if ('missing' in found) {
    declareMissing('libp2p', found.missing)
    return
  }
  const [node = '', folder = ''] = found.command
  declare((args, env = {}) =>
    program(node, args, {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '', FERROSWARM_LIBP2P, ...env }
    })
  )
}

/** Runs Node in the folder of the programs. */
export type Run = (args: readonly string[], env?: NodeJS.ProcessEnv) => ReturnType<typeof program>

/** Declares a test that passes if every test of a group of a mocha file does, and there are as many of them. */
export function declareSuite(run: Run, file: string, group: string, tests: number): void {
  test(`${group} passes ${tests} of ${tests}`, async (t) => {
    const { stats, failures } = await mocha(t, run, file, group)
    for (const { fullTitle, err } of failures) t.fail(`${fullTitle}: ${err.message}`)
    t.deepEqual({ tests: stats.tests, passes: stats.passes }, { tests, passes: tests })
  })
}

async function mocha(
  t: ExecutionContext,
  run: Run,
  file: string,
  group: string
): Promise<MochaReport> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-mocha-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const output = join(folder, 'report.json')
  const options = ['--exit', '--timeout', '60000', '--reporter', 'json']
  const { err } = await run([
    'node_modules/mocha/bin/mocha.js',
    ...options,
    '--reporter-option',
    `output=${output}`,
    '--grep',
    `^${group} `,
    file
  ])
  const text = await readFile(output, 'utf8').catch(() => {
    throw new Error(`mocha has written no report: ${err}`)
  })
  return JSON.parse(text) as MochaReport
}
