#!/usr/bin/env python3
"""How fast is a repair? A benchmark, not a test: it prints figures and judges none.

usage: tests/bench/repair.py; KS_BENCH_ROUNDS is how often each is destroyed (15)

A whole Debian 12 with systemd as its first process runs in a container of this
machine's kernel (systemd-nspawn, a network of its own that leads nowhere), at
this machine's speed: emulated, the same repair takes ten times as long. The
kill switch is installed, a WireGuard profile is armed, and something of ours is
destroyed over and over. The time is from the moment in which netlink shows the
damage to the one in which rules, routes and guard are as before.
"""

import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.container import PROFILE, VPN, Container
from kstest.runner import check, main, test

DAMAGE = {
    "one rule": "ip rule del priority 8380",
    "all rules of both families": "ip -4 rule flush protocol 83; ip -6 rule flush protocol 83",
    "table 83": "ip -4 route flush table 83; ip -6 route flush table 83",
    "the guard": "nft delete table inet nm_killswitch",
}
SCRIPT = """\
until nm-killswitch check; do sleep 0.5; done
sleep 3
while read -r command; do
    rm -f /run/nm-killswitch/healed
    python3 /root/life.py repair 20 same "$command" | sed 's/^/RESULT /'
    sleep 1
done </root/damage
poweroff -ff
"""
@test
def repair_times():
    rounds = int(os.environ.get("KS_BENCH_ROUNDS", "15"))
    container = Container(SCRIPT, {VPN: PROFILE.format(zone="zone=killswitch\n"), "root/damage": "".join(
        f"{command}\n" for _ in range(rounds) for command in DAMAGE.values())})
    log = container.boot(120 + 10 * rounds)
    results = [json.loads(line[7:]) for line in log.splitlines() if line.startswith("RESULT ")]
    check(len(results) == rounds * len(DAMAGE), f"the container did not get to the end: {log[-2000:]}")
    for number, what in enumerate(DAMAGE):
        times = [each["fixed"] - each["broken"] for each in results[number::len(DAMAGE)] if each["fixed"]]
        print(f"        {what:<28} repaired {len(times)} of {rounds}; ms: minimum {min(times):.0f},"
              f" median {statistics.median(times):.0f}, maximum {max(times):.0f}")


if __name__ == "__main__":
    main()
