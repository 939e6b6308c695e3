"""A node with one stack, no limits and a fresh Ed25519 key."""

from libp2p import create_yamux_muxer_option, new_host
from libp2p.abc import IHost, ISecureTransport
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.network.config import ConnectionConfig
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from libp2p.transport.quic.utils import is_quic_multiaddr
from multiaddr import Multiaddr

UNLIMITED = 1_000_000
"""High enough that no default of py-libp2p decides a result."""


def create_node(stack: str, addr: Multiaddr, listen: bool) -> IHost:
    """Creates a node that is not running yet, whose transport is that of an address."""
    identity = create_new_key_pair()
    if stack == "tcp-noise-yamux":
        security = {NOISE: noise(identity)}
    elif stack == "tcp-tls-yamux":
        security = {TLS: TLSTransport(identity)}
    elif stack == "quic":
        # It has a security protocol and streams of its own.
        security = None
    else:
        raise ValueError(f"unknown stack {stack}")
    return new_host(
        key_pair=identity,
        sec_opt=security,
        muxer_opt=create_yamux_muxer_option(),
        listen_addrs=[addr] if listen else [],
        enable_quic=is_quic_multiaddr(addr),
        # Announces the addresses it listens on, and none that others observed.
        disable_identify_address_discovery=True,
        # Dials no peer by itself, and prunes none.
        connection_config=ConnectionConfig(
            min_connections=0,
            low_watermark=0,
            high_watermark=UNLIMITED,
            max_connections=UNLIMITED,
            max_connections_per_peer=UNLIMITED,
        ),
        resource_manager=ResourceManager(
            limits=ResourceLimits(
                max_connections=UNLIMITED,
                max_memory_mb=UNLIMITED,
                max_streams=UNLIMITED,
            ),
            enable_rate_limiting=False,
            enable_memory_limits=False,
            enable_connection_tracking=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
        ),
    )


def noise(identity: KeyPair) -> ISecureTransport:
    static_key = create_new_x25519_key_pair().private_key
    return NoiseTransport(identity, noise_privkey=static_key)


def listen_multiaddr(stack: str, listen: str) -> Multiaddr:
    """Returns the address of --listen: a multiaddr, or host:port for the stack."""
    if listen.startswith("/"):
        return Multiaddr(listen)
    host, port = listen.rsplit(":", 1)
    host = host.strip("[]")
    transport = f"udp/{port}/quic-v1" if stack == "quic" else f"tcp/{port}"
    return Multiaddr(f"/{'ip6' if ':' in host else 'ip4'}/{host}/{transport}")
