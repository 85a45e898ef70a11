#!/usr/bin/env python3
"""Managed from a public address: the answers get back, on their own device, and nothing else gets out.

A client in the internet (TARGET, which is public) opens connections to the
host, as over SSH. Without ManagementFrom=, arming cuts it off and says so.
With it, the client is answered, with and without a tunnel, on whatever uplink
it came in, even with strict reverse-path filtering. Connections that the host
itself opens go into the tunnel or nowhere, whatever they are bound to.
"""

import contextlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import probes, runner
from kstest.machine import VPN, Machine
from kstest.netns import SERVER, SERVER6, TARGET, TARGET6
from kstest.probes import Probe
from kstest.runner import check, equal, test, wait_for
from kstest.wire import LEAKS

PORT = 2222
CONFIG = "/etc/nm-killswitch.conf"

_machine = None

# Sends a line whenever it reads one, and writes the answer.
_SESSION = """
import socket, sys
address, source, port = sys.argv[1:4]
peer = socket.create_connection((address, int(port)), 20, (source, 0))
peer.settimeout(20)
for line in sys.stdin:
    try:
        peer.send(line.encode())
        print("answered", peer.recv(100).decode(), flush=True)
    except OSError as error:
        print("failed", error, flush=True)
"""

# A server that speaks first: whenever it reads a line, it sends something to every client.
_SPEAKER = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
peer, _ = server.accept()
print("connected", flush=True)
for line in sys.stdin:
    peer.send(b"prompt")
    print("sent", flush=True)
"""


def machine():
    """Two uplinks, the VPN down, not armed, and a server on every address of the host."""
    global _machine
    if _machine is None:
        _machine = m = Machine(True, lans=2)
        for lan in m.lab.lans:
            m.host.python("echo", f"tcp:{PORT}", f"udp:{PORT}", lan.address, lan.address6)
        m.lab.internet.sysctl(ipv4__ping_group_range="0 2147483647")
        for name in ("all", "eth0", "eth1"):
            m.host.sysctl(**{f"ipv4__conf__{name}__rp_filter": 1})
    m = _machine
    m.nm.nmcli("connection", "down", VPN, check=False)
    m.host.write(CONFIG, "[main]\n")
    m.nm.modify(VPN, "connection.zone", "")
    m.wait_released()
    # the last test's client may have ended while nothing could reach it; the kernel keeps retrying
    wait_for(lambda: not m.host.run("ss", "-Htn", "state", "established", f"sport = :{PORT}").stdout, 20,
             "no client of another test is connected")
    return m


def arm(m, settings=""):
    """Put SETTINGS into [main]. Returns what `sync` wrote to standard error."""
    m.host.write(CONFIG, f"[main]\n{settings}\n")
    m.nm.nmcli("connection", "modify", VPN, "connection.zone", "killswitch")
    result = m.host.run("nm-killswitch", "sync", check=False)
    check(result.stdout.startswith("armed") or result.returncode, f"armed: {result.stdout}{result.stderr}")
    return result.stderr


@contextlib.contextmanager
def program(namespace, text, *arguments):
    """Run a Python program with pipes; yields a function that sends it a line and returns its next answer."""
    with subprocess.Popen(namespace.enter() + ["python3", "-c", text, *arguments],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask_it(line=None):
            if line is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            return process.stdout.readline().strip()

        try:
            yield ask_it
        finally:
            process.stdin.close()  # this ends the program; killing would only end nsenter


def clients(lan, source=TARGET, source6=TARGET6, kinds=("tcp", "udp", "icmp")):
    """Probes from the internet to the host's addresses in LAN."""
    return [Probe(kind, address, PORT, source=of) for address, of in ((lan.address, source), (lan.address6, source6))
            for kind in kinds]


def ask(m, lan, **how):
    return probes.send(m.lab.internet, clients(lan, **how))


def expect_answers(m, lan, why):
    """Each of the client's probes gets an answer, on a busy machine not at once."""
    expect(probes.expect(m.lab.internet, clients(lan)), True, why)


def expect(results, answered, why):
    for result in results:
        check(result.answered == answered, f"{why}: {result}")


