/** Every type that docs/api-map.md names can be imported; `__test__/unit/api-map.spec.ts` compares the two lists. */
import type {
  AddrLike,
  DialOptions,
  Framing,
  HandlerOptions,
  Logger,
  MessageBatch,
  Messages,
  MessagesOptions,
  Notifiee,
  NotifieeEvent,
  PeerLike,
  Service,
  ServiceOptions,
  StreamHandler,
  SwarmEvents,
  SwarmOptions
} from '../../ts/index.ts'

export type Named = [
  AddrLike,
  DialOptions,
  Framing,
  HandlerOptions,
  Logger,
  MessageBatch,
  Messages,
  MessagesOptions,
  Notifiee,
  NotifieeEvent,
  PeerLike,
  Service,
  ServiceOptions,
  StreamHandler,
  SwarmEvents,
  SwarmOptions
]
