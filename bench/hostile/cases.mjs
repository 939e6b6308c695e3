// The cases. Each resolves to its result and whether that keeps the bar.

import {
  changed,
  DATA,
  FIN,
  OPEN,
  PING,
  RST,
  SYN,
  times,
  WINDOW,
  WINDOW_UPDATE
} from '../../__test__/support/bad-input.ts'
import { varint } from '../../__test__/support/raw-noise.ts'
import { line, MULTISTREAM } from '../../__test__/support/raw-peer.ts'
import { startVictim } from '../../__test__/support/victim.ts'
import { connect, dribble, FLOODS, flood, isDisconnected, STAGES, session } from './attacks.mjs'
import { CONTESTED } from './contested.mjs'
import { PRESSURES } from './pressure.mjs'

const KIB = 1_024
const MIB = KIB * KIB
/** No connection is refused, or closed for being slow, while memory is measured. */
const PATIENT = {
  limits: {
    transient: { connectionsInbound: 65_535, connections: 65_535, fds: 'unlimited' },
    keepaliveTimeoutMs: 300_000
  },
  connections: { max: 65_535, inboundUpgradeTimeout: 300_000 }
}
const HELD = 4_000
/** Connections before the measured ones, so that one-time allocations are not counted. */
const WARM_UP = 400

const HELD_KIB_MAX = { silent: 4, noise: 8, 'message 2': 12, upgraded: 16 }

/** The point of order one: as an ed25519 key, it verifies signatures that anyone can forge. */
const IDENTITY_POINT = Buffer.from(`01${'00'.repeat(31)}`, 'hex')
const LOW_ORDER = Buffer.alloc(32)

export const CASES = [
  {
    name: 'upgrade deadline kept (A011, A012, A028), s',
    bar: '10',
    run: () =>
      withVictim({}, async (victim) => {
        const peer = await connect(victim)
        const started = performance.now()
        const closed = await isDisconnected(peer, 20_000)
        const seconds = (performance.now() - started) / 1_000
        return verdict(closed && seconds < 11, closed ? seconds.toFixed(1) : 'open')
      })
  },
  ...Object.entries(STAGES).map(([stage, advance]) => ({
    name: `KiB pinned per held connection, ${stage}`,
    bar: `<= ${HELD_KIB_MAX[stage]}`,
    run: () => withVictim(PATIENT, (victim) => held(victim, advance, HELD_KIB_MAX[stage]))
  })),
  {
    name: 'data frames of 1 byte: memory over bytes (A073)',
    bar: '<= 2x',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const { sent, grown } = await dribble(victim, 64)
        return verdict(grown <= 2 * sent, `${Math.max(0, grown / sent).toFixed(2)}x`)
      })
  },
  tolerated('50,000 SYN+FIN (A078)', 'SYN+FIN', 25),
  tolerated('1,000,000 pings unread (A080)', 'ping', 200),
  closes('200,000 SYN (A079)', 'SYN', 50, 'closed'),
  closes('100,000 SYN+RST (A077)', 'SYN+RST', 50, 'closed'),
  closes('1,000,000 empty frames (A075)', 'empty', 250, 'closed'),
  closes('120 MB for unknown streams (A092)', 'stray', 2_000, 'closed'),
  closes('1,000,000 window updates of 1', 'credit', 200, 'closed'),
  sends('65 proposals (A008)', (peer) =>
    peer.send(line(MULTISTREAM), ...times(65, (index) => line(`/unknown/${index}`)))
  ),
  sends('1,000 listings (A009)', (peer) =>
    peer.send(line(MULTISTREAM), ...times(1_000, () => line('ls')))
  ),
  frames('credit overflow (A068)', [OPEN, { type: WINDOW_UPDATE, id: 1, length: 0xffff0000 }]),
  frames('data length 0xFFFFFFFF (A071)', [OPEN, { type: DATA, id: 1, length: 0xffffffff }]),
  frames('the same on an unknown stream', [{ type: DATA, id: 9, length: 0xffffffff }]),
  frames('header of 1 MiB without its body (A072)', [OPEN, { type: DATA, id: 1, length: MIB }]),
  frames('data past the window (A067, A095)', [OPEN, { type: DATA, id: 1, length: WINDOW + 1 }]),
  frames('SYN on a live id (A084)', [OPEN, OPEN]),
  {
    name: 'data after FIN (A087)',
    bar: 'stream reset',
    run: () =>
      withVictim({}, async (victim) => {
        const { peer, session: yamux } = await session(victim)
        yamux.send(OPEN, { ...OPEN, flags: FIN }, { type: DATA, id: 1, body: Buffer.alloc(9) })
        yamux.send({ type: PING, flags: SYN, length: 77 })
        let reset = false
        for (let pong = false; !pong; ) {
          const frame = await yamux.frame()
          reset ||= frame.id === 1 && (frame.flags & RST) !== 0
          pong = frame.type === PING && frame.length === 77
        }
        return verdict(reset && !peer.socket.destroyed, reset ? 'stream reset' : 'ignored')
      })
  },
  dials('Noise point of low order, ephemeral (A025)', { ephemeral: LOW_ORDER }),
  dials('Noise point of low order, static (A026)', { static: LOW_ORDER }),
  dials('handshake payload of 60 KiB (A029)', {
    payload: (payload) => Buffer.concat([payload, Buffer.alloc(60_000)])
  }),
  dials('ed25519 identity-point key', {
    payload: (payload) =>
      [...IDENTITY_POINT].reduce((bytes, byte, at) => changed(bytes, 6 + at, byte), payload)
  }),
  {
    name: 'Noise frame of length 0 (A044)',
    bar: 'closed',
    run: () =>
      withVictim({}, async (victim) => {
        const { peer } = await session(victim)
        peer.send(Buffer.of(0, 0))
        return closedOr(await isDisconnected(peer))
      })
  },
  sends('protocol line of 1,025 bytes (A003)', (peer) =>
    peer.send(line(MULTISTREAM), varint(1_025), Buffer.alloc(1_025, 'x'))
  ),
  {
    name: 'CPU per abandoned handshake, ms',
    bar: '',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const count = 500
        const before = await victim.figures()
        for (let done = 0; done < count; done += 1) {
          const peer = await connect(victim)
          await STAGES['message 2'](peer)
          peer.socket.resetAndDestroy()
        }
        const after = await victim.figures()
        const ms = (after.processorMs - before.processorMs) / count
        return verdict(true, ms.toFixed(2))
      })
  },
  {
    name: 'descriptors back after 1,000 resets (A149), s',
    bar: '<= 0.25',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const { descriptors } = await victim.figures()
        const peers = await many(victim, 1_000, STAGES.silent)
        for (const peer of peers) peer.socket.resetAndDestroy()
        const started = performance.now()
        await victim.figuresWhen((figures) => figures.descriptors <= descriptors)
        const seconds = (performance.now() - started) / 1_000
        return verdict(seconds <= 0.25, seconds.toFixed(2))
      })
  },
  ...CONTESTED,
  ...PRESSURES
]

