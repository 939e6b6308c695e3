/** The components under test: the built package, to which the build of this folder links. */
export { createLibp2p, isNative, noise, tcp, tls, yamux } from 'ferroswarm/libp2p'
