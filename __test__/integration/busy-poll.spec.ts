// Before it sleeps, the event loop polls its sockets for as long as `busyPoll` allows. Node.js on Linux only.
import test from 'ava'
import type { Counters } from '../../ts/native/counters.ts'
import { running } from '../support/cli.ts'
import { lastLine, programUrl, run } from '../support/program.ts'

/** Number of polls by the loop of a process that got 2,000 answers from another process. */
async function polls(t: Parameters<typeof running>[0], ...busyPoll: string[]): Promise<number> {
  const listener = await running(t, [programUrl('busy-listener').pathname])
  const ended = await run('echo-rounds', listener.firstLine, '2000', ...busyPoll)
  t.is(ended.code, 0, ended.err)
  return lastLine<Counters>(ended).busyPolls
}

test.serial('a loop whose peers answer within busyPoll polls before it sleeps', async (t) => {
  // Long enough for an answer on a busy machine.
  const count = await polls(t, '1000')
  if (process.platform === 'linux') t.true(count > 0, `${count} polls`)
})

test.serial('a busyPoll of 0 never polls', async (t) => {
  t.is(await polls(t, '0'), 0)
})
