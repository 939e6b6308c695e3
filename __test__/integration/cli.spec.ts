import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import test from 'ava'
import { progressLine } from '../../ts/cli/output.ts'
import { ferroswarm, jsonLines, listener, MAIN, ROOT } from '../support/cli.ts'

const VERBS = ['demo', 'listen', 'dial', 'check', 'ping', 'perf', 'open', 'id', 'doctor']
const SECURITY = [
  ['noise', '/noise'],
  ['tls', '/tls/1.0.0']
] as const

test('lists its verbs, and explains each', async (t) => {
  const overview = await ferroswarm('--help')
  t.is(overview.code, 0)
  for (const verb of VERBS) {
    t.regex(overview.out, new RegExp(`^ {2}${verb} `, 'm'))
    const help = await ferroswarm(verb, '--help')
    t.is(help.code, 0)
    t.regex(help.out, new RegExp(`^usage: ferroswarm ${verb} `))
    t.regex(help.out, /--json/)
  }
})

test('usage errors exit with code 2 and one sentence', async (t) => {
  const calls = [
    [],
    ['fly'],
    ['ping'],
    ['ping', '/ip4/127.0.0.1/tcp/1', 'more'],
    ['ping', '/ip4/127.0.0.1/tcp/1', '-c', 'many'],
    ['perf', '/ip4/127.0.0.1/tcp/1', '--upload', 'lots'],
    ['dial', '/ip4/127.0.0.1/tcp/1', '--security', 'none'],
    ['dial', '/ip4/127.0.0.1/tcp/1', '--colour'],
    ['dial', 'somewhere'],
    ['listen', '/ip4/1.2.3/tcp/4'],
    ['open', '/ip4/127.0.0.1/tcp/1'],
    ['id', '--key', '/nowhere/at/all']
  ]
  for (const args of calls) {
    const { code, out, err } = await ferroswarm(...args)
    t.is(code, 2, args.join(' '))
    t.not(args.length === 0 ? out : err, '', args.join(' '))
  }
  const { code, out } = await ferroswarm('ping', '--json')
  t.is(code, 2)
  t.like(JSON.parse(out), { event: 'error', code: 'ERR_USAGE', attempts: [] })
})

