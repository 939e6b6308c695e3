// The implementations that are measured: how each is run, and what it encrypts with.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { peerCommand } from '../interop/build.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** What tells the crypto of a peer, by its name. */
export const PEERS = {
  ours: () => `aws-lc-rs ${locked('Cargo.lock', 'aws-lc-rs')}`,
  js: (node) => `OpenSSL ${node.openssl} through node:crypto, @noble`,
  go: () => `golang.org/x/crypto ${goModule('golang.org/x/crypto')} and Go's own`,
  rust: () => `ring ${locked('interop/rust/Cargo.lock', 'ring')}`
}

/** The command line of a peer; throws when it cannot be had. */
export async function commandOf(name) {
  if (name === 'ours') return [process.execPath, join(ROOT, 'bench', 'peers', 'ours', 'peer.mjs')]
  const { command, missing } = await peerCommand(name)
  if (command === undefined) throw new Error(`${name}: ${missing}`)
  // Both stacks of JavaScript run on one Node: that of this process.
  return name === 'js' ? [process.execPath, ...command.slice(1)] : command
}

/** The crypto backend of each peer. */
export function cryptoOf(names) {
  return Object.fromEntries(names.map((name) => [name, PEERS[name](process.versions)]))
}

function locked(lockFile, crate) {
  const text = readFileSync(join(ROOT, lockFile), 'utf8')
  return new RegExp(`name = "${crate}"\\nversion = "(.+)"`).exec(text)?.[1] ?? '?'
}

function goModule(name) {
  const text = readFileSync(join(ROOT, 'interop', 'go', 'go.mod'), 'utf8')
  return new RegExp(`${name} (v\\S+)`).exec(text)?.[1] ?? '?'
}
