"""What one event costs, from exec to exit, beside what other programs cost; with few and many profiles."""

import os
import re
import shlex
import shutil
import subprocess
import time

from . import netns, nm
from .bench_hosts import (CONGESTION_CONTROL, PACE, WG_QUICK_STEPS, BenchHost, Far, build_pace, directory, median,
                          openvpn_profile, ratios)
from .container import PROFILE
from .machine import VPN, Machine
from .runner import check

DISPATCHER = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch"
EVENT = [DISPATCHER, "eth0", "dhcp4-change"]
EVENT_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NM_DISPATCHER_ACTION": "dhcp4-change", "DEVICE_IFACE": "eth0"}
ARTICLE = """ip route flush table 1000
ip route add default dev vpn0 table 1000 metric 100
ip route add blackhole default table 1000 metric 200
ip rule add not sport 1234 table 1000
ip rule add table main suppress_prefixlength 0
"""
UNDO = {"article": "ip rule delete table 1000\nip rule delete table main suppress_prefixlength 0\nip route flush table 1000\n",
        "wg-quick": "".join(f"ip {family} rule delete table 51820\nip {family} rule delete table main suppress_prefixlength 0\n"
                            f"ip {family} route flush table 51820\n" for family in ("-4", "-6"))}
COUNTS = ((0, 0), (1, 1), (10, 10), (100, 100), (1000, 10), (1000, 1000), (1000, 0))
QUICK = ((0, 0), (10, 10), (20, 10))
PROCESSOR = 1
STREAMS = 45    # how often each is measured: with 15, the median of their ratios still varied by two per cent
SETTLED_S = 4  # ks_stamp_settled_s, and a second for its fractions
SWITCHED_S = 0.3  # after the kill switch has been turned on or off, until nothing runs any more because of it
NOTHING, CHANGE = "nothing to do", "puts a rule back"
IP, SHELL, NMCLI, CLIENT, WG = ("five `ip rule` processes", "shell script with the article's five commands",
                               "`nmcli -t connection show`", "empty libnm client", "wg-quick's rule steps in a shell")


WIREGUARD, WIREGUARD_PROFILE = "my-wg", PROFILE.format(zone="").replace("id=vpn", "id=my-wg")


def _title(count, armed):
    return f"{count:,} profile{'s' if count != 1 else ''}, {armed:,} armed"


def _build_client():
    program = os.path.join(os.path.dirname(PACE), "empty-client")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libnm"], check=True, stdout=subprocess.PIPE, text=True)
    subprocess.run(["cc", "-O2", "-o", program, os.path.join(netns.ROOT, "tests", "tools", "empty-client.c"),
                    *shlex.split(flags.stdout)], check=True, timeout=60)
    return program


class _Host:
    """NetworkManager with COUNT profiles, of which ARMED are armed."""

    def __init__(self, far, where, number, count, armed):
        self.name = _title(count, armed)
        self.bench = BenchHost(far, where, number, self.name)
        self.bench.install(config="", profiles=[(f"vpn-{n}", openvpn_profile(n, "killswitch" if n < armed else ""))
                                                for n in range(count)])
        self.armed = armed
        self.bench.nm.start(60)

    def run(self, *command, env=None):
        """(microseconds, microseconds of a processor, KiB)."""
        fields = self.bench.host.run(PACE, "run", *command, timeout=60, env=env).stdout.split()
        return float(fields[0]), float(fields[1]), int(fields[2])

    def nothing(self):
        return self.run(*EVENT, env=EVENT_ENVIRONMENT)

    def change(self):
        self.bench.host.run("ip", "rule", "delete", "priority", "8390")
        return self.run(*EVENT, env=EVENT_ENVIRONMENT)


def _instructions(host):
    """Of an event in user space, as valgrind counts them; None where it does not run.

    To the event valgrind is another program, and what one program has found is nothing to another: the first time counts
    for that alone.
    """
    found = None
    for _ in range(2):
        result = host.bench.host.run("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *EVENT,
                                     timeout=120, check=False, env=EVENT_ENVIRONMENT)
        found = re.search(r"Collected : (\d+)", result.stderr)
    return int(found.group(1)) if found else None


