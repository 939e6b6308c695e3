// Attacks beside which other peers are served, see contest.mjs.

import { hosts } from './assault.mjs'
import { contest } from './contest.mjs'

const MIB = 1_024 * 1_024
/** Records a second, of 2,000 to 5,000 frames. */
const RECORDS = 25
/** Handshakes a second: a tenth of those that one core can do. */
const HANDSHAKES = 250
/** Limits that an attack at this rate reaches within a window. Upgraded connections are no longer transient. */
const HANDSHAKE_LIMITS = {
  'message 2': { transient: { connectionsInbound: 64 } },
  upgraded: { system: { memory: 64 * MIB, connections: 64 } }
}
/** The attacker's first address in cases with many. */
const HOST = hosts(1)[0]

export const CONTESTED = [
  contest('others beside 500 connects a second of one host (A150)', {
    assault: 'connects',
    host: HOST,
    options: { count: 1, perSecond: 500 },
    sink: 'close',
    counted: 'refused'
  }),
  ...['silent', 'noise', 'message 2', 'upgraded'].map((stage) =>
    contest(`others beside 1,000 connections that stall, ${stage} (A152)`, {
      assault: 'stalls',
      host: HOST,
      options: {
        stage,
        held: 1_000,
        perSecond: stage in HANDSHAKE_LIMITS ? HANDSHAKES : 2 * HANDSHAKES
      },
      limits: HANDSHAKE_LIMITS[stage] ?? {},
      counted: 'refused'
    })
  ),
  contest('others beside 1,000 connects a second that are reset (A153)', {
    assault: 'resets',
    host: HOST,
    options: { count: 64, perSecond: 1_000 },
    sink: 'close',
    counted: 'refused'
  }),
  contest('others beside 100 reconnects a second of one host (A161)', {
    assault: 'reconnects',
    options: { perSecond: 100 },
    counted: 'refused'
  }),
  contest('others beside 250 frames without their body (A072)', {
    assault: 'headers',
    host: HOST,
    options: { held: 250, perSecond: HANDSHAKES / 2 }
  }),
  contest('others beside data frames of 1 byte on 256 streams (A073, A074)', {
    assault: 'dribble',
    options: { streams: 256, perSecond: 50 }
  }),
  ...[
    ['empty frames', 'empty', 'A075'],
    ['SYN+RST', 'SYN+RST', 'A077'],
    ['SYN+FIN', 'SYN+FIN', 'A078'],
    ['SYN', 'SYN', 'A079'],
    ['pings unread', 'ping', 'A080']
  ].map(([what, kind, id]) =>
    contest(`others beside ${what}, ${RECORDS} records a second (${id})`, {
      assault: 'frames',
      options: { kind, perSecond: RECORDS }
    })
  ),
  contest('others beside a peer that fills its memory (A171)', {
    assault: 'hoard',
    options: { perSecond: 400 },
    limits: { peerDefault: { memory: 4 * MIB } },
    counted: 'memoryResets'
  })
]
