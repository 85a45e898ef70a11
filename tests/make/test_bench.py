#!/usr/bin/env python3
"""The benchmarks run: each part, in its quick form. What they measure there means nothing."""

import copy
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import bench_aims, netns
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


def _aims(parts):
    return {aim: reached for aim, reached, _ in bench_aims.rows(parts)}


@test
def what_the_page_claims_is_computed():
    with open(os.path.join(netns.ROOT, "docs", "performance.json"), encoding="utf-8") as file:
        parts = json.load(file)
    stream = {"without": 1.0, "with": 1.0, "ratio": 1.0}
    parts["events"].setdefault("tunnels", {"stream IPv4": stream, "stream IPv6": stream})
    parts.setdefault("system", {"toggle": {"arm": {"after_nmcli": 10}, "disarm": {"after_nmcli": 10}}})
    good, bad = copy.deepcopy(parts), copy.deepcopy(parts)
    for host, more in (("nm-killswitch, 1 armed", 10), ("nm-killswitch, 1000 armed", 10), ("wg-quick with iptables", 20)):
        for figures, factor in ((good, 1), (bad, -1)):
            for row in figures["packets"]["figures"].values():
                row[host].update(more=factor * more, ratio=1.0 if factor > 0 else 2.0,
                                 ns=1000 if factor > 0 or "1000" not in host else 2000)
    for figures, ratio in ((good, 0.1), (bad, 9)):
        for each in figures["events"]["figures"].values():
            each.update(cpu_ratio=ratio, mb=100 * ratio)
        for name in ("stream IPv4", "stream IPv6"):
            figures["events"]["tunnels"][name] = {"ratio": ratio}
        for each in figures["system"]["toggle"].values():
            each["after_nmcli"] = 100 * ratio
        for each in figures["idle"]["idle"].values():
            each["processes"] = int(ratio)
        for each in figures["idle"]["armed"].values():
            if "share" in each:
                each["share"] = ratio
        figures["gap"]["leaked"] = int(ratio)
        for family in ("IPv4", "IPv6"):
            figures["gap"][family]["interruption_us"] = 1000 * ratio
    check(set(_aims(good).values()) == {"yes"}, f"good figures: {_aims(good)}")
    check(set(_aims(bad).values()) == {"no"}, f"bad figures: {_aims(bad)}")


if __name__ == "__main__":
    main()
