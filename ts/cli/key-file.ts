/** Private keys in files: the libp2p protobuf, as go and js read and write it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { InvalidParametersError } from '../errors.ts'
import { makeIdentity } from '../identity/keys.ts'
import { reasonOf } from '../text/printable.ts'
import { MisuseError } from './command.ts'

/** Reads a key file; returns undefined without a path. Throws `MisuseError` if it is unreadable or holds no key. */
export function readKey(path: string | undefined): Uint8Array | undefined {
  if (path === undefined) return undefined
  let key: Uint8Array
  try {
    key = new Uint8Array(readFileSync(path))
  } catch (err) {
    throw new MisuseError(`--key: ${reasonOf(err)}`)
  }
  try {
    makeIdentity(key)
  } catch (err) {
    if (!(err instanceof InvalidParametersError)) throw err
    throw new MisuseError(
      `--key: ${path} is not a private key in libp2p's protobuf, as "ferroswarm id --out" writes it`
    )
  }
  return key
}

/** Writes a key readable by its owner only. Never overwrites: a lost key is a lost identity. */
export function writeKey(path: string, key: Uint8Array): void {
  try {
    writeFileSync(path, key, { mode: 0o600, flag: 'wx' })
  } catch (err) {
    throw new MisuseError(`--out: ${reasonOf(err)}`)
  }
}
