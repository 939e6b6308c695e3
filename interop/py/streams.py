"""Reading and writing whole payloads on streams of py-libp2p."""

import struct
from collections.abc import AsyncIterator

from libp2p.abc import INetStream
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.transport.quic.exceptions import QUICStreamClosedError
from libp2p.transport.quic.stream import QUICStream

from protocols import BLOCK_BYTES

BLOCK = bytes((at * 31 ^ at >> 8) & 0xFF for at in range(BLOCK_BYTES))
"""Content of every write of a transfer; a byte distinguishes most offsets from their neighbours."""


async def chunks(stream: INetStream) -> AsyncIterator[bytes]:
    """Yields arriving bytes up to the end. A reset raises StreamReset or looks like an end."""
    while True:
        try:
            chunk = await stream.read(BLOCK_BYTES)
        except StreamEOF:
            break
        except StreamReset:
            if is_reset(stream):
                raise
            break
        yield chunk
    if isinstance(stream.muxed_stream, QUICStream):
        # Over QUIC the end is raised before the bytes that came together with it are read.
        try:
            yield await stream.muxed_stream.read()
        except (MuxedStreamEOF, QUICStreamClosedError):
            return


def is_reset(stream: INetStream) -> bool:
    """Whether a StreamReset is one: over QUIC it is raised for an end too, once both halves are closed."""
    muxed = stream.muxed_stream
    return not isinstance(muxed, QUICStream) or muxed.is_reset()


async def read_all(stream: INetStream) -> bytes:
    """Returns everything up to the end of the stream."""
    received = bytearray()
    async for chunk in chunks(stream):
        received += chunk
    return bytes(received)


async def read_exactly(stream: INetStream, count: int) -> bytes:
    """Returns `count` bytes; raises StreamEOF at an earlier end."""
    received = bytearray()
    while len(received) < count:
        received += await stream.read(count - len(received))
    return bytes(received)


async def send(stream: INetStream, count: int) -> None:
    for left in range(count, 0, -BLOCK_BYTES):
        await stream.write(BLOCK if left >= BLOCK_BYTES else BLOCK[:left])


async def receive(stream: INetStream) -> tuple[int, int]:
    """Returns the leading number, and the count of bytes that follow it.

    The first and last byte of each chunk are compared with the expected ones.
    """
    (head,) = struct.unpack("!Q", await read_exactly(stream, 8))
    received = 0
    async for chunk in chunks(stream):
        if not chunk:
            continue
        end = received + len(chunk)
        if (
            chunk[0] != BLOCK[received % BLOCK_BYTES]
            or chunk[-1] != BLOCK[(end - 1) % BLOCK_BYTES]
        ):
            raise ValueError(f"other bytes than were sent before byte {end}")
        received = end
    return head, received


def frame(payload: bytes) -> bytes:
    """Returns a u32 length followed by its payload."""
    return struct.pack("!I", len(payload)) + payload
