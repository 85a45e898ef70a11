"""Runs in the container of bench_system.py, and prints one line of JSON for each measurement.

usage: python3 guest.py boot
       python3 guest.py toggle ROUNDS

`boot`: milliseconds that nm-killswitch-boot.service took, those of its program alone, and those of NetworkManager's service.

`toggle`: milliseconds from the start of `nmcli connection modify` that arms (or disarms) the VPN to: the file of the profile
was written, nmcli returned, systemd began to start the service, the program began, all of the kill switch is (or is not)
in the kernel, the program ended.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time

from kernel import look, our_rules

VPN = "vpn"
FILE = "/etc/NetworkManager/system-connections/vpn.nmconnection"
UNIT = "nm-killswitch-sync.service"
RTNLGRP_RULES = (8, 19)     # RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
QUIET_S = 0.05             # without a change of a rule, before everything is looked at: that takes the processor from the program
SETTLED_S = 4               # what has just been written is read anew each time (ks-stamp.h); and as a person would toggle


def times_of(unit):
    """{property: seconds of the monotonic clock}."""
    names = ("InactiveExit", "ExecMainStart", "ExecMainExit", "ActiveEnter")
    options = [option for name in names for option in ("-p", f"{name}TimestampMonotonic")]
    out = subprocess.run(["systemctl", "show", *options, unit], check=True, stdout=subprocess.PIPE, text=True).stdout
    fields = dict(line.split("=", 1) for line in out.splitlines())
    return {name: int(fields[f"{name}TimestampMonotonic"]) / 1e6 for name in names}


def boot():
    unit, manager = times_of("nm-killswitch-boot.service"), times_of("NetworkManager.service")
    print(json.dumps({"unit_ms": (unit["ActiveEnter"] - unit["InactiveExit"]) * 1000,
                      "program_ms": (unit["ExecMainExit"] - unit["ExecMainStart"]) * 1000,
                      "networkmanager_ms": (manager["ActiveEnter"] - manager["InactiveExit"]) * 1000}))


class Rules:
    """Readable after a change of a rule, the last of which brings a toggle into force."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.bind((0, 0))
        for group in RTNLGRP_RULES:
            self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self.socket.setblocking(False)

    def drain(self):
        while True:
            try:
                self.socket.recv(1 << 18)
            except BlockingIOError:
                return


def wait_ended(begun):
    while True:
        unit = times_of(UNIT)
        if unit["InactiveExit"] > begun and unit["ExecMainExit"] > unit["ExecMainStart"]:
            return unit
        time.sleep(0.1)


def modify(zone, is_reached):
    time.sleep(SETTLED_S)
    begun, offset = time.monotonic(), time.time() - time.monotonic()
    with subprocess.Popen(["nmcli", "connection", "modify", VPN, "connection.zone", zone]) as process:
        listener = Rules()
        returned = reached = last = None
        descriptor = os.pidfd_open(process.pid)
        while returned is None or reached is None:
            waiting = [listener.socket] + ([descriptor] if returned is None else [])
            ready = select.select(waiting, [], [], QUIET_S if last else 20)[0]
            now = time.monotonic()
            if descriptor in ready:
                returned = now
            if listener.socket in ready:
                listener.drain()
                last = now
            elif not ready and not last:
                sys.exit("the change did not come into force")
            elif not ready:
                reached, last = last if is_reached() else None, None
    written = os.stat(FILE).st_mtime - offset
    unit = wait_ended(begun)
    print(json.dumps({"zone": zone, "written": (written - begun) * 1000, "returned": (returned - begun) * 1000,
                      "unit": (unit["InactiveExit"] - begun) * 1000, "program": (unit["ExecMainStart"] - begun) * 1000,
                      "in_force": (reached - begun) * 1000, "ended": (unit["ExecMainExit"] - begun) * 1000}), flush=True)


def toggle(rounds):
    armed = look()
    for _ in range(rounds):
        modify("", lambda: not our_rules())
        modify("killswitch", lambda: look() == armed)


if __name__ == "__main__":
    if sys.argv[1] == "boot":
        boot()
    else:
        toggle(int(sys.argv[2]))
