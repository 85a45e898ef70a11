"""Hosts side by side for the benchmarks: the same network each, and another kill switch.

      host N                                       far (takes everything, answers TCP)
  +---------------------------+                  +--------------------------------------+
  | eth0  192.168.50.2        |----- a veth -----| eN   drops what comes                |
  | vpn0  10.8.N.2, fd08:N::2 |----- a veth -----| vN   198.51.100.1, 2001:db8:1::1     |
  |                           |                  +--------------------------------------+
  | box0  172.20.N.1          |----- a veth ------ box N: eth0  172.20.N.2, fd20:N::2
  +---------------------------+

All are there at the same time and measured in turn, so that what the machine
does meanwhile hits all of them. The tunnel is a veth pair: what a real one
costs would only hide what is to be seen. UDP to port 9 is dropped on arrival.
"""

import os
import shutil
import statistics
import subprocess

from . import netns, nm, runner
from .netns import TARGET, TARGET6

SERVER, SERVER6, SERVER_PORT = "203.0.113.10", "2001:db8:113::10", 1194
MARK = 51820
# Each namespace may have it; others, such as BBR, wait for timers, and a stream is then sometimes twice as dear.
CONGESTION_CONTROL = "reno"
WG_PORT = 51821     # of the article's tunnel: its source port
PACE = os.path.join(netns.ROOT, "build", "pace")

SECTION = (f"[vpn bench]\nInterface=vpn0\nProtocol=udp\nServerPort={SERVER_PORT}\nTo={SERVER};{SERVER6}\n")

ARTICLE = f"""
ip route add default dev vpn0 table 1000 metric 100
ip route add blackhole default table 1000 metric 200
ip rule add not sport {WG_PORT} table 1000
ip rule add table main suppress_prefixlength 0
ip -6 route add default dev vpn0 table 1000 metric 100
ip -6 route add blackhole default table 1000 metric 200
ip -6 rule add not sport {WG_PORT} table 1000
ip -6 rule add table main suppress_prefixlength 0
"""
# The rules and routes that wg-quick makes for a peer with 0.0.0.0/0 and ::/0 (add_default()).
WG_QUICK_STEPS = [step.format(family=family, mark=MARK) for family in ("-6", "-4") for step in (
    "ip {family} rule add not fwmark {mark} table {mark}", "ip {family} rule add table main suppress_prefixlength 0",
    "ip {family} route add default dev vpn0 table {mark}")]
WG_QUICK_LINE = "\n".join(WG_QUICK_STEPS) + "".join(f"""
{iptables} -I OUTPUT ! -o vpn0 -m mark ! --mark {MARK} -m addrtype ! --dst-type LOCAL -j REJECT""" for iptables in ("iptables", "ip6tables"))
# A profile with the kill switch of wg-quick(8), "PostUp".
_REJECT = "OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT"
WG_QUICK_PROFILE = f"""
[Interface]
Address = 10.8.%(number)s.2/24, fd08:%(number)s::2/64
MTU = 1500
PostUp = iptables -I {_REJECT.replace("%", "%%")} && ip6tables -I {_REJECT.replace("%", "%%")}
"""
# What wg-quick asks of the device, which is the veth pair: to be there, and to have a mark and two prefixes.
_IP = """#!/bin/sh
case "$*" in
  "link add vpn0 type wireguard") exec /sbin/ip link set waiting name vpn0 ;;
esac
exec /sbin/ip "$@"
"""
_WG = """#!/bin/sh
case "$1 $3" in
  "show fwmark") cat "${0%/*}/mark" ;;
  "show allowed-ips") echo "key 0.0.0.0/0 ::/0" ;;
  "set fwmark") printf '0x%x\\n' "$4" >"${0%/*}/mark" ;;
esac
"""
# The shape that vendors' clients have: routing by a mark, all filtering in one table with the policy `drop`.
VENDOR = "\n".join(WG_QUICK_STEPS)
VENDOR_TABLE = """
table inet vendor {
    chain prerouting {
        type filter hook prerouting priority -199; policy accept;
        iif != vpn0 ct mark 0xf41 meta mark set 0x6d6f6c65
        ip saddr %(server)s udp sport %(port)s meta mark set 0x6d6f6c65
    }
    chain output {
        type filter hook output priority 0; policy drop;
        oif lo accept
        udp sport 68 ip daddr 255.255.255.255 udp dport 67 accept
        ip6 saddr fe80::/10 ip6 daddr ff02::1:2 udp sport 546 udp dport 547 accept
        icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
        ip daddr %(server)s udp dport %(port)s meta mark %(mark)s accept
        ip6 daddr %(server6)s udp dport %(port)s meta mark %(mark)s accept
        oif vpn0 udp dport 53 ip daddr 10.64.0.1 accept
        udp dport 53 reject
        tcp dport 53 reject with tcp reset
        oif vpn0 accept
        ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, 224.0.0.0/24, 239.0.0.0/8 } accept
        ip6 daddr { fe80::/10, fc00::/7, ff01::/16, ff02::/16, ff03::/16, ff04::/16, ff05::/16 } accept
        reject
    }
    chain input {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established accept
        iif vpn0 accept
        ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 } accept
        ip6 saddr { fe80::/10, fc00::/7 } accept
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        udp dport 53 ip daddr 10.64.0.1 oif vpn0 accept
        udp dport 53 reject
        tcp dport 53 reject with tcp reset
        oif vpn0 accept
        ct state established accept
        ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 } accept
        reject
    }
}
""" % {"server": SERVER, "server6": SERVER6, "port": SERVER_PORT, "mark": MARK}


