import test from 'ava'
import { multiaddrOf } from '../../ts/identity/address.ts'

// The process of this file has loaded no package of addresses yet, as a node before its first connection.
test('an address can be asked for while identify is being loaded', async (t) => {
  const loading = import('../../ts/protocols/identify-message.ts')
  t.is(multiaddrOf('/ip4/127.0.0.1/tcp/4001').getComponents().length, 2)
  await loading
})
