"""WireGuard in the virtual machine, protected in four ways, and attacked.

An emulated machine is slow, so a column is measured in few rounds: in each
state all probes of all cases go out at once, and each case finds its own by
their source ports. The tunnel is lost by deleting its device, which is also
what an administrator or a crash does; wg-quick's own `down` would take its
kill switch away.

The protections are used as their manuals have them:

  article     its commands, for wg0, its gateway and port 51820, each time the VPN came up
  wg-quick    wg-quick(8): the PostUp and PreDown of the section on a kill switch, in a wg-quick configuration
  product     nmcli connection modify PROFILE connection.zone killswitch
"""

import contextlib
import dataclasses
import ipaddress
import json
import os
import subprocess
import time

from . import netns
from .attack_record import ARTICLE, NONE, PRODUCT, WG_QUICK, Numbers, Tally, attribute
from .probes import NOBODY, Probe
from .runner import Skip, TookTooLong, check, wait_for
from .vm import PATIENCE, CommandError
from .vm_life import wait_line
from .vm_router import DIE_WITH_PARENT, INTERNET, LAN6_GATEWAY, LAN_CLIENT, LAN_GATEWAY
from .vm_stages import Stages
from .vm_vpn import PUBLIC, PUBLIC6, SERVER, arm, install, package, ping, wait_idle

UP, LOST = "up", "lost"
PORT = 51820
GUEST = "/usr/local/lib/ks-attacks"

_ARTICLE = """
grep -q vpn1 /etc/iproute2/rt_tables || echo '83 vpn1' >>/etc/iproute2/rt_tables
ip route flush table vpn1
ip route add default dev wg0 via 10.66.0.1 table vpn1 metric 100
ip route add blackhole default table vpn1 metric 200
ip rule add not sport 51820 table vpn1
ip rule add table main suppress_prefixlength 0
"""
_NO_ARTICLE = """
while ip rule delete table main suppress_prefixlength 0; do :; done
while ip rule delete not sport 51820 table vpn1; do :; done
ip route flush table vpn1
true
"""

# wg-quick(8), with the line for IPv6 that it tells to add.
_KILL_SWITCH = """\
PostUp = iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT && \
ip6tables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
PreDown = iptables -D OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT && \
ip6tables -D OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
"""
_QUICK = """\
[Interface]
PrivateKey = {private}
ListenPort = 51820
Address = 10.66.0.2/24, fd66::2/64
{kill_switch}
[Peer]
PublicKey = {public}
Endpoint = {server}:51820
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 5
"""
# To be rid of what a device that was deleted leaves behind.
_NO_QUICK = """
wg-quick up wg0; wg-quick down wg0
iptables -F OUTPUT; ip6tables -F OUTPUT
true
"""

# A container or virtual machine behind the client, masqueraded: a namespace with a router that is the client.
_BEHIND = """set -e
ip netns add behind
ip link add behind0 type veth peer name eth0 netns behind
ip link set behind0 up; ip address add 172.31.0.1/24 dev behind0; ip address add fd31::1/64 dev behind0 nodad
ip netns exec behind sh -c 'ip link set lo up; ip link set eth0 up; ip address add 172.31.0.2/24 dev eth0
    ip address add fd31::2/64 dev eth0 nodad; ip route add default via 172.31.0.1; ip -6 route add default via fd31::1'
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
nft 'table inet behind { chain postrouting { type nat hook postrouting priority 100; policy accept
    iifname behind0 masquerade
}
}'
"""


