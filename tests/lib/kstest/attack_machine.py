"""The machine of machine.py, protected by nothing, by the article's commands, or by nm-killswitch; and attacked.

The article's commands are run as it has them, for IPv4 and a source port, as a
reader would: while the VPN is up, and again after each time it came up. Before
that its rules are taken away, or OpenVPN, which has no fixed source port with
NetworkManager, could not connect any more; whether it can is a case of its own.
"""

import concurrent.futures
import contextlib
import time

from . import netns, probes
from .attack_record import ARTICLE, NONE, PRODUCT, Numbers, Tally, attribute
from .machine import VPN, Machine
from .netns import TARGET, TARGET6
from .probes import NOBODY, Probe
from .runner import check, wait_for
from .wire import LEAKS

UP, DOWN = "up", "down"

# With the gateway and the port that the article's reader has to fill in.
_ARTICLE = """
grep -q vpn1 /etc/iproute2/rt_tables || echo '83 vpn1' >>/etc/iproute2/rt_tables
ip route flush table vpn1
ip route add default dev tun0 via 10.8.0.1 table vpn1 metric 100
ip route add blackhole default table vpn1 metric 200
ip rule add not sport 1194 table vpn1
ip rule add table main suppress_prefixlength 0
"""
_NO_ARTICLE = """
while ip rule delete table main suppress_prefixlength 0; do :; done
while ip rule delete not sport 1194 table vpn1; do :; done
ip route flush table vpn1
true
"""


class AttackMachine(Machine):
    """One machine in one column."""

    def __init__(self, column, **options):
        super().__init__(column == PRODUCT, **options)
        self.column = column
        self._numbers = Numbers(20000)
        self.results = []   # of the last probes

    # States

    def bring(self, state):
        """The VPN up, or lost again, with the column's protection as its user has it."""
        self.unprotect()
        if self.column == PRODUCT:
            self.nm.modify(VPN, "connection.zone", "killswitch")
        if not self._is_up():
            self.up()
            self.wait_carries()
        self.protect()
        if state == DOWN:
            self.disconnect()
            wait_for(lambda: not self.host.processes("openvpn"), 10, "openvpn has ended")

    def _is_up(self):
        return self.nm.state(VPN) == "activated" and self.host.has_device("tun0") and self._carries()

    def _carries(self):
        # In the other columns the attack may be that the tunnel does not.
        return self.column != PRODUCT or all(result.answered for result in probes.send(
            self.host, [Probe("udp", TARGET), Probe("udp", TARGET6)], timeout=0.4))

    def wait_carries(self):
        wait_for(self._carries, 20, "the tunnel carries")

    def protect(self):
        if self.column == ARTICLE:
            self.host.run("sh", "-c", _ARTICLE)

    def unprotect(self):
        if self.column == ARTICLE:
            self.host.run("sh", "-c", _NO_ARTICLE)

    # Attacks

    def both(self, wanted, all_seen=False, lan=True, **options):
        """Send the probes with the VPN up and lost. ALL_SEEN: each of them gets past a tunnel that is up, too."""
        tally = Tally()
        for state in (UP, DOWN):
            self.bring(state)
            tally += self.send(wanted, all_seen=all_seen or state == DOWN, **options)
        self.check_works(lan)
        return tally

    def send(self, wanted, uids=(NOBODY, 0), all_seen=True, timeout=0.4, source=None, **options):
        """Send all probes as each user, all at once; what of them was on the wire.

        Each UDP and TCP probe gets a source port of its own, by which it is known there.
        With ALL_SEEN a control that does not see each probe fails.
        """
        # the kernel would not ask again for a neighbour that it asked for three seconds ago, and then nothing would be seen
        self.host.run("ip", "neighbour", "flush", "nud", "incomplete")
        mark = self.mark()
        batches = [(uid, [self._numbers.take(probe) for probe in wanted
                          if uid == 0 or probe.kind != "raw" and not probe.mark]) for uid in uids]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda each: probes.send(source or self.host, each[1], each[0], timeout), batches))
        self.results = sum(results, [])
        return self.judge(mark, [probe for _, batch in batches for probe in batch], all_seen, **options)

    def send_multicast(self, groups, port, device=None, all_seen=True, **options):
        """One datagram to each of the GROUPS by each user, with IP_MULTICAST_IF if a DEVICE is named."""
        mark = self.mark()
        sent = []
        for uid in (NOBODY, 0):
            batch = [self._numbers.take(Probe("udp", group, port)) for group in groups]
            self.host.run(*netns.python_module("attack_send", "multicast", device or "",
                                               *(f"{probe.to} {probe.port} {probe.sport}" for probe in batch)), uid=uid)
            sent += batch
        return self.judge(mark, sent, all_seen, **options)

    def judge(self, mark, sent, all_seen=True, kinds=LEAKS, also=None, settle=0.15):
        """The Tally of the probes SENT since MARK; ALSO says of a record of another kind that it may not be there."""
        time.sleep(settle)
        found = [record for record in self.since(mark, 0) if record.kind in kinds or also and also(record)]
        return attribute([record.packet for record in found], sent, all_seen)

    def flooded(self, act, addresses=(TARGET, TARGET6), settle=0.3, kinds=LEAKS):
        """ACT under a flood of UDP and TCP to ADDRESSES by nobody and by root; how much was on the wire."""
        mark = self.mark()
        with _Flood(self.host, addresses, NOBODY) as one, _Flood(self.host, addresses, 0) as two:
            act(self)
        time.sleep(settle)
        found = [record for record in self.since(mark, 0) if record.kind in kinds]
        asked = sum(record.kind in ("arp-foreign", "nd-foreign") for record in found)
        sent = sum(flood.sent[key] for flood in (one, two) for key in flood.sent)
        check(sent > 100, f"the flood was one: {one.sent}, {two.sent}")
        return Tally(sent=sent, leaked=len(found) - asked, asked=asked, packets=len(found),
                     examples=[str(record) for record in found[:5]])

    # What must work

    def check_works(self, lan=True):
        """The VPN comes back and carries, and the LAN works before and after. Of nm-killswitch it is required."""
        if self.column != PRODUCT:
            return
        if lan:
            self.check_lan_works()
        if not self._is_up():
            self.up()
            self.wait_carries()
        self.check_tunnel_carries()
        if lan:
            self.check_lan_works()

    def what_works(self):
        """The same as a note, for a column that is only measured."""
        failed = []
        with self.noting(failed, "no LAN while blocked"):
            self.check_lan_works()
        with self.noting(failed, "VPN does not come back"):
            seconds = 30 if self.column == PRODUCT else 8
            self.nm.nmcli("--wait", str(seconds), "connection", "up", VPN, timeout=seconds + 10)
            self.wait_carries()
        return "; ".join(failed)

    @staticmethod
    @contextlib.contextmanager
    def noting(failed, what):
        try:
            yield
        except AssertionError:
            failed.append(what)


