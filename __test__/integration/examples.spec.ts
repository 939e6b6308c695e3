import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { program, ROOT, running } from '../support/cli.ts'

const EXAMPLES = join(ROOT, 'examples')

test('echo talks to itself', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'echo.mjs')])
  t.is(code, 0, err)
  t.regex(out, /^listening on .*\nconnected over .*\necho: hello swarm\n$/)
})

test('unix-socket connects two nodes over a Unix socket', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'unix-socket.mjs')])
  t.is(code, 0, err)
  t.is(out, 'connected over unix and /tls/1.0.0\nanswer: HELLO\n')
})

test('chat opens a stream over each of two connections', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'chat.mjs')])
  t.is(code, 0, err)
  const lines = out.trimEnd().split('\n')
  t.is(lines[0], 'Ada has 2 connections to Bob')
  const heard = lines.filter((line) => line.startsWith('Bob hears')).sort()
  t.is(heard.length, 2)
  t.regex(heard[0] ?? '', /its inbound connection: /)
  t.regex(heard[1] ?? '', /its outbound connection: /)
  t.is(lines.filter((line) => line === 'Ada knows that it was read').length, 2)
})

test('ranker decides which address is dialled first', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'ranker.mjs')])
  t.is(code, 0, err)
  t.is(
    out,
    'ranking 2 addresses of a peer\n/ip4/127.0.0.1/tcp/1 failed at connect: ERR_CONNECTION_REFUSED\nconnected: true\n'
  )
})

test('simulated-network survives a partition and a crash', async (t) => {
  const { code, out, err } = await program(process.execPath, [
    join(EXAMPLES, 'simulated-network.mjs')
  ])
  t.is(code, 0, err)
  const lines = [
    'the server says hello',
    /^lost the server after 40\.\d s$/,
    /^found it again after 4\d\.\d s$/,
    /^survived a crash of a minute, after 1\d\d\.\d s$/
  ]
  const said = out.trimEnd().split('\n')
  t.is(said.length, lines.length, out)
  for (const [index, line] of lines.entries()) t.regex(said[index] ?? '', new RegExp(line))
})

test('keep-alive connects to its server again', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'keep-alive.mjs')])
  t.is(code, 0, err)
  t.is(out, 'connected\ndisconnected\nconnected again\ndisconnected\n')
})

test('bootstrap lets three peers find each other', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'bootstrap.mjs')])
  t.is(code, 0, err)
  const lines = out.trimEnd().split('\n')
  t.regex(lines[0] ?? '', /^bootstrap node at /)
  // Each other, and the bootstrap node.
  t.deepEqual(lines.slice(1), Array(3).fill('connected with 3 peers'))
})

test('bootstrap remembers its peers in a file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-examples-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'peers.redb')
  const node = await running(t, [join(EXAMPLES, 'bootstrap.mjs'), '0', file])
  t.regex(node.firstLine, /^bootstrap node at /)
  node.child.kill('SIGTERM')
  t.deepEqual(await once(node.child, 'exit'), [0, null])
  t.true((await readFile(file)).length > 0)
})

test('gate refuses by network and by peer', async (t) => {
  const { code, out, err } = await program(process.execPath, [join(EXAMPLES, 'gate.mjs')])
  t.is(code, 0, err)
  const lines = out.trimEnd().split('\n')
  t.deepEqual(lines.slice(0, 3), [
    '/ip4/192.168.1.5/tcp/4001 is allowed',
    '/ip4/10.66.0.1/tcp/4001 is refused: deny 10.66.0.0/16',
    '/ip4/8.8.8.8/tcp/4001 is refused: not in the allow list'
  ])
  t.deepEqual(lines.slice(3), [
    'connected',
    'refused at secured: the peer is banned',
    'refused at accept: deny 127.0.0.1'
  ])
})

test('file-transfer delivers the whole file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-examples-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const inbox = join(folder, 'inbox')
  await mkdir(inbox)
  const bytes = randomBytes(3_000_000)
  await writeFile(join(folder, 'file.bin'), bytes)

  const receiver = await running(t, [join(EXAMPLES, 'file-transfer', 'receive.mjs'), inbox])
  const sender = await program(process.execPath, [
    join(EXAMPLES, 'file-transfer', 'send.mjs'),
    receiver.firstLine,
    join(folder, 'file.bin')
  ])
  t.is(sender.code, 0, sender.err)
  t.regex(sender.out, /3000000 bytes in .* hashes agree/)
  t.true(bytes.equals(await readFile(join(inbox, 'file.bin'))))

  receiver.child.kill('SIGTERM')
  t.deepEqual(await once(receiver.child, 'exit'), [0, null])
})
