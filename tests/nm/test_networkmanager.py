#!/usr/bin/env python3
"""NetworkManager restarted, killed, moved to another network: does the kill switch hold?

The state of the kill switch is in the kernel, so nothing that happens to
NetworkManager may open it; and whatever happened, the VPN must come up again.
Every case is run without the kill switch first, where the flood must be seen.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, openvpn, probes, runner
from kstest.machine import VPN, Machine
from kstest.probes import Probe
from kstest.runner import check, equal, test, wait_for

VPN_HOST = "vpn.provider.test"
# an event that changes nothing
EVENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NM_DISPATCHER_ACTION=dhcp4-change", "DEVICE_IFACE=lan1",
         "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch", "lan1", "dhcp4-change")

_machines = {}


def machine(killswitch, **options):
    """The machine of that kind, made at first use: the VPN up, and armed if the kill switch is installed."""
    key = (killswitch, *sorted(options.items()))
    if key not in _machines:
        _machines[key] = Machine(killswitch, **options)
    m = _machines[key]
    if not m.nm.running():      # a test that failed while it was stopped shall not take the next ones with it
        m.nm.start()
    for lan in m.lab.lans:
        if not lan.plugged:
            lan.plug(True)
        if not m.nm.state(lan.name):
            m.nm.up(lan.name)
        m.nm.wait_state(lan.name, "activated")
    if killswitch:
        m.nm.modify(VPN, "connection.zone", "killswitch")
    m.up()
    m.check_tunnel_carries()
    return m


def without(happen, **options):
    """The control: HAPPEN without the kill switch. The flood must be seen on a wire."""
    m = machine(False, **options)
    mark = m.mark()
    with m.flood():
        happen(m)
        wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks")


def armed(happen, **options):
    """HAPPEN under a flood, with the kill switch on; then connect, still under it."""
    m = machine(True, **options)
    mark = m.mark()
    with m.flood() as flood:
        happen(m)
        m.check_blocked()
        m.up()
        m.check_tunnel_carries()
        m.check_lan_works()
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    m.assert_no_leak(mark)


def wait_for_the_lan_only(m):
    """NetworkManager has started. The openvpn of the previous one may take a second to end."""
    m.nm.wait_state("lan1", "activated")
    wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")


def restart(m):
    m.nm.restart()
    wait_for_the_lan_only(m)


def kill(m):
    m.nm.kill()
    time.sleep(1)
    m.nm.start()
    wait_for_the_lan_only(m)


def pull_cable(m):
    """NetworkManager gives up five seconds after the carrier is lost."""
    m.lab.lan.plug(False)
    m.nm.wait_state("lan1", "")
    m.lab.lan.plug(True)
    m.nm.wait_state("lan1", "activated")


def take_lan_down(m):
    m.nm.down("lan1")
    time.sleep(0.5)
    m.nm.up("lan1")


def roam(m):
    """The better uplink, which the VPN uses, goes; the other stays."""
    m.lab.lan.plug(False)
    m.nm.wait_state("lan1", "")


def check_ipv4_is_carried(m):
    """Connect with either of two VPNs, one of which has no IPv6."""
    for result in probes.expect(m.host, [Probe("udp", netns.TARGET), Probe("tcp", netns.TARGET)], probes.NOBODY):
        check(result.answered and result.seen_as.startswith("10.8."), f"a tunnel must carry: {result}")


@test
def without_killswitch_restarting_networkmanager_leaks():
    without(restart)


@test
def restarting_networkmanager_does_not_leak():
    armed(restart)


@test
def without_killswitch_killing_networkmanager_leaks():
    without(kill)


@test
def killing_networkmanager_does_not_leak():
    armed(kill)


@test
def stopping_networkmanager_neither_leaks_nor_blocks_the_lan():
    m = machine(True)
    mark = m.mark()
    with m.flood():
        m.nm.stop()
        wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")
        m.check_blocked()
        m.nm.start()
        m.nm.wait_state("lan1", "activated")
        m.up()
        m.check_tunnel_carries()
    m.assert_no_leak(mark)


@test
def without_killswitch_pulling_the_cable_leaks():
    without(pull_cable)


@test
def pulling_the_cable_does_not_leak():
    armed(pull_cable)


@test
def without_killswitch_taking_the_lan_down_and_up_leaks():
    without(take_lan_down)


@test
def taking_the_lan_down_and_up_does_not_leak():
    armed(take_lan_down)


@test
def without_killswitch_roaming_leaks():
    without(roam, lans=2)


@test
def roaming_to_a_second_uplink_does_not_leak():
    armed(roam, lans=2)


@test
def a_lan_with_dhcp_and_router_advertisements_does_not_leak():
    armed(take_lan_down, method="auto")


@test
def openvpn_over_ipv6_connects_while_blocked_and_is_lost_without_a_leak():
    armed(Machine.kill, address=netns.SERVER6)


@test
def a_server_known_by_name_is_found_while_blocked_and_no_other_name_is():
    hosts = ((VPN_HOST, netns.SERVER),)
    armed(Machine.kill, remote=VPN_HOST, hosts=hosts)
    m = machine(True, remote=VPN_HOST, hosts=hosts)
    m.disconnect()
    mark = m.wires[0].mark()
    for result in probes.send(m.host, [Probe(kind, address, port)
                                       for address in (m.lab.lan.router, m.lab.lan.router6)
                                       for kind, port in (("udp", 53), ("tcp", 53), ("tcp", 853))], probes.NOBODY):
        check(not result.answered, f"a user's DNS must not leave on the LAN: {result}")
    # The kill switch itself may look up the server's address; nothing else may be seen.
    label = VPN_HOST.split(".", maxsplit=1)[0].encode()
    equal([str(record) for record in m.wires[0].since(mark)
           if record.kind == "dns-lan" and label not in record.packet.payload], [], "a user's DNS on the wire")


@test
def an_uplink_that_brings_up_the_vpn_can_find_its_server_by_name():
    """connection.secondaries: the uplink is activated only once the VPN is."""
    m = machine(True, remote=VPN_HOST, hosts=((VPN_HOST, netns.SERVER),))
    m.nm.nmcli("connection", "modify", "lan1", "connection.secondaries",
               m.nm.nmcli("-g", "connection.uuid", "connection", "show", VPN).stdout.strip())
    mark = m.mark()
    m.nm.down("lan1")
    m.host.run("rm", "-f", "/var/lib/nm-killswitch/state")  # what is remembered must not be what helps
    m.nm.up("lan1", wait=40)
    m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.nm.nmcli("connection", "modify", "lan1", "connection.secondaries", "")


_BY_DNSMASQ = {"remote": VPN_HOST, "hosts": ((VPN_HOST, netns.SERVER),), "dns": "dnsmasq"}
_SECRET = "a-users-secret"


def _ask_dnsmasq(m, trailer=b"", name=_SECRET):
    """An ordinary user asks the system's resolver, with TRAILER after the message; the result does not matter."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + question + b"\0\0\1\0\1" + trailer
    script = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); "
              "s.sendto(bytes.fromhex(sys.argv[1]), ('127.0.0.1', 53)); s.recv(999)")
    m.host.run("python3", "-c", script, message.hex(), check=False, uid=probes.NOBODY)


