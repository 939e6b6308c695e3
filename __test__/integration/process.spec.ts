import { spawn } from 'node:child_process'
import test from 'ava'

const INDEX = new URL('../../ts/index.ts', import.meta.url)
const QUIET = '{ ioThreads: 1, services: { ping: false, identify: false } }'

interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

const CEILING_MS = 60_000

interface RunOptions {
  /** Code that runs before our index is loaded. */
  readonly before?: string
  /** Maximum lifetime after its first output, in milliseconds. */
  readonly lifeMs?: number
}

/** Runs a program against our index, and kills it if it does not end by itself. */
function run(program: string, { before = '', lifeMs }: RunOptions = {}): Promise<Outcome> {
  const source = `${before}\nconst { createSwarm } = await import(${JSON.stringify(INDEX.href)})\n${program}`
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', source])
  let output = ''
  let timer = setTimeout(() => child.kill('SIGKILL'), CEILING_MS)
  child.stdout.on('data', (text) => {
    output += text
    if (lifeMs === undefined) return
    clearTimeout(timer)
    timer = setTimeout(() => child.kill('SIGKILL'), lifeMs)
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, output })
    })
  })
}

test('a node without listeners and connections lets the process end', async (t) => {
  const { code, output } = await run(`await createSwarm(${QUIET}); console.log('up')`)
  t.is(output, 'up\n')
  t.is(code, 0)
})

test('a listening node keeps the process alive', async (t) => {
  const program = `const swarm = await createSwarm(${QUIET})
    await swarm.listen('/ip4/127.0.0.1/tcp/0'); console.log('up')`
  const { signal, output } = await run(program, { lifeMs: 1_000 })
  t.is(output, 'up\n')
  t.is(signal, 'SIGKILL')
})

test('an unreferenced node does not, while a pending command still does', async (t) => {
  const program = `const swarm = await createSwarm(${QUIET})
    swarm.unref(); await swarm.listen('/ip4/127.0.0.1/tcp/0'); console.log('up')`
  const { code, output } = await run(program)
  t.is(output, 'up\n')
  t.is(code, 0)
})

test('closing lets the process end', async (t) => {
  const program = `const swarm = await createSwarm(${QUIET})
    await swarm.listen('/ip4/127.0.0.1/tcp/0'); await swarm.close(); console.log('closed')`
  const { code, output } = await run(program)
  t.is(output, 'closed\n')
  t.is(code, 0)
})

test('the close of an unreferenced node keeps the process alive until a muxer that hangs is given up', async (t) => {
  const program = `const swarm = await createSwarm(${QUIET})
    const hangs = () => new Promise(() => {})
    const remotePeer = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
    swarm.addConnection({ isClosed: false, openStream: hangs, acceptStream: hangs, close: hangs, closeWithError: hangs },
      { remotePeer })
    swarm.unref(); await swarm.close({ drainTimeout: 0 }); console.log('closed')`
  const { code, output } = await run(program)
  t.is(output, 'closed\n')
  t.is(code, 0)
})

test('an exit under traffic is not a crash', async (t) => {
  const program = `
    const [a, b] = await Promise.all([createSwarm(${QUIET}), createSwarm(${QUIET})])
    await b.listen('/ip4/127.0.0.1/tcp/0')
    b.handle('/sink', async (stream) => { for await (const _ of stream); })
    const stream = await a.newStream(b.peerId, '/sink', { addresses: b.getListenAddrs() })
    setTimeout(() => process.exit(7), 200)
    for (;;) await stream.write(new Uint8Array(100_000))`
  const { code, output } = await run(program)
  t.is(output, '')
  t.is(code, 7)
})

test('a second instance of the package in one environment works beside the first', async (t) => {
  // As with a test runner's module registry or hot module replacement: every module again, the addon from its cache.
  const before = `
    const { registerHooks } = await import('node:module')
    registerHooks({ resolve(specifier, context, next) {
      const found = next(specifier, context)
      const isAgain = context.parentURL?.endsWith('?again') && /\\/ts\\/.*\\.[jt]s$/.test(found.url)
      return isAgain ? { ...found, url: found.url + '?again' } : found
    } })`
  const program = `
    const again = await import(${JSON.stringify(`${INDEX.href}?again`)})
    const swarms = await Promise.all([createSwarm(${QUIET}), again.createSwarm(${QUIET})])
    console.log(createSwarm === again.createSwarm)
    for (const swarm of swarms) {
      swarm.handle('/echo', async (stream) => {
        for await (const chunk of stream) await stream.write(chunk)
        await stream.close()
      })
      await swarm.listen('/ip4/127.0.0.1/tcp/0')
    }
    for (const [near, far] of [swarms, swarms.toReversed()]) {
      const addresses = far.getListenAddrs().map(String)
      const stream = await near.newStream(far.peerId.toString(), '/echo', { addresses })
      await stream.write(Buffer.from('hello'))
      await stream.closeWrite()
      console.log(Buffer.from(await stream.read()).toString())
    }
    await swarms[0].close()
    console.log(swarms[1].isStarted())
    await swarms[1].close()`
  const { code, output } = await run(program, { before })
  t.is(output, 'false\nhello\nhello\ntrue\n')
  t.is(code, 0)
})

test('a plain node loads neither peer ids nor addresses nor keys of js-libp2p', async (t) => {
  const before = `
    const { registerHooks } = await import('node:module')
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })`
  const program = `
    const swarm = await createSwarm({ ioThreads: 1 })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    const lazy = /@libp2p\\/(peer-id|crypto)|@multiformats/
    console.log(loaded.some((url) => url.endsWith('swarm.ts')), loaded.filter((url) => lazy.test(url)).length)
    swarm.getListenAddrs()[0].getComponents()
    console.log(loaded.some((url) => lazy.test(url)))
    await swarm.close()`
  const { output } = await run(program, { before })
  t.is(output, 'true 0\ntrue\n')
})