class AttackVm:
    """The one machine; columns are measured one after the other, nm-killswitch last, since it stays installed."""

    def __init__(self):
        package()
        stages = Stages("attacks")
        stages.set_up()
        self.machine, self.vpn = stages.clean(), stages.vpns.vpn
        self.machine.run(["nmcli", "connection", "modify", self.vpn.name, "wireguard.listen-port", str(PORT)])
        self.machine.wire.transports = set(self.vpn.transports)
        self.router = self.machine.router
        self._numbers = Numbers(20000)
        self._measured = {}
        self._tallies = {}
        self._column = None
        self._notes = []
        self.repair = {}
        # Only what is the LAN's own: another private address on this wire is as foreign as a public one.
        self._lan = tuple(map(ipaddress.ip_network, ("192.168.77.0/24", "fd77::/64", "169.254.0.0/16", "fe80::/10")))
        self.machine.wire.lan = self._lan
        self._prepare()

    def _prepare(self):
        """Echo servers at the router and the provider, the probing programs in the guest."""
        for name in ("probe_send.py", "attack_send.py", "echo.py"):
            with open(os.path.join(netns.LIB, "kstest", name), "rb") as file:
                self.machine.push(f"{GUEST}/{name}", file.read())
        self._echo = subprocess.Popen(
            DIE_WITH_PARENT + self.router.command(*netns.python_module(
                "echo", "udp:7,443", "tcp:7,80,443", PUBLIC, PUBLIC6)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.machine.run(_BEHIND)
        self.has_iptables = bool(self.machine.run("command -v iptables ip6tables", check=False))
        keyfile = self.machine.run(["cat", "/etc/NetworkManager/system-connections/my-vpn.nmconnection"]).stdout
        private = next(line.partition("=")[2] for line in keyfile.splitlines() if line.startswith("private-key="))
        public = next(line.partition(".")[2].rstrip("]") for line in keyfile.splitlines()
                      if line.startswith("[wireguard-peer."))
        self.machine.push("/etc/wireguard/wg0.conf", _QUICK.format(
            private=private, public=public, server=SERVER, kill_switch=_KILL_SWITCH), 0o600)

    def versions(self):
        def first(command):
            return self.machine.run(command, check=False).stdout.split("\n", maxsplit=1)[0].strip()
        return {"guest's kernel": first("uname -r"), "guest's NetworkManager": first("NetworkManager --version"),
                "guest's WireGuard tools": first("wg --version").split(" ")[1]}

    # What a test asks for

    def column(self, name):
        """For attack(): the cases of this column, {name: Tally}, measured at first use."""
        if name not in self._measured:
            start = time.monotonic()
            try:
                self._measured[name] = self._measure(name)
            except (AssertionError, CommandError, Skip) as error:
                self._measured[name] = self._verdict(error)
                self._common_lan()
            print(f"        {name}: measured in {time.monotonic() - start:.0f} s", flush=True)
        if isinstance(self._measured[name], Exception):
            raise type(self._measured[name])(str(self._measured[name])) from None  # asked for by each case
        return self._measured[name]

    def _verdict(self, error):
        """What each case fails with; what was late is not if anything has leaked until then."""
        leaked = {case: tally.examples for case, tally in self._tallies.items()
                  if tally.packets and case != "row17_both_layers_at_once"} if self._column == PRODUCT else {}
        if isinstance(error, TookTooLong) and not leaked:
            return TookTooLong(str(error))
        return AssertionError(f"{error}; leaked: {leaked}" if leaked else str(error))

    # Protection

    def _bring_up(self):
        if self._column == ARTICLE:
            self.machine.run(_NO_ARTICLE)
        if self._column == WG_QUICK:
            self.machine.run("ip link show wg0 >/dev/null 2>&1 || wg-quick up wg0", timeout=60)
        else:
            self.machine.run(["nmcli", "--wait", "60", "connection", "up", self.vpn.name], timeout=70)
        if self._column == ARTICLE:
            self.machine.run(_ARTICLE)
        if self._column == PRODUCT:
            self._must(wait_true(lambda: ping(self.machine, PUBLIC, timeout=1) and ping(self.machine, PUBLIC6, timeout=1),
                                 60), "the tunnel carries")

    def _lose(self):
        self.machine.run("ip link delete wg0")
        if self._column != WG_QUICK:
            wait_true(lambda: "my-vpn" not in self.machine.run(
                "nmcli -g name connection show --active").stdout.splitlines(), 10)

    def _protect(self):
        if self._column == WG_QUICK and not self.has_iptables:
            raise Skip("the image has no iptables")
        if self._column == PRODUCT:
            install(self.machine)

    def _unprotect(self):
        if self._column == ARTICLE:
            self.machine.run(_NO_ARTICLE)
            self.machine.run(["nmcli", "connection", "down", self.vpn.name], check=False)
        elif self._column == WG_QUICK:
            self.machine.run(_NO_QUICK, check=False)
        elif self._column == NONE:
            self.machine.run(["nmcli", "connection", "down", self.vpn.name], check=False)

    def _must(self, works, what):
        """What must work: required of nm-killswitch, noted of the others."""
        if not works:
            check(self._column != PRODUCT, f"must work: {what}")
            self._notes.append(f"not: {what}")

    def _check_lan(self, what):
        for address in (LAN_GATEWAY, LAN6_GATEWAY):
            self._must(ping(self.machine, address, timeout=15 if self._column == PRODUCT else 1), f"LAN {what}")

    # Measuring

    def _add(self, case, tally):
        self._tallies[case] = self._tallies.get(case, Tally()) + tally

    def _send(self, cases, state, bound_seen=()):
        """Send the probes of all CASES ({name: probes}) as nobody and root, those of row 12 from behind the host."""
        wire = self.machine.wire
        self.machine.run("ip neighbour flush nud incomplete")   # see attack_machine.py
        mark = wire.mark()
        jobs, sent = [], {}
        for uid, where in ((NOBODY, []), (0, []), (0, ["ip", "netns", "exec", "behind"])):
            batch = []
            for case, wanted in cases.items():
                if case.startswith("row12") != bool(where):
                    continue
                taken = [self._numbers.take(probe) for probe in wanted if uid == 0 or probe.kind != "raw"]
                sent.setdefault(case, []).extend(taken)
                batch += taken
            if batch:
                request = json.dumps({"timeout": 0.6, "uid": uid, "probes": [dataclasses.asdict(each) for each in batch]})
                jobs.append(self.machine.spawn([*where, "python3", "-I", f"{GUEST}/probe_send.py"], 60, stdin=request))
        for job in jobs:
            result = job.wait(90 * PATIENCE)
            check(result.rc == 0, f"the probes: {result}")
        time.sleep(0.7)
        traffic = wire.since(mark)
        claimed = set()
        for case, probes in sent.items():
            forbidden = traffic.leak + (traffic.dns + traffic.llmnr if case.startswith("row15") else [])
            ports = {probe.sport for probe in probes if probe.kind in ("udp", "tcp")}
            others = {probe.to for probe in probes if probe.kind not in ("udp", "tcp")}
            own = [packet for packet in forbidden
                   if packet.sport in ports or packet.sport is None and (packet.dst in others or packet.kind == "arp"
                                                                         or packet.nd_target)]
            claimed.update(map(id, own))
            self._add(case, attribute(own, probes, all_seen=state == LOST or case in bound_seen))
        rest = [packet for packet in traffic.leak if id(packet) not in claimed]
        self._add("everything_else", Tally(leaked=len(rest), packets=len(rest), examples=[str(each) for each in rest[:5]]))

    def _flooded(self, case, act):
        """ACT under a flood; the packets that leaked meanwhile."""
        mark = self.machine.wire.mark()
        request = json.dumps({"addresses": [PUBLIC, PUBLIC6], "uid": NOBODY, "interval": 0.003})
        self.machine.run("rm -f /run/ks-flood.said")
        flood = self.machine.spawn(["sh", "-c", 'echo $$ >/run/ks-flood; exec timeout 150 "$@" >/run/ks-flood.said', "sh",
                                    "python3", "-I", f"{GUEST}/probe_send.py", request], 160)
        wait_line(self.machine, "cat /run/ks-flood.said", "ready", "the flood has begun")
        act()
        time.sleep(0.5)
        self.machine.run("kill $(cat /run/ks-flood)")
        flood.wait(30 * PATIENCE)
        output = self.machine.run("cat /run/ks-flood.said").stdout.splitlines()
        time.sleep(0.5)
        leaks = self.machine.wire.since(mark).leak
        sent = sum(json.loads(output[-1]).values()) if output[-1:] and output[-1].startswith("{") else 0
        check(sent > 50, f"the flood was one: {output}")
        self._add(case, Tally(sent=sent, leaked=len(leaks), packets=len(leaks), examples=[str(each) for each in leaks[:5]]))

    def _transfer(self):
        """Row 13: a transfer that runs when the kill switch is turned on."""
        if self._column not in (NONE, ARTICLE, PRODUCT):
            return
        job = self.machine.spawn(["python3", "-I", f"{GUEST}/attack_send.py", "transfer", PUBLIC, PUBLIC6], 60)
        mark = self.machine.wire.mark()
        wait_for(lambda: len(self.machine.wire.since(mark).leak) > 20, 40 * PATIENCE, "the transfer runs", 0.2)
        if self._column == PRODUCT:
            arm(self.machine, self.vpn)
        elif self._column == ARTICLE:
            self.machine.run("grep -q vpn1 /etc/iproute2/rt_tables || echo '83 vpn1' >>/etc/iproute2/rt_tables; "
                             "ip route add blackhole default table vpn1 metric 200; ip rule add not sport 51820 table vpn1; "
                             "ip rule add table main suppress_prefixlength 0")
        mark = self.machine.wire.mark()
        time.sleep(2)
        leaks = self.machine.wire.since(mark).leak
        job.kill()
        self._add("row13_transfers_begun_before_arming", Tally(
            sent=2, leaked=len(leaks), packets=len(leaks), examples=[str(each) for each in leaks[:5]],
            note="packets of 2 transfers"))

    def _forged(self):
        """Row 16: packets for the tunnel's address on the LAN; what the client sends from it."""
        mark = self.machine.wire.mark()
        for address, via in (("10.66.0.2", LAN_CLIENT), ("fd66::2", self._client6())):
            self.router.run("ip", "route", "replace", address, "via", via)
        wanted = [Probe(*kind) for address in ("10.66.0.2", "fd66::2")
                  for kind in (("tcp", address, 7777), ("udp", address, 7777), ("icmp", address))]
        request = json.dumps({"timeout": 0.6, "uid": 0, "probes": [dataclasses.asdict(probe) for probe in wanted]})
        subprocess.run(self.router.command(*netns.python_module("probe_send")), input=request, text=True,
                       stdout=subprocess.DEVNULL, check=True, timeout=30)
        for address, source in (("10.66.0.2", PUBLIC), ("fd66::2", PUBLIC6)):
            self.router.run(*netns.python_module("attack_send", "forged_syn", source, address, "7777", "5"))
        time.sleep(0.5)
        answers = [packet for packet in self.machine.wire.packets()[mark:]
                   if packet.eth_src not in self.machine.wire.outside and packet.src in ("10.66.0.2", "fd66::2")]
        for address in ("10.66.0.2", "fd66::2"):
            self.router.run("ip", "route", "delete", address)
        self._add("row16_packets_for_the_tunnels_address_on_the_lan",
                  Tally(sent=len(wanted) + 10, leaked=len(answers), packets=len(answers),
                        examples=[str(each) for each in answers[:5]]))

    def _client6(self):
        return "fd77::5054:ff:fe77:2"

    def _measure(self, name):
        self._column, self._tallies, self._notes = name, {}, []
        self._protect()
        try:
            self._transfer()
            if name == ARTICLE:
                self.machine.run(_NO_ARTICLE)
            sockets = socket_cases()
            self._bring_up()
            self._check_lan("while the VPN is up")
            self._send(sockets, UP, BOUND)
            self._forged()
            self._flooded("row01_tunnel_deleted", self._lose)
            self._send(sockets, LOST, BOUND)
            self._check_lan("while it is lost")
            with self._hostile_lan():
                self._bring_up()
                self._send(network_cases(), UP, network_cases())
                self._lose()
                self._send(network_cases(), LOST)
            with self._public_lan():
                self._bring_up()
                self._send(localnet_cases(), UP, localnet_cases())
                self._lose()
                self._send(localnet_cases(), LOST)
            self._common_lan()
            self._strict_reverse_path()
            if name == PRODUCT:
                self._foreign_changes()
            note = "; ".join(dict.fromkeys(self._notes))
            self._add("works_the_lan_and_the_vpn", Tally(note=note or "yes"))
        finally:
            self._unprotect()
        return self._tallies

    # The network

    def _reconnect(self, address):
        self.machine.run(["nmcli", "--wait", "60", "connection", "up", "lan"], check=False, timeout=70)
        wait_for(lambda: address in self.machine.run("ip -4 address show dev eth0").stdout, 60 * PATIENCE,
                 f"the client has {address}", 0.3)

    def _wait_undoubted(self):
        """Until the client's IPv6 addresses have been checked for duplicates: before that nothing is sent from them."""
        self.machine.run("until ip -6 address show dev eth0 scope global | grep -q inet6 &&"
                         " ! ip -6 address show dev eth0 tentative | grep -q inet6; do sleep 0.2; done", timeout=60)

    @contextlib.contextmanager
    def _hostile_lan(self):
        """Rows 7, 10 and 11: option 121 and RFC 4191 routes for everything, for one host, for the tunnel's addresses."""
        routes = ("0.0.0.0/1", "128.0.0.0/1", f"{PUBLIC}/32", "10.66.0.1/32", "0.0.0.0/0")
        self.router.serve("--dhcp-option=121," + ",".join(f"{each},{LAN_GATEWAY}" for each in routes), ipv6=False)
        path = os.path.join(os.path.dirname(self.router.log), "attacks-radvd.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("interface tap0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;"
                       " AdvDefaultPreference high; prefix fd77::/64 { };"
                       + "".join(f"route {each} {{ AdvRoutePreference high; }};" for each in
                                 ("2000::/3", "2001:db8:1::/64", "fd66::1/128")) + "};\n")
        radvd = subprocess.Popen(DIE_WITH_PARENT + self.router.command(
            "radvd", "--nodaemon", "--config", path, "--logmethod", "none", "--pidfile", path + ".pid"),
            stdin=subprocess.DEVNULL)
        try:
            self._reconnect(LAN_CLIENT)
            wait_for(lambda: "2001:db8:1::/64" in self.machine.run("ip -6 route show dev eth0").stdout, 60 * PATIENCE,
                     "the client took the advertised routes", 0.3)
            self._wait_undoubted()
            yield
        finally:
            radvd.terminate()
            radvd.wait(10)

    @contextlib.contextmanager
    def _public_lan(self):
        """Row 8: the LAN has the subnets of the probes' destination."""
        wire = self.machine.wire
        self.router.run("ip", "address", "add", "198.51.100.254/24", "dev", "tap0")
        self.router.run("ip", "address", "add", "2001:db8:1::fe/64", "dev", "tap0", "nodad")
        self.router.run("ip", "address", "delete", f"{LAN_GATEWAY}/24", "dev", "tap0")
        self.router.serve("--dhcp-range=198.51.100.50,198.51.100.50,255.255.255.0,1h",
                          "--dhcp-range=2001:db8:1::,ra-only,64,30m")
        wire.lan = self._lan + tuple(map(ipaddress.ip_network, (
            "198.51.100.254/32", "198.51.100.50/32", "2001:db8:1::fe/128", "2001:db8:1::5054:ff:fe77:2/128")))
        try:
            self._reconnect("198.51.100.50")
            # as a subnet: the LAN before had a route to it by a router
            wait_for(lambda: any(line.startswith("2001:db8:1::/64") and " via " not in line for line in
                                 self.machine.run("ip -6 route show dev eth0").stdout.splitlines()), 60 * PATIENCE,
                     "the client took the IPv6 subnet", 0.3)
            self._wait_undoubted()
            yield
        finally:
            self.router.run("ip", "address", "delete", "198.51.100.254/24", "dev", "tap0")
            self.router.run("ip", "address", "delete", "2001:db8:1::fe/64", "dev", "tap0")
            self.router.run("ip", "address", "add", f"{LAN_GATEWAY}/24", "dev", "tap0")
            wire.lan = self._lan

    def _common_lan(self):
        """As it was before those two."""
        self.router.serve()
        self._reconnect(LAN_CLIENT)

    def _strict_reverse_path(self):
        """Row 20."""
        def every(value):
            self.machine.run(f"for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {value} >$each; done")

        every(1)
        mark = self.machine.wire.mark()
        try:
            self._bring_up()
            works = wait_true(lambda: ping(self.machine, PUBLIC, timeout=1), 40 if self._column == PRODUCT else 10)
            self._must(works, "rp_filter=1")
            leaks = self.machine.wire.since(mark).leak if self._column == PRODUCT else []
            self._add("row20_strict_reverse_path_filtering", Tally(
                packets=len(leaks), examples=[str(each) for each in leaks[:5]], note="works" if works else "VPN does not work"))
        finally:
            every(0)

    # Row 17, of nm-killswitch

    def _foreign_changes(self):
        """One layer destroyed: no leak. Repaired: by the heal unit. Both at once: how long until they are back."""
        self._bring_up()
        for case, script in (("row17_one_layer_ip_rule_flush", f"ip rule flush; ip -6 rule flush; {MAIN_RULES}"),
                             ("row17_one_layer_route_flush", "for t in 83 84 85 86; do ip route flush table $t;"
                                                             " ip -6 route flush table $t; done; true"),
                             ("row17_one_layer_nft_flush", "nft flush ruleset")):
            self._flooded(case, lambda script=script: self._destroy(script))
        self.machine.run("ip link delete wg0")
        wait_idle(self.machine)  # NetworkManager notices, and the exemption of the device's port goes
        self._flooded("row17_both_layers_at_once", lambda: self._destroy(
            f"ip rule flush; ip -6 rule flush; {MAIN_RULES}; nft flush ruleset"))
        tally = self._tallies["row17_both_layers_at_once"]
        tally.note = f"back after {self.repair['ms'] / 1000:.1f} s"

    def _destroy(self, script):
        """Run the SCRIPT and wait until `nm-killswitch check` finds nothing wrong; how long that took, in `repair`."""
        wait_idle(self.machine)     # what is there now is what has to be there again
        self.machine.push(f"{GUEST}/destroy.sh", script + "\n")
        output = self.machine.run(["python3", "-I", "-c", _REPAIR, f"{GUEST}/destroy.sh"], timeout=90).stdout
        self.repair = json.loads(output)
        check(self.repair["ms"] is not None, f"repaired within {REPAIR_LIMIT} s: {script}: {self.repair}")
        wait_idle(self.machine)
        self.machine.run("nm-killswitch check")


MAIN_RULES = ("ip rule add priority 32766 lookup main; ip rule add priority 32767 lookup default;"
              " ip -6 rule add priority 32766 lookup main")

REPAIR_LIMIT = round(40 * PATIENCE)    # seconds
_REPAIR = f"LIMIT = {REPAIR_LIMIT}\n" + """
import json, subprocess, sys, time
def state():
    return tuple(sorted(line for command in ("ip rule", "ip -6 rule", "ip route show table 83", "ip -6 route show table 83",
                                             "nft list tables")
                 for line in subprocess.run(command, shell=True, capture_output=True, text=True).stdout.splitlines()
                 if "killswitch" in line or command.endswith("83")))
before = state()
start = time.monotonic()
subprocess.run(["sh", sys.argv[1]], stderr=subprocess.DEVNULL)
done = time.monotonic()
ms = None
while time.monotonic() < done + LIMIT:
    now = state()
    if now == before:
        ms = round((time.monotonic() - done) * 1000)
        break
print(json.dumps({"ms": ms, "destroying": round((done - start) * 1000),
                  "gone": sorted(set(before) - set(now)), "new": sorted(set(now) - set(before))}))
"""


def wait_true(function, timeout):
    """Whether FUNCTION becomes true in time."""
    try:
        return wait_for(function, timeout * PATIENCE, "", 0.3)
    except AssertionError:
        return False


# The cases: probes each

_ALL = (("udp", 7), ("udp", 443), ("tcp", 80), ("icmp", 0))
_DATAGRAMS = (("udp", 7), ("udp", 443))


def _public(kinds, to=(PUBLIC, PUBLIC6), **how):
    return [Probe(kind, address, port, **how) for address in to for kind, port in kinds]


# Those that a tunnel which is up does not hold without a kill switch.
BOUND = ("row05_bound_socket_so_bindtodevice", "row05_bound_socket_unicast_if", "row05_bound_socket_pktinfo",
         "row15_dns_to_the_router")


def socket_cases():
    """With the VPN up and lost, as the network is. Ping has no port: each address is pinged by one case only."""
    return {
        "row01_ordinary_sockets": _public(_ALL),
        "row05_bound_socket_so_bindtodevice": _public((("udp", 7), ("tcp", 80)), INTERNET[1:2] + ("2001:db8:1::2",),
                                                      bind_device="eth0"),
        "row05_bound_socket_unicast_if": _public(_DATAGRAMS, INTERNET[2:3] + ("2001:db8:1::3",), unicast_if="eth0"),
        "row05_bound_socket_pktinfo": _public(_DATAGRAMS, INTERNET[3:4] + ("2001:db8:1::4",), pktinfo="eth0"),
        "row06_from_the_vpns_port": [Probe("udp", INTERNET[4], 443, sport=PORT), Probe("tcp", INTERNET[4], 443, sport=PORT)],
        "row09_other_traffic_to_the_vpns_server": _public((("tcp", 80), ("tcp", 443), ("udp", 53), ("udp", 443)), (SERVER,)),
        "row12_forwarded_masqueraded": _public((("udp", 7), ("tcp", 80)), INTERNET[5:6]),
        "row14_fragments": _public((("udp", 7),), INTERNET[6:7], size=3000),
        "row15_dns_to_the_router": _public((("udp", 53), ("tcp", 53), ("tcp", 853)), (LAN_GATEWAY, LAN6_GATEWAY)),
    }


def network_cases():
    """On a LAN whose DHCP and router advertisements have routes for everything."""
    return {
        "row07_tunnelvision": _public(_ALL, (PUBLIC,)),
        "row10_private_addresses_of_the_tunnel_shadowed": _public((("udp", 53), ("tcp", 53), ("udp", 7)),
                                                                  ("10.66.0.1", "fd66::1")),
        "row11_more_specific_routes": _public(_ALL, (PUBLIC6,)),
    }


def localnet_cases():
    """On a LAN that claims public subnets."""
    return {"row08_tunnelcrack_localnet": _public(_ALL)}


COLUMNS = (NONE, ARTICLE, WG_QUICK, PRODUCT)
