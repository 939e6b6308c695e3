import test from 'ava'
import {
  DIAL_PEER_TIMEOUT_MS,
  InvalidParametersError,
  MESSAGE_SIZE_MAX,
  nullResourceManager,
  nullScope,
  RESERVATION_PRIORITY_ALWAYS,
  RESERVATION_PRIORITY_HIGH,
  RESERVATION_PRIORITY_LOW,
  RESERVATION_PRIORITY_MEDIUM
} from '../../ts/index.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const UNUSED = {
  numStreamsInbound: 0,
  numStreamsOutbound: 0,
  numConnsInbound: 0,
  numConnsOutbound: 0,
  numFD: 0,
  memory: 0
}

test('the null resource manager admits everything and counts nothing', (t) => {
  const connection = nullResourceManager.openConnection('inbound', true)
  connection.setPeer(PEER)
  connection.setPeer(PEER)
  const stream = nullResourceManager.openStream(PEER, 'outbound')
  stream.setService('a')
  stream.setProtocol('/a')
  t.false(nullResourceManager.verifySourceAddress('192.0.2.1'))
  nullResourceManager.close()
  nullResourceManager.close()
  for (const scope of [connection, stream, connection.beginSpan(), nullScope]) {
    scope.reserveMemory(Number.MAX_SAFE_INTEGER, RESERVATION_PRIORITY_LOW)
    t.deepEqual(scope.stat, UNUSED)
    scope.releaseMemory(1)
    scope.done()
    scope.done()
    scope[Symbol.dispose]()
    t.notThrows(() => scope.beginSpan())
  }
  t.is(connection.peerScope, undefined)
  t.is(stream.protocolScope, undefined)
  t.is(stream.serviceScope, undefined)
})

test('its views return the result of the callback, and let its error pass', (t) => {
  t.is(
    nullResourceManager.viewSystem(({ stat }) => stat.memory),
    0
  )
  t.deepEqual(
    nullResourceManager.viewTransient(({ stat }) => stat),
    UNUSED
  )
  t.is(
    nullResourceManager.viewService('a', ({ name }) => name),
    'a'
  )
  t.is(
    nullResourceManager.viewProtocol('/a', ({ protocol }) => protocol),
    '/a'
  )
  t.is(
    nullResourceManager.viewPeer(PEER, ({ peer }) => `${peer}`),
    PEER
  )
  const failure = new Error('of the callback')
  const fail = (): never => {
    throw failure
  }
  t.throws(() => nullResourceManager.viewSystem(fail), { is: failure })
  t.throws(() => nullResourceManager.viewPeer(PEER, fail), { is: failure })
  t.throws(() => nullResourceManager.viewPeer('nobody', () => {}), {
    instanceOf: InvalidParametersError
  })
})

test('constants have the values of go', (t) => {
  t.deepEqual(
    [
      RESERVATION_PRIORITY_LOW,
      RESERVATION_PRIORITY_MEDIUM,
      RESERVATION_PRIORITY_HIGH,
      RESERVATION_PRIORITY_ALWAYS
    ],
    [101, 152, 203, 255]
  )
  t.is(MESSAGE_SIZE_MAX, 4_194_304)
  t.is(DIAL_PEER_TIMEOUT_MS, 60_000)
})
