/** `DEBUG` selects what a process logs to stderr, as documented in docs/diagnostics.md. */
import test, { type ExecutionContext } from 'ava'
import { LOG_NAMESPACES } from '../../ts/diagnostics/log.ts'
import { program } from '../support/cli.ts'
import { ENVIRONMENT, programUrl } from '../support/program.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Expected lines of every namespace. */
const LINES: Readonly<Record<string, readonly RegExp[]>> = {
  dial: [
    /^dialling \/ip4\/127\.0\.0\.1\/tcp\/\d+$/,
    /^dialled 12D3KooW\w+ at \/ip4\/127\.0\.0\.1\/tcp\/\d+ after \d+ ms: connection \w+-\d+$/,
    /^the dial of \S+ failed after \d+ ms: \S+ at connect after \d+ ms: ECONNREFUSED/
  ],
  dns: [/^name\.invalid: the name does not exist$/],
  connection: [
    /^inbound connection \S+ is open: \/ip4\/127\.0\.0\.1\/tcp\/\d+$/,
    /^outbound connection \S+ is open/,
    /^connection \S+ is closed by us: code 0$/
  ],
  stream: [
    /^a stream of connection .+ was refused: maxInbound is 1 \{ name: 'streamRefused', .*\}$/
  ],
  upgrade: [/^a connection from \S+ failed at security: .*multistream.* \{ name: 'upgradeFailed'/],
  listener: [
    /^a connection from \S+ was refused: transient has 1 of 1 connectionsInbound \(limits\.transient\.connectionsInbound\) \{ name: 'connectionRefused'/
  ],
  swarm: [/^the handler of "\/failing" failed Error: the handler fails$/]
}

/** Lines the program writes to stderr, as namespace and message. */
async function written(
  t: ExecutionContext,
  debug: string | undefined
): Promise<{ namespace: string; message: string }[]> {
  const { DEBUG: _, ...env } = ENVIRONMENT
  const { code, out, err } = await program(
    process.execPath,
    ['--no-warnings', programUrl('debug').pathname],
    { env: debug === undefined ? env : { ...env, DEBUG: debug } }
  )
  t.is(code, 0, err)
  t.is(out, '')
  // The stack of an error follows its line.
  const lines = err.split('\n').filter((line) => line !== '' && !line.startsWith('    at '))
  return lines.map((line) => {
    const [time = '', name = '', ...words] = line.split(' ')
    t.regex(time, TIME, line)
    t.true(name.startsWith('ferroswarm:'), line)
    return { namespace: name.slice('ferroswarm:'.length), message: words.join(' ') }
  })
}

test('DEBUG=ferroswarm:* writes lines of every namespace to stderr, each with its time', async (t) => {
  const lines = await written(t, 'ferroswarm:*')
  t.deepEqual(Object.keys(LINES).sort(), [...LOG_NAMESPACES].sort())
  for (const [namespace, patterns] of Object.entries(LINES)) {
    const messages = lines.filter((line) => line.namespace === namespace)
    for (const pattern of patterns) {
      t.true(
        messages.some(({ message }) => pattern.test(message)),
        `${pattern} in ${JSON.stringify(messages)}`
      )
    }
  }
})

test('DEBUG writes the namespaces that it names, and no other', async (t) => {
  const some = await written(t, 'http,ferroswarm:dial ferroswarm:up*')
  t.deepEqual([...new Set(some.map(({ namespace }) => namespace))].sort(), ['dial', 'upgrade'])
  const others = await written(t, '*,-ferroswarm:dial,-ferroswarm:swarm')
  t.deepEqual(
    [...new Set(others.map(({ namespace }) => namespace))].sort(),
    LOG_NAMESPACES.filter((name) => name !== 'dial' && name !== 'swarm').sort()
  )
})

test('without DEBUG, or with one that names others, nothing is written', async (t) => {
  t.deepEqual(await written(t, undefined), [])
  t.deepEqual(await written(t, ''), [])
  t.deepEqual(await written(t, 'http,ferroswarm'), [])
})
