// Builds the foreign peers; see contract.md. No dependencies; runs on Node 20 or newer.
//
//     node interop/build.mjs [go rust js py browser libp2p]
//
// A peer lives in .build/<peer>-<hash of its sources and lock files>/ and is complete once that folder exists:
// it is built beside it and renamed.

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  access,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const INTEROP = dirname(fileURLToPath(import.meta.url))
const BUILD = join(INTEROP, '.build')
const EXE = process.platform === 'win32' ? '.exe' : ''

/** js-libp2p calls `Promise.withResolvers`. */
const JS_NODE_MAJOR_MIN = 22
/** Minimum for py-libp2p and the versions in py/requirements.txt. */
const PYTHON_MIN = [3, 10]
/** Hints at headers that compiling a package of py-libp2p may lack, by the compiler's message. */
const PYTHON_HINTS = [
  [
    /gmp\.h/,
    'py-libp2p needs the headers of GMP: install libgmp-dev (Debian, Ubuntu), gmp-devel (Fedora), gmp (Homebrew)'
  ],
  [
    /Python\.h/,
    'py-libp2p needs the headers of Python: install python3-dev (Debian, Ubuntu), python3-devel (Fedora)'
  ]
]
/** Names of Chromium's program. */
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
/** A holder renews its lock this often; one that is four times as old belongs to a process that died. */
const LOCK_RENEWAL_MS = 5_000
const LOCK_POLL_MS = 200
/** Lines of a failed build that are worth showing. */
const FAILURE_LINES = 20

const NPM_FLAGS = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
const NPM_CI = ['ci', ...NPM_FLAGS]
/** As `npm ci`, which demands optional packages that the registry may lack: binaries for other platforms. */
const NPM_INSTALL = ['install', '--no-save', ...NPM_FLAGS]

const PEERS = {
  go: {
    sources: (name) => name.endsWith('.go') || name === 'go.mod' || name === 'go.sum',
    build: (into) =>
      run('go', ['build', '-trimpath', '-o', join(into, `peer${EXE}`), '.'], join(INTEROP, 'go')),
    command: async (folder) => [join(folder, `peer${EXE}`)]
  },
  rust: {
    sources: (name) => name.endsWith('.rs') || name === 'Cargo.toml' || name === 'Cargo.lock',
    // One target folder for every version: the dependencies stay built when only the program changes.
    build: async (into) => {
      const target = join(BUILD, 'rust-target')
      const flags = ['--release', '--target-dir', target]
      // Cargo relies on file times, which are meaningless if the folder was copied or restored.
      await run(
        'cargo',
        ['clean', '--locked', '--package', 'interop-peer', ...flags],
        join(INTEROP, 'rust')
      )
      await run('cargo', ['build', '--locked', ...flags], join(INTEROP, 'rust'))
      await cp(join(target, 'release', `peer${EXE}`), join(into, `peer${EXE}`))
    },
    command: async (folder) => [join(folder, `peer${EXE}`)]
  },
  js: {
    sources: (name) => name.endsWith('.js') || name.endsWith('.json'),
    build: async (into) => {
      await jsNode()
      for (const name of await sourceFiles('js')) {
        await cp(join(INTEROP, 'js', name), join(into, name))
      }
      await run('npm', NPM_INSTALL, into)
    },
    command: async (folder) => [await jsNode(), join(folder, 'peer.js')]
  },
  browser: {
    sources: (name) => name.endsWith('.js') || name.endsWith('.json'),
    build: async (into) => {
      await jsNode()
      for (const name of await sourceFiles('browser')) {
        await cp(join(INTEROP, 'browser', name), join(into, name))
      }
      await run('npm', NPM_CI, into)
      const flags = [
        '--bundle',
        '--format=esm',
        '--minify',
        '--outfile=bundle.js',
        '--log-level=error'
      ]
      await run(
        await jsNode(),
        [join(into, 'node_modules', 'esbuild', 'bin', 'esbuild'), 'page.js', ...flags],
        into
      )
    },
    command: async (folder) => [
      await jsNode(),
      join(folder, 'peer.js'),
      '--browser',
      await chromium()
    ]
  },
  // No peer, but programs of js-libp2p with our components; the command lacks the program.
  libp2p: {
    sources: (name) => /\.(js|json|sh)$/.test(name),
    build: async (into) => {
      await jsNode()
      for (const name of await sourceFiles('libp2p')) {
        await cp(join(INTEROP, 'libp2p', name), join(into, name))
      }
      await run('npm', NPM_CI, into)
      await symlink(dirname(INTEROP), join(into, 'node_modules', 'ferroswarm'), 'junction')
    },
    command: async (folder) => [await jsNode(), folder]
  },
  py: {
    sources: (name) => name.endsWith('.py') || name === 'requirements.txt',
    // A virtual environment runs only with the Python that created it.
    tool: async () => (await python()).describe,
    build: async (into) => {
      for (const name of await sourceFiles('py')) {
        await cp(join(INTEROP, 'py', name), join(into, name))
      }
      await run((await python()).path, ['-m', 'venv', '--clear', 'venv'], into)
      const pip = ['-m', 'pip', '--disable-pip-version-check', '--no-input']
      // Installs exactly the packages of the lock file; the check verifies that none is missing.
      await run(
        venvPython(into),
        [...pip, 'install', '--use-pep517', '--no-deps', '--requirement', 'requirements.txt'],
        into,
        PYTHON_HINTS
      )
      await run(venvPython(into), [...pip, 'check'], into)
    },
    command: async (folder) => [venvPython(folder), join(folder, 'peer.py')]
  }
}

