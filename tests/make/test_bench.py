#!/usr/bin/env python3
"""The benchmarks run: each part, in its quick form. What they measure there means nothing."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns
from kstest.runner import Skip, check, main, test


def _run(part, *wanted):
    if os.geteuid() != 0:
        raise Skip("needs root")
    result = subprocess.run([sys.executable, os.path.join(netns.ROOT, "tests", "bench", "bench.py"), "--quick", part],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=300, check=False)
    if " SKIPPED" in result.stdout or "SKIPPED " in result.stdout:
        raise Skip(result.stdout.strip())
    check(result.returncode == 0 and "1 passed, 0 failed" in result.stdout, result.stdout[-2000:])
    for text in wanted:
        check(text in result.stdout, f"{part} prints '{text}': {result.stdout}")


@test
def packets_are_measured():
    _run("packets", "unconnected UDP, IPv6", "nm-killswitch, 10 armed")


@test
def lost_tunnels_leak_nothing():
    _run("gap", ", 0 packets leaked")


@test
def idle_hosts_start_nothing():
    _run("idle", "nothing armed", "is back after")


@test
def events_are_measured():
    _run("events", "nothing to do, 10 profiles, 10 armed", "five `ip rule` processes")


if __name__ == "__main__":
    main()
