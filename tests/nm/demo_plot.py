#!/usr/bin/env python3
"""Draws docs/demo.svg: packets on the wire while the VPN is killed and comes back, measured now.

Run by `make demo-plot`. The same machine does the same three times: with no kill switch, with the commands of the
article that the idea comes from, and with nm-killswitch. It sends UDP and TCP to a public address of each family all the
time. What is counted is seen from the other end of its cable, as in tests/attacks. All of it happens in network
namespaces; this machine's network is not touched.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, nm, runner
from kstest.attack_machine import UP, AttackMachine
from kstest.attack_record import ARTICLE, NONE, PRODUCT
from kstest.machine import VPN
from kstest.probes import Flood
from kstest.wire import LEAKS

TITLES = {NONE: "without a kill switch", ARTICLE: "the usual routing rules, for IPv4", PRODUCT: "nm-killswitch"}
BEFORE, DOWN, AFTER = 2.0, 3.0, 2.0     # seconds of each phase, at least
BUCKET = 0.1
OUT = os.path.join(netns.ROOT, "docs")

_PLOT = """
set terminal svg size 760,560 font "sans,12" background "white"
set output "{svg}"
set multiplot layout 3,1 margins 0.1,0.97,0.11,0.93 spacing 0.1,0.09
set style fill solid 0.7 noborder
set xrange [0:{end}]
set yrange [0:{top}]
set ytics {step}
set ylabel "packets/s"
set grid ytics lc rgb "#dddddd"
{panels}
unset multiplot
"""
_PANEL = """
{key}
{xlabel}
unset arrow
unset label
set label "{title}" at graph 0,1.12 left font "sans,13"
set arrow from {killed},0 to {killed},{top} nohead lc rgb "#888888" dt 2
set label "VPN killed" at {killed},{label} offset 0.5,0 tc rgb "#555555"
set arrow from {back},0 to {back},{top} nohead lc rgb "#888888" dt 2
set label "brought up again" at {back},{label} offset 0.5,0 tc rgb "#555555"
plot $data{number} using 1:2 with steps lw 2 lc rgb "#2a78b5" title "in the tunnel", \\
     $data{number} using 1:3 with fillsteps lc rgb "#d62728" title "leaked"
"""


def measure(column):
    """Play it once; returns {"killed": s, "back": s, "buckets": [[tunnel, leaked], ...]}, the counts of each BUCKET."""
    machine = AttackMachine(column)
    machine.bring(UP)
    with Flood(machine.host, (netns.TARGET, netns.TARGET6), interval=0.01):
        time.sleep(0.5)
        mark, start = machine.mark(), time.monotonic()
        time.sleep(BEFORE)
        killed = time.monotonic() - start
        machine.kill()
        time.sleep(max(0, DOWN - (time.monotonic() - start - killed)))
        machine.unprotect()     # the article's rules keep this VPN from connecting
        back = time.monotonic() - start
        machine.nm.up(VPN)
        machine.protect()
        time.sleep(AFTER)
        end = time.monotonic() - start
    buckets = [[0, 0] for _ in range(int(end / BUCKET))]
    for record in machine.since(mark):
        place = int((record.time - start) / BUCKET)
        if 0 <= place < len(buckets):
            buckets[place][0] += record.kind == "transport"
            buckets[place][1] += record.kind in LEAKS
    return {"killed": round(killed, 2), "back": round(back, 2), "buckets": buckets}


def plot(measured):
    """Draw docs/demo.svg with gnuplot."""
    end = min(len(each["buckets"]) for each in measured.values()) * BUCKET
    top = max(max(counts) for each in measured.values() for counts in each["buckets"]) / BUCKET * 1.25
    step = 10 ** (len(str(int(top))) - 1)
    data, panels = "", ""
    for number, (column, each) in enumerate(measured.items()):
        lines = "".join(f"{place * BUCKET:.1f} {tunnel / BUCKET:.0f} {leaked / BUCKET:.0f}\n"
                        for place, (tunnel, leaked) in enumerate(each["buckets"]))
        data += f"$data{number} << EOD\n{lines}EOD\n"
        panels += _PANEL.format(title=TITLES[column], number=number, top=top, label=top * 0.9, killed=each["killed"],
                                back=each["back"],
                                key="unset key" if number else "set key at graph 1,1.18 horizontal samplen 2",
                                xlabel='set xlabel "seconds"' if number == len(measured) - 1 else "unset xlabel")
    script = data + _PLOT.format(svg=os.path.join(OUT, "demo.svg"), end=end, top=top, step=step, panels=panels)
    subprocess.run(["gnuplot"], input=script, text=True, check=True, timeout=60)


def main():
    # The runner's cleanups, without its verdicts.
    atexit.register(runner._clean_up)  # pylint: disable=protected-access
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, _frame: sys.exit(128 + number))
    if not shutil.which("gnuplot"):
        sys.exit("demo-plot: gnuplot is not installed")
    try:
        nm.stage()
        measured = {column: measure(column) for column in (NONE, ARTICLE, PRODUCT)}
    except runner.Skip as reason:
        sys.exit(f"demo-plot: {reason}")
    for column, each in measured.items():
        tunnel, leaked = (sum(counts[place] for counts in each["buckets"]) for place in (0, 1))
        print(f"{TITLES[column]:35} {tunnel:6} packets in the tunnel, {leaked:6} leaked")
    plot(measured)
    with open(os.path.join(OUT, "demo.json"), "w", encoding="ascii") as file:
        json.dump({TITLES[column]: each for column, each in measured.items()}, file, indent=None)
        file.write("\n")
    leaked = {column: sum(counts[1] for counts in each["buckets"]) for column, each in measured.items()}
    if leaked[PRODUCT] or not leaked[NONE]:
        sys.exit("demo-plot: this is not as it should be")


if __name__ == "__main__":
    main()
