"""Runs in the guest: how fast are our rules, routes and the guard back after a command has changed them?

usage: python3 -I vm_life_guest.py repair SECONDS same|jump COMMAND
       python3 -I vm_life_guest.py chase FILE UNIT SECOND-FILE

`repair` runs COMMAND in a shell and prints, as one line of JSON, the milliseconds
from its start to the first difference seen and to the moment in which all of
ours is as it was before ("jump": is in force again behind a jump). It asks the
kernel over netlink: a process for each look would take longer than the repair.

`chase` replaces the profile FILE by its other version at the very moment in
which the service UNIT that the first change has started ends: the worst moment
for a unit that watches the file.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETROUTE, RTM_GETRULE = 26, 34
NFT_GETTABLE, NFT_GETCHAIN, NFT_GETRULE = (10 << 8) | 1, (10 << 8) | 4, (10 << 8) | 7
OURS = 83
RTA_CACHEINFO, FRA_PROTOCOL, RTA_TABLE = 12, 21, 15
FR_ACT_GOTO = 2


def dump(protocol, kind, body):
    """The bodies of all messages that answer a dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        bodies = []
        while True:
            data = link.recv(1 << 18)
            while len(data) >= 16:
                length, what = struct.unpack_from("=IH", data)
                if what in (NLMSG_DONE, NLMSG_ERROR):
                    return bodies
                bodies.append(data[16:length])
                data = data[(length + 3) & ~3:]


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


def our_rules():
    rules = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in dump(NETLINK_ROUTE, RTM_GETRULE, struct.pack("B11x", family)):
            if dict(attributes(body[12:])).get(FRA_PROTOCOL) == bytes([OURS]):
                rules.add(body)
    return rules


def our_routes():
    routes = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in dump(NETLINK_ROUTE, RTM_GETROUTE, struct.pack("B11x", family)):
            if body[5] == OURS:
                routes.add((body[:8], *((kind, value) for kind, value in attributes(body[12:])
                                        if kind != RTA_CACHEINFO)))
    return routes


def guard():
    """How many tables, chains and rules the guard has: it comes and goes as a whole."""
    name = b"nm_killswitch\0"
    return tuple(sum(any(value == name for _, value in attributes(body[4:]))
                     for body in dump(NETLINK_NETFILTER, kind, struct.pack("BBH", 1, 0, 0)))
                 for kind in (NFT_GETTABLE, NFT_GETCHAIN, NFT_GETRULE))


def look():
    return our_rules(), our_routes(), guard()


def has_jump():
    return any(body[7] == FR_ACT_GOTO for body in our_rules())


def repair(limit, until, command):
    before = look()
    start = time.monotonic()
    with subprocess.Popen(["/bin/bash", "-c", command]) as process:
        broken = None if until == "same" else 0.0
        ended = fixed = None
        while time.monotonic() - start < limit and not (fixed and ended):
            same = look() == before if until == "same" else has_jump()
            now = (time.monotonic() - start) * 1000
            if broken is None and not same:
                broken = now
            elif broken is not None and same:
                fixed = fixed or now
            elif broken is not None:
                fixed = None
            if ended is None and process.poll() is not None:
                ended = now
            if ended is not None and broken is None and now > ended + 3000:
                break  # so quick that it was not seen, or not ours
    print(json.dumps({"broken": broken, "command": ended, "fixed": fixed}))


def running(unit):
    """The main process of UNIT while it runs, by its control group: quicker to read than systemd to ask."""
    try:
        with open(f"/sys/fs/cgroup/system.slice/{unit}/cgroup.procs", encoding="ascii") as file:
            return [int(line) for line in file]
    except OSError:
        return []


def replace(path, data):
    temporary = os.path.join(os.path.dirname(path), ".chase")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, data)
    os.close(descriptor)
    os.rename(temporary, path)


def chase(path, unit, other):
    with open(path, "rb") as file:
        first = file.read()
    with open(other, "rb") as file:
        second = file.read()
    replace(path, second)
    end = time.monotonic() + 30
    while not (pids := running(unit)):
        if time.monotonic() > end:
            sys.exit("the service did not start")
    process = os.pidfd_open(pids[0])
    select.select([process], [], [], 30)
    replace(path, first)


def main():
    if sys.argv[1] == "repair":
        repair(float(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        chase(*sys.argv[2:5])


if __name__ == "__main__":
    main()
