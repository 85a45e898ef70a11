"""Docker, Podman and namespaces with an uplink of their own, in the virtual machine: their containers, and what these send.

There is no registry: the one image is made in the guest of its busybox. What a container sends is sent by a process of the
guest that enters its network namespace (container_send.py), so that each packet says whose it is.
"""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass

from .netns import LIB, python_module
from .runner import TookTooLong, at_exit, check, equal, wait_for
from .vm import PATIENCE
from .vm_router import DIE_WITH_PARENT, LAN_CLIENT, LAN_GATEWAY
from .vm_vpn import PUBLIC, PUBLIC6, SERVER

SENDER = "/usr/local/lib/ks-container/container_send.py"
IMAGE = "ks-busybox"
KINDS = {"new", "old", "server", "dns"}     # what container_send.py labels; of IPv6 the first two
SLOW = 300                                  # the seconds that a program of theirs may take
NAME, ADDRESS = "inside.example", "198.51.100.7"    # which only the VPN's resolver knows
RESOLVER = "10.66.0.1"
LAN6_CLIENT = "fd77::5054:ff:fe77:2"
ROUNDS = "/run/ks-container"                # of container_send.py

_MAKE_IMAGE = """set -e
mkdir -p /root/image/bin
cp /bin/busybox /root/image/bin/busybox
for name in sleep httpd; do ln -sf busybox /root/image/bin/$name; done
echo it works >/root/image/index.html
tar -C /root/image -cf /root/image.tar .
"""
_SERVE_NAMES = ("setsid dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --bind-dynamic --interface=wgs0 --user=root"
                f" --pid-file= --host-record={NAME},{ADDRESS} >/dev/null 2>&1 </dev/null")
_WAIT_ROUNDS = """cd {directory} || exit; declare -A first
until ((SECONDS >= {limit})); do
    there=0; ready=0
    for sender in [0-9]*; do
        read -r number <"$sender" || continue
        : "${{first[$sender]:=$number}}"
        ((there += 1, ready += number >= first[$sender] + {rounds}))
    done 2>/dev/null
    ((ready == there && ready >= {senders})) && exit
    sleep 0.2
done
exit 1
"""
# Asks for the page that each container has; prints its last word, and the address it was asked from.
_ASK_WEB = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]), (sys.argv[4], 0) if len(sys.argv) > 4 else None) as s:
    s.send(b"GET /index.html HTTP/1.0\\r\\n\\r\\n")
    answer = b""
    while data := s.recv(4096):
        answer += data
sys.exit(not answer.endswith(b"it works\\n"))
"""


# A machine on the LAN that has the guest as its gateway to these two addresses, which the router has not. Few hops: what is
# forwarded comes back to it.
PEERS = {"peer": "198.51.100.200", "peer6": "2001:db8:1::c8"}
_PEER = """
import socket, sys, time
def connect(address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if ":" in address else (socket.IPPROTO_IP, socket.IP_TTL)), 3)
    sock.connect((address, 9))
    return sock
old = {label: connect(address) for label, address in zip(sys.argv[1::2], sys.argv[2::2])}
while True:
    for label, address in zip(sys.argv[1::2], sys.argv[2::2]):
        with connect(address) as new:
            for sock, kind in ((new, "new"), (old[label], "old")):
                try:
                    sock.send(f"ks-container {label} {kind}".encode())
                except OSError:
                    pass        # what the guest has answered to the last one
    time.sleep(0.3)
"""
# Preparing the machine

def prepare(machine, vpn):
    """The image, the sending program, and a resolver behind the VPN that the VPN's profile names."""
    with open(os.path.join(LIB, "kstest", os.path.basename(SENDER)), "rb") as file:
        machine.push(SENDER, file.read())
    machine.run(_MAKE_IMAGE)
    machine.server(_SERVE_NAMES)
    machine.run(["nmcli", "connection", "modify", vpn.name, "ipv4.dns", RESOLVER, "ipv4.dns-priority", "-10"])


