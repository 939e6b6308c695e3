/** `ferroswarm check`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { ferroswarm, jsonLines, listener, MAIN, running } from '../support/cli.ts'
import { until } from '../support/pair.ts'
import { serveSockets } from '../support/sockets.ts'

/** Peer ids that nobody has. */
const STRANGER = '12D3KooWGC6TvWhfagpX6wvQHXSK7jBpLvyVnRhSRhVdfSNNGmwE'
const OTHER = '12D3KooWFpACUtWE6xif8depMYvQLbtDPWksLyFXjG2XAKDNVs4N'

/** An address that refuses connections: its listener is gone. */
async function dead(t: ExecutionContext): Promise<string> {
  const { child, addr } = await listener(t)
  child.kill('SIGKILL')
  await once(child, 'exit')
  return addr.slice(0, addr.indexOf('/p2p/'))
}

test('check describes a peer that answers', async (t) => {
  const { addr, peerId } = await listener(t)
  const text = await ferroswarm('check', addr)
  t.is(text.code, 0, text.err)
  t.is(text.err, '')
  t.true(text.out.startsWith(`  ${addr}: works, /tls/1.0.0 and /yamux/1.0.0 in `), text.out)
  t.regex(text.out, new RegExp(`^reachable: ${peerId}$`, 'm'))
  t.regex(text.out, /ferroswarm\/\S+, round trip .*, 1 of 1 addresses work$/m)
  t.regex(text.out, /^ {2}speaks .*\/ipfs\/ping\/1\.0\.0/m)
  const json = await ferroswarm('check', addr, '--json')
  t.is(json.code, 0)
  const [works, summary, ...rest] = jsonLines(json)
  t.like(works, { event: 'works', address: addr, resolvedFrom: null, peerId })
  t.like(summary, { event: 'summary', ok: true, works: 1, failed: 0, peerId, advice: '' })
  t.deepEqual(rest, [])
})

test('a connection over QUIC is shown without a muxer', async (t) => {
  const { child, firstLine, lines } = await running(t, [
    MAIN,
    'listen',
    '/ip4/127.0.0.1/udp/0/quic-v1'
  ])
  t.regex(firstLine, /^listening as /)
  await until(() => lines.length > 1)
  const addr = lines[1]?.trim() ?? ''
  const check = await ferroswarm('check', addr)
  t.is(check.code, 0, check.err)
  t.true(check.out.startsWith(`  ${addr}: works, /tls/1.0.0 in `), check.out)
  const dial = await ferroswarm('dial', addr)
  t.is(dial.code, 0, dial.err)
  t.regex(dial.out, /^ {2}security +\/tls\/1\.0\.0$/m)
  t.notRegex(dial.out, /^ {2}muxer +$/m)
  await until(() => lines.filter((line) => line.startsWith('+')).length === 2)
  for (const line of lines.filter((each) => each.startsWith('+'))) {
    t.regex(line, /quic-v1 over \/tls\/1\.0\.0$/)
  }
  child.kill('SIGTERM')
})

test('check of many addresses of one peer keeps one connection', async (t) => {
  const hosts = [2, 3, 4, 5, 6, 7].map((last) => `/ip4/127.0.0.${last}/tcp/0`)
  const { lines } = await listener(t, ...hosts)
  const { addrs } = JSON.parse(lines[0] ?? '') as { addrs: string[] }
  t.is(addrs.length, 7)
  const json = await ferroswarm('check', ...addrs, '--json')
  t.is(json.code, 0, json.err)
  t.like(jsonLines(json).at(-1), { event: 'summary', ok: true, works: 7, failed: 0 })
})

test('check of a dead port says that nothing listens there', async (t) => {
  const addr = await dead(t)
  const [text, json] = await Promise.all([
    ferroswarm('check', addr),
    ferroswarm('check', addr, '--json')
  ])
  t.deepEqual([text.code, json.code], [1, 1])
  t.regex(text.err, /connect failed after \d+ ms: ECONNREFUSED: .* \(nothing listens there\)/)
  t.regex(text.out, /^unreachable: no address works\n {2}What to do: Check the port, /)
  const [attempt, summary] = jsonLines(json)
  t.like(attempt, { event: 'attempt', address: addr, stage: 'connect' })
  t.like(summary, { event: 'summary', ok: false, works: 0, failed: 1, peerId: null })
})

test('check tells which of several addresses works', async (t) => {
  const [{ addr, peerId }, refusing] = await Promise.all([listener(t), dead(t)])
  const quic = '/ip4/127.0.0.1/udp/4001/quic'
  const { code, out, err } = await ferroswarm('check', refusing, addr, quic)
  t.is(code, 0)
  t.true(out.includes(`  ${addr}: works, `))
  t.regex(out, new RegExp(`^reachable, but not at every address: ${peerId}$`, 'm'))
  t.regex(out, /1 of 3 addresses work$/m)
  t.true(err.includes(`  ${refusing}: connect failed after `))
  t.true(err.includes(`  ${quic}: not tried: no transport takes /quic`))
})

test('check resolves a name', async (t) => {
  const { addr } = await listener(t)
  const name = addr.replace('/ip4/127.0.0.1/', '/dns4/localhost/')
  const text = await ferroswarm('check', name)
  t.is(text.code, 0, text.err)
  t.true(text.out.startsWith(`  localhost has 1 address\n  ${addr}: works, `), text.out)
  const [resolved, works] = jsonLines(await ferroswarm('check', name, '--json'))
  t.deepEqual(resolved, { event: 'resolved', address: name, addresses: [addr] })
  t.like(works, { event: 'works', address: addr, resolvedFrom: name })
})

test('check finds out that another peer answers', async (t) => {
  const { addr, peerId } = await listener(t)
  const wrong = addr.replace(peerId, STRANGER)
  const { code, out, err } = await ferroswarm('check', wrong)
  t.is(code, 1)
  t.true(err.includes(`expected peer ${STRANGER}, found ${peerId} (another peer listens there`))
  t.regex(out, /What to do: Check the \/p2p part of the address/)
})

test('the advice of check is about the address that got furthest', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const http = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const { code, out, err } = await ferroswarm('check', await dead(t), http)
  t.is(code, 1)
  t.true(err.includes(`  ${http}: security failed after `))
  t.regex(err, /the remote speaks HTTP, not libp2p/)
  t.regex(out, /What to do: Check the port: what answers there is not a libp2p node\./)
})

test('check gives up a silent address after --timeout', async (t) => {
  const silent = await serveSockets(t, () => {})
  const { code, err } = await ferroswarm('check', silent, '--timeout', '500')
  t.is(code, 1)
  t.regex(err, /still in the security handshake \(.* stays silent/)
})

test('check refuses addresses of different peers', async (t) => {
  const addr = '/ip4/127.0.0.1/tcp/1/p2p/'
  const { code, err } = await ferroswarm('check', addr + STRANGER, addr + OTHER)
  t.is(code, 2)
  t.regex(err, /the addresses are of different peers/)
})
