"""What the changes of others cost: routes, containers and nftables tables, while nothing is armed and while something is.

nm-killswitch-heal is started as systemd would, by activation.py, whose own
cost is not counted; the time of a processor is that of all heal processes.
"""

import re
import time

from .bench_hosts import SECTION, BenchHost, Far, directory, median
from .runner import check, wait_for

RAN = re.compile(r"ran for ([\d.]+) s, ([\d.]+) s of a processor")


def _routes(count, verb, how):
    return "".join(f"route {verb} 10.{100 + i // 65025}.{i // 255 % 255}.{i % 255}/32 {how}\n" for i in range(count))


def _batch(host, script):
    """Run `ip` commands; the seconds they took."""
    start = time.monotonic()
    host.host.ip(script)
    return time.monotonic() - start


def _containers(host, count):
    """What starting and stopping a container does: a pair of devices, an address, a route."""
    start = time.monotonic()
    host.host.ip("".join(f"link add c{i} type veth peer name d{i}\nlink set c{i} up\nlink set d{i} up\n"
                         f"address add 172.30.{i}.1/24 dev c{i}\n" for i in range(count)))
    host.host.ip("".join(f"link delete c{i}\n" for i in range(count)))
    return time.monotonic() - start


def _tables(host, count):
    """A program that rewrites its own nftables table."""
    start = time.monotonic()
    for _ in range(count):
        host.host.run("nft", "-f", "-", input="table inet theirs {\n chain c {\n  type filter hook output priority 5;\n"
                                              "  counter\n }\n}\ndelete table inet theirs\n")
    return time.monotonic() - start


class _Heal:
    """Heal processes since the last call of take()."""

    def __init__(self, host, quick):
        self._process = host.nm.stand_in_for_heal_socket()
        self._patience = 0.2 if quick else 1.0
        self._seen = 0

    def settle(self):
        """Until none was started for a while."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < self._patience:
            count = len(RAN.findall(self._process.text()))
            if count != last:
                last, since = count, time.monotonic()
            time.sleep(0.02)

    def take(self):
        runs = RAN.findall(self._process.text())
        new, self._seen = runs[self._seen:], len(runs)
        return len(new), sum(float(processor) for _, processor in new)


def _repair(host, rounds):
    """Milliseconds from the loss of the terminal rule to its return."""
    taken = []
    for _ in range(rounds):
        host.host.run("rm", "-f", "/run/nm-killswitch/healed")
        host.host.run("ip", "rule", "delete", "priority", "8390")
        start = time.monotonic()
        wait_for(lambda: any(rule["priority"] == 8390 for rule in host.host.ip_json("rule")), 20, "the rule is back", 0.002)
        taken.append((time.monotonic() - start) * 1000)
        time.sleep(0.2)
    return taken


def _measure(host, heal, count, long):
    """{what: {"processes", "cpu_s", "seconds"}} of each kind of change."""
    deeds = {f"{count} routes of table main added and deleted, at once": lambda: (
                 _batch(host, _routes(count, "add", "dev box0")) + _batch(host, _routes(count, "delete", "dev box0"))),
             f"{count} routes of another table": lambda: (
                 _batch(host, _routes(count, "add", "dev box0 table 4711"))
                 + _batch(host, _routes(count, "delete", "dev box0 table 4711"))),
             f"{count // 100} containers": lambda: _containers(host, min(count // 100, 250)),
             f"{count // 100} nftables transactions": lambda: _tables(host, count // 100)}
    figures = {}
    for what, deed in deeds.items():
        heal.settle()
        heal.take()
        start = time.monotonic()
        deed()
        deed_seconds = time.monotonic() - start
        heal.settle()
        processes, cpu = heal.take()
        figures[what] = {"processes": processes, "cpu_s": cpu, "seconds": deed_seconds}
    heal.settle()
    heal.take()
    figures[f"a change of table main every 20 ms, {long} s"] = _storm(host, heal, long)
    return figures


def _storm(host, heal, seconds):
    start = time.monotonic()
    number = 0
    while time.monotonic() - start < seconds or number % 2:
        number += 1
        host.host.ip(f"route {'add' if number % 2 else 'delete'} 10.99.0.1/32 dev box0\n")
        time.sleep(0.02)
    taken = time.monotonic() - start
    heal.settle()
    processes, cpu = heal.take()
    return {"processes": processes, "cpu_s": cpu, "seconds": taken, "share": cpu / taken}


def run(quick):
    count, long = (200, 0.5) if quick else (10000, 30)
    where = directory()
    far = Far(where)
    host = BenchHost(far, where, 1, "nm-killswitch")
    host.main_by_tunnel()
    host.install(config="")
    heal = _Heal(host, quick)
    host.host.ip("route add 10.77.0.0/24 dev box0\n")   # the first notification: the filter is attached
    heal.settle()
    first = heal.take()
    check(first[0] == 1, f"heal runs once to attach its filter, not {first[0]} times")
    result = {"idle": _measure(host, heal, count, long)}
    check(all(each["processes"] == 0 for each in result["idle"].values()), f"nothing is started: {result['idle']}")
    host.host.write("/etc/nm-killswitch.conf", SECTION)
    host.sync()
    heal.settle()
    result["repair_ms"] = median(_repair(host, 3 if quick else 15))
    result["armed"] = _measure(host, heal, count, long)
    return result
