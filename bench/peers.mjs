// The implementations that are measured: how each is run, which version it is, and what it encrypts with.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { peerCommand } from '../interop/build.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const NOT_YET = ['upload-32', 'download-32', 'paced', 'ping-open', 'first-byte']

/**
 * By name. `stack` is there for a peer that knows no other, `lacks` has the workloads of the contract that it has not:
 * both are said in the report.
 */
export const PEERS = {
  ours: {
    title: 'ferroswarm',
    version: () => json('package.json').version,
    crypto: () => `aws-lc-rs ${locked('Cargo.lock', 'aws-lc-rs')}`,
    lacks: NOT_YET
  },
  js: {
    title: 'js-libp2p',
    version: () => json('interop/js/package.json').dependencies.libp2p,
    crypto: () => `OpenSSL ${process.versions.openssl} through node:crypto, @noble`,
    lacks: NOT_YET
  },
  go: {
    title: 'go-libp2p',
    version: () => goModule('github.com/libp2p/go-libp2p'),
    crypto: () => `golang.org/x/crypto ${goModule('golang.org/x/crypto')} and Go's own`,
    lacks: ['lp', ...NOT_YET]
  },
  rust: {
    title: 'rust-libp2p',
    version: () => locked('interop/rust/Cargo.lock', 'libp2p'),
    crypto: () => `ring ${locked('interop/rust/Cargo.lock', 'ring')}`,
    lacks: ['lp', ...NOT_YET]
  }
}

/** What each peer is for the plan and the report; one that cannot be had says why in `missing`. */
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

async function commandOf(name) {
  if (name === 'ours') {
    return { command: [process.execPath, join(ROOT, 'bench', 'peers', 'ours', 'peer.mjs')] }
  }
  const { command, missing } = await peerCommand(name)
  // Both stacks of JavaScript run on one Node: that of this process.
  return name === 'js' && command
    ? { command: [process.execPath, ...command.slice(1)] }
    : { command, missing }
}

function json(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
}

function locked(lockFile, crate) {
  const text = readFileSync(join(ROOT, lockFile), 'utf8')
  return new RegExp(`name = "${crate}"\\nversion = "(.+)"`).exec(text)?.[1] ?? '?'
}

function goModule(name) {
  const text = readFileSync(join(ROOT, 'interop', 'go', 'go.mod'), 'utf8')
  return new RegExp(`${name} v(\\S+)`).exec(text)?.[1] ?? '?'
}