class _Flood(probes.Flood):
    """A flood whose log is its own, so that there can be two; twice as slow, as there are two."""

    def __init__(self, namespace, addresses, uid):
        super().__init__(namespace, addresses, uid, 0.002)
        self._start = namespace.start
        self._namespace = self      # python() is all it is asked for
        self._name = f"flood-{uid}"

    def python(self, module, *arguments):
        return self._start(self._name, *netns.python_module(module, *arguments))


_machines = {}


def columns(*names, **options):
    """For attack(): the machines of these columns with these options of Machine, each made at first use."""
    def make(column):
        key = (column, *sorted(options.items()))
        if key not in _machines:
            _machines[key] = AttackMachine(column, **options)
        return _machines[key]
    return {column: (lambda column=column: make(column)) for column in names or (NONE, ARTICLE, PRODUCT)}


def public(kinds=(("udp", 7), ("udp", 443), ("tcp", 80), ("icmp", 0)), to=(TARGET, TARGET6), **how):
    """Probes of KINDS (kind, port) to addresses outside the LAN, each sent HOW."""
    return [Probe(kind, address, port, **how) for address in to for kind, port in kinds]


def versions(machine):
    """What the measurement was made with."""
    def first(*command):
        return machine.host.run(*command, check=False).stdout.split("\n", maxsplit=1)[0].strip()
    return {"NetworkManager": first("NetworkManager", "--version"), "OpenVPN": first("openvpn", "--version").split(" ")[1],
            "nftables": first("nft", "--version").split(" ")[1], "iproute2": first("ip", "-V").partition("iproute2-")[2].split(",")[0],
            "nm-killswitch": netns_version()}


def netns_version():
    """The version under test: the head of NEWS.md says it."""
    with open(f"{netns.ROOT}/NEWS.md", encoding="utf-8") as file:
        return file.readline().split()[-1]
