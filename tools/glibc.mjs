/**
 * Checks the glibc that an addon requires, including its C code: the newest version among its imported symbols.
 *
 *     node tools/glibc.mjs <addon.node>...
 */
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { stop } from './shared.mjs'

/** The version of RHEL 8 and of Node's own builds; also in ts/native/load-error.ts. */
export const GLIBC_MIN = '2.28'

/** Returns the imported symbols newer than `least`, from `objdump -T`; undefined if none is imported from glibc. */
export function tooNew(table, least = GLIBC_MIN) {
  const imported = [...table.matchAll(/\*UND\*.*\(?GLIBC_(\d+(?:\.\d+)+)\)?\s+(\S+)$/gm)]
  if (imported.length === 0) return undefined
  return imported
    .filter(([, version]) => compare(version, least) > 0)
    .map(([, version, symbol]) => `${symbol} (${version})`)
}

function compare(left, right) {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number))
  const at = a.findIndex((part, index) => part !== (b[index] ?? 0))
  return at === -1 ? 0 : a[at] - (b[at] ?? 0)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = process.argv.slice(2)
  if (files.length === 0) stop('usage: node tools/glibc.mjs <addon.node>...')
  for (const file of files) {
    const { status, stdout, stderr, error } = spawnSync('objdump', ['-T', file], {
      encoding: 'utf8'
    })
    if (status !== 0) stop(`objdump -T ${file}: ${error?.message ?? stderr.trim()}`)
    const found = tooNew(stdout)
    if (found === undefined) stop(`${file} imports nothing from glibc: is it built for it?`)
    if (found.length > 0) stop(`${file} requires more than glibc ${GLIBC_MIN}: ${found.join(', ')}`)
    console.log(`${file}: glibc ${GLIBC_MIN} is sufficient`)
  }
}