def answer_at_router(machine):
    """What leaks is answered: the router has the internet's addresses."""
    echo = subprocess.Popen(DIE_WITH_PARENT + machine.router.command(*python_module("echo", "udp:9", "tcp:443", PUBLIC, PUBLIC6)),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    at_exit(echo.kill)


# What containers send

@dataclass(frozen=True)
class Sent:
    """What containers have sent on the uplink."""

    labels: frozenset   # (address of the container, kind), wherever it was sent to
    others: tuple       # all other packets that leaked: TCP and pings have no label

    def __str__(self):
        return f"{sorted(self.labels)}, {len(self.others)} without a label, such as {'; '.join(map(str, self.others[:5]))}"

    def __bool__(self):
        return bool(self.labels or self.others)

    def kinds_of(self, address):
        return {kind for label, kind in self.labels if label == address}


def sent_since(machine, mark):
    """What has left by the uplink since MARK.

    To the wire a datagram for the VPN's server and port is a transport, and one for the LAN's resolver is DNS: here they
    are a container's.
    """
    traffic = machine.wire.since(mark)
    labels, others = set(), []
    for packet in [*traffic.leak, *traffic.transport, *traffic.dns]:
        words = packet.payload.split()
        if len(words) == 3 and words[0] == b"ks-container":
            labels.add((words[1].decode(), words[2].decode()))
    for packet in traffic.leak:
        if not packet.payload.startswith(b"ks-container"):
            others.append(packet)
    return Sent(frozenset(labels), tuple(others))


@contextlib.contextmanager
def sending(machine, vpn, *patterns):
    """The containers whose namespaces are at PATTERNS send meanwhile."""
    machine.run(["rm", "-rf", ROUNDS])      # a sender's file from an earlier time says nothing of now
    job = machine.spawn(["python3", "-I", "-S", SENDER, "send", SERVER, str(vpn.port), LAN_GATEWAY, *patterns])
    try:
        yield
    finally:
        job.kill()
        job.wait(20 * PATIENCE)


@contextlib.contextmanager
def peer_sending(machine):
    """A machine on the LAN sends by the guest meanwhile."""
    for address in PEERS.values():
        machine.router.run("ip", "route", "replace", address, "via", LAN6_CLIENT if ":" in address else LAN_CLIENT)
    words = [word for pair in PEERS.items() for word in pair]
    peer = subprocess.Popen(DIE_WITH_PARENT + machine.router.command("python3", "-I", "-S", "-c", _PEER, *words))
    try:
        yield
    finally:
        peer.kill()
        peer.wait()


def wait_sent(machine, senders, rounds=3, timeout=60):
    """Until at least that many SENDERS have tried all that they send ROUNDS times from now on, as have all others there are."""
    result = machine.run(_WAIT_ROUNDS.format(directory=ROUNDS, senders=senders, rounds=rounds, limit=round(timeout * PATIENCE)),
                         check=False, timeout=timeout + 30)
    if not result:
        raise TookTooLong(f"not {senders} senders {rounds} times within {timeout * PATIENCE:.0f} s: {result}")


def assert_nothing_sent(machine, what, action=None, senders=0):
    """Nothing of theirs, and no leak of anyone's, is on the uplink during ACTION, and while SENDERS try it some more times."""
    mark, late = machine.wire.mark(), None
    try:
        if action:
            action()
        if senders:
            wait_sent(machine, senders)
    except TookTooLong as error:
        late = error
    time.sleep(1)   # an ARP or neighbour request is repeated each second
    sent = sent_since(machine, mark)
    check(not sent, f"{what}: on the uplink: {sent}")
    if late:
        raise late


def assert_sent(machine, what, addresses, limit=40):
    """The control: within LIMIT seconds each of the ADDRESSES has sent all that it can, and TCP and pings were there too."""
    mark, end = machine.wire.mark(), time.monotonic() + limit * PATIENCE
    while True:
        time.sleep(1)
        sent = sent_since(machine, mark)
        missing = {address: wanted for address in addresses
                   if (wanted := (KINDS if "." in address else {"new", "old"}) - sent.kinds_of(address))}
        kinds = {(packet.kind, packet.proto) for packet in sent.others}
        if not missing and {("ipv4", 6), ("ipv4", 1)} <= kinds:
            return
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not seen on the uplink: {missing}; there is {sent}")


# Names and published ports

def ask_name(machine, pid, resolver):
    """What the RESOLVER answers the container of the process PID."""
    return machine.run(["nsenter", "--net", f"--target={pid}", "python3", "-I", "-S", SENDER, "ask", NAME, resolver]).stdout.strip()


def wait_name(machine, pid, resolver, what):
    """Until the RESOLVER answers the container of the process PID."""
    wait_for(lambda: ask_name(machine, pid, resolver) == ADDRESS, 40 * PATIENCE, what, 1, AssertionError)


def reaches(machine, address, port=80, inside=None, timeout=6):
    """Whether the page at ADDRESS and PORT is there for the host, or for the container of the process INSIDE."""
    command = ["python3", "-c", _ASK_WEB, address, str(port), str(timeout * PATIENCE)]
    return bool(machine.run((["nsenter", "--net", f"--target={inside}"] if inside else []) + command, check=False,
                            timeout=timeout + 20))


def reaches_from_server(machine, address, port, source=None, timeout=6):
    command = ["python3", "-c", _ASK_WEB, address, str(port), str(timeout * PATIENCE), *([source] if source else [])]
    return bool(machine.server(command, check=False, timeout=timeout + 20))


def reaches_from_lan(machine, address, port, source=None, timeout=6):
    """As reaches(), for the router, from its address SOURCE."""
    command = ["python3", "-c", _ASK_WEB, address, str(port), str(timeout), *([source] if source else [])]
    return machine.router.run(*command, check=False, timeout=timeout + 20).returncode == 0


def assert_reached(table, what):
    """Of the TABLE {way: (function, whether it is there)} each is as it says; what is to be there is asked for until it is."""
    def reached(function, wanted):
        end = time.monotonic() + 30 * PATIENCE
        while not (found := bool(function())) and wanted and time.monotonic() < end:
            time.sleep(0.5)
        return found
    equal({way: reached(*each) for way, each in table.items()}, {way: wanted for way, (_, wanted) in table.items()}, what)
