/** The encrypters and muxer of every node, and its transport: those of js-libp2p, or of the module at `--components`. */
const at = process.argv.indexOf('--components')

const replaced = at < 0 ? undefined : await import(process.argv[at + 1])

export const components = replaced ?? {
  ...(await import('@libp2p/noise')),
  ...(await import('@libp2p/tls')),
  ...(await import('@libp2p/yamux'))
}

/** Packages of the transports, which are loaded when needed: the one of QUIC is not made for every platform. */
const TRANSPORTS = {
  tcp: '@libp2p/tcp',
  webSockets: '@libp2p/websockets',
  quic: '@chainsafe/libp2p-quic'
}

/** Resolves to the function that creates a transport. */
export async function transportOf(name) {
  const create = (replaced ?? (await import(TRANSPORTS[name])))[name]
  if (create === undefined) throw new Error(`there is no transport ${name}`)
  return create
}