def is_reply(leak):
    """Probes from the port, or an address, that a client has connected to."""
    packet = leak.packet
    return packet.sport == PORT or packet.icmp_type in (0, 129)


def leaks(m, mark):
    return [str(leak) for leak in m.leaks(mark)]


def own_probes(**how):
    """Connections that the host itself opens to the prefix that may manage it."""
    return [Probe(kind, address, port, **{key: value[":" in address] if isinstance(value, tuple) else value
                                          for key, value in how.items()})
            for address in (TARGET, TARGET6) for kind, port in (("udp", 7), ("tcp", 80), ("icmp", 0))]


def bound(lan):
    """Sockets bound to an address of the uplink, to its device, or to the service's port."""
    how = ({"source": (lan.address, lan.address6)}, {"bind_device": lan.device},
           {"source": (lan.address, lan.address6), "bind_device": lan.device})
    probes_of = [probe for each in how for probe in own_probes(**each)]
    for address, source in ((TARGET, lan.address), (TARGET6, lan.address6)):
        probes_of.append(Probe("udp", address, 7, source=source, sport=PORT, reuseport=True))
        probes_of.append(Probe("tcp", address, 80, source=source, sport=PORT + 1))
    return probes_of


@test
def without_the_kill_switch_the_client_is_answered():
    """The control of all the others."""
    m = machine()
    expect_answers(m, m.lab.lan, "the client must get an answer")
    mark = m.mark()
    wanted = bound(m.lab.lan)
    expect(probes.expect(m.host, wanted[:12], probes.NOBODY), True, "a bound socket gets out")
    probes.send(m.host, wanted[12:], probes.NOBODY)
    check(len(m.leaks(mark)) >= len(wanted), "and all of them are seen on the wire")


@test
def armed_without_the_setting_the_client_is_cut_off_and_named():
    m = machine()
    with program(m.lab.internet, _SESSION, m.lab.lan.address, TARGET, str(PORT)) as session:
        check(session("hello").startswith("answered"), "the session is open")
        said = arm(m)
        check(f"{TARGET} is connected to port {PORT} of this host from outside the local network, and is cut off now"
              in said, f"sync names the peer: {said}")
        check(f"add ManagementFrom={TARGET} to" in said and "nm-killswitch release" in said, f"what to do: {said}")
        check("cut off" not in m.host.run("nm-killswitch", "sync").stderr, "once, not at each run")
        mark = m.mark()
        expect(ask(m, m.lab.lan), False, "the client must be cut off")
        equal(leaks(m, mark), [], "leaks")
        m.host.run("nm-killswitch", "release")
        expect_answers(m, m.lab.lan, "release lets the client back in")
        check(TARGET in m.host.run("nm-killswitch", "resume").stderr, "resume names it again")


@test
def there_is_no_warning_about_a_client_on_the_lan():
    m = machine()
    with program(m.lab.router, _SESSION, m.lab.lan.address, m.lab.lan.router, str(PORT)) as session:
        check(session("hello").startswith("answered"), "the LAN's session is open")
        said = arm(m)
        check("cut off" not in said, f"nobody is named: {said}")
        check(session("again").startswith("answered"), "the LAN's session works")


@test
def with_the_setting_the_client_is_answered_by_each_uplink_and_nobody_else_is():
    m = machine()
    check("cut off" not in arm(m, f"ManagementFrom={TARGET};{TARGET6}"), "nobody is named")
    for lan, wire, other in zip(m.lab.lans, m.wires, reversed(m.wires)):
        mark, elsewhere = wire.mark(), other.mark()
        expect_answers(m, lan, f"the client must get an answer from {lan.name}")
        seen = [record for record in wire.since(mark) if record.kind in LEAKS]
        check(seen and all(is_reply(leak) for leak in seen), f"only replies are seen: {[str(leak) for leak in seen]}")
        equal([str(record) for record in other.since(elsewhere) if record.kind in LEAKS], [], "leaves by the other uplink")
    mark = m.mark()
    expect(ask(m, m.lab.lan, source=SERVER, source6=SERVER6), False, "a client with another address")
    equal(leaks(m, mark), [], "leaks")
    m.check_lan_works()
    status = m.host.run("nm-killswitch", "status").stdout
    check(f"Management: replies may leave to {TARGET} {TARGET6} from {m.lab.lan.address}," in status, status)
    check("blocking" in status.splitlines()[0], status)
    m.host.run("nm-killswitch", "check")