/** Runs a case against a fresh victim, whose bystander must still be served afterwards. */
async function withVictim({ limits, connections }, run) {
  const victim = await startVictim(limits, { connections })
  try {
    const result = await run(victim)
    await victim.echo()
    return result
  } finally {
    await victim.close()
  }
}

function verdict(isKept, text) {
  return { isKept, text }
}

function closedOr(closed) {
  return verdict(closed, closed ? 'closed' : 'open')
}

/** Opens connections up to a stage, a few at a time. */
async function many(victim, count, advance) {
  const peers = []
  while (peers.length < count) {
    const batch = await Promise.all(times(50, () => connect(victim)))
    await Promise.all(batch.map(advance))
    peers.push(...batch)
  }
  return peers
}

async function held(victim, advance, kibMax) {
  const early = await many(victim, WARM_UP, advance)
  const before = await victim.figures()
  const peers = await many(victim, HELD, advance)
  const after = await victim.figures()
  const kib = (after.residentBytes - before.residentBytes) / HELD / KIB
  for (const peer of [...early, ...peers]) peer.socket.destroy()
  return verdict(kib <= kibMax, kib.toFixed(1))
}

/** A permitted flood: the connection stays open, and memory grows by at most 1 MiB. */
function tolerated(name, kind, rounds) {
  return {
    name,
    bar: 'stays open, <= 1 MiB',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const { peer, session: yamux } = await session(victim)
        // A short flood first, so that one-time allocations are not counted.
        await flood(peer, yamux, 1, FLOODS[kind])
        await victim.echo()
        const before = await victim.figures()
        const reads = kind !== 'ping'
        if (reads) peer.socket.resume()
        await flood(peer, yamux, rounds, (round) => FLOODS[kind](round + 1))
        await victim.echo()
        const after = await victim.figuresWhen(({ streams }) => streams === 0)
        const grown = after.residentBytes - before.residentBytes
        const isOpen = !peer.socket.destroyed
        const text = `${isOpen ? 'stays open' : 'closed'}, ${signed(grown)} MiB`
        return verdict(isOpen && grown <= MIB, text)
      })
  }
}

/** A flood for which the connection is closed. */
function closes(name, kind, rounds, bar) {
  return {
    name,
    bar,
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const { peer, session: yamux } = await session(victim)
        yamux.send({ ...OPEN, id: 1 })
        await victim.echo()
        const before = await victim.figures()
        if (kind === 'SYN') peer.socket.resume()
        const isAccepted = await flood(peer, yamux, rounds, (round) => FLOODS[kind](round + 1))
        const closed = !isAccepted || (await isDisconnected(peer))
        const after = await victim.figuresWhen(({ connections }) => connections === 1 || !closed)
        const grown = after.residentBytes - before.residentBytes
        return verdict(closed, `${closed ? 'closed' : 'open'}, ${signed(grown)} MiB`)
      })
  }
}

/** Invalid bytes instead of a handshake. */
function sends(name, send) {
  return {
    name,
    bar: 'closed',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const peer = await connect(victim)
        send(peer)
        return closedOr(await isDisconnected(peer))
      })
  }
}

/** Frames that violate yamux. */
function frames(name, list) {
  return {
    name,
    bar: 'closed',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const { peer, session: yamux } = await session(victim)
        yamux.send(...list)
        const code = await yamux.goAway().catch(() => undefined)
        const closed = await isDisconnected(peer)
        return verdict(closed, closed ? `closed${code === 1 ? `, GoAway ${code}` : ''}` : 'open')
      })
  }
}

/** A handshake that must not succeed. */
function dials(name, misconduct) {
  return {
    name,
    bar: 'refused',
    run: () =>
      withVictim(PATIENT, async (victim) => {
        const peer = await connect(victim)
        await peer.dial(misconduct).catch(() => {})
        const refused = await isDisconnected(peer)
        const { connections } = await victim.figures()
        return verdict(refused && connections === 1, refused ? 'refused' : 'admitted')
      })
  }
}

function signed(bytes) {
  const mib = bytes / MIB
  return `${mib < 0 ? '-' : '+'}${Math.abs(mib).toFixed(1)}`
}