def openvpn_profile(number, zone="killswitch"):
    """One of many: each with a server of its own."""
    return (f"[connection]\nid=vpn-{number}\nuuid=00000000-0000-4000-8000-{number:012d}\ntype=vpn\n"
            f"autoconnect=false\n{f'zone={zone}' if zone else ''}\n\n[vpn]\nca=/etc/ca.pem\ncert=/etc/cert.pem\n"
            f"key=/etc/key.pem\nconnection-type=tls\nremote=198.18.{number // 250}.{number % 250 + 1}\n"
            "service-type=org.freedesktop.NetworkManager.openvpn\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n")


def build_pace():
    """tests/tools/pace.c, as optimised as the kernel."""
    source = os.path.join(netns.ROOT, "tests", "tools", "pace.c")
    os.makedirs(os.path.dirname(PACE), exist_ok=True)
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", PACE, source], check=True, timeout=60)
    return PACE


def median(values):
    return statistics.median(values)


class Far:
    """The other ends of all hosts."""

    def __init__(self, where):
        self.where = where
        self.space = self._namespace("far")
        self.space.ip(f"address add {TARGET}/32 dev lo\naddress add {TARGET6}/128 dev lo nodad\n")
        sink = self.space.start("sink", build_pace(), "sink", "cpu=1")
        runner.wait_for(lambda: "ready" in sink.text(), 5, "the sink listens", 0.01)

    def _namespace(self, name):
        space = netns.Namespace(name, self.where)
        space.sysctl(ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0,
                     ipv4__conf__default__rp_filter=0, ipv4__conf__all__rp_filter=0)
        return space

    def attach(self, host, number):
        """A veth pair each for eth0, vpn0 and box0 of HOST, without ARP: what is sent arrives whatever its address.

        Returns the box. Each host has its own: in one for all, the way to the last host would cost more than to the first.
        """
        box = self._namespace(f"box{number}")
        for near, far, space in (("eth0", f"e{number}", self.space), ("vpn0", f"v{number}", self.space),
                                 ("box0", "eth0", box)):
            self.link(host, near, far, space)
        self.space.ip(f"route add 10.8.{number}.2/32 dev v{number}\nroute add fd08:{number}::2/128 dev v{number}\n")
        box.ip(f"""
            address add 172.20.{number}.2/24 dev eth0
            address add fd20:{number}::2/64 dev eth0 nodad
            route add default dev eth0
            route add ::/0 dev eth0
        """)
        self.drop_at(f"e{number}", f"v{number}")
        return box

    def link(self, host, near, far, space):
        """A veth pair from HOST, called NEAR there."""
        space.run("ip", "link", "add", far, "address", "02:00:00:00:00:01", "type", "veth",
                  "peer", "name", near, "address", "02:00:00:00:00:01")
        subprocess.run(["nsenter", "--target", str(space.pid), "--net", "--", "ip", "link", "set", near,
                        "netns", str(host.pid)], check=True, timeout=10)
        space.ip(f"link set {far} arp off addrgenmode none\nlink set {far} up\n")
        host.ip(f"link set {near} arp off addrgenmode none\nlink set {near} up\n")

    def drop_at(self, *devices):
        """Count and drop what arrives there."""
        drop = "".join(f"add chain netdev arrivals {far} {{ type filter hook ingress device {far} priority 0; policy accept; }}\n"
                       f"add rule netdev arrivals {far} udp dport 9 counter drop\n"
                       f"add rule netdev arrivals {far} udp dport {SERVER_PORT} drop\n"
                       for far in devices)
        self.space.run("nft", "-f", "-", input="add table netdev arrivals\n" + drop)

    def leaked(self, number):
        """How many packets to port 9 have left host NUMBER by its uplink."""
        out = self.space.run("nft", "list", "chain", "netdev", "arrivals", f"e{number}").stdout
        return int(out.split("counter packets ")[1].split()[0])


