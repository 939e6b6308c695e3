/** Calls of tags, protection and trims, argument by argument: see `misuse.ts`. */
import type { Swarm } from '../../ts/index.ts'
import type { Argument } from './misuse.ts'

const never = (): boolean => false
const text = (value: unknown): boolean => typeof value === 'string' && value !== ''
const textOrNothing = (value: unknown): boolean => value === undefined || typeof value === 'string'
const whole = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31

export function tagCalls(swarm: Swarm, peer: string): Argument[] {
  const one = (value: number): number => value + 1
  return [
    { name: 'tagPeer(peer)', call: (value) => swarm.tagPeer(value, 'a', 1), takes: never },
    { name: 'tagPeer(tag)', call: (value) => swarm.tagPeer(peer, value, 1), takes: text },
    { name: 'tagPeer(value)', call: (value) => swarm.tagPeer(peer, 'a', value), takes: whole },
    { name: 'untagPeer(peer)', call: (value) => swarm.untagPeer(value, 'a'), takes: never },
    { name: 'untagPeer(tag)', call: (value) => swarm.untagPeer(peer, value), takes: text },
    { name: 'upsertTag(peer)', call: (value) => swarm.upsertTag(value, 'a', one), takes: never },
    { name: 'upsertTag(tag)', call: (value) => swarm.upsertTag(peer, value, one), takes: text },
    { name: 'upsertTag(update)', call: (value) => swarm.upsertTag(peer, 'a', value), takes: never },
    { name: 'getTagInfo(peer)', call: (value) => swarm.getTagInfo(value), takes: never },
    { name: 'protect(peer)', call: (value) => swarm.protect(value, 'a'), takes: never },
    { name: 'protect(tag)', call: (value) => swarm.protect(peer, value), takes: text },
    { name: 'unprotect(peer)', call: (value) => swarm.unprotect(value, 'a'), takes: never },
    { name: 'unprotect(tag)', call: (value) => swarm.unprotect(peer, value), takes: text },
    { name: 'isProtected(peer)', call: (value) => swarm.isProtected(value), takes: never },
    {
      name: 'isProtected(tag)',
      call: (value) => swarm.isProtected(peer, value),
      takes: textOrNothing
    }
  ]
}