def _messages(host, *command):
    """How many messages went to netlink sockets, and how many to the bus."""
    trace = "/run/trace"
    host.bench.host.run("strace", "-f", "-qq", "-yy", "-e", "trace=sendto,sendmsg,sendmmsg", "-o", trace, *command, timeout=60,
                        check=False, env=EVENT_ENVIRONMENT)
    lines = host.bench.host.read(trace).splitlines()
    return {"netlink": sum("<NETLINK:" in line for line in lines), "bus": sum("<UNIX" in line for line in lines)}


def _others(plain, hosts, client):
    """{name: a function that measures it once}."""
    def script(text, undo):
        def once():
            taken = plain.run("sh", "-c", text)
            plain.bench.host.run("sh", "-c", UNDO[undo])
            return taken
        return once

    table = {SHELL: script(ARTICLE, "article"), WG: script("\n".join(WG_QUICK_STEPS), "wg-quick"),
             IP: lambda: plain.run("sh", "-c", "ip rule; ip rule; ip rule; ip rule; ip rule")}
    for host in hosts:
        table[f"{NMCLI}, {host.name}"] = lambda host=host: host.run("nmcli", "-t", "connection", "show")
        table[f"{CLIENT}, {host.name}"] = lambda host=host: host.run(client)
    return table


def _interleave(table, rounds):
    figures = {name: [] for name in table}
    names = list(table)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            figures[name].append(table[name]())
    return figures


class _Pair:
    """Two hosts with a VPN of each type, one of them without the package and one armed; measured in turn."""

    def __init__(self):
        self.machines = {"without": Machine(killswitch=False), "with": Machine(killswitch=True)}
        for machine in self.machines.values():
            machine.host.sysctl(ipv4__tcp_congestion_control=CONGESTION_CONTROL)
            machine.nm.add_profile(WIREGUARD, WIREGUARD_PROFILE)
            machine.lab.internet.start("pace-sink", build_pace(), "sink")
        self.machines["with"].arm()

    def has_wireguard(self):
        host = self.machines["without"].host
        if host.run("ip", "link", "add", "wg-try", "type", "wireguard", check=False).returncode:
            return False
        host.run("ip", "link", "delete", "wg-try")
        return True

    def measure(self, rounds, measure):
        """{name: the median}, and the median of the ratios."""
        taken = {name: [] for name in self.machines}
        for _ in range(rounds):
            for name, machine in self.machines.items():
                taken[name].append(measure(machine))
        return _compared(taken)


def _compared(taken):
    """The medians of what was measured without and with, in turn, and of their ratios."""
    by_ratio = median([b / a for a, b in zip(taken["without"], taken["with"])])
    return {"without": median(taken["without"]), "with": median(taken["with"]), "ratio": by_ratio}


def _activate(machine, profile):
    """Seconds that `nmcli connection up` takes."""
    start = time.monotonic()
    machine.nm.up(profile)
    return time.monotonic() - start


def _openvpn(machine):
    machine.down()
    return _activate(machine, VPN)


def _wireguard(machine):
    machine.nm.nmcli("connection", "down", WIREGUARD, check=False)
    return _activate(machine, WIREGUARD)


