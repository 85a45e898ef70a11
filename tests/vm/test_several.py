"""Several VPNs at once in a whole system: the kernel's WireGuard beside, inside and around NetworkManager's OpenVPN.

tests/nm/test_several.py tests what OpenVPN alone can show, in namespaces.

    full     WireGuard      carries everything
    inner    WireGuard      carries everything, or 10.99.0.0/16 only; its server has an address of its own
    plugin   OpenVPN        carries everything; the server of `full`
    distant  OpenVPN        carries everything; its server has an address of its own

The echo servers say which tunnel a probe came through, and the wire shows what left beside it.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import probes, wire
from kstest.guest import Guest, Lan, Router, slow_flood
from kstest.netns import TARGET, TARGET6
from kstest.probes import Probe
from kstest.runner import check, equal, main, test, wait_for
from kstest.subject import Subject
from kstest.vm import PATIENCE
from kstest.vm_router import LAN_GATEWAY
from kstest.vm_stages import ALIASES, Stages
from kstest.vm_vpn import PROFILES, SERVER, down, is_active, package, up, wait_idle, wait_state

at = Stages("several")

COMPANY = "10.99.0.1"           # at the provider, in the network that `inner` carries when it does not carry everything
ON_THE_LAN = "10.200.0.10"      # an address of the provider to which the LAN has a route
SERVERS = {"full": SERVER, "inner": ALIASES[0], "plugin": SERVER, "distant": ALIASES[1]}
INSIDE = {"full": ("10.66.", "fd66::"), "inner": ("10.67.", "fd67::"), "plugin": ("10.80.", "fd80::"),
          "distant": ("10.83.", "fd83::")}
KEEPALIVE = 6                   # seconds within which each of them sends something by itself
KINDS = ("tun", "wireguard", "xfrm", "vti", "vti6", "ipip", "gre", "gretap", "ip6gre", "sit", "ip6tnl", "ip6gretap")


class Several(Subject):
    """The machine with the package installed, nothing armed, and all VPNs down."""

    patience = 2 * PATIENCE

    def __init__(self):
        package()
        self.machine = at.machine
        self.vpns = {"full": at.vpns.vpn, "inner": at.vpns.second, "plugin": at.vpns.plugin, "distant": at.vpns.changing}
        transports = [("udp", SERVERS[name], vpn.port) for name, vpn in self.vpns.items()]
        self.machine.stage("several", self._build)
        super().__init__(Guest(self.machine), [wire.Wire(Router(self.machine.router), "tap0", Lan.prefixes, transports)], [Lan()])
        self.transports = transports
        self.killswitch = True

    def _build(self):
        at.installed()
        self.machine.server(f"ip address add {COMPANY}/32 dev lo; ip address add {ON_THE_LAN}/32 dev lo")
        Guest(self.machine, ("probe_send", "echo", "device_kinds")).serve_echo(TARGET, TARGET6, COMPANY)
        self._edit("inner", f"s/^endpoint=.*/endpoint={SERVERS['inner']}:{self.vpns['inner'].port}/")
        self.set_server("distant", SERVERS["distant"])
        # of two WireGuard devices with the same metric, NetworkManager prefers the first
        self.machine.run(f"nmcli connection modify {self.vpns['inner'].name} ipv4.route-metric 40 ipv6.route-metric 40")
        wait_idle(self.machine)

    def begin(self):
        self.machine.stage("several", self._build)
        return self

    # Profiles

    def _edit(self, name, *commands):
        path = f"{PROFILES}/{self.vpns[name].name}.nmconnection"
        self.machine.run(["sed", "-i", *(f"--expression={command}" for command in commands), path])
        self.machine.run(["nmcli", "connection", "load", path])
        wait_idle(self.machine)

    def set_transport(self, name, value):
        """nm-killswitch.transport, in the profile's user data."""
        self._edit(name, "/^\\[user\\]/,$d", f"$a[user]\\nnm-killswitch.transport={value}")

    def set_server(self, name, address):
        self._edit(name, f"s/^remote=.*/remote={address}/")

    def make_split(self, endpoint=SERVERS["inner"]):
        """From now on, `inner` carries only the company's network."""
        port = self.vpns["inner"].port
        self._edit("inner", "s,^allowed-ips=.*,allowed-ips=10.99.0.0/16;10.67.0.0/24;,", f"s/^endpoint=.*/endpoint={endpoint}:{port}/")

    def arm(self, *names):
        commands = (f"nmcli connection modify {self.vpns[name].name} connection.zone killswitch" for name in names)
        self.machine.run(" && ".join(commands))
        wait_state(self.machine, "rules", f"there are rules once {names} are armed")
        wait_idle(self.machine)

    # What is up

    def up(self, *names):
        for name in names:
            up(self.machine, self.vpns[name])

    def lose(self, name):
        """Delete WireGuard's device, or kill OpenVPN's program, and wait until NetworkManager has noticed."""
        vpn = self.vpns[name]
        if name in ("full", "inner"):
            self.machine.run(["ip", "link", "delete", vpn.device])
        else:
            self.machine.run(f"pkill -9 -f 'openvpn .*--remote {SERVERS[name]}'")
        wait_for(lambda: not is_active(self.machine, vpn), 60 * PATIENCE, f"NetworkManager has noticed that {name} is gone", 0.3)

    def flood(self):
        return slow_flood(self.host)

    # What is seen

    def sent_to(self, name, mark):
        """How many packets for the server of VPN were on the wire."""
        of_vpn = (SERVERS[name], self.vpns[name].port)
        return sum((record.packet.dst, record.packet.dport) == of_vpn for record in self.since(mark))

    def wait_sent_to(self, name, what):
        mark = self.mark()
        wait_for(lambda: self.sent_to(name, mark) > 0, 2 * KEEPALIVE * PATIENCE, what, 0.5)

    def check_carried_by(self, name):
        """It carries everything, once the kill switch has learned that NetworkManager prefers it."""
        def carries():
            result, = probes.send(self.host, [Probe("udp", TARGET)], 0, self.patience)
            return result.answered and result.seen_as.startswith(INSIDE[name])

        wait_for(carries, 40 * PATIENCE, f"{name} carries", 0.3)
        self.inside = INSIDE[name]
        self.check_tunnel_carries()

    def company(self, devices=(None,), uid=probes.NOBODY, send=probes.send):
        """What became of probes to the company's network; SEND as probes.send()."""
        return send(self.host, [Probe(kind, COMPANY, 7, bind_device=device) for kind in ("udp", "tcp") for device in devices],
                    uid, self.patience)

    def check_company(self):
        for result in self.company(send=probes.expect):
            check(result.answered and result.seen_as.startswith(INSIDE["inner"]), f"the company's network: {result}")


