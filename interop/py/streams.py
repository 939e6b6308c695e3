"""Reading and writing whole things on streams of py-libp2p."""

import struct
from collections.abc import AsyncIterator

from libp2p.abc import INetStream
from libp2p.network.stream.exceptions import StreamEOF

from protocols import BLOCK_BYTES


async def chunks(stream: INetStream) -> AsyncIterator[bytes]:
    """What arrives, up to the end. A reset raises StreamReset or looks like an end."""
    while True:
        try:
            chunk = await stream.read(BLOCK_BYTES)
        except StreamEOF:
            return
        yield chunk


async def read_all(stream: INetStream) -> bytes:
    """Everything up to the end of the stream."""
    received = bytearray()
    async for chunk in chunks(stream):
        received += chunk
    return bytes(received)


async def read_exactly(stream: INetStream, count: int) -> bytes:
    """That many bytes; raises StreamEOF at an earlier end."""
    received = bytearray()
    while len(received) < count:
        received += await stream.read(count - len(received))
    return bytes(received)


async def write_zeros(stream: INetStream, count: int) -> None:
    block = bytes(BLOCK_BYTES)
    for left in range(count, 0, -BLOCK_BYTES):
        await stream.write(block if left >= BLOCK_BYTES else block[:left])


def frame(payload: bytes) -> bytes:
    """A u32 length followed by its payload."""
    return struct.pack("!I", len(payload)) + payload
