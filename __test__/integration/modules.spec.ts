import test from 'ava'
import { program } from '../support/cli.ts'

const INDEX = new URL('../../ts/index.ts', import.meta.url)
const IO = new URL('../../ts/io/index.ts', import.meta.url)

// The startup cost of a program is files to find, read and compile. One module per feature of the package; more
// need a reason.
const MODULES_MAX = 156
const IO_MODULES_MAX = 27
// Importing a builtin of Node creates all of its exports: 5 ms for node:fs, 3 ms for node:util, 0.4 ms for these.
// node:module is not seen, as the probe itself imports it.
const BUILTINS = ['node:diagnostics_channel']

interface Loaded {
  readonly files: readonly string[]
  /** Builtins that were imported; `require` does not create their exports. */
  readonly builtins: readonly string[]
}

/** Modules loaded at each `dump()` of `body`, where `entry` holds the exports of the entry point. */
async function loadedBy(body: string, entry = INDEX): Promise<Loaded[]> {
  const source = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({
      load: (url, context, next) => {
        loaded.push({ url, isImport: context.conditions.includes('import') })
        return next(url, context)
      }
    })
    const dump = () => console.log(JSON.stringify(loaded))
    const entry = await import(${JSON.stringify(entry.href)})
    const { createSwarm } = entry
    ${body}`
  const words = ['--no-warnings', '--input-type=module', '--eval', source]
  const { code, out, err } = await program(process.execPath, words)
  if (code !== 0) throw new Error(err)
  return out
    .trim()
    .split('\n')
    .map((text) => {
      const loaded = JSON.parse(text) as { url: string; isImport: boolean }[]
      const urls = loaded.map(({ url }) => url)
      const imported = loaded.filter(({ isImport }) => isImport).map(({ url }) => url)
      return {
        files: urls.filter((url) => url.startsWith('file:')),
        builtins: imported.filter((url) => url.startsWith('node:'))
      }
    })
}

function librariesIn(loaded: Loaded | undefined): string[] {
  return loaded?.files.filter((file) => file.includes('/node_modules/')) ?? ['nothing was seen']
}

test(`importing the package loads at most ${MODULES_MAX} modules, none of them a library`, async (t) => {
  const [imported] = await loadedBy('dump()')
  t.log(`${imported?.files.length} modules`)
  t.true(imported?.files.some((file) => file.endsWith('/ts/swarm.ts')))
  t.true((imported?.files.length ?? 0) <= MODULES_MAX, `${imported?.files.length}`)
  t.deepEqual(librariesIn(imported), [])
  t.deepEqual(imported?.builtins, BUILTINS)
})

test(`a node that listens has loaded at most ${MODULES_MAX} modules, none of them a library`, async (t) => {
  const [listening] = await loadedBy(`
    const swarm = await createSwarm({ ioThreads: 1 })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    dump()
    await swarm.close()`)
  t.log(`${listening?.files.length} modules`)
  t.true((listening?.files.length ?? 0) <= MODULES_MAX, `${listening?.files.length}`)
  t.deepEqual(librariesIn(listening), [])
  t.deepEqual(listening?.builtins, BUILTINS)
})

test('addresses stay text until their components are read', async (t) => {
  const [before, after] = await loadedBy(`
    const swarm = await createSwarm({ ioThreads: 1 })
    swarm.addEventListener('listen', ({ detail }) => detail.toString())
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    const [addr] = swarm.getListenAddrs()
    addr.toString()
    dump()
    addr.getComponents()
    dump()
    await swarm.close()`)
  t.deepEqual(librariesIn(before), [])
  t.true(librariesIn(after).some((file) => file.includes('@multiformats/multiaddr')))
})

test('importing the package loads nothing of ferroswarm/testing', async (t) => {
  const [imported] = await loadedBy('dump()')
  t.deepEqual(
    imported?.files.filter((file) => file.includes('/ts/testing/')),
    []
  )
})

test(`ferroswarm/io loads at most ${IO_MODULES_MAX} modules, no library and nothing native`, async (t) => {
  const [imported] = await loadedBy('dump()', IO)
  t.log(`${imported?.files.length} modules`)
  t.true(imported?.files.some((file) => file.endsWith('/ts/io/varint-length.ts')))
  t.true((imported?.files.length ?? 0) <= IO_MODULES_MAX, `${imported?.files.length}`)
  t.deepEqual(librariesIn(imported), [])
  t.deepEqual(
    imported?.files.filter((file) => /addon|binding|\.node$/.test(file)),
    []
  )
})
