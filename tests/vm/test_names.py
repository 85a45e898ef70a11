"""No name that a user looks up leaks while blocked, not even through systemd-resolved, and the VPN's server is found.

systemd-resolved asks on behalf of all programs, as a user of its own, with sockets bound to the uplink.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import UDP
from kstest.runner import check, main, test, wait_for
from kstest.vm import NOBODY, PATIENCE
from kstest.vm_stages import Stages
from kstest.vm_vpn import arm, assert_blocked, assert_no_leak, assert_tunnel, down, up, wait_idle

SERVER_NAME = "vpn.example"     # the router knows it
QUESTION = b"\3vpn\7example\0"
ENABLE = """
systemctl unmask systemd-resolved && systemctl start systemd-resolved
printf '[main]\\ndns=systemd-resolved\\n' >/etc/NetworkManager/conf.d/60-resolved.conf
ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
systemctl restart NetworkManager
"""
# sends the stub a message with bytes of the program's own wherever there is room for them
SEND = ("import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.settimeout(3)\n"
        "s.sendto(bytes.fromhex(sys.argv[1]), ('127.0.0.53', 53))\n"
        "s.recv(4096)\n")
at = Stages("names")


def _with_resolved(machine):
    machine.run(ENABLE, timeout=120)
    machine.wait_online()
    wait_for(lambda: "192.168.77.1" in machine.run("resolvectl dns eth0", check=False).stdout, 60 * PATIENCE,
             "NetworkManager tells systemd-resolved the uplink's resolver")
    return machine


def _query(name, flags, opt):
    question = b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0\0\1\0\1"
    return (b"\x12\x34" + flags + b"\0\1\0\0\0\0\0\1" + question + b"\0\0\x29\x04\xd0\0\0" + opt).hex()


def _a_user_asks(machine):
    """Every known way to get a program's own bytes into a query."""
    for command in (["resolvectl", "query", "private.example"],
                    ["resolvectl", "query", "--type=TXT", SERVER_NAME],
                    ["resolvectl", "query", "private.vpn.example"],
                    ["getent", "ahosts", "private.example"],
                    # checking disabled, and DNSSEC wanted: resolved passes the message on as it is
                    ["python3", "-I", "-c", SEND, _query(b"vpn.example", b"\1\x10", b"\x80\0\0\0")],
                    ["python3", "-I", "-c", SEND,
                     _query(b"vpn.example", b"\1\x10", b"\x80\0\0\x0b\xff\xf0\0\7private")]):
        machine.run(command, check=False, timeout=60, uid=NOBODY)


def _asked(machine, mark):
    """What went to port 53 of the LAN's router since MARK."""
    return [packet for packet in machine.wire.since(mark).dns if packet.dport == 53]


@test
def without_kill_switch_resolved_carries_a_users_names_out():
    machine = _with_resolved(at.clean())
    mark = machine.wire.mark()

    def seen():
        _a_user_asks(machine)
        asked = [packet.payload for packet in _asked(machine, mark)]
        return (any(b"\7private\7example" in payload for payload in asked)
                and any(QUESTION in payload and b"\7private" in payload for payload in asked))
    wait_for(seen, 30 * PATIENCE, "a name, and an option with bytes of the program's own, are seen", error=AssertionError)


@test
def resolved_carries_nothing_out_but_the_servers_name_by_which_the_vpn_comes_up():
    machine = _with_resolved(at.installed())
    mark = machine.wire.mark()
    arm(machine, at.vpns.named)
    assert_blocked(machine, "armed")
    assert_no_leak(machine, "a user asks", lambda: _a_user_asks(machine))
    status = machine.run("nm-killswitch status").stdout
    check(f"Names that may be asked for: {SERVER_NAME}\n" in status, f"status does not say what may be asked for: {status}")
    # neither resolved's cache nor our own memory may be what makes this work
    machine.run("resolvectl flush-caches; rm -f /var/lib/nm-killswitch/state")
    wait_idle(machine)
    later = machine.wire.mark()
    up(machine, at.vpns.named)
    assert_tunnel(machine, "up")
    check(_asked(machine, later), "nobody asked for the server's name")
    down(machine, at.vpns.named)
    # a user's queries get lost: resolved must not conclude that the server does not support UDP
    for _ in range(4):
        _a_user_asks(machine)
    machine.run("resolvectl flush-caches")
    up(machine, at.vpns.named)
    assert_tunnel(machine, "up again")
    for packet in _asked(machine, mark):
        inside = packet.payload[12:].lower()
        check(packet.proto == UDP and inside.startswith(QUESTION) and len(inside) <= len(QUESTION) + 4 + 11,
              f"something else was asked for: {packet} {packet.payload}")


if __name__ == "__main__":
    main(at.set_up)
