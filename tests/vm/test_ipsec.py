"""What IPsec sends, with states and policies set by hand: this host's kernel may lack IPsec.

No IKE daemon or plugin is needed: the kernel makes the packets, a profile as strongSwan's or L2TP's editor writes it says
what is exempted, and the wire shows what gets out while everything else is blocked.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import ESP, UDP
from kstest.runner import equal, main, test
from kstest.vm import PATIENCE
from kstest.vm_router import LAN_CLIENT
from kstest.vm_stages import Stages
from kstest.vm_vpn import SERVER, SERVER6, assert_blocked, load_profile, package, wait_idle, wait_state

at = Stages("ipsec")

INSIDE, INSIDE6 = "10.200.0.1", "fd20::1"       # behind the tunnel: of the LAN's prefixes, which reach IPsec
ROOT, NOBODY = 0, 65534
NAT_T = "encap espinudp 4500 4500 {any}"
KEYS = ("enc 'cbc(aes)' 0x0123456789abcdef0123456789abcdef "
        "auth 'hmac(sha256)' 0x0123456789abcdef0123456789abcdef")

_PROFILE = """\
[connection]
id=ipsec{number}
uuid=99999999-9999-4999-8999-{number:012d}
type=vpn
autoconnect=false
zone=killswitch

[vpn]
service-type=org.freedesktop.NetworkManager.{service}
{key}={server}
{more}
"""

_SEND = """\
import os, socket, sys
address, port, uid, device = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([])
os.setuid(uid)
sender = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
if device:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
for _ in range(2):
    try:
        sender.sendto(b"ks-ipsec", (address, port))
    except OSError:
        pass
