/**
 * What the set-up scripts share. Plain modules without dependencies, so that they run before anything is
 * installed and on a Node older than the one the project itself needs.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** The oldest Node that the development tools run on; ava sets it. */
export const NODE_MIN = [22, 20]

/** Ends the process with one sentence that says what is wrong and what to do. */
export function stop(sentence) {
  console.error(sentence)
  process.exit(1)
}

/** The environment of a child: the tools of node_modules first, then cargo's usual place last. */
export function environment(extra = {}) {
  const path = [
    join(ROOT, 'node_modules', '.bin'),
    process.env.PATH ?? '',
    join(homedir(), '.cargo', 'bin')
  ]
  return { ...process.env, PATH: path.join(delimiter), ...extra }
}

/** Run a program in the project's folder with our own output; its exit code, 1 if it could not start. */
export function run(program, args, extra = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: environment(extra),
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32'
    })
    child.on('error', (err) => {
      console.error(`${program}: ${err.message}`)
      resolve(1)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

/** Runs npm, the one that runs us where there is one, and collects what it prints. */
export function npm(args, cwd) {
  const path = process.env.npm_execpath ?? ''
  if (/npm-cli\.c?js$/.test(path)) return node([path, ...args], cwd)
  return collect('npm', args, { cwd, shell: process.platform === 'win32' })
}

/** Runs this Node, and collects what it prints. */
export function node(args, cwd) {
  return collect(process.execPath, args, { cwd })
}

function collect(program, args, options) {
  // Options of an npm that runs us, such as a dry run, are not for this one.
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name))
  const env = { ...Object.fromEntries(inherited), ...registryOf(process.env) }
  return spawnSync(program, args, { ...options, env, encoding: 'utf8' })
}

function registryOf({ npm_config_registry: registry, npm_config_cache: cache }) {
  return {
    ...(registry === undefined ? {} : { npm_config_registry: registry }),
    ...(cache === undefined ? {} : { npm_config_cache: cache })
  }
}

/** A file of JSON. */
export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** The first line that a program prints; undefined if it cannot be run. */
export function firstLine(program, args) {
  const result = spawnSync(program, args, {
    cwd: ROOT,
    env: environment(),
    encoding: 'utf8',
    shell: process.platform === 'win32'
  })
  return result.status === 0 ? result.stdout.split('\n')[0].trim() : undefined
}

/** The target that cargo and napi build for where none is named. */
export function hostTarget() {
  const result = spawnSync('rustc', ['-vV'], { cwd: ROOT, env: environment(), encoding: 'utf8' })
  return /^host: (\S+)$/m.exec(result.stdout ?? '')?.[1]
}

/**
 * Where cargo leaves what it builds as it builds the addon, and the arguments that make it do so: napi names the
 * target, and without its name cargo would compile every dependency a second time.
 */
export function addonBuild() {
  const target = hostTarget()
  const folder = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target')
  return {
    args: ['build', '--release', '--locked', ...(target === undefined ? [] : ['--target', target])],
    folder: join(folder, target ?? '', 'release')
  }
}

/** The time of a file's last change in milliseconds; 0 if there is none. */
export function changed(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0
}

/** The newest change among files and whole folders, the folders' own included: a deletion counts. */
export function newest(paths, isLeftOut = () => false) {
  let latest = 0
  for (const path of paths) {
    if (isLeftOut(path) || !existsSync(path)) continue
    const stat = statSync(path)
    latest = Math.max(latest, stat.mtimeMs)
    if (!stat.isDirectory()) continue
    const inside = readdirSync(path).map((name) => join(path, name))
    latest = Math.max(latest, newest(inside, isLeftOut))
  }
  return latest
}
