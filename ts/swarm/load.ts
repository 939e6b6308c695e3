/**
 * Loading of what only applications with muxers of their own use, at its first use.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the calls that need it are.
 */
import { createRequire } from 'node:module'

type Added = typeof import('./added-connections.ts')
type NodeTcp = typeof import('../transport/node-tcp.ts')
type Notices = typeof import('./stream-notices.ts')

let added: Added | undefined
let nodeTcp: NodeTcp | undefined
let notices: Notices | undefined

/** Returns the module of connections over muxers of the application. */
export function loadAddedConnections(): Added {
  // `require` returns the same module as `import`, without its type.
  added ??= load('./added-connections') as Added
  return added
}

/** Returns the module of TCP sockets of Node.js. */
export function loadNodeTcp(): NodeTcp {
  nodeTcp ??= load('../transport/node-tcp') as NodeTcp
  return nodeTcp
}

/** Returns the module of notifications that the application requests. */
export function loadStreamNotices(): Notices {
  notices ??= load('./stream-notices') as Notices
  return notices
}

function load(name: string): unknown {
  // The package has .js files, its sources .ts.
  const { url } = import.meta
  return createRequire(url)(`${name}${url.slice(url.lastIndexOf('.'))}`)
}