/** The reason why a peer is unavailable, in one sentence. */
class MissingPeerError extends Error {}

/**
 * Resolves to the command that runs a peer, which is built first if necessary.
 *
 * @param {'go' | 'rust' | 'js' | 'py' | 'browser' | 'libp2p'} name
 * @returns {Promise<{ command: string[] } | { missing: string }>}
 */
export async function peerCommand(name) {
  const peer = PEERS[name]
  if (peer === undefined) {
    return { missing: `there is no peer named ${name}` }
  }
  try {
    const folder = join(BUILD, `${name}-${await sourceHash(name)}`)
    if (!(await exists(folder))) {
      await withLock(name, async () => {
        if (!(await exists(folder))) {
          await buildInto(folder, peer)
        }
      })
    }
    return { command: await peer.command(folder) }
  } catch (error) {
    if (error instanceof MissingPeerError) {
      return { missing: error.message }
    }
    throw error
  }
}

/**
 * Resolves to the peers that are built from their current sources.
 *
 * @returns {Promise<string[]>}
 */
export async function builtPeers() {
  const built = []
  for (const name of Object.keys(PEERS)) {
    try {
      if (await exists(join(BUILD, `${name}-${await sourceHash(name)}`))) built.push(name)
    } catch (error) {
      // A peer without its build tool is not built.
      if (!(error instanceof MissingPeerError)) throw error
    }
  }
  return built
}

async function buildInto(folder, peer) {
  // If one builder took the other for dead, both finish a folder; the first one stays.
  const unfinished = `${folder}.${process.pid}`
  await mkdir(unfinished, { recursive: true })
  try {
    await peer.build(unfinished)
    await rename(unfinished, folder).catch(async (error) => {
      if (!(await exists(folder))) {
        throw error
      }
    })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

async function sourceHash(name) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  if (PEERS[name].tool !== undefined) {
    hash.update(`${await PEERS[name].tool()}\n`)
  }
  for (const file of await sourceFiles(name)) {
    const text = await readFile(join(INTEROP, name, file))
    hash.update(`${file} ${text.byteLength}\n`).update(text)
  }
  return hash.digest('hex').slice(0, 16)
}

/** Paths below the peer's folder, sorted. */
async function sourceFiles(name, below = '') {
  const found = []
  for (const entry of await readdir(join(INTEROP, name, below), { withFileTypes: true })) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules' && entry.name !== 'target') {
        found.push(...(await sourceFiles(name, path)))
      }
    } else if (PEERS[name].sources(entry.name)) {
      found.push(path)
    }
  }
  return found.sort()
}

/** Runs one build step; its output is shown only if it fails, with the hint whose pattern matches as the error. */
async function run(program, args, cwd, hints = []) {
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32'
  })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  const code = await new Promise((resolve, reject) => {
    child.on('error', (error) =>
      reject(error.code === 'ENOENT' ? new MissingPeerError(`${program} is not installed`) : error)
    )
    child.on('close', resolve)
  })
  if (code !== 0) {
    process.stderr.write(`${output.trimEnd().split('\n').slice(-FAILURE_LINES).join('\n')}\n`)
    const hint = hints.find(([pattern]) => pattern.test(output))?.[1]
    throw new MissingPeerError(hint ?? `${program} ${args[0]} failed with exit code ${code}`)
  }
}

