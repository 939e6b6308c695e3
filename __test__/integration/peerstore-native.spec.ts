import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import {
  ADDRESS_TTL_PERMANENT,
  createSwarm,
  generatePrivateKey,
  identify,
  PeerstoreCorruptError,
  PeerstoreError,
  PeerstoreLockedError,
  Swarm
} from '../../ts/index.ts'
import { NativeBackend } from '../../ts/peerstore/native-backend.ts'
import { program } from '../support/cli.ts'
import { createNode } from '../support/pair.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const AT = '/ip4/192.0.2.1/tcp/4001'
const INDEX = new URL('../../ts/index.ts', import.meta.url).href
const WRITER = fileURLToPath(new URL('../support/programs/peerstore-writer.ts', import.meta.url))
const FULL = fileURLToPath(new URL('../support/programs/peerstore-full.ts', import.meta.url))

/** Rounds of the test that kills a process: `node tools/peerstore-kill.mjs --rounds 100` runs more. */
const ROUNDS = Number(process.env.PEERSTORE_KILL_ROUNDS ?? 10)

/** Returns the path of a file that does not exist, nor does its folder. */
async function newPath(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-peerstore-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'below', 'peers.redb')
}

test('what was stored is there after a restart, in a folder that is made', async (t) => {
  const path = await newPath(t)
  const before = await createNode(t, { peerstore: { path } })
  await before.peerstore.addAddrs(PEER, [AT], ADDRESS_TTL_PERMANENT)
  await before.peerstore.put(PEER, 'key', Uint8Array.of(1, 2, 3))
  const last = before.peerstore.setProtocols(PEER, ['/a', '/b'])
  await before.close()
  await last
  const after = await createNode(t, { peerstore: { path } })
  t.deepEqual(after.peerstore.addrs(PEER).map(String), [AT])
  t.deepEqual(after.peerstore.get(PEER, 'key'), Uint8Array.of(1, 2, 3))
  t.deepEqual(after.peerstore.getProtocols(PEER), ['/a', '/b'])
  await after.peerstore.removePeer(PEER)
  await after.close()
  const { peerstore } = await createNode(t, { peerstore: { path } })
  t.deepEqual(peerstore.peers(), [])
})

test('a swarm that is restarted dials a peer that it remembers', async (t) => {
  const path = await newPath(t)
  const privateKey = generatePrivateKey()
  const services = { identify: true }
  const listener = await createNode(t, { services })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const [address] = listener.getListenAddrs()
  const before = await createNode(t, { privateKey, services, peerstore: { path } })
  await identify(await before.dialAddr(`${address}`))
  await before.close()
  const after = await createNode(t, { privateKey, services, peerstore: { path } })
  t.deepEqual(after.peerstore.getProtocols(listener.peerId), listener.getProtocols())
  t.true(after.peerstore.pubKey(listener.peerId)?.equals(listener.privateKey.publicKey))
  const connection = await after.dialPeer(listener.peerId)
  t.is(`${connection.remoteAddr}`, `${address}`)
})

test('ten thousand peers are loaded over several pages', async (t) => {
  const path = await newPath(t)
  const before = await createNode(t, { peerstore: { path } })
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  const peers = Array.from({ length: 10_000 }, (_, index) => {
    const name = [3_364, 58, 1].map((part) => digits[Math.floor(index / part) % 58]).join('')
    return `QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjh${name}`
  })
  const value = new Uint8Array(300).fill(7)
  await Promise.all(peers.map((peer) => before.peerstore.put(peer, 'key', value)))
  await before.close()
  const { peerstore } = await createNode(t, { peerstore: { path } })
  t.is(peerstore.peers().length, 10_000)
  t.true(peers.every((peer) => peerstore.get(peer, 'key')?.length === 300))
})

