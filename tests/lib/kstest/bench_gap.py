"""What a lost tunnel costs: the interruption of traffic, and what leaves meanwhile, over many switches under a flood."""

import subprocess
import time

from .bench_hosts import PACE, SECTION, BenchHost, Far, directory, median
from .netns import TARGET, TARGET6
from .probes import NOBODY
from .runner import check

SETTLE = 0.025      # longer than two windows of `pace watch`


def _add_second_tunnel(host):
    host.far.link(host.host, "vpn1", "w1", host.far.space)
    host.far.drop_at("w1")
    host.host.sysctl(ipv6__conf__all__keep_addr_on_down=1, ipv6__conf__vpn0__keep_addr_on_down=1)
    host.host.ip("address add 10.9.1.2/24 dev vpn1\naddress add fd09:1::2/64 dev vpn1 nodad\n")


class _Switch:
    """`ip` that takes its commands as they come."""

    def __init__(self, host):
        self._ip = subprocess.Popen(host.host.enter() + ["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def set(self, device, state):
        self._ip.stdin.write(f"link set {device} {state}\n")
        self._ip.stdin.flush()

    def close(self):
        self._ip.stdin.close()
        self._ip.wait(5)


class _Floods:
    """Both families, each as fast as it goes, for SECONDS."""

    def __init__(self, host, seconds):
        self._all = [host.host.start(f"watch{family}", PACE, "watch", address, str(int(seconds * 1000)), f"uid={NOBODY}")
                     for family, address in enumerate((TARGET, TARGET6))]

    def windows(self):
        """Of each family: [(end, longest time without a packet, taken, refused)]."""
        for flood in self._all:
            flood.stop()
        return [[tuple(map(int, line.split())) for line in flood.text().splitlines()[1:] if len(line.split()) == 4]
                for flood in self._all]


def _losses(host, rounds):
    """{family: {"interruption_us", "otherwise_us", "worst_us", "refused"}} of losing vpn0 ROUNDS times, nothing beside it."""
    result = {}
    for name, address in (("IPv4", TARGET), ("IPv6", TARGET6)):
        taken = []
        for _ in range(rounds):
            taken.append([int(field) for field in host.host.run(PACE, "lose", address, "vpn0").stdout.split()])
            host.host.ip("link set vpn0 up\n")
            host.sync()
        result[name] = {"interruption_us": median([during for during, _, _ in taken]) / 1000,
                        "otherwise_us": median([before for _, before, _ in taken]) / 1000,
                        "worst_us": max(during for during, _, _ in taken) / 1000,
                        "refused": sum(refused for _, _, refused in taken)}
    return result


def _control(far, where):
    """Without a kill switch the flood is seen on the uplink when the tunnel is lost."""
    host = BenchHost(far, where, 2, "no kill switch")
    host.main_by_tunnel()
    switch = _Switch(host)
    _Floods(host, 0.5)
    time.sleep(0.1)
    switch.set("vpn0", "down")
    time.sleep(0.4)
    switch.close()
    leaked = far.leaked(2)
    check(leaked > 0, "without a kill switch the flood leaves by the uplink")
    return leaked


def run(quick):
    """Each cycle: the preferred tunnel is lost, the kernel goes on with the other; it comes back, a run prefers it again."""
    cycles = 3 if quick else 500
    where = directory()
    far = Far(where)
    result = {"switches": 2 * cycles, "control_leaked": _control(far, where)}
    host = BenchHost(far, where, 1, "nm-killswitch")
    _add_second_tunnel(host)
    host.install(SECTION.replace("Interface=vpn0", "Interface=vpn*"))
    for family in ("-4", "-6"):
        first = min(host.host.ip_json(family, "route", "show", "table", "83"), key=lambda route: route["metric"])
        check(first.get("dev") == "vpn0", f"vpn0 is preferred: {first}")
    switch = _Switch(host)
    floods = _Floods(host, 5 + cycles * 2)
    time.sleep(0.2)
    for _ in range(cycles):
        switch.set("vpn0", "down")
        time.sleep(SETTLE)
        switch.set("vpn0", "up")
        host.sync()
        time.sleep(SETTLE)
    families = floods.windows()
    switch.close()
    result["losses"] = 2 if quick else 50
    result.update(_losses(host, result["losses"]))
    for name, windows in zip(("IPv4", "IPv6"), families):
        result[name]["packets"] = sum(taken for _, _, taken, _ in windows)
        result[name]["refused"] += sum(refused for _, _, _, refused in windows)
    result["leaked"] = far.leaked(1)
    check(result["IPv4"]["packets"] > 0 and result["IPv6"]["packets"] > 0, "the floods are carried")
    check(result["leaked"] == 0, f"{result['leaked']} packets left by the uplink")
    return result