"""


def _ours(machine, server):
    if ":" not in server:
        return LAN_CLIENT
    found = machine.run("ip -6 -o address show dev eth0 scope global -tentative").stdout
    return found.split(" inet6 ")[1].split("/")[0]


def _ipsec(machine, server, mode, encap=""):
    """Set up tunnel mode for packets to INSIDE, and transport mode for L2TP to SERVER."""
    ours, inside = _ours(machine, server), INSIDE6 if ":" in server else INSIDE
    encap = encap.format(any="::" if ":" in server else "0.0.0.0")
    machine.run(f"""set -e
        ip xfrm state flush; ip xfrm policy flush
        ip xfrm state add src {ours} dst {server} proto esp spi 0x100 mode {mode} {KEYS} {encap}""")
    if mode == "tunnel":
        machine.run(f"""set -e
            ip route replace {inside} dev eth0
            ip xfrm policy add src {ours} dst {inside} dir out tmpl src {ours} dst {server} proto esp mode tunnel""")
    else:
        machine.run(f"ip xfrm policy add src {ours} dst {server} proto udp dport 1701 dir out "
                    "tmpl proto esp mode transport")


def _without_ipsec(machine):
    machine.run("ip xfrm state flush; ip xfrm policy flush")


def _sent(machine, address, port, uid, device=""):
    """What is on the wire for the servers when UID sends to ADDRESS: {(protocol, port)}. Nothing may be in the clear."""
    machine.push("/tmp/ks-send.py", _SEND)
    mark = machine.wire.mark()
    machine.run(["python3", "/tmp/ks-send.py", address, str(port), str(uid), device])
    time.sleep(0.5)
    packets = sum(vars(machine.wire.since(mark)).values(), [])
    equal([packet for packet in packets if packet.dst in (INSIDE, INSIDE6)], [], "plain packets")
    return {(packet.proto, packet.dport) for packet in packets if packet.dst in (SERVER, SERVER6)}


def _assert_sent(machine, address, port, uid, expected, what, device=""):
    """EXPECTED is on the wire, and nothing else is. It is sent again for a while: a packet may wait for a neighbour in vain."""
    end, seen = time.monotonic() + 20 * PATIENCE, set()
    while True:
        seen |= _sent(machine, address, port, uid, device)
        if seen - expected or seen == expected or time.monotonic() > end:
            break
    equal(seen, expected, what)


def _inside(server):
    return INSIDE6 if ":" in server else INSIDE


def _armed(service, key, more=""):
    """The machine, with an armed profile for each server."""
    package()
    machine = at.installed()
    for number, server in enumerate((SERVER, SERVER6)):
        load_profile(machine, f"ipsec{number}", _PROFILE.format(number=number, service=service, key=key, server=server,
                                                                more=more))
    wait_state(machine, "rules", "there are rules once the profiles are loaded")
    wait_idle(machine)
    return machine


ESP_ONLY, NAT_T_ONLY, L2TP_ONLY = {(ESP, None)}, {(UDP, 4500)}, {(UDP, 1701)}


@test
def without_kill_switch_everything_sent_is_seen():
    machine = at.clean()
    for server in (SERVER, SERVER6):
        for uid in (ROOT, NOBODY):
            _ipsec(machine, server, "tunnel")
            _assert_sent(machine, _inside(server), 7, uid, ESP_ONLY, f"to {server} by {uid}")
            _ipsec(machine, server, "tunnel", NAT_T)
            _assert_sent(machine, _inside(server), 7, uid, NAT_T_ONLY, f"to {server} by {uid}, NAT-T")
            _ipsec(machine, server, "transport")
            _assert_sent(machine, server, 1701, uid, ESP_ONLY, f"to {server} by {uid}, transport mode")
            _without_ipsec(machine)
            _assert_sent(machine, server, 1701, uid, L2TP_ONLY, f"to {server} by {uid}, plain")
            _assert_sent(machine, server, 4500, uid, NAT_T_ONLY, f"to {server} by {uid}, bound", "eth0")


@test
def armed_ikev2_gets_out_as_esp_and_in_udp_but_nothing_else_does():
    machine = _armed("strongswan", "address", "method=eap\nvirtual=yes")
    assert_blocked(machine, "armed")
    for server in (SERVER, SERVER6):
        _ipsec(machine, server, "tunnel")
        for uid in (ROOT, NOBODY):
            _assert_sent(machine, _inside(server), 7, uid, ESP_ONLY, f"to {server} by {uid}")
        _ipsec(machine, server, "tunnel", NAT_T)
        _assert_sent(machine, _inside(server), 7, ROOT, NAT_T_ONLY, f"to {server} by root, NAT-T")
        _without_ipsec(machine)
        for port in (500, 4500):
            _assert_sent(machine, server, port, ROOT, {(UDP, port)}, f"IKE to {server}")
            for device in ("", "eth0"):
                equal(_sent(machine, server, port, NOBODY, device), set(), f"port {port} of {server} by nobody")
        for uid in (ROOT, NOBODY):
            for device in ("", "eth0"):
                equal(_sent(machine, server, 1701, uid, device), set(), f"port 1701 of {server} by {uid}")
    assert_blocked(machine, "after all that")


@test
def armed_l2tp_with_ipsec_gets_out_only_encrypted():
    machine = _armed("l2tp", "gateway", "ipsec-enabled=yes\nuser=alice")
    for server in (SERVER, SERVER6):
        for encap, seen in (("", ESP_ONLY), (NAT_T, NAT_T_ONLY)):
            _ipsec(machine, server, "transport", encap)
            _assert_sent(machine, server, 1701, ROOT, seen, f"to {server} by root")
            equal(_sent(machine, server, 1701, NOBODY), set(), f"to {server} by nobody")
        _without_ipsec(machine)
        for device in ("", "eth0"):
            equal(_sent(machine, server, 1701, ROOT, device), set(), f"plain to {server} by root")
    machine.run(["nmcli", "connection", "modify", "ipsec0", "-vpn.data", "ipsec-enabled"])
    wait_idle(machine)
    _assert_sent(machine, SERVER, 1701, ROOT, L2TP_ONLY, "without IPsec L2TP gets out")


if __name__ == "__main__":
    main(at.set_up)
