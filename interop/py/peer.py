"""py-libp2p as a foreign peer of ferroswarm; see ../contract.md."""

import argparse
import logging
import sys

import trio

from measure import print_line, stats
from node import create_node, listen_multiaddr
from server import serve
from workloads import WORKLOADS


def main() -> int:
    # py-libp2p also logs an error for a peer that disconnects before it is identified.
    logging.disable(logging.ERROR)
    try:
        options = parse_options()
        trio.run(run_server if options.mode == "server" else run_client, options)
    except Exception as error:
        print_line({"error": describe(error)})
        return 1
    return 0


async def run_server(options: argparse.Namespace) -> None:
    listen_addr = listen_multiaddr(options.stack, options.listen)
    host = create_node(options.stack, listen_addr, listen=True)
    serve(host)
    async with host.run([listen_addr]):
        print_line({"addr": str(host.get_addrs()[0])})
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            # There is no Node event loop to monitor.
            if line.strip() not in ("stats", "watch"):
                raise ValueError(f"there is no command {line.strip()}")
            print_line(stats())


async def run_client(options: argparse.Namespace) -> None:
    workload = WORKLOADS.get(options.workload)
    if workload is None:
        raise ValueError(f"unknown workload {options.workload}")
    line = await workload(options)
    if line is not None:
        print_line(line)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("mode", choices=["server", "client"])
    parser.add_argument("--stack", default="tcp-noise-yamux")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--addr")
    parser.add_argument("--workload")
    parser.add_argument("--n", type=whole_number, default=1)
    parser.add_argument("--bytes", type=whole_number, default=1024)
    parser.add_argument("--concurrency", type=whole_number, default=1)
    return parser.parse_args()


def whole_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(f"expected a whole number, received {text}")
    return number


def describe(error: BaseException) -> str:
    """Describes the first of the errors that trio tasks raised together."""
    while isinstance(inner := getattr(error, "exceptions", None), tuple):
        error = inner[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
