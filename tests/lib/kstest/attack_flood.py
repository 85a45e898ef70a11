"""A flood of many thousand packets a second, and a counter in the router's kernel that loses none of them.

wire.py parses each packet, which is right for probes; in a flood its thread
would take the processor from what is tested. Here nftables counts at the
router's end of the cable, in the ingress hook, that is before anything else of
the router sees the packet: every packet is either known to be harmless or
counted as a leak, and a copy of the leaks goes to a wire.Wire, to be shown.
"""

import json
import os
import shlex
import subprocess

from . import netns, runner
from .wire import Wire

# As wire.classify() has it: transport, LAN, ARP and neighbour discovery for the LAN, DHCP, multicast of link scope.
_TABLE = """
table netdev ks_count {{
    counter leak {{}}
    counter transport {{}}
    counter lan {{}}
    chain count {{
        type filter hook ingress devices = {{ {devices} }} priority 0; policy accept;
        {transports}
        meta protocol arp arp daddr ip != {{ {lan4}, 169.254.0.0/16 }} counter name leak dup to spy0
        meta protocol arp accept
        ip daddr {{ {lan4}, 169.254.0.0/16, 224.0.0.0/24, 255.255.255.255 }} counter name lan accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} @th,64,16 {{ {lan6_raw} }} counter name lan accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} counter name leak dup to spy0
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip6 daddr {{ {lan6}, fe80::/10, ff02::/16 }} counter name lan accept
        counter name leak dup to spy0
    }}
}}
"""


class Counter:
    """Counts what the host sends on all LANs of the LAB; TRANSPORTS as for Wire."""

    def __init__(self, lab, transports):
        self._router = lab.router
        if "spy0" not in str(lab.router.ip_json("link")):
            lab.router.run("ip", "link", "add", "spy0", "type", "veth", "peer", "name", "spy1")
            for end in ("spy0", "spy1"):
                lab.router.sysctl(**{f"ipv6__conf__{end}__disable_ipv6": 1})
                lab.router.run("ip", "link", "set", end, "up")
        self._copies = Wire(lab.router, "spy1", [prefix for lan in lab.lans for prefix in lan.prefixes])
        # The first 16 bits of the prefixes, as a neighbour message has its target behind 8 bytes.
        first = [f"0x{int(lan.network6.network_address) >> 112:04x}" for lan in lab.lans]
        lab.router.run("nft", "-f", "-", input=_TABLE.format(
            devices=", ".join(lan.port for lan in lab.lans),
            transports="\n".join(f"{'ip6' if ':' in server else 'ip'} daddr {server} {proto} dport {port} "
                                 "counter name transport accept" for proto, server, port in transports),
            lan4=", ".join(str(lan.network) for lan in lab.lans), lan6=", ".join(str(lan.network6) for lan in lab.lans),
            lan6_raw=", ".join(first + ["0xfe80"])))

    def read(self):
        """{"leak": N, "transport": N, "lan": N}"""
        listed = json.loads(self._router.run("nft", "-j", "list", "counters").stdout)["nftables"]
        return {each["counter"]["name"]: each["counter"]["packets"] for each in listed if "counter" in each}

    def examples(self):
        return [str(record) for record in self._copies.since()[:5]]

    def close(self):
        self._router.run("nft", "delete", "table", "netdev", "ks_count")
        self._copies.close()


_program = None


def program():
    """The compiled flood."""
    global _program
    if _program is None:
        _program = os.path.join(netns.make_directory(), "flood")
        source = os.path.join(netns.ROOT, "tests", "tools", "flood.c")
        compiler = shlex.split(os.environ.get("CC", "cc"))   # of make, which has its words from whoever calls it
        result = subprocess.run([*compiler, "-O2", "-D_GNU_SOURCE", "-o", _program, source],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        if result.returncode:
            raise runner.Skip(f"the flood does not compile: {result.stderr}")
    return _program


class Flood:
    """tests/tools/flood.c while the block runs; `result` is what it says at its end."""

    def __init__(self, namespace, addresses, uid, rate):
        self._namespace = namespace
        self._arguments = [str(uid), str(rate), *addresses]
        self._process = None
        self._name = f"flood-{uid}"
        self.result = {}

    def __enter__(self):
        self._process = self._namespace.start(self._name, program(), *self._arguments)
        # The log goes on where an earlier flood's ended, with its braces.
        runner.wait_for(lambda: "ready" in self._process.text().rpartition("}")[2], 5, "the flood starts", 0.01)
        return self

    def offered(self):
        """How many packets so far."""
        lines = [line for line in self._process.text().rpartition("}")[2].splitlines() if line.isdigit()]
        return int(lines[-1]) if lines else 0

    def __exit__(self, error, *_):
        self._process.stop()
        if error is None:
            self.result = json.loads(self._process.text().splitlines()[-1])