test('a second swarm, and a second process, are refused with the path', async (t) => {
  const path = await newPath(t)
  const swarm = await createNode(t, { peerstore: { path } })
  await swarm.peerstore.put(PEER, 'key', Uint8Array.of(1))
  const err = await t.throwsAsync(createSwarm({ peerstore: { path } }), {
    instanceOf: PeerstoreLockedError
  })
  t.like(err, { code: 'ERR_PEERSTORE_LOCKED', kind: 'environment', path })
  t.true(err?.message.includes(path))
  const both = await Promise.allSettled(
    [1, 2].map(() => createSwarm({ peerstore: { path: `${path}.other` } }))
  )
  t.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  for (const one of both) {
    if (one.status === 'fulfilled') await one.value.close()
    else t.true(one.reason instanceof PeerstoreLockedError, `${one.reason}`)
  }
  const other = await program(process.execPath, [WRITER, path])
  t.is(other.code, 1)
  t.regex(other.err, /ERR_PEERSTORE_LOCKED/)
  await swarm.close()
  const free = await createNode(t, { peerstore: { path } })
  t.true(free.peerstore.has(PEER))
})

test('a file of another kind, or a damaged one, is refused and left as it is', async (t) => {
  const path = await newPath(t)
  const { peerstore, close } = await createNode(t, { peerstore: { path } }).then((swarm) => ({
    peerstore: swarm.peerstore,
    close: () => swarm.close()
  }))
  await peerstore.put(PEER, 'key', new Uint8Array(60_000).fill(7))
  await close()
  const whole = await readFile(path)
  for (const damaged of [Buffer.from('not a store'), whole.subarray(0, whole.length / 2)]) {
    await writeFile(path, damaged)
    const swarm = new Swarm({ peerstore: { path } })
    const err = await t.throwsAsync(swarm.start(), { instanceOf: PeerstoreCorruptError })
    t.like(err, { code: 'ERR_PEERSTORE_CORRUPT', path })
    t.false(swarm.isStarted())
    t.deepEqual(await readFile(path), damaged)
  }
})

test('a file is read to its end whatever its keys', async (t) => {
  const path = await newPath(t)
  await createNode(t)
  const store = new NativeBackend(path, () => {})
  await store.open()
  await store.commit(
    new Map([
      ['ÿa', Uint8Array.of(1)],
      ['ÿb', undefined]
    ])
  )
  const pages: string[] = []
  for await (const page of store.load()) for (const [key] of page) pages.push(key)
  t.deepEqual(pages, ['ÿa'], 'the end is reached after a key that is not ASCII')
  await store.close()
})

test('an empty file, and what is no file, are refused by that name', async (t) => {
  const path = await newPath(t)
  await mkdir(join(path, '..'))
  await writeFile(path, '')
  await t.throwsAsync(createSwarm({ peerstore: { path } }), {
    instanceOf: PeerstoreCorruptError,
    message: /the file is empty/
  })
})

test('a damaged file prints nothing', async (t) => {
  const path = await newPath(t)
  const swarm = await createNode(t, { peerstore: { path } })
  await swarm.peerstore.put(PEER, 'key', new Uint8Array(60_000).fill(7))
  await swarm.close()
  const damaged = await readFile(path)
  damaged.fill(0xa5, 4_096)
  await writeFile(path, damaged)
  const { code, err } = await program(process.execPath, ['--no-warnings', WRITER, path])
  t.is(code, 1)
  t.regex(err, /ERR_PEERSTORE_CORRUPT/)
  t.notRegex(err, /panicked|backtrace/)
})

test('a place that cannot be written is an error of the start', async (t) => {
  const path = await newPath(t)
  await mkdir(path, { recursive: true })
  await t.throwsAsync(createSwarm({ peerstore: { path } }), { instanceOf: PeerstoreError })
  await t.throwsAsync(createSwarm({ peerstore: { path: '/proc/nowhere/peers' } }), {
    instanceOf: PeerstoreError
  })
})

