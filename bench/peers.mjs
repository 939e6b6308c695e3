// The measured implementations: command, version and cryptography of each.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { peerCommand } from '../interop/build.mjs'
import { addonBuild } from '../tools/shared.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const RUST_BINARIES = 'ferroswarm-bench-peers'

/** Workloads missing in the stack `tcp`: without a muxer there is one stream, without security no handshake. */
const TCP_LACKS = ['lp', 'upload-32', 'download-32', 'handshake-seq', 'handshake-16']

/**
 * Peers by name. `stack` is set for a peer with no other, `lacks` lists the workloads of the contract that it does not
 * implement: the report states both.
 */
export const PEERS = {
  ours: {
    title: 'ferroswarm',
    version: () => json('package.json').version,
    crypto: ownCrypto,
    lacks: []
  },
  native: {
    title: 'ferroswarm, both ends Rust',
    version: () => json('package.json').version,
    crypto: ownCrypto,
    lacks: ['lp']
  },
  js: {
    title: 'js-libp2p',
    version: () => json('interop/js/package.json').dependencies.libp2p,
    crypto: () => `OpenSSL ${process.versions.openssl} through node:crypto, @noble`,
    lacks: []
  },
  dropin: {
    title: 'js-libp2p on ferroswarm',
    version: () => json('interop/js/package.json').dependencies.libp2p,
    crypto: ownCrypto,
    lacks: []
  },
  go: {
    title: 'go-libp2p',
    version: () => goModule('github.com/libp2p/go-libp2p'),
    crypto: () => `golang.org/x/crypto ${goModule('golang.org/x/crypto')} and Go's own`,
    lacks: ['lp']
  },
  rust: {
    title: 'rust-libp2p',
    version: () => locked('interop/rust/Cargo.lock', 'libp2p'),
    crypto: () => `ring ${locked('interop/rust/Cargo.lock', 'ring')}`,
    lacks: ['lp']
  },
  net: {
    title: 'node:net, no libp2p',
    version: () => process.versions.node,
    crypto: () => 'none',
    stack: 'tcp',
    lacks: TCP_LACKS
  },
  raw: {
    title: 'raw TCP, no libp2p',
    version: () => json('package.json').version,
    crypto: () => 'none',
    stack: 'tcp',
    lacks: TCP_LACKS
  }
}

/** Prepares the peers for the plan and the report; for an unavailable one, `missing` has the reason. */
export async function preparePeers(names) {
  const prepared = {}
  for (const name of names) {
    const { title, version, crypto, stack, lacks } = PEERS[name]
    const { command, missing } = await commandOf(name)
    prepared[name] = {
      title,
      version: version(),
      crypto: crypto(),
      ...(missing === undefined ? { command, stack, lacks } : { missing })
    }
  }
  return prepared
}

/** Returns the command of a peer, which is built if necessary; or what is missing. */
export async function commandOf(name) {
  switch (name) {
    case 'ours':
    case 'net':
      return { command: [process.execPath, join(ROOT, 'bench', 'peers', name, 'peer.mjs')] }
    case 'dropin': {
      const { command, missing } = await commandOf('js')
      const module = pathToFileURL(join(ROOT, 'dist', 'libp2p', 'index.js')).href
      return command === undefined ? { missing } : { command: [...command, '--components', module] }
    }
    case 'native':
    case 'raw':
      return cargoBuilt(name)
    default: {
      const { command, missing } = await peerCommand(name)
      // Both JavaScript implementations run on the Node of this process.
      return name === 'js' && command
        ? { command: [process.execPath, ...command.slice(1)] }
        : { command, missing }
    }
  }
}

/** Builds a binary of the workspace, in the addon's profile. */
async function cargoBuilt(name) {
  const { args, folder } = addonBuild()
  const flags = [...args, '--package', RUST_BINARIES, '--bin', name]
  try {
    await promisify(execFile)('cargo', [...flags, '--message-format', 'short'], { cwd: ROOT })
  } catch (err) {
    if (err.code === 'ENOENT') return { missing: 'cargo is not installed' }
    process.stderr.write(err.stderr)
    return { missing: `cargo build of ${RUST_BINARIES} failed with exit code ${err.code}` }
  }
  const exe = process.platform === 'win32' ? '.exe' : ''
  return { command: [join(folder, `${name}${exe}`)] }
}

function json(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
}

function ownCrypto() {
  const [, openssl] = locked('Cargo.lock', 'openssl-src').split('+')
  return `aws-lc-rs ${locked('Cargo.lock', 'aws-lc-rs')}; OpenSSL ${openssl} for ChaCha20-Poly1305 on AVX-512`
}

function locked(lockFile, crate) {
  const text = readFileSync(join(ROOT, lockFile), 'utf8')
  return new RegExp(`name = "${crate}"\\nversion = "(.+)"`).exec(text)?.[1] ?? '?'
}

function goModule(name) {
  const text = readFileSync(join(ROOT, 'interop', 'go', 'go.mod'), 'utf8')
  return new RegExp(`${name} v(\\S+)`).exec(text)?.[1] ?? '?'
}
