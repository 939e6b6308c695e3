"""The client's side of each workload, which returns its line or prints its lines."""

import hashlib
import random
import struct
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, cast

import trio
from libp2p.abc import IHost
from libp2p.custom_types import TProtocol
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.network.stream.exceptions import StreamReset
from libp2p.network.stream.net_stream import NetStream
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr

from measure import Stopwatch, print_line, resident_kib
from node import create_node
from protocols import BLOCK_BYTES, BULK, ECHO, IDENTIFY, MESSAGES, PING, REQUEST, RESET
from streams import chunks, frame, read_all, read_exactly, receive, send

WARM_UP_BYTES = 32 * 1024 * 1024
PING_BYTES = 32
HALF_CLOSE_BYTES_MAX = 256 * 1024
"""The initial yamux window: the echo never waits for a client that does not read yet."""
IDLE_SETTLE_SECONDS = 1
"""Gives identify time to end at both sides before memory is read."""

Line = dict[str, Any]


class Connection:
    """A node, and the peer that it dialled."""

    def __init__(self, host: IHost, addr: str) -> None:
        self._host = host
        self._remote = info_from_p2p_addr(Multiaddr(addr))

    async def dial(self) -> None:
        await self._host.connect(self._remote)

    async def close(self) -> None:
        await self._host.disconnect(self._remote.peer_id)

    async def open(self, protocol: TProtocol) -> NetStream:
        stream = await self._host.new_stream(self._remote.peer_id, [protocol])
        # The interface lacks close_write.
        return cast(NetStream, stream)


@asynccontextmanager
async def node(options: Namespace) -> AsyncIterator[Connection]:
    """A running node that is not connected yet."""
    host = create_node(options.stack, Multiaddr(options.addr), listen=False)
    async with host.run([]):
        yield Connection(host, options.addr)


@asynccontextmanager
async def connected(options: Namespace) -> AsyncIterator[Connection]:
    async with node(options) as connection:
        await connection.dial()
        yield connection


async def bulk(upload: bool, options: Namespace) -> Line:
    def sides(count: int) -> tuple[int, int]:
        return (count, 0) if upload else (0, count)

    async with connected(options) as connection:
        await transfer(connection, *sides(WARM_UP_BYTES))
        watch = Stopwatch()
        await transfer(connection, *sides(options.bytes))
        return watch.stop_bulk(1, options.bytes)


async def transfer(connection: Connection, upload: int, download: int) -> None:
    stream = await connection.open(BULK)
    await stream.write(struct.pack("!Q", download))
    await send(stream, upload)
    await stream.close_write()
    came, received = await receive(stream)
    await stream.close()
    if (came, received) != (upload, download):
        raise ValueError(
            f"{came} bytes went up and {received} came back, "
            f"expected {upload} and {download}"
        )


async def ping(options: Namespace) -> Line:
    generator = random.Random(0)
    async with connected(options) as connection:
        stream = await connection.open(PING)

        async def once(_: int) -> None:
            sent = generator.randbytes(PING_BYTES)
            await stream.write(sent)
            if await read_exactly(stream, PING_BYTES) != sent:
                raise ValueError("ping answer differs from what was sent")

        await once(0)
        watch = Stopwatch()
        latencies = await each_of(options.n, 1, once)
        line = watch.stop(options.n, options.n * PING_BYTES, latencies)
        await stream.close()
        return line


async def requests(concurrency: int, options: Namespace) -> Line:
    payload = random.Random(0).randbytes(options.bytes)
    async with connected(options) as connection:

        async def once(_: int) -> None:
            stream = await connection.open(REQUEST)
            await stream.write(frame(payload))
            await stream.close_write()
            answer = await read_all(stream)
            await stream.close()
            if answer != payload:
                raise ValueError("answer differs from the request")

        watch = Stopwatch()
        latencies = await each_of(options.n, concurrency, once)
        return watch.stop(options.n, options.n * options.bytes, latencies)


async def messages(options: Namespace) -> Line:
    message = frame(bytes(options.bytes))
    async with connected(options) as connection:
        stream = await connection.open(MESSAGES)
        watch = Stopwatch()
        for _ in range(options.n):
            await stream.write(message)
        await stream.close_write()
        (counted,) = struct.unpack("!Q", await read_all(stream))
        line = watch.stop(options.n, options.n * options.bytes)
        await stream.close()
    if counted != options.n:
        raise ValueError(f"server counted {counted} messages, expected {options.n}")
    return line