_made = []


def several():
    if not _made:
        _made.append(Several())
    return _made[0].begin()


@test
def without_arming_losing_both_leaks():
    m = several()
    m.up("plugin", "full")
    mark = m.mark()
    with m.flood():
        m.lose("full")
        m.lose("plugin")
        wait_for(lambda: len(m.leaks(mark)) > 10, 30 * PATIENCE, "the flood leaks")


def lose_preferred(m, preferred, other):
    with m.flood() as flood:
        m.lose(preferred)
        m.check_carried_by(other)
    equal(flood.sent["udp failed"], 0, f"datagrams refused while {other} is up: {flood.sent}")
    check(flood.sent["udp"] > 50, f"the flood was one: {flood.sent}")


@test
def the_remaining_vpn_takes_over_without_a_gap():
    m = several()
    m.arm("full", "plugin")
    mark = m.mark()
    m.up("full", "plugin")
    m.check_carried_by("plugin")    # of the two, the one that connected last
    lose_preferred(m, "plugin", "full")
    m.up("plugin")
    down(m.machine, m.vpns["full"])
    m.up("full")
    m.check_carried_by("full")
    lose_preferred(m, "full", "plugin")
    m.lose("plugin")
    m.check_blocked()
    m.assert_no_leak(mark)


@test
def wireguard_inside_another_vpn_sends_nothing_beside_it():
    m = several()
    m.arm("full", "plugin", "inner")
    mark = m.mark()
    m.up("full", "inner")
    m.check_carried_by("inner")
    check(m.sent_to("inner", mark) > 10, "without the setting it goes beside")
    m.set_transport("inner", "inside")
    beside = m.mark()
    m.check_carried_by("inner")
    m.wait_sent_to("full", "the outer one carries it")
    equal(m.sent_to("inner", beside), 0, "packets of the inner one beside the outer one")
    with m.flood():
        m.lose("full")
        # its device is up all the time, and no other is
        m.wait_sent_to("inner", "it goes beside when no other one is up")
        m.check_carried_by("inner")
    m.up("plugin")
    wait_idle(m.machine)    # the last event of a connection comes once nmcli has returned
    beside = m.mark()
    m.check_carried_by("inner")
    m.wait_sent_to("plugin", "the next outer one carries it")
    equal(m.sent_to("inner", beside), 0, "packets of the inner one beside OpenVPN")
    seen_as = m.machine.server(["wg", "show", m.vpns["inner"].server_device, "endpoints"]).stdout.split()[-1]
    check(seen_as.startswith(INSIDE["plugin"]), f"the inner one's server sees it as {seen_as}")
    m.assert_no_leak(mark)


@test
def openvpn_inside_wireguard_sends_nothing_beside_it():
    m = several()
    m.set_transport("distant", "inside")
    m.arm("full", "distant")
    mark = m.mark()
    m.up("full", "distant")
    m.check_carried_by("distant")
    equal(m.sent_to("distant", mark), 0, "packets of OpenVPN beside WireGuard")
    check(m.sent_to("full", mark) > 10, "WireGuard carries it")
    with m.flood():
        m.lose("full")
        m.lose("distant")
        m.check_blocked()
    m.assert_no_leak(mark)