@test
def with_the_setting_the_host_itself_gets_nothing_out_without_a_tunnel():
    m = machine()
    arm(m, f"ManagementFrom={TARGET};{TARGET6}")
    expect_answers(m, m.lab.lan, "the client must get an answer")
    mark = m.mark()
    for uid in (probes.NOBODY, 0):
        expect(probes.send(m.host, own_probes() + bound(m.lab.lan), uid), False, "must be blocked")
    equal(leaks(m, mark), [], "leaks")


@test
def with_the_setting_and_a_tunnel_the_client_is_answered_and_the_host_uses_the_tunnel():
    m = machine()
    arm(m, f"ManagementFrom={TARGET};{TARGET6}")
    m.up()
    m.check_tunnel_carries()  # also to the prefix, since its probes go to TARGET
    mark = m.mark()
    for lan in m.lab.lans:
        expect_answers(m, lan, f"the client must get an answer from {lan.name}")
    seen = m.leaks(mark)
    check(seen and all(is_reply(leak) for leak in seen), f"only replies are seen: {[str(leak) for leak in seen]}")
    mark = m.mark()
    for uid in (probes.NOBODY, 0):
        expect(probes.send(m.host, bound(m.lab.lan), uid), False, "must be blocked")
    equal(leaks(m, mark), [], "leaks")
    m.host.run("nm-killswitch", "check")
    m.disconnect()
    expect_answers(m, m.lab.lan, "and again without the tunnel")


@test
def a_session_from_before_arming_goes_on():
    m = machine()
    with program(m.lab.internet, _SESSION, m.lab.lan.address, TARGET, str(PORT)) as session:
        check(session("before").startswith("answered"), "the session is open")
        arm(m, f"ManagementFrom={TARGET}")
        for line in ("after", "later"):
            answer = session(line)
            check(answer.startswith("answered"), f"{line}: {answer}")


@test
def a_session_from_before_arming_goes_on_after_the_host_spoke_first():
    """The connection is not tracked yet: a packet that the host sends first must not make it the host's own."""
    m = machine()
    with program(m.host, _SPEAKER, m.lab.lan.address, "2299") as speaker:
        wait_for(lambda: m.host.run("ss", "-Hltn", "sport = :2299").stdout, 5, "the speaker listens")
        with program(m.lab.internet, _SESSION, m.lab.lan.address, TARGET, "2299") as session:
            equal(speaker(), "connected", "the speaker")
            arm(m, f"ManagementFrom={TARGET}")
            mark = m.mark()
            equal(speaker("now"), "sent", "the speaker")
            time.sleep(0.3)
            equal(leaks(m, mark), [], "what the host sends first is dropped")
            equal(session("hello"), "answered prompt", "the client")


@test
def guard_off_refuses_the_setting():
    m = machine()
    said = arm(m, f"ManagementFrom={TARGET}\nGuard=off")
    check("ManagementFrom has no effect with Guard=off" in said, said)
    expect(ask(m, m.lab.lan, kinds=("tcp", "udp")), False, "the client must be cut off")
    check("lookup 83" in m.host.run("ip", "-N", "rule").stdout, "armed all the same")


@test
def turning_it_off_leaves_nothing_behind():
    m = machine()
    arm(m, f"ManagementFrom={TARGET};{TARGET6}")
    check(m.host.ip_json("-4", "route", "show", "table", "8300"), "a table of its own")
    m.host.write(CONFIG, "[main]\n")
    m.host.run("nm-killswitch", "sync")
    equal(m.host.run("ip", "route", "show", "table", "8300", check=False).stdout, "", "table 8300")
    check("8308" not in m.host.run("ip", "rule").stdout, "no rule")
    m = machine()
    wait_for(lambda: m.host.routing() == m.untouched, 20, "rules, routes and nftables are as before", error=AssertionError)


if __name__ == "__main__":
    runner.main()