def _asked(m, mark):
    """The DNS messages on the wire since MARK."""
    return [record.packet.payload for record in m.wires[0].since(mark) if record.kind == "dns-lan"]


def _dnsmasq_version(m):
    version = re.search(r"version (\d+)\.(\d+)", m.host.run("dnsmasq", "--version").stdout)
    return int(version.group(1)), int(version.group(2))


@test
def without_killswitch_dnsmasq_carries_a_users_names_and_data_out():
    m = machine(False, **_BY_DNSMASQ)
    m.disconnect()
    mark = m.wires[0].mark()
    _ask_dnsmasq(m, name=f"{_SECRET}.test")
    _ask_dnsmasq(m, b"and-more", name="other.test")
    wait_for(lambda: any(_SECRET.encode() in payload for payload in _asked(m, mark)), 5, "the name is seen")
    wait_for(lambda: any(b"other" in payload for payload in _asked(m, mark)), 5, "the other name is seen")
    # dnsmasq 2.91 cuts off anything after the end of the message
    if _dnsmasq_version(m) < (2, 91):
        wait_for(lambda: any(payload.endswith(b"and-more") for payload in _asked(m, mark)), 5, "the data is seen")


@test
def dnsmasq_carries_nothing_out_but_the_servers_name():
    m = machine(True, **_BY_DNSMASQ)
    m.disconnect()
    m.check_blocked()
    mark = m.wires[0].mark()
    _ask_dnsmasq(m, name=f"{_SECRET}.test")
    _ask_dnsmasq(m, name=f"{_SECRET}.{VPN_HOST}")
    _ask_dnsmasq(m, b"and-more", name=VPN_HOST)
    m.host.run("getent", "hosts", f"{_SECRET}.example", check=False, uid=probes.NOBODY)
    check(VPN_HOST in m.host.run("nm-killswitch", "status").stdout, "status says what may be asked for")
    # Remembered answers must not be what makes this work.
    m.host.run("rm", "-f", "/var/lib/nm-killswitch/state")
    m.host.run("nm-killswitch", "sync")
    m.up()
    m.check_tunnel_carries()
    asked = _asked(m, mark)
    check(asked, "dnsmasq asked for the server's name")
    question = b"".join(bytes([len(label)]) + label.encode() for label in VPN_HOST.split(".")) + b"\0"
    for payload in asked:
        check(payload[12:].lower().startswith(question) and len(payload) <= 12 + len(question) + 4 + 11,
              f"something else was asked for: {payload}")


@test
def aliases_of_the_servers_name_may_be_looked_up_too():
    m = machine(True, **_BY_DNSMASQ)
    m.disconnect()
    alias, lan = "alias.provider.test", m.lab.lan
    try:
        lan.serve(False, f"--cname={alias},{VPN_HOST}", "--local=/provider.test/", hosts=_BY_DNSMASQ["hosts"])
        m.nm.modify(VPN, "+vpn.data", f"remote={alias}")
        m.host.run("nm-killswitch", "sync")
        status = m.host.run("nm-killswitch", "status").stdout
        check(f"Names that may be asked for: {alias} {VPN_HOST}\n" in status, f"status has both names: {status}")
        m.up()
        m.check_tunnel_carries()
    finally:
        lan.serve(False, hosts=_BY_DNSMASQ["hosts"])
        m.nm.modify(VPN, "+vpn.data", f"remote={VPN_HOST}")


