/** The components under test: the built package, whose module the environment names. */
const url = process.env.FERROSWARM_LIBP2P
if (url === undefined) throw new Error('FERROSWARM_LIBP2P names no module')

export const { createLibp2p, noise, tcp, tls, yamux } = await import(url)
