/** The soak test of `npm run soak`, for a minute: nodes that dial, close, tag, prune, gate and restart at random. */
import { join } from 'node:path'
import test from 'ava'
import { program, ROOT } from '../support/cli.ts'

test('a minute of random use leaves nothing behind and grows nothing', async (t) => {
  t.timeout(300_000, 'on a busy machine')
  const path = join(ROOT, '__test__', 'soak', 'main.ts')
  const { code, out, err } = await program(process.execPath, [path, '--minutes', '1'])
  t.log(out.split('\n')[0])
  t.is(code, 0, out + err)
  t.regex(out, /soak: passed/)
})
