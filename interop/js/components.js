/** The transport, encrypters and muxer of every node: those of js-libp2p, or of the module at `--components`. */
const at = process.argv.indexOf('--components')

export const components =
  at < 0
    ? {
        ...(await import('@libp2p/noise')),
        ...(await import('@libp2p/tcp')),
        ...(await import('@libp2p/tls')),
        ...(await import('@libp2p/yamux'))
      }
    : await import(process.argv[at + 1])
