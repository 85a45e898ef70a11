#!/usr/bin/env python3
"""Demonstrates the kill switch: what leaves a laptop while its VPN connects, is killed, and comes back.

For people, run by `make demo`. It plays the same story twice, without and with
the kill switch, and counts packets on the wire between laptop and router. All
of it happens in network namespaces; this machine's network is not touched.
"""

import atexit
import os
import signal
import sys
import textwrap
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, nm, probes, runner
from kstest.machine import VPN, Machine

SECONDS = 2.0
PHASES = ("VPN connected", "VPN killed", "VPN back")

BOLD, RED, GREEN, DIM, PLAIN = (
    ("\033[1m", "\033[1;31m", "\033[1;32m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 5)

INTRODUCTION = f"""
{BOLD}nm-killswitch, a demonstration{PLAIN}

Three machines, made of network namespaces, with a real NetworkManager and a
real OpenVPN in the laptop and in the internet:

    laptop ----------------- router ------------- internet
    192.168.50.2      ^      192.168.50.1         198.51.100.1  a web server
                      |                           203.0.113.10  the VPN's server
              packets are counted here

A program on the laptop talks to the web server all the time, over IPv4 and
IPv6. Nobody on the wire should see it.
"""


def say(text):
    print(f"  {text}", flush=True)


def step(command):
    print(f"\n  {DIM}${PLAIN} {BOLD}{command}{PLAIN}", flush=True)


def watch(machine):
    """Count for a while; returns (through the tunnel, leaked)."""
    mark = machine.mark()
    time.sleep(SECONDS)
    counts = machine.counts(mark)
    tunnel = counts["transport"]
    leaked = counts["leak"] + counts["arp-foreign"] + counts["nd-foreign"]
    colour = RED if leaked else GREEN
    say(f"{SECONDS:.0f} seconds on the wire: {tunnel:5} packets in the tunnel, "
        f"{colour}{leaked:5} packets leaked{PLAIN}")
    return tunnel, leaked


def story(killswitch):
    """Play it once. Returns the counts of each phase."""
    title = "With the kill switch" if killswitch else "Without the kill switch"
    print(f"\n{BOLD}{title}{PLAIN}\n{'-' * len(title)}")
    machine = Machine(killswitch)
    if killswitch:
        step(f"nmcli connection modify {VPN} connection.zone killswitch")
        machine.nm.modify(VPN, "connection.zone", "killswitch")
        say("That is all there is to set up.")
    flood = probes.Flood(machine.host, (netns.TARGET, netns.TARGET6), interval=0.01)
    step(f"nmcli connection up {VPN}")
    machine.up()
    with flood:
        time.sleep(0.5)
        counted = [watch(machine)]
        step("kill -9 $(pidof openvpn)")
        machine.kill()
        counted.append(watch(machine))
        if killswitch:
            machine.check_lan_works()
            say("The router still answers: the local network keeps working.")
        step(f"nmcli connection up {VPN}")
        machine.nm.up(VPN)
        time.sleep(0.5)
        counted.append(watch(machine))
    return counted


def table(without, with_killswitch):
    print(f"\n{BOLD}  {'packets leaked':20}{'without kill switch':>24}{'with kill switch':>24}{PLAIN}")
    print("  " + "-" * 68)
    for phase, left, right in zip(PHASES, without, with_killswitch):
        colours = [RED if leaked else GREEN for _, leaked in (left, right)]
        print(f"  {phase:20}{colours[0]}{left[1]:>24}{PLAIN}{colours[1]}{right[1]:>24}{PLAIN}")
    print()


def main():
    # The runner's cleanups, without its verdicts.
    atexit.register(runner._clean_up)  # pylint: disable=protected-access
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, _frame: sys.exit(128 + number))
    print(INTRODUCTION, end="")
    try:
        nm.stage()
        start = time.monotonic()
        without = story(False)
        with_killswitch = story(True)
    except runner.Skip as reason:
        sys.exit(f"demo: {reason}")
    table(without, with_killswitch)
    leaked = sum(count for _, count in with_killswitch)
    seen = without[1][1]
    works = all(with_killswitch[phase][0] for phase in (0, 2))
    if leaked or not works or not seen:
        say(f"{RED}This is not as it should be.{PLAIN}")
        sys.exit(1)
    sentence = (f"When the VPN was killed, {seen} packets went out in the clear in {SECONDS:.0f} seconds. "
                "With the kill switch none did, the local network worked on, and the VPN came back.")
    print(textwrap.fill(sentence, 78, initial_indent="  ", subsequent_indent="  "))
    say(f"{DIM}({time.monotonic() - start:.0f} seconds; this machine's own network was not touched){PLAIN}")


if __name__ == "__main__":
    main()
