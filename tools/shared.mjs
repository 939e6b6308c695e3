/**
 * Shared code of the set-up scripts. Without dependencies, so that they run before anything is installed, and on a Node
 * older than the project itself requires.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** The oldest Node supported by the development tools, limited by ava. */
export const NODE_MIN = [22, 20]

/** Prints a sentence that states the problem and the remedy, and exits with code 1. */
export function stop(sentence) {
  console.error(sentence)
  process.exit(1)
}

/** Returns the environment of a child: PATH with the tools of node_modules first, and cargo's default folder last. */
export function environment(extra = {}) {
  const path = [
    join(ROOT, 'node_modules', '.bin'),
    process.env.PATH ?? '',
    join(homedir(), '.cargo', 'bin')
  ]
  return { ...process.env, PATH: path.join(delimiter), ...extra }
}

/** Runs a program in the project's folder with inherited output; resolves to its exit code, 1 if it could not start. */
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

/** Runs npm, if possible the one that runs this process, and collects its output. */
export function npm(args, cwd) {
  const path = process.env.npm_execpath ?? ''
  if (/npm-cli\.c?js$/.test(path)) return node([path, ...args], cwd)
  return collect('npm', args, { cwd, shell: process.platform === 'win32' })
}

/** Runs this Node, and collects its output. */
export function node(args, cwd) {
  return collect(process.execPath, args, { cwd })
}

function collect(program, args, options) {
  // Options of an npm that runs this process, such as a dry run, must not reach this one.
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

/** Reads a JSON file. */
export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** Returns the first line of a program's output; undefined if it fails. */
export function firstLine(program, args) {
  const result = spawnSync(program, args, {
    cwd: ROOT,
    env: environment(),
    encoding: 'utf8',
    shell: process.platform === 'win32'
  })
  return result.status === 0 ? result.stdout.split('\n')[0].trim() : undefined
}

/** Returns the default target of cargo and napi. */
export function hostTarget() {
  const result = spawnSync('rustc', ['-vV'], { cwd: ROOT, env: environment(), encoding: 'utf8' })
  return /^host: (\S+)$/m.exec(result.stdout ?? '')?.[1]
}

/**
 * Returns the arguments with which cargo builds in the same way as the addon, and the output folder. napi names the
 * target, without which cargo would compile every dependency a second time.
 */
export function addonBuild() {
  const target = hostTarget()
  const folder = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target')
  return {
    args: ['build', '--release', '--locked', ...(target === undefined ? [] : ['--target', target])],
    folder: join(folder, target ?? '', 'release')
  }
}

/** Returns the modification time of a file in milliseconds; 0 if it does not exist. */
export function changed(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0
}

/** Returns the latest modification time in files and folders, including that of folders, which a deletion updates. */
export function newest(paths, isExcluded = () => false) {
  let latest = 0
  for (const path of paths) {
    if (isExcluded(path) || !existsSync(path)) continue
    const stat = statSync(path)
    latest = Math.max(latest, stat.mtimeMs)
    if (!stat.isDirectory()) continue
    const inside = readdirSync(path).map((name) => join(path, name))
    latest = Math.max(latest, newest(inside, isExcluded))
  }
  return latest
}
