"""systemd-resolved in each of its modes: with DNSSEC, DNS over TLS, LLMNR, mDNS and a search domain on the LAN.

Whatever a user looks up, no name gets out on the LAN while the VPN is down or up, and the VPN's server, which is known only
by name, is found. tests/vm/test_names.py has what a program could hide in such a query.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import TCP, UDP
from kstest.runner import check, main, test, wait_for
from kstest.vm import NOBODY, PATIENCE
from kstest.vm_stages import Stages
from kstest.vm_vpn import SERVER, SERVER6, arm, assert_no_leak, assert_tunnel, down, package, up, wait_idle

SERVER_NAME = "vpn.example"     # the router knows it
ANSWER = "198.51.100.9"         # of the VPN's resolver, for every name but the server's
ENABLE = """
systemctl unmask --quiet systemd-resolved && systemctl start systemd-resolved
printf '[main]\\ndns=systemd-resolved\\n' >/etc/NetworkManager/conf.d/60-resolved.conf
ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
nmcli connection modify lan ipv4.dns-search office.example connection.llmnr yes connection.mdns yes
systemctl restart NetworkManager
"""
# The router's resolver does not validate: without this nothing in example would be believed, with or without a kill switch.
UNSIGNED = "mkdir -p /etc/dnssec-trust-anchors.d; echo example >/etc/dnssec-trust-anchors.d/ks.negative"
CONFIGURE = """mkdir -p /etc/systemd/resolved.conf.d
printf '[Resolve]\\nDNSSEC=%s\\nDNSOverTLS=%s\\nLLMNR=yes\\nMulticastDNS=yes\\n' {} {} >/etc/systemd/resolved.conf.d/ks.conf
systemctl restart systemd-resolved
"""
at = Stages("neighbours-resolved")


def _wait_resolved(machine):
    """Until NetworkManager has told it the uplink's resolver, and what to search there."""
    machine.run("until resolvectl dns eth0 | grep -q 192.168.77.1 && resolvectl domain eth0 | grep -q office.example;"
                " do sleep 0.2; done", timeout=60)


def _with_resolved(machine):
    machine.run(UNSIGNED + ENABLE, timeout=120)
    machine.wait_online()
    _wait_resolved(machine)


def _configure(machine, dnssec, over_tls):
    machine.run(CONFIGURE.format(dnssec, over_tls), timeout=120)
    _wait_resolved(machine)
    check(f"DNSSEC={dnssec}" in machine.run("resolvectl status eth0").stdout, "it does not do what it is told")


# A public name, twice; a name of one label (LLMNR, and the search domain), one in .local (mDNS), one in the search domain. All
# at once: each may wait for an answer that never comes, over TLS for two minutes.
_ASK = """
(timeout 6 resolvectl query private.example; timeout 3 getent ahosts private.example) &
for name in private private.local private.office.example; do timeout 6 resolvectl query $name & done
wait
"""


def _a_user_asks(machine):
    machine.run(_ASK, check=False, timeout=60, uid=NOBODY)


def _seen(machine, mark):
    """All queries on the LAN, whatever their protocol and destination."""
    traffic = machine.wire.since(mark)
    return traffic.dns + traffic.llmnr + traffic.mdns


def _question(name):
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


def _name_at(message, position):
    """The name at POSITION of a DNS message, and where it ends: RFC 1035, 4.1.4."""
    labels, end = [], None
    while message[position]:
        if message[position] >= 0xC0:
            end = end or position + 2
            position = int.from_bytes(message[position:position + 2], "big") & 0x3FFF
            continue
        labels.append(message[position + 1:position + 1 + message[position]])
        position += 1 + message[position]
    return b".".join(labels).lower(), end or position + 1


def _questions(message):
    """The names that a DNS message asks for."""
    names, position = [], 12
    for _ in range(int.from_bytes(message[4:6], "big")):
        name, position = _name_at(message, position)
        names.append(name)
        position += 4
    return names