def _processor_ns(pids):
    """Nanoseconds that these programs have run so far: schedstats of the kernel's Documentation/scheduler/sched-stats.rst."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def _stream(address, count):
    """Nanoseconds of a processor for 64 KiB of a TCP connection through the tunnel, COUNT times.

    Of the sender, the receiver and both ends of the tunnel, which share one processor: how well four programs are spread
    over two varies by more than what is to be measured.
    """
    def measure(machine):
        pids = [pid for space in (machine.host, machine.lab.internet) for name in ("openvpn", "pace")
                for pid in space.processes(name)]
        check(len(pids) == 3, f"the tunnel's two ends and the sink: {pids}")
        for pid in pids:
            os.sched_setaffinity(pid, {PROCESSOR})
        before = _processor_ns(pids)
        sender = machine.host.run("taskset", "--cpu-list", str(PROCESSOR), PACE, "run", PACE, "stream", address, "1", str(count),
                                  timeout=60).stdout.split()
        return (_processor_ns(pids) - before + float(sender[1]) * 1000) / (2 * count)   # it sends as much again to warm up
    return measure


def _toggled(machine, rounds, measure):
    """MEASURE on one host, whose VPN stays up while the kill switch is turned off and on: the same programs, at the same
    places in memory. The same tunnel on two hosts differs by more than what is to be measured.
    """
    def turned(name):
        if name == "with":
            machine.arm()
        else:
            machine.disarm()
            machine.wait_released()
        time.sleep(SWITCHED_S)
        return measure(machine)

    taken = {"without": [], "with": []}
    for number in range(rounds):
        for name in ("without", "with") if number % 2 else ("with", "without"):
            taken[name].append(turned(name))
    machine.arm()
    return _compared(taken)


def _tunnels(quick):
    """What it takes to bring a VPN up, and how quickly it carries, without and with the package."""
    pair = _Pair()
    rounds = 1 if quick else 7
    figures = {"openvpn_s": pair.measure(rounds, _openvpn), "wireguard_s": None}
    for family, address in (("IPv4", "10.8.0.1"), ("IPv6", "fd08::1")):
        figures[f"stream {family}"] = _toggled(pair.machines["with"], 1 if quick else STREAMS, _stream(address, 20 if quick else 300))
    if pair.has_wireguard():
        pair.machines["with"].nm.modify(WIREGUARD, "connection.zone", "killswitch")
        for machine in pair.machines.values():
            machine.down()
        figures["wireguard_s"] = pair.measure(rounds, _wireguard)
    return figures


def _installed():
    """KiB that `make install` installs, without the debug information that packages leave out."""
    copy = os.path.join(directory(), "stage")
    shutil.copytree(nm.stage(), copy, symlinks=True)
    files = [os.path.join(path, name) for path, _, names in os.walk(copy) for name in names]
    for path in files:
        if not os.path.islink(path) and os.access(path, os.X_OK):
            subprocess.run(["strip", path], check=False, stderr=subprocess.DEVNULL)
    return sum(os.lstat(path).st_size for path in files) // 1024


def run(quick):
    where = directory()
    far = Far(where)
    client = _build_client()
    hosts = [_Host(far, where, number + 1, count, armed) for number, (count, armed) in enumerate(QUICK if quick else COUNTS)]
    plain = _Host(far, where, len(hosts) + 1, 0, 0)
    table = _others(plain, [host for host in hosts if host.armed == 10], client)
    # what was written a moment ago is read anew by each run, and a run goes by what two before it have left
    time.sleep(0 if quick else SETTLED_S)
    for host in hosts:
        for _ in range(3):
            check(host.bench.host.run(*EVENT, check=False, env=EVENT_ENVIRONMENT).returncode == 0, f"{host.name}: the event is handled")
        table[f"{NOTHING}, {host.name}"] = host.nothing
        if host.armed:
            table[f"{CHANGE}, {host.name}"] = host.change
    taken = _interleave(table, 1 if quick else 11)
    wall = {name: [each[0] for each in values] for name, values in taken.items()}
    processor = {name: [each[1] for each in values] for name, values in taken.items()}
    by_wall, by_processor = ratios(wall, IP), ratios(processor, IP)
    figures = {name: {"ms": median(wall[name]) / 1000, "cpu_ms": median(processor[name]) / 1000,
                      "mb": max(each[2] for each in taken[name]) / 1024, "ratio": by_wall[name],
                      "cpu_ratio": by_processor[name]} for name in table}
    for host in hosts:
        entry = figures[f"{NOTHING}, {host.name}"]
        if not quick:
            entry["instructions"] = _instructions(host)
        entry.update(_messages(host, *EVENT))
    return {"base": IP, "figures": figures, "tunnels": _tunnels(quick), "installed_kb": _installed()}