test('writes before the start resolve, and are stored by it; after a close they reject', async (t) => {
  const path = await newPath(t)
  const early = new Swarm({ peerstore: { path } })
  await early.peerstore.put(PEER, 'key', Uint8Array.of(1))
  await early.start()
  await early.close()
  const never = new Swarm({ peerstore: { path } })
  await never.close()
  const lost = never.peerstore.put(PEER, 'other', Uint8Array.of(1))
  await t.throwsAsync(lost, { message: 'the peerstore is closed' })
  const { peerstore } = await createNode(t, { peerstore: { path } })
  t.true(peerstore.get(PEER, 'key') !== undefined)
  t.is(peerstore.get(PEER, 'other'), undefined)
})

test('a swarm that is closed while it starts releases the file', async (t) => {
  const path = await newPath(t)
  const swarm = new Swarm({ peerstore: { path } })
  const starting = swarm.start()
  await Promise.all([t.throwsAsync(starting), swarm.close()])
  await createNode(t, { peerstore: { path } })
  t.true((await stat(path)).isFile())
})

test(`killing a writer ${ROUNDS} times at random moments loses nothing that was acknowledged`, async (t) => {
  t.timeout(ROUNDS * 10_000)
  const path = await newPath(t)
  // The largest number that was acknowledged, by peer and writer.
  const acknowledged = new Map<string, number>()
  let first = 1
  let writes = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const child = spawn(process.execPath, ['--no-warnings', WRITER, path, `${first}`], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const exited = once(child, 'exit')
    const lines = createInterface({ input: child.stdout })
    const ended = once(lines, 'close')
    lines.on('line', (line) => {
      // Half of the kills come before it is open, or soon after.
      if (line === 'ready') setTimeout(() => child.kill('SIGKILL'), Math.random() * 300)
      const [peer, writer, n] = line.split(' ')
      if (n === undefined) return
      acknowledged.set(`${peer} writer-${writer}`, Number(n))
      first = Math.max(first, Number(n) + 1)
      writes += 1
    })
    if (round % 4 === 3) setTimeout(() => child.kill('SIGKILL'), Math.random() * 400)
    await Promise.all([exited, ended])
    const swarm = await createSwarm({ peerstore: { path }, ioThreads: 1 })
    for (const [key, n] of acknowledged) {
      const [peer = '', writer = ''] = key.split(' ')
      const stored = Buffer.from(swarm.peerstore.get(peer, writer) ?? [])
      t.true(stored.length > 4 && stored.readUInt32LE() >= n, `round ${round}: ${key} ${n}`)
    }
    await swarm.close()
  }
  t.log(`${writes} writes acknowledged`)
  t.true(writes > 0)
})

// Windows bounds no file sizes.
if (process.platform !== 'win32') {
  test('a full disk rejects writes, memory keeps them, and what was stored stays', async (t) => {
    const path = await newPath(t)
    const command = `ulimit -f 16384; exec "$0" --no-warnings "$@"`
    const { code, out, err } = await program('sh', ['-c', command, process.execPath, FULL, path])
    t.is(code, 0, err)
    const { stored, ...rest } = JSON.parse(out) as { stored: string[]; code: string; again: string }
    t.is(rest.code, 'ERR_PEERSTORE')
    t.true(stored.length > 10, `${stored.length}`)
    const { peerstore } = await createNode(t, { peerstore: { path } })
    for (const peer of stored) t.is(peerstore.get(peer, 'key')?.length, 60_000)
  })
}

test('a process that exits during a commit does so at once and without an error', async (t) => {
  const path = await newPath(t)
  const source = `
    import { createSwarm } from ${JSON.stringify(INDEX)}
    const swarm = await createSwarm({ peerstore: { path: ${JSON.stringify(path)} } })
    await swarm.peerstore.put('${PEER}', 'key', Uint8Array.of(1))
    swarm.peerstore.put('${PEER}', 'key', new Uint8Array(60_000))
    setImmediate(() => process.exit(7))`
  const words = ['--no-warnings', '--input-type=module', '--eval', source]
  t.like(await program(process.execPath, words), { code: 7, err: '' })
  const { peerstore } = await createNode(t, { peerstore: { path } })
  t.true([1, 60_000].includes(peerstore.get(PEER, 'key')?.length ?? 0))
})
