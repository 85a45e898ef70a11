#!/usr/bin/env python3
"""The benchmarks: figures, no tests. They judge nothing but that what is measured works and that nothing leaks.

usage: tests/bench/bench.py [--quick] [PART...]     PARTs are packets, gap, idle, events, system, machine; all without any

Prints a table. Without --quick, and with all parts, also writes docs/performance.json, docs/performance.md
and its plots. --quick only proves that everything runs: its figures mean nothing, and nothing is written.
Network namespaces of its own, a container for what needs systemd, and a virtual machine for what needs WireGuard in the
kernel; the machine's network is left alone. Everything ends with this process.
"""

import json
import os
import platform
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import bench_events, bench_gap, bench_idle, bench_machine, bench_packets, bench_report, bench_system, netns
from kstest.runner import main, test

QUICK = "--quick" in sys.argv
PARTS = {"packets": bench_packets, "gap": bench_gap, "idle": bench_idle, "events": bench_events,
         "system": bench_system, "machine": bench_machine}
STORE = os.path.join(netns.ROOT, "build", "bench")


def _machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[1],
            "date": time.strftime("%Y-%m-%d")}


def _run(name):
    begin = time.monotonic()
    figures = PARTS[name].run(QUICK)
    for line in bench_report.lines(name, figures):
        print("        " + line)
    if QUICK:
        return
    figures["machine"] = _machine()
    figures["took_s"] = round(time.monotonic() - begin)
    os.makedirs(STORE, exist_ok=True)
    with open(os.path.join(STORE, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)


@test
def packets():
    _run("packets")


@test
def gap():
    _run("gap")


@test
def idle():
    _run("idle")


@test
def events():
    _run("events")


@test
def system():
    _run("system")


@test
def machine():
    _run("machine")


@test
def report():
    if not QUICK:
        bench_report.write(STORE, os.path.join(netns.ROOT, "docs"))


if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--quick"]
    main()