/** The first Node that js-libp2p runs on: this one, the repository's own, the one on the path. */
async function jsNode() {
  if (nodeMajor(process.versions.node) >= JS_NODE_MAJOR_MIN) {
    return process.execPath
  }
  for (const candidate of [repositoryNode() ?? 'node', 'node']) {
    const { version, path } = await queryNode(candidate)
    if (nodeMajor(version) >= JS_NODE_MAJOR_MIN) {
      return path
    }
  }
  throw new MissingPeerError(`js-libp2p needs Node ${JS_NODE_MAJOR_MIN} or newer`)
}

/** The binary of the devDependency `node`, not its launcher, so that a test can kill the process it starts. */
function repositoryNode() {
  try {
    return join(
      dirname(createRequire(join(INTEROP, 'x')).resolve('node/package.json')),
      'bin',
      `node${EXE}`
    )
  } catch {
    return undefined
  }
}

function nodeMajor(version) {
  return Number.parseInt(version, 10)
}

async function queryNode(program) {
  try {
    const print = 'JSON.stringify({ version: process.versions.node, path: process.execPath })'
    const { stdout } = await promisify(execFile)(program, ['-p', print])
    return JSON.parse(stdout)
  } catch {
    return { version: '0', path: program } // Missing, or does not run here.
  }
}

/** The first Python on the path that is new enough; it has to be able to create virtual environments. */
async function python() {
  const print =
    'import importlib.util, json, sys; print(json.dumps({"path": sys.executable, "describe": sys.version, ' +
    '"version": sys.version_info[:2], "venv": importlib.util.find_spec("ensurepip") is not None}))'
  for (const candidate of ['python3', 'python']) {
    try {
      const { stdout } = await promisify(execFile)(candidate, ['-c', print])
      const found = JSON.parse(stdout)
      const [major, minor] = found.version
      if (major === PYTHON_MIN[0] && minor >= PYTHON_MIN[1]) {
        if (!found.venv) {
          throw new MissingPeerError(
            'py-libp2p needs the module venv of Python: install python3-venv (Debian, Ubuntu)'
          )
        }
        return found
      }
    } catch (error) {
      if (error instanceof MissingPeerError) {
        throw error
      } // Missing, or does not run here.
    }
  }
  throw new MissingPeerError(`py-libp2p needs Python ${PYTHON_MIN.join('.')} or newer`)
}

/** The first Chromium on the path. */
async function chromium() {
  for (const candidate of CHROMIUM) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const program = join(folder, `${candidate}${EXE}`)
      if (await exists(program)) return program
    }
  }
  throw new MissingPeerError('Chromium is not installed: install chromium (Debian)')
}

function venvPython(folder) {
  return process.platform === 'win32'
    ? join(folder, 'venv', 'Scripts', 'python.exe')
    : join(folder, 'venv', 'bin', 'python')
}

/** Holds a lock file while `action` runs, so that two processes never build one peer at once. */
async function withLock(name, action) {
  const lock = join(BUILD, `${name}.lock`)
  await mkdir(BUILD, { recursive: true })
  while (!(await tryLock(lock))) {
    await sleep(LOCK_POLL_MS)
  }
  const renewal = setInterval(() => {
    utimes(lock, new Date(), new Date()).catch(() => {}) // A lock that is late by one renewal is still held.
  }, LOCK_RENEWAL_MS)
  try {
    return await action()
  } finally {
    clearInterval(renewal)
    await rm(lock, { force: true })
  }
}

async function tryLock(lock) {
  try {
    await writeFile(lock, `${process.pid}\n`, { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') {
      throw error
    }
  }
  const held = await stat(lock).catch(() => undefined) // Released meanwhile.
  if (held !== undefined && Date.now() - held.mtimeMs > 4 * LOCK_RENEWAL_MS) {
    await rm(lock, { force: true })
  }
  return false
}

async function exists(path) {
  return await access(path).then(
    () => true,
    () => false
  )
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const names = process.argv.slice(2)
  for (const name of names.length > 0 ? names : Object.keys(PEERS)) {
    console.log(JSON.stringify({ peer: name, ...(await peerCommand(name)) }))
  }
}
