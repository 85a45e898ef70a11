"""What one event costs, from exec to exit, beside what other programs cost; with few and many profiles."""

import os
import re
import shlex
import shutil
import subprocess
import time

from . import netns, nm
from .bench_hosts import (PACE, WG_QUICK_STEPS, BenchHost, Far, directory, median, openvpn_profile, ratios)
from .machine import Machine
from .runner import check

DISPATCHER = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch"
EVENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NM_DISPATCHER_ACTION=dhcp4-change", "DEVICE_IFACE=eth0",
         DISPATCHER, "eth0", "dhcp4-change"]
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
SETTLED_S = 4  # ks_stamp_settled_s, and a second for its fractions
NOTHING, CHANGE = "nothing to do", "puts a rule back"
IP, SHELL, NMCLI, CLIENT, WG = ("five `ip rule` processes", "shell script with the article's five commands",
                               "`nmcli -t connection show`", "empty libnm client", "wg-quick's rule steps in a shell")


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

    def run(self, *command):
        """(microseconds, microseconds of a processor, KiB)."""
        fields = self.bench.host.run(PACE, "run", *command, timeout=60).stdout.split()
        return float(fields[0]), float(fields[1]), int(fields[2])

    def nothing(self):
        return self.run(*EVENT)

    def change(self):
        self.bench.host.run("ip", "rule", "delete", "priority", "8390")
        return self.run(*EVENT)


def _instructions(host):
    """Of an event in user space, as valgrind counts them; None where it does not run.

    To the event valgrind is another program, and what one program has found is nothing to another: the first time counts
    for that alone.
    """
    found = None
    for _ in range(2):
        result = host.bench.host.run(*EVENT[:-3], "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *EVENT[-3:],
                                     timeout=120, check=False)
        found = re.search(r"Collected : (\d+)", result.stderr)
    return int(found.group(1)) if found else None


def _messages(host, *command):
    """How many messages went to netlink sockets, and how many to the bus."""
    trace = "/run/trace"
    host.bench.host.run("strace", "-f", "-qq", "-yy", "-e", "trace=sendto,sendmsg,sendmmsg", "-o", trace, *command, timeout=60,
                        check=False)
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


def _activation(rounds):
    """Seconds that `nmcli connection up` takes with OpenVPN, without and with the package: {name: [seconds]}."""
    machines = {"without": Machine(killswitch=False), "with": Machine(killswitch=True)}
    machines["with"].arm()
    taken = {name: [] for name in machines}
    for _ in range(rounds):
        for name, machine in machines.items():
            machine.down()
            start = time.monotonic()
            machine.nm.up("my-vpn")
            taken[name].append(time.monotonic() - start)
    return taken


def _toggle(host, rounds):
    """Milliseconds of a processor-idle `sync` that arms and disarms one profile: what follows `nmcli connection modify`."""
    taken = {"arm": [], "disarm": []}
    path = "/etc/NetworkManager/system-connections/vpn-0.nmconnection"
    for _ in range(rounds):
        host.bench.host.write(path, openvpn_profile(0, ""), 0o600)
        taken["disarm"].append(host.run("nm-killswitch", "sync")[0] / 1000)
        host.bench.host.write(path, openvpn_profile(0), 0o600)
        taken["arm"].append(host.run("nm-killswitch", "sync")[0] / 1000)
    return {name: median(values) for name, values in taken.items()}


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
            check(host.bench.host.run(*EVENT, check=False).returncode == 0, f"{host.name}: the event is handled")
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
    result = {"base": IP, "figures": figures, "toggle_ms": _toggle(hosts[1], 1 if quick else 11),
              "installed_kb": _installed()}
    if not quick:
        activation = _activation(7)
        result["activation"] = {"without_s": median(activation["without"]), "with_s": median(activation["with"]),
                                "ratio": median([b / a for a, b in zip(activation["without"], activation["with"])])}
    return result