class BenchHost:
    """One host: its network, and in NAME what protects it."""

    def __init__(self, far, where, number, name):
        self.name = name
        self.number = number
        self.far = far
        self.host = netns.Namespace(f"bench{number}", where)
        self.host.sysctl(ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0, ipv4__ip_forward=1,
                         ipv6__conf__all__forwarding=1, ipv4__conf__default__rp_filter=0, ipv4__conf__all__rp_filter=0,
                         ipv4__tcp_congestion_control=CONGESTION_CONTROL)
        self.box = far.attach(self.host, number)
        self.host.ip(f"""
            address add 192.168.50.2/24 dev eth0
            address add fd50::2/64 dev eth0 nodad
            address add 10.8.{number}.2/24 dev vpn0
            address add fd08:{number}::2/64 dev vpn0 nodad
            address add 172.20.{number}.1/24 dev box0
            address add fd20:{number}::1/64 dev box0 nodad
            route add default via 192.168.50.1 dev eth0 metric 100
            route add ::/0 via fd50::1 dev eth0 metric 100
        """)
        self.nm = None

    def script(self, text):
        self.host.run("sh", "-ec", text)

    def main_by_tunnel(self):
        """As a VPN without a kill switch has it: the server by the uplink, all else by the tunnel."""
        self.host.ip(f"""
            route add {SERVER} via 192.168.50.1 dev eth0
            route add {SERVER6} via fd50::1 dev eth0
            route add default dev vpn0 metric 50
            route add ::/0 dev vpn0 metric 50
        """)

    def wg_quick(self):
        """The whole of wg-quick, the program itself, with the kill switch of its man page."""
        where = "/run/wg-quick"
        with open(shutil.which("wg-quick"), encoding="utf-8") as program:
            self.host.write(f"{where}/wg-quick", program.read(), 0o755)
        self.host.write(f"{where}/ip", _IP, 0o755)
        self.host.write(f"{where}/wg", _WG, 0o755)
        self.host.write(f"{where}/mark", "off\n")
        self.host.write("/etc/wireguard/vpn0.conf", WG_QUICK_PROFILE % {"number": self.number}, 0o600)
        self.host.ip("link set vpn0 down\naddress flush dev vpn0\nlink set vpn0 name waiting\n")
        self.host.run(f"{where}/wg-quick", "up", "vpn0")

    def install(self, config=SECTION, profiles=()):
        """nm-killswitch, with the section of vpn0; PROFILES are (name, text) of more that are armed."""
        stage = nm.stage()
        self.nm = nm.NetworkManager(self.host)
        self.nm.install(stage)
        self.write_profiles(profiles)
        self.host.write("/etc/nm-killswitch.conf", config)
        self.sync()

    def write_profiles(self, profiles):
        for name, text in profiles:
            self.host.write(f"/etc/NetworkManager/system-connections/{name}.nmconnection", text, 0o600)

    def sync(self, check=True):
        return self.host.run("nm-killswitch", "sync", timeout=60, check=check)

    def pace(self, mode, address, batches, count, *options, space=None):
        """Nanoseconds for each packet: the first quartile of the batches, as some are interrupted on a busy machine."""
        out = (space or self.host).run(PACE, mode, address, str(batches), str(count), *options, timeout=60).stdout
        batches = sorted(float(line) for line in out.split())
        return batches[len(batches) // 4]


def interleave(hosts, measure, rounds):
    """Call MEASURE(host) for each of HOSTS, ROUNDS times in turn, each round in another order: {name: [figures]}."""
    figures = {host.name: [] for host in hosts}
    for number in range(rounds):
        start = number % len(hosts)
        for host in hosts[start:] + hosts[:start]:
            figures[host.name].append(measure(host))
    return figures


def ratios(figures, base):
    """{name: the median of the ratios to BASE, each of one round}."""
    return {name: median([a / b for a, b in zip(values, figures[base])]) for name, values in figures.items()}


def differences(figures, base):
    """Likewise, of the differences."""
    return {name: median([a - b for a, b in zip(values, figures[base])]) for name, values in figures.items()}


def directory():
    """Of a run, with everything gone at its end."""
    if os.geteuid() != 0:
        raise runner.Skip("needs root")
    return netns.make_directory()