test('listen prints its address, and exits cleanly on a signal', async (t) => {
  const { child, peerId, addr } = await listener(t)
  t.regex(addr, new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/\\d+/p2p/${peerId}$`))
  child.kill('SIGTERM')
  t.deepEqual(await once(child, 'exit'), [0, null])
})

for (const [name, protocol] of SECURITY) {
  test(`ping over ${name} prints a summary`, async (t) => {
    const { addr } = await listener(t)
    const ended = await ferroswarm(
      'ping',
      addr,
      '-c',
      '3',
      '--interval',
      '0',
      '--json',
      '--security',
      name
    )
    t.is(ended.code, 0, ended.out + ended.err)
    const lines = jsonLines(ended)
    t.deepEqual(
      lines.map(({ event }) => event),
      ['ping', 'ping', 'ping', 'summary']
    )
    t.like(lines.at(-1), { sent: 3, received: 3, security: protocol, muxer: '/yamux/1.0.0' })
    const [min = 0, p50 = 0, max = 0] = Object.values(lines.at(-1)?.rttMs as object) as number[]
    t.true(0 < min && min <= p50 && p50 <= max)
  })
}

test('dial describes the peer', async (t) => {
  const { addr, peerId } = await listener(t, '--perf')
  const [summary] = jsonLines(await ferroswarm('dial', addr, '--json'))
  t.like(summary, {
    event: 'summary',
    peerId,
    muxer: '/yamux/1.0.0',
    protocolVersion: 'ipfs/0.1.0'
  })
  t.regex(summary?.agentVersion as string, /^ferroswarm\/\d/)
  const protocols = summary?.protocols as string[]
  for (const name of ['/ipfs/ping/1.0.0', '/ipfs/id/1.0.0', '/echo/1.0.0', '/perf/1.0.0']) {
    t.true(protocols.includes(name), name)
  }
  t.deepEqual(Object.keys(summary?.stagesMs as object), [
    'connect',
    'security',
    'muxer',
    'identify'
  ])
})

test('perf transfers the requested bytes, both ways', async (t) => {
  const { addr } = await listener(t, '--perf')
  const ended = await ferroswarm(
    'perf',
    addr,
    '--upload',
    '3MiB',
    '--download',
    '5000000',
    '--json'
  )
  t.is(ended.code, 0, ended.out + ended.err)
  const summary = jsonLines(ended).at(-1)
  t.like(summary, { event: 'summary', uploadBytes: 3 * 1024 * 1024, downloadBytes: 5_000_000 })
  t.true((summary?.uploadSeconds as number) > 0)
  t.true((summary?.downloadSeconds as number) > 0)
})

test('perf reports a peer that does not support it', async (t) => {
  const { addr } = await listener(t)
  const ended = await ferroswarm('perf', addr, '--upload', '1', '--json')
  t.is(ended.code, 1)
  t.like(jsonLines(ended).at(-1), { event: 'error', code: 'ERR_UNSUPPORTED_PROTOCOL' })
})

test('a refused dial names address, stage, reason and remedy', async (t) => {
  const { addr, child } = await listener(t)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const text = await ferroswarm('dial', addr)
  t.is(text.code, 1)
  t.is(text.out, '')
  t.regex(text.err, /dial .* failed \(ERR_/)
  t.regex(text.err, /connect failed after \d+ ms: .*refused/)
  t.regex(text.err, /What to do: /)
  const json = await ferroswarm('dial', addr, '--json')
  t.is(json.code, 1)
  const [attempt, error] = jsonLines(json)
  t.like(attempt, { event: 'attempt', stage: 'connect', code: 'ERR_CONNECTION_REFUSED' })
  t.like(error, { attempts: [{ stage: 'connect', code: 'ERR_CONNECTION_REFUSED' }] })
})

test('a key that was written gives the same peer id, and is never overwritten', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-cli-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'key')
  const [made] = jsonLines(await ferroswarm('id', '--out', path, '--json'))
  const [read] = jsonLines(await ferroswarm('id', '--key', path, '--json'))
  t.deepEqual(read, made)
  t.is((await stat(path)).mode & 0o777, 0o600)
  t.is((await ferroswarm('id', '--out', path)).code, 2)
  const { peerId } = await listener(t, '--key', path)
  t.is(peerId, made?.peerId as string)
})

test('the demo shows everything and exits with code 0', async (t) => {
  const ended = await ferroswarm('demo', '--json')
  t.is(ended.code, 0, ended.out + ended.err)
  const lines = jsonLines(ended)
  t.deepEqual(
    lines.map(({ event }) => event),
    ['peers', 'connected', 'ping', 'echo', 'summary']
  )
  t.like(lines.at(-1), { uploadBytes: 256 * 1024 * 1024, downloadBytes: 256 * 1024 * 1024 })
})

test('output to a pipe has neither colours nor a progress bar', async (t) => {
  const { addr } = await listener(t, '--perf')
  const { out } = await ferroswarm('perf', addr, '--upload', '1MiB', '--download', '1MiB')
  t.false(out.includes('\x1b'))
  t.false(out.includes('\r'))
})

test('prints its version', async (t) => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  t.like(await ferroswarm('--version'), { code: 0, out: `ferroswarm ${version}\n`, err: '' })
})

test('a file that is not a key is a usage error that names the key', async (t) => {
  const { code, err } = await ferroswarm('id', '--key', join(ROOT, 'package.json'))
  t.is(code, 2)
  t.regex(err, /--key: .*package\.json is not a private key/)
})

test('a host that accepts and stays silent is reported as silent', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const addr = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const [text, json] = await Promise.all([
    ferroswarm('dial', addr),
    ferroswarm('dial', addr, '--json')
  ])
  t.is(text.code, 1)
  t.regex(text.err, /security failed after \d+ ms: timed out/)
  t.regex(text.err, /stays silent/)
  const [attempt] = (jsonLines(json).at(-1)?.attempts ?? []) as {
    elapsedMs: number
    hint: string
  }[]
  t.regex(attempt?.hint ?? '', /stays silent/)
  t.regex(String(attempt?.elapsedMs), /^\d+(?:\.\d{1,6})?$/)
})

test('--timeout bounds the time to connect', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const addr = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const ended = await ferroswarm('dial', addr, '--timeout', '50', '--json')
  t.is(ended.code, 1)
  t.like(jsonLines(ended)[0], { event: 'error', code: 'ERR_TIMEOUT' })
})

test('open pipes standard input and output through a stream', async (t) => {
  const { addr } = await listener(t)
  const bytes = randomBytes(3_000_000)
  const child = spawn(process.execPath, [MAIN, 'open', addr, '/echo/1.0.0', '--json'])
  child.stdin.end(bytes)
  const [out, err] = await Promise.all([buffer(child.stdout), text(child.stderr)])
  t.true(out.equals(bytes))
  t.like(JSON.parse(err), { event: 'summary', sentBytes: 3_000_000, receivedBytes: 3_000_000 })
})

test('open exits when the peer does not support the protocol, whatever the input', async (t) => {
  const { addr } = await listener(t)
  const child = spawn(process.execPath, [MAIN, 'open', addr, '/nobody/1.0.0', '--json'])
  t.teardown(() => child.kill('SIGKILL'))
  const [[code], err] = await Promise.all([once(child, 'exit'), text(child.stderr)])
  t.is(code, 1)
  t.like(JSON.parse(err), { event: 'error', code: 'ERR_UNSUPPORTED_PROTOCOL' })
})

test('a closed output pipe ends it quietly', async (t) => {
  const { addr } = await listener(t)
  const args = [MAIN, 'ping', addr, '-c', '1000', '--interval', '1']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  await once(child.stdout, 'data')
  child.stdout.destroy()
  const [[code], err] = await Promise.all([once(child, 'exit'), text(child.stderr)])
  t.is(code, 0)
  t.is(err, '')
})

test('a progress bar fits the width of its terminal', (t) => {
  for (const columns of [0, 1, 10, 20, 30, 40, 80, 200]) {
    const line = progressLine('download', 0.5, ' 50 %  1234 MB/s', columns)
    t.true(line.length < Math.max(columns, 1), `${columns}: ${line.length}`)
  }
  t.is(progressLine('up', 0.5, '50 %', 80), `up ${'█'.repeat(12)}${'░'.repeat(12)} 50 %`)
})
