import test from 'ava'
import { program } from '../support/cli.ts'

const INDEX = new URL('../../ts/index.ts', import.meta.url)
const IO = new URL('../../ts/io/index.ts', import.meta.url)

// What a program pays before its first byte is files to find, read and compile. This is one for each thing that
// the package does and a few to spare; more want a reason.
const MODULES_MAX = 66
const IO_MODULES_MAX = 24

/** The files loaded so far at each `look()` of `body`, which finds an entry's exports in `entry`. */
async function filesLoadedBy(body: string, entry = INDEX): Promise<string[][]> {
  const source = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    const look = () => console.log(JSON.stringify(loaded.filter((url) => url.startsWith('file:'))))
    const entry = await import(${JSON.stringify(entry.href)})
    const { createSwarm } = entry
    ${body}`
  const words = ['--no-warnings', '--input-type=module', '--eval', source]
  const { code, out, err } = await program(process.execPath, words)
  if (code !== 0) throw new Error(err)
  return out
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as string[])
}

function librariesIn(files: readonly string[] | undefined): string[] {
  return files?.filter((file) => file.includes('/node_modules/')) ?? ['nothing was seen']
}

test(`importing the package loads at most ${MODULES_MAX} modules, none of them a library`, async (t) => {
  const [imported] = await filesLoadedBy('look()')
  t.log(`${imported?.length} modules`)
  t.true(imported?.some((file) => file.endsWith('/ts/swarm.ts')))
  t.true((imported?.length ?? 0) <= MODULES_MAX, `${imported?.length}`)
  t.deepEqual(librariesIn(imported), [])
})

test(`a node that listens has loaded at most ${MODULES_MAX} modules, none of them a library`, async (t) => {
  const [listening] = await filesLoadedBy(`
    const swarm = await createSwarm({ ioThreads: 1 })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    look()
    await swarm.close()`)
  t.log(`${listening?.length} modules`)
  t.true((listening?.length ?? 0) <= MODULES_MAX, `${listening?.length}`)
  t.deepEqual(librariesIn(listening), [])
})

test('addresses are text until somebody asks for more', async (t) => {
  const [before, after] = await filesLoadedBy(`
    const swarm = await createSwarm({ ioThreads: 1 })
    swarm.addEventListener('listen', ({ detail }) => detail.toString())
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    const [addr] = swarm.getListenAddrs()
    addr.toString()
    look()
    addr.getComponents()
    look()
    await swarm.close()`)
  t.deepEqual(librariesIn(before), [])
  t.true(librariesIn(after).some((file) => file.includes('@multiformats/multiaddr')))
})

test(`ferroswarm/io loads at most ${IO_MODULES_MAX} modules, no library and nothing native`, async (t) => {
  const [imported] = await filesLoadedBy('look()', IO)
  t.log(`${imported?.length} modules`)
  t.true(imported?.some((file) => file.endsWith('/ts/io/varint-length.ts')))
  t.true((imported?.length ?? 0) <= IO_MODULES_MAX, `${imported?.length}`)
  t.deepEqual(librariesIn(imported), [])
  t.deepEqual(
    imported?.filter((file) => /addon|binding|\.node$/.test(file)),
    []
  )
})
