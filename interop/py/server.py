"""The server's side of each workload; ping and identify are py-libp2p's own."""

import struct

from libp2p.abc import IHost, INetStream
from libp2p.custom_types import StreamHandlerFn, TProtocol

from protocols import BULK, ECHO, MESSAGES, REQUEST, RESET
from streams import chunks, read_all, receive, send


def serve(host: IHost) -> None:
    """Registers every handler of the contract."""
    handlers: dict[TProtocol, StreamHandlerFn] = {
        BULK: serve_bulk,
        REQUEST: serve_request,
        MESSAGES: serve_messages,
        ECHO: serve_echo,
        RESET: serve_reset,
    }
    for protocol, handler in handlers.items():
        host.set_stream_handler(protocol, contained(handler))


def contained(handler: StreamHandlerFn) -> StreamHandlerFn:
    """Returns a handler that resets its stream on failure: py-libp2p would end the node."""

    async def handle(stream: INetStream) -> None:
        try:
            await handler(stream)
            await stream.close()
        except Exception:
            await stream.reset()

    return handle


async def serve_bulk(stream: INetStream) -> None:
    wanted, received = await receive(stream)
    await stream.write(struct.pack("!Q", received))
    await send(stream, wanted)


async def serve_request(stream: INetStream) -> None:
    request = await read_all(stream)
    (length,) = struct.unpack("!I", request[:4])
    if len(request) != 4 + length:
        raise ValueError("request and its length differ")
    await stream.write(request[4:])


async def serve_messages(stream: INetStream) -> None:
    count = 0
    unread = bytearray()
    async for chunk in chunks(stream):
        unread += chunk
        at = 0
        while len(unread) >= at + 4:
            end = at + 4 + int.from_bytes(unread[at : at + 4], "big")
            if len(unread) < end:
                break
            count += 1
            at = end
        del unread[:at]
    if unread:
        raise ValueError("stream ended inside a message")
    await stream.write(struct.pack("!Q", count))


async def serve_echo(stream: INetStream) -> None:
    async for chunk in chunks(stream):
        await stream.write(chunk)


async def serve_reset(stream: INetStream) -> None:
    await stream.read(1)
    await stream.reset()
