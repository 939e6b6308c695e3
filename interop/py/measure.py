"""The lines printed by a client."""

import json
import math
import time
from typing import Any

import psutil

PROCESS = psutil.Process()


def print_line(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def resident_kib() -> int:
    return int(PROCESS.memory_info().rss) // 1024


def stats() -> dict[str, Any]:
    """Returns the CPU time of the process since its start, and its memory."""
    cpu = PROCESS.cpu_times()
    return {
        "rss_kb": resident_kib(),
        "cpu_user_s": cpu.user,
        "cpu_sys_s": cpu.system,
    }


class Stopwatch:
    """A stopwatch that runs from its creation."""

    def __init__(self) -> None:
        self._cpu = PROCESS.cpu_times()
        self._start = time.perf_counter()

    def stop(
        self, ops: int, size: int, latencies: list[float] | None = None
    ) -> dict[str, Any]:
        """The result line with a rate over operations; latencies are in seconds."""
        measured = self._read()
        line = {"ops": ops, "bytes": size, "perSec": ops / measured["seconds"]}
        if latencies:
            ordered = sorted(latencies)
            line["p50_us"] = percentile(ordered, 50) * 1e6
            line["p99_us"] = percentile(ordered, 99) * 1e6
        return line | measured

    def stop_bulk(self, ops: int, size: int) -> dict[str, Any]:
        """The result line with a rate over bytes."""
        measured = self._read()
        rate = size / 1e6 / measured["seconds"]
        return {"ops": ops, "bytes": size, "MBps": rate} | measured

    def _read(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self._start
        cpu = PROCESS.cpu_times()
        return {
            "seconds": seconds,
            "cpu_user_s": cpu.user - self._cpu.user,
            "cpu_sys_s": cpu.system - self._cpu.system,
            "rss_kb": resident_kib(),
        }


def percentile(ordered: list[float], percent: int) -> float:
    return ordered[math.floor((len(ordered) - 1) * percent / 100)]
