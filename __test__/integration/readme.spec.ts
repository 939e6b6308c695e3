import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { program, ROOT } from '../support/cli.ts'

test('the example of the README runs unchanged', async (t) => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const [, example = ''] = /```js\n(.*?)```/s.exec(readme) ?? []
  t.true(example.split('\n').length <= 21)
  // Inside the package, where its own name resolves.
  const path = join(ROOT, 'dist', `.readme-${process.pid}.mjs`)
  t.teardown(() => rm(path, { force: true }))
  await writeFile(path, example)
  const { code, out, err } = await program(process.execPath, [path])
  t.is(code, 0, err)
  t.is(out, 'connected over /tls/1.0.0 and /yamux/1.0.0\necho: hello swarm\n')
})