async def handshakes(concurrency: int, options: Namespace) -> Line:
    """Uses a node for each worker, as connections to one peer are joined."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(node(options)) for _ in range(concurrency)
        ]

        async def once(worker: int) -> None:
            await nodes[worker].dial()
            await nodes[worker].close()

        watch = Stopwatch()
        latencies = await each_of(options.n, concurrency, once)
        return watch.stop(options.n, 0, latencies)


async def idle(options: Namespace) -> None:
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(node(options)) for _ in range(options.n)
        ]
        await idle_phase("base")
        waiting = iter(nodes)
        await each_of(options.n, options.concurrency, lambda _: next(waiting).dial())
        await idle_phase("full")
        for connection in nodes:
            await connection.close()
        await idle_phase("gone")


async def idle_phase(name: str) -> None:
    await trio.sleep(IDLE_SETTLE_SECONDS)
    print_line({"phase": name, "rss_kb": resident_kib()})
    await trio.to_thread.run_sync(sys.stdin.readline)


async def echo(options: Namespace) -> Line:
    async with connected(options) as connection:
        watch = Stopwatch()
        async with trio.open_nursery() as nursery:
            for seed in range(options.concurrency):
                nursery.start_soon(echo_one, connection, seed, options.bytes)
        return watch.stop_bulk(options.concurrency, options.concurrency * options.bytes)


async def echo_one(connection: Connection, seed: int, count: int) -> None:
    stream = await connection.open(ECHO)
    sent = hashlib.sha256()
    received = hashlib.sha256()
    received_bytes = 0

    async def send() -> None:
        for block in pattern(seed, count):
            sent.update(block)
            await stream.write(block)
        await stream.close_write()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        async for chunk in chunks(stream):
            received.update(chunk)
            received_bytes += len(chunk)
    await stream.close()
    if received_bytes != count or received.digest() != sent.digest():
        raise ValueError(
            f"echo of {count} bytes differs: {received_bytes} bytes came back"
        )


async def half_close(options: Namespace) -> Line:
    if options.bytes > HALF_CLOSE_BYTES_MAX:
        raise ValueError(
            f"half-close of {options.bytes} bytes exceeds {HALF_CLOSE_BYTES_MAX}"
        )
    async with connected(options) as connection:
        stream = await connection.open(ECHO)
        sent = b"".join(pattern(0, options.bytes))
        for at in range(0, len(sent), BLOCK_BYTES):
            await stream.write(sent[at : at + BLOCK_BYTES])
        await stream.close_write()
        received = await read_all(stream)
        await stream.close()
    if received != sent:
        raise ValueError(
            f"echo of {options.bytes} bytes differs: {len(received)} bytes came back"
        )
    return {"ops": 1, "bytes": options.bytes}


async def reset(options: Namespace) -> Line:
    async with connected(options) as connection:
        stream = await connection.open(RESET)
        await stream.write(b"\x01")
        # A reset may read as the end of the stream; after an end a write goes through.
        try:
            await read_all(stream)
            await stream.write(b"\x01")
        except StreamReset:
            return {"ops": 1, "errorCode": None}
    raise ValueError("expected a reset, the stream ended")


async def identify(options: Namespace) -> Line:
    async with connected(options) as connection:
        stream = await connection.open(IDENTIFY)
        remote = Identify.FromString(await read_length_prefixed_protobuf(stream))
        await stream.close()
    return {
        "agentVersion": remote.agent_version,
        "protocolVersion": remote.protocol_version,
        "protocols": list(remote.protocols),
        "listenAddrs": [str(Multiaddr(addr)) for addr in remote.listen_addrs],
        "observedAddr": str(Multiaddr(remote.observed_addr))
        if remote.observed_addr
        else None,
    }


async def each_of(
    count: int, workers: int, operation: Callable[[int], Awaitable[None]]
) -> list[float]:
    """Runs an operation `count` times on `workers` workers; returns the seconds each took."""
    latencies: list[float] = []
    left = iter(range(count))

    async def work(worker: int) -> None:
        for _ in left:
            start = time.perf_counter()
            await operation(worker)
            latencies.append(time.perf_counter() - start)

    async with trio.open_nursery() as nursery:
        for worker in range(workers):
            nursery.start_soon(work, worker)
    return latencies


def pattern(seed: int, count: int) -> list[bytes]:
    """Pseudo-random bytes in blocks, the same for the same seed."""
    generator = random.Random(seed)
    return [
        generator.randbytes(min(left, BLOCK_BYTES))
        for left in range(count, 0, -BLOCK_BYTES)
    ]


WORKLOADS: dict[str, Callable[[Namespace], Awaitable[Line | None]]] = {
    "upload": partial(bulk, True),
    "download": partial(bulk, False),
    "ping": ping,
    "rr-seq": partial(requests, 1),
    "rr-32": partial(requests, 32),
    "rr-100": partial(requests, 100),
    "msgs": messages,
    "handshake-seq": partial(handshakes, 1),
    "handshake-16": partial(handshakes, 16),
    "idle": idle,
    "echo": echo,
    "half-close": half_close,
    "reset": reset,
    "identify": identify,
}