@test
def a_profile_that_is_edited_while_up_stays_connected_and_then_has_its_new_server():
    """NetworkManager goes by what was edited only when the profile is activated again."""
    m = machine(True)
    other = m.server.address.replace(".10", ".11")
    try:
        m.nm.modify(VPN, "+vpn.data", f"remote={other}")
        m.check_tunnel_carries()
        m.nm.down(VPN)
        wait_for(lambda: f" to {m.server.address} " not in m.host.run("nm-killswitch", "status").stdout, 10,
                 "the old server is no longer exempted")
        check(f" to {other} " in m.host.run("nm-killswitch", "status").stdout, "the new server is exempted")
        m.check_blocked()
    finally:
        m.nm.modify(VPN, "+vpn.data", f"remote={m.server.address}")


@test
def one_of_two_vpns_can_be_lost():
    m = machine(True)
    other = "other-vpn"
    server = openvpn.Server(m.lab, m.keys, port=1195, tun="tun1", network="10.8.9.0")
    m.wires[0].transports.append(server.transport)
    m.nm.add_profile(other, openvpn.profile(m.keys, other, port=1195, zone="killswitch"))
    mark = m.mark()
    with m.flood():
        m.nm.up(other)
        check_ipv4_is_carried(m)
        m.nm.down(VPN)
        check_ipv4_is_carried(m)
        m.nm.down(other)
        m.check_blocked()
        m.nm.up(VPN)
        m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.nm.nmcli("connection", "delete", other)
    m.nm.stand_in_for_path_unit()


@test
def openvpn_comes_back_by_itself_when_its_server_does():
    m = machine(True)
    mark = m.mark()
    m.server.stop()
    time.sleep(6)  # OpenVPN has noticed by then, and keeps trying
    m.check_blocked()
    m.server.start()
    wait_for(lambda: probes.send(m.host, [Probe("udp", netns.TARGET)])[0].answered, 30,
             "the tunnel carries again", 0.5)
    m.check_tunnel_carries()
    m.assert_no_leak(mark)


@test
def profile_deleted_while_armed_gives_the_network_back():
    m = machine(True, method="auto")
    profile = m.host.read(f"/etc/NetworkManager/system-connections/{VPN}.nmconnection")
    m.disconnect()
    m.nm.nmcli("connection", "delete", VPN)
    m.nm.stand_in_for_path_unit()
    m.check_leaks()
    m.nm.add_profile(VPN, profile)


@test
def setting_turned_off_while_networkmanager_is_stopped_gives_the_network_back():
    m = machine(True)
    m.disconnect()
    m.wait_down()   # stopped earlier, NetworkManager leaves a tunnel behind that carries
    m.nm.stop()
    m.check_blocked()
    path = f"/etc/NetworkManager/system-connections/{VPN}.nmconnection"
    profile = m.host.read(path)
    m.host.write(path, "".join(line for line in profile.splitlines(True) if not line.startswith("zone=")), 0o600)
    m.nm.stand_in_for_path_unit()
    m.check_leaks()
    m.nm.start()
    m.nm.wait_state("lan1", "activated")


def _event(m):
    """Send an event that changes nothing. Returns whether the program ended at once: a full run reads the profiles."""
    read = "/run/nm-killswitch/profiles"
    m.host.run("rm", "-f", read)
    m.host.run(*EVENT)
    return not os.path.exists(m.host.path(read))


@test
def an_event_ends_at_once_if_nothing_has_changed_and_notices_what_has():
    m = machine(True)
    time.sleep(4)   # files written a moment ago are read again (ks-stamp.h)
    m.host.run("nm-killswitch", "sync")
    for _ in range(2):  # the first run remembers the profiles, the second one everything
        m.host.run(*EVENT)
    # what the last test has done to NetworkManager may still be under way
    wait_for(lambda: _event(m), 20, "an event ends at once while NetworkManager and the kernel say what they said before", 1,
             AssertionError)
    m.host.run("ip", "rule", "delete", "priority", "8380")
    check(not _event(m), "a rule that is gone is seen")
    check(any(rule["priority"] == 8380 for rule in m.host.ip_json("-4", "rule")), "the rule is back")
    m.check_tunnel_carries()
    m.disconnect()
    m.wait_down()
    _event(m)
    m.check_blocked()


@test
def release_gives_the_network_back_until_resume():
    m = machine(True)
    m.disconnect()
    m.check_blocked()
    m.host.run("nm-killswitch", "release")
    m.check_leaks()
    m.nm.restart()
    m.nm.wait_state("lan1", "activated")
    m.check_leaks()
    m.host.run("nm-killswitch", "resume")
    m.check_blocked()


if __name__ == "__main__":
    runner.main()