def _assert_only_the_server(machine, mark, what, may_ask):
    """The only queries on the LAN are for the VPN server's name, and by mDNS for a name in .local."""
    for packet in _seen(machine, mark):
        about = packet.payload[12:].lower()
        # systemd-resolved may ask for several names at once, its own among them
        is_local = packet.dport == 5353 and all(name == b"private.local" for name in _questions(packet.payload) if b"private" in name)
        is_server = may_ask and packet.proto == UDP and packet.dport == 53 and about.startswith(_question(SERVER_NAME))
        check(is_local or is_server, f"{what}: on the LAN: {packet} {packet.payload}")


def _stage():
    """The VPN known by name armed and down; its resolver, once it is up, knows the server, and answers for every other name."""
    def build():
        machine, vpn = at.installed(), at.vpns.named
        _with_resolved(machine)
        machine.server(f"dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= --bind-dynamic"
                       f" --listen-address={vpn.server_address} --address=/#/{ANSWER}"
                       f" --address=/{SERVER_NAME}/{SERVER} --address=/{SERVER_NAME}/{SERVER6}")
        machine.run(f"nmcli connection modify {vpn.name} ipv4.dns {vpn.server_address} ipv4.dns-search '~.'")
        arm(machine, vpn)
    package()
    at.machine.stage("resolved", build)
    return at.machine


@test
def without_kill_switch_resolved_carries_names_out_by_each_protocol():
    machine = at.clean()
    _with_resolved(machine)
    _configure(machine, "yes", "opportunistic")
    mark = machine.wire.mark()

    def unseen():
        _a_user_asks(machine)
        seen = _seen(machine, mark)
        return [f"{text} to port {port}" for protocol, port, text in (
            (UDP, 53, b"\7private\7example"), (UDP, 53, b"\7private\6office\7example"), (UDP, 5355, b"\7private\0"),
            (UDP, 5353, b"\7private\5local"), (TCP, 853, b"")) if not any(
                packet.proto == protocol and packet.dport == port and text in packet.payload for packet in seen)]
    wait_for(lambda: not unseen(), 40 * PATIENCE, "names on the wire by each protocol", error=AssertionError)


def _names_stay_at_home(dnssec, over_tls):
    machine, vpn = _stage(), at.vpns.named
    mark = machine.wire.mark()
    what = f"DNSSEC={dnssec} DNSOverTLS={over_tls}"
    assert_no_leak(machine, f"{what}, restarted", lambda: _configure(machine, dnssec, over_tls))
    assert_no_leak(machine, f"{what}, down", lambda: _a_user_asks(machine))
    _assert_only_the_server(machine, mark, f"{what}, down", True)
    machine.run("resolvectl flush-caches; rm -f /var/lib/nm-killswitch/state")     # neither of us remembers the server
    wait_idle(machine)
    return machine, vpn, what


def _comes_up(dnssec, over_tls):
    machine, vpn, what = _names_stay_at_home(dnssec, over_tls)
    assert_no_leak(machine, f"{what}, coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, f"{what}, up")
    wait_idle(machine)
    mark = machine.wire.mark()
    # NetworkManager tells systemd-resolved of it once the VPN is up
    wait_for(lambda: ANSWER in machine.run("timeout 20 resolvectl query private.example", check=False, uid=NOBODY).stdout,
             60 * PATIENCE, f"{what}: the VPN's resolver is asked", 1, AssertionError)
    assert_no_leak(machine, f"{what}, up", lambda: (_a_user_asks(machine), machine.run(
        "resolvectl flush-caches; systemctl restart systemd-resolved"), _wait_resolved(machine), _a_user_asks(machine)))
    _assert_only_the_server(machine, mark, f"{what}, up", False)
    mark = machine.wire.mark()
    assert_no_leak(machine, f"{what}, going down", lambda: (down(machine, vpn), _a_user_asks(machine)))
    _assert_only_the_server(machine, mark, f"{what}, down again", True)


@test
def with_opportunistic_tls_no_name_leaks_and_the_server_is_found():
    _comes_up("no", "opportunistic")


@test
def with_dnssec_no_name_leaks_and_the_server_is_found():
    _comes_up("yes", "no")


@test
def with_dnssec_and_tls_if_possible_no_name_leaks_and_the_server_is_found():
    _comes_up("allow-downgrade", "opportunistic")


if __name__ == "__main__":
    main(at.set_up)