@test
def a_company_wireguard_goes_inside_the_full_one_or_beside_it():
    m = several()
    m.make_split()
    m.arm("full", "inner")
    mark = m.mark()
    m.up("full", "inner")
    m.check_carried_by("full")
    m.check_company()
    equal(m.sent_to("inner", mark), 0, "packets of the company's VPN beside the full one")
    m.set_transport("inner", "beside")
    m.wait_sent_to("inner", "it goes beside when told to")
    m.check_company()
    m.lose("full")
    m.check_company()
    m.check_blocked()
    m.assert_no_leak(mark)


@test
def only_the_armed_vpns_transport_leaves_through_an_unarmed_wireguard_tunnel():
    m = several()
    # Its server is reached through the LAN, so it works while everything else is blocked; the armed VPN's server is behind it.
    m.machine.router.run("ip", "route", "replace", ON_THE_LAN, "via", SERVER)
    m.machine.run(["ip", "route", "add", ON_THE_LAN, "via", LAN_GATEWAY, "dev", "eth0"])
    m.wires[0].transports.append(("udp", ON_THE_LAN, m.vpns["inner"].port))
    m.make_split(ON_THE_LAN)
    m.set_server("distant", COMPANY)
    m.up("inner")
    m.check_company()
    devices = (None, m.vpns["inner"].device)
    with Tunnel(m) as tunnel:
        for uid in (probes.NOBODY, 0):
            equal([str(result) for result in m.company(devices, uid, probes.expect) if not result.answered], [],
                  "not armed: not answered")
    check({("udp", 7), ("tcp", 7)} <= tunnel.seen, f"not armed: seen inside the tunnel: {tunnel.seen}")

    m.arm("distant")
    with Tunnel(m) as tunnel:
        m.check_blocked()
        for uid in (probes.NOBODY, 0):
            equal([str(result) for result in m.company(devices, uid) if result.answered], [], "armed: answered")
    equal(tunnel.seen, set(), "armed and down: what is seen inside the tunnel")
    with Tunnel(m) as tunnel:
        mark = m.mark()
        m.up("distant")
        m.check_carried_by("distant")
        for uid in (probes.NOBODY, 0):
            m.company(devices, uid)
        m.assert_no_leak(mark)
    equal(tunnel.seen, {("udp", m.vpns["distant"].port)}, "armed and up: what is seen inside the tunnel")


class Tunnel:
    """What comes out of the tunnel of `inner` at the provider: {(protocol, port)}, and the whole line for other packets."""

    def __init__(self, m):
        self._machine, self._device = m.machine, m.vpns["inner"].server_device
        self.seen = None

    def __enter__(self):
        self._job = self._machine.spawn(["ip", "netns", "exec", "server", "sh", "-c",
                                         'echo $$ >/tmp/ks-tcpdump.pid; exec tcpdump --immediate-mode -lnn -Q in -i "$0"'
                                         ' 2>/tmp/ks-tcpdump.said', self._device])
        self._machine.run("until grep -qs '^listening on' /tmp/ks-tcpdump.said; do sleep 0.1; done")
        return self

    def __exit__(self, error, *_):
        self._machine.run("sleep 0.5; kill $(cat /tmp/ks-tcpdump.pid); rm /tmp/ks-tcpdump.said")
        self.seen = set()
        for line in filter(None, self._job.wait(30 * PATIENCE).stdout.splitlines()):
            match = re.search(r" > \S+\.(\d+): (UDP|Flags)", line)
            self.seen.add(({"UDP": "udp", "Flags": "tcp"}[match[2]], int(match[1])) if match else line)


@test
def no_kind_of_tunnel_is_taken_for_the_local_network():
    m = several()

    def seen():
        return json.loads(m.host.run_python("device_kinds", "dummy", *KINDS, timeout=60).stdout)

    every = sorted(f"{version} {uid} {how}" for version in (4, 6) for uid in (0, probes.NOBODY) for how in ("any", "bound"))
    before = seen()
    there = [kind for kind in KINDS if before[kind] is not None]
    print(f"        kinds that this kernel has: {' '.join(there)}", flush=True)
    check({"tun", "wireguard"} < set(there), f"kinds that this kernel has: {there}")
    equal(before, {kind: every if kind in ("dummy", *there) else None for kind in before}, "seen while nothing is armed")
    m.arm("full")
    # the guard has to know them before one of our runs has seen them
    m.machine.run("systemctl stop nm-killswitch-heal.socket")
    equal(seen(), {kind: every if kind == "dummy" else [] if kind in there else None for kind in before}, "seen while armed")


if __name__ == "__main__":
    main(at.set_up)
