/** A DNS server on loopback, UDP and TCP on one port, closed when the test ends. Its answers are the test's. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

const TYPES = { A: 1, CNAME: 5, TXT: 16, AAAA: 28 } as const
export type RecordType = keyof typeof TYPES

export const NXDOMAIN = 3
export const SERVFAIL = 2
export const REFUSED = 5

export interface Question {
  readonly id: number
  readonly name: string
  readonly type: RecordType
  readonly transport: 'udp' | 'tcp'
}

/** A record: an address, the target of an alias, or the strings of a text. */
export interface DnsRecord {
  readonly name: string
  readonly type: RecordType
  readonly value: string | readonly (string | Uint8Array)[]
}

/** A packet of the server. */
export interface Reply {
  readonly records?: readonly DnsRecord[]
  /** The response code; 0 by default. */
  readonly code?: number
  readonly truncated?: boolean
  /** Another id, or another question, than that of the query. */
  readonly id?: number
  readonly question?: string
}

/** Returns the packets that answer a question; none for silence. */
export type Answer = (question: Question) => readonly Reply[]

export interface DnsServer {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** The questions so far. */
  readonly questions: readonly Question[]
  /** Resolves when a question has arrived that `is` accepts. */
  asked(is: (question: Question) => boolean): Promise<void>
  /** Resolves when every TCP connection has ended. */
  ended(): Promise<void>
}

/** Records by name and type, such as `'a.test A': ['192.0.2.1']`; other names do not exist. */
export type Zone = Readonly<Record<string, readonly DnsRecord['value'][]>>

/** Returns the answers of a zone. */
export function zone(records: Zone): Answer {
  const names = new Set(Object.keys(records).map((key) => key.split(' ')[0]))
  return ({ name, type }) => {
    if (!names.has(name)) return [{ code: NXDOMAIN }]
    const values = records[`${name} ${type}`] ?? []
    return [{ records: values.map((value) => ({ name, type, value })) }]
  }
}

export async function startDnsServer(t: ExecutionContext, answer: Answer): Promise<DnsServer> {
  const questions: Question[] = []
  const waiting = new Set<() => void>()
  const packets = (query: Buffer, transport: 'udp' | 'tcp'): Buffer[] => {
    const question = questionOf(query, transport)
    questions.push(question)
    for (const check of waiting) check()
    return answer(question).map((reply) => packet(question, reply))
  }
  const sockets = new Set<Socket>()
  const tcp = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    let received = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE()
        for (const bytes of packets(received.subarray(2, end), 'tcp')) {
          socket.write(Buffer.concat([word(bytes.length), bytes]))
        }
        received = received.subarray(end)
      }
    })
  })
  const udp = createSocket('udp4', (query, { port }) => {
    for (const bytes of packets(query, 'udp')) udp.send(bytes, port, '127.0.0.1')
  })
  const port = await bind(tcp, udp)
  t.teardown(() => {
    udp.close()
    tcp.close()
    for (const socket of sockets) socket.destroy()
  })
  const asked = (is: (question: Question) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!questions.some(is)) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  const ended = async (): Promise<void> => {
    await Promise.all([...sockets].map((socket) => once(socket, 'close')))
  }
  return { address: `127.0.0.1:${port}`, questions, asked, ended }
}

/** Binds both to one port, which the UDP socket may find taken. */
async function bind(tcp: ReturnType<typeof createServer>, udp: UdpSocket): Promise<number> {
  for (;;) {
    tcp.listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const address = tcp.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      udp.bind(port, '127.0.0.1')
      await once(udp, 'listening')
      return port
    } catch {
      tcp.close()
      await once(tcp, 'close')
    }
  }
}

function questionOf(query: Buffer, transport: 'udp' | 'tcp'): Question {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const code = query.readUInt16BE(at + 1)
  const type = Object.entries(TYPES).find(([, number]) => number === code)?.[0]
  // Only these are asked for.
  return {
    id: query.readUInt16BE(),
    name: labels.join('.'),
    type: type as RecordType,
    transport
  }
}

function packet({ id, name, type }: Question, reply: Reply): Buffer {
  const records = reply.records ?? []
  const flags = 0x8180 | (reply.truncated === true ? 0x0200 : 0) | (reply.code ?? 0)
  return Buffer.concat([
    ...[reply.id ?? id, flags, 1, records.length, 0, 0].map(word),
    encodedName(reply.question ?? name),
    word(TYPES[type]),
    word(1),
    ...records.map(encodedRecord)
  ])
}

function encodedRecord({ name, type, value }: DnsRecord): Buffer {
  const data = encodedValue(type, value)
  return Buffer.concat([
    encodedName(name),
    word(TYPES[type]),
    word(1),
    word(0),
    word(60),
    word(data.length),
    data
  ])
}

function encodedValue(type: RecordType, value: DnsRecord['value']): Buffer {
  const strings = typeof value === 'string' ? [value] : value
  const [text = ''] = strings.map(String)
  switch (type) {
    case 'A':
      return Buffer.from(text.split('.').map(Number))
    case 'AAAA':
      return encodedIPv6(text)
    case 'CNAME':
      return encodedName(text)
    case 'TXT':
      return Buffer.concat(
        strings.map((string) => {
          const bytes = Buffer.from(string as string)
          return Buffer.concat([Buffer.from([bytes.length]), bytes])
        })
      )
  }
}

function encodedIPv6(text: string): Buffer {
  const [head = '', tail = ''] = text.split('::')
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((digits) => Number.parseInt(digits, 16))
  const [first, last] = [words(head), words(tail)]
  const zeros = new Array<number>(8 - first.length - last.length).fill(0)
  return Buffer.concat([...first, ...zeros, ...last].map(word))
}

function encodedName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0])
  ])
}

function word(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
