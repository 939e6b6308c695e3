"""The protocols of ../contract.md."""

from libp2p.custom_types import TProtocol

BULK = TProtocol("/bench/bulk/1.0.0")
PING = TProtocol("/ipfs/ping/1.0.0")
IDENTIFY = TProtocol("/ipfs/id/1.0.0")
REQUEST = TProtocol("/bench/rr/1.0.0")
MESSAGES = TProtocol("/bench/msgs/1.0.0")
ECHO = TProtocol("/bench/echo/1.0.0")
RESET = TProtocol("/bench/reset/1.0.0")

BLOCK_BYTES = 64 * 1024
"""Size of the writes in every bulk transfer."""
