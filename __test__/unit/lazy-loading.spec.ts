import test from 'ava'
import { multiaddrOf } from '../../ts/identity/address.ts'

// This file's process has not loaded the multiaddr package yet, like a node before its first connection.
test('an address can be parsed while identify is being loaded', async (t) => {
  const loading = import('../../ts/protocols/identify-message.ts')
  t.is(multiaddrOf('/ip4/127.0.0.1/tcp/4001').getComponents().length, 2)
  await loading
})
