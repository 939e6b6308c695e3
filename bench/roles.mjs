// The roles of a benchmark whose peers are processes of its own: each is this script with the role as argument.

import { fork } from 'node:child_process'
import { once } from 'node:events'

/** Starts a role of the script at `url`; resolves to its process and its first message. */
export async function start(url, ...args) {
  const child = fork(new URL(url), args)
  const [greeting] = await once(child, 'message')
  return { child, greeting }
}

/** Sends a message to a role; resolves to its answer. */
export async function ask({ child }, message = '') {
  child.send(message)
  const [answer] = await once(child, 'message')
  return answer
}

/** Returns the CPU time of this process in microseconds. */
export function cpuUs() {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Runs the role that the arguments name, or `main` without one. */
export async function run(roles, main) {
  const [, , role, ...args] = process.argv
  await (role === undefined ? main() : roles[role](...args))
}
