"""One sheet of cases that every type of VPN has to pass, written once.

The first cases run without the kill switch. They are the positive control: the
same probes, and the same ways to lose the tunnel, are seen to leak when nothing
prevents it. Then the kill switch is installed on the same host, and nothing may
leak in any case, while the VPN and the LAN have to work.

What the cases are run on is a subject. machine.Host is one in network
namespaces, with a subclass for each type of VPN; any other object will do that
has its methods:

    install()       the kill switch, if it is not there yet
    arm(), disarm() the setting of the VPN's profile
    up()            connect, whatever state the VPN is in, and wait for it
    down()          be disconnected, whatever state the VPN is in
    disconnect()    as the user asks for it, while it is up
    kill()          the program that carries the VPN ends without a word; waits until that is noticed
    server_gone()   the server ends, and so the client gives up the tunnel; up() works again afterwards
    reconnect()     the connection breaks off, and the client makes it again by itself while its device stays; for a
                    type that does not, leave out reconnecting_does_not_leak
    flood()         traffic of all kinds, without end; a context manager
    check_tunnel_carries(), check_leaks(), check_blocked(), check_lan_works()
    check_others_blocked()
                    while the tunnel is up: what it cannot carry, such as IPv6
    abuse()         send what abuse_probes() has for the VPN's transports, as nobody; returns {probe: seen on the wire}
    mark(), leaks(mark), assert_no_leak(mark)
                    the wire
    wait_down()     until what an orderly disconnect takes away is gone, such as the device
    routing()       all rules, routes and nftables rules, to compare; `untouched` is what they were before
"""

import contextlib
import time

from . import runner
from .probes import Probe
from .runner import TookTooLong, check, equal, wait_for

_OTHER = {"udp": "tcp", "tcp": "udp", "esp": "udp", "gre": "udp"}
_FIRST_PORT = 41000     # of those that tell the probes of abuse apart


def abuse_probes(transports, outside, device, sports=()):
    """What an unprivileged program could try to get out as the VPN's transport, or beside it.

    TRANSPORTS are (protocol name, server, port), OUTSIDE are addresses where no VPN server is, DEVICE is the uplink, SPORTS
    are source ports of the VPN's. Each probe has a source port of its own, by which it is known on the wire.
    """
    tried = []
    for proto, server, port in transports:
        kind = proto if proto in ("udp", "tcp") else "udp"
        tried += [(kind, address, port) for address in outside]             # the port, another address
        tried += [(kind, server, port + 1), (kind, server, 7)]              # the address, another port
        tried += [(_OTHER[proto], server, port)]                            # another protocol
        tried += [(kind, server, port)]                                     # all of it, but not as the VPN's user
    tried = list(dict.fromkeys(tried))
    probes = [Probe(kind, address, port, sport=_FIRST_PORT + number, reuseport=True, bind_device=bound)
              for number, (kind, address, port, bound) in enumerate(
                  (*each, bound) for each in tried for bound in (None, device))]
    # The port as the source port: the article's exemption.
    kinds = dict.fromkeys((proto, port) for proto, _, of_server in transports if proto in ("udp", "tcp")
                          for port in (of_server, *sports))
    return probes + [Probe(kind, address, 9, sport=port, reuseport=True, bind_device=bound)
                     for kind, port in kinds for address in outside for bound in (None, device)]


class Sheet:
    """The cases for one type; MAKE() makes the subject, without the kill switch, at first use."""

    def __init__(self, make):
        self._make = make
        self._made = None

    def subject(self):
        if self._made is None:
            self._made = self._make()
        return self._made

    def register(self, prefix="", left_out=()):
        """Make tests of the cases but those LEFT_OUT, in their order, named PREFIX and the case."""
        for case in CASES:
            if case not in left_out:
                self._register(case, f"{prefix}{case.__name__}")

    def _register(self, case, name):
        def run():
            case(self.subject())
        run.__name__ = name
        runner.test(run)


# Without the kill switch

def _leaking(subject, lose):
    subject.up()
    subject.check_tunnel_carries()
    mark = subject.mark()
    with subject.flood():
        lose()
        wait_for(lambda: len(subject.leaks(mark)) > 10, 30, "the flood leaks")


def without_killswitch_every_probe_leaks(subject):
    subject.check_leaks()
    unseen = []
    for _ in range(3):
        unseen = [str(probe) for probe, seen in subject.abuse().items() if not seen]
        if not unseen:
            break
    equal(unseen, [], "probes of abuse that the wire did not carry")


def without_killswitch_killing_leaks(subject):
    _leaking(subject, subject.kill)


def without_killswitch_disconnecting_leaks(subject):
    _leaking(subject, subject.disconnect)


def without_killswitch_the_end_of_the_server_leaks(subject):
    _leaking(subject, subject.server_gone)


# With it

def _check_no_abuse(subject):
    mark = subject.mark()
    seen = [str(probe) for probe, seen in subject.abuse().items() if seen]
    equal(seen, [], "probes of abuse on the wire")
    subject.assert_no_leak(mark)


def _armed_up(subject):
    subject.install()
    subject.arm()
    subject.up()
    subject.check_tunnel_carries()


def _losing(subject, lose):
    """LOSE the tunnel under a flood; then come back, still under it."""
    _armed_up(subject)
    mark = subject.mark()
    with subject.flood() as flood:
        lose()
        time.sleep(1)
        subject.check_blocked()
        subject.up()
        subject.check_tunnel_carries()
    # what was blocked failed, and was tried all the same
    check(flood.sent["udp"] + flood.sent["udp failed"] > 300, f"the flood was one: {flood.sent}")
    subject.assert_no_leak(mark)


def arming_while_down_blocks_and_the_transport_cannot_be_abused(subject):
    subject.down()
    subject.install()
    subject.arm()
    subject.check_blocked()
    _check_no_abuse(subject)


def the_first_connection_while_blocked_carries_everything(subject):
    subject.install()
    subject.arm()
    subject.down()
    mark = subject.mark()
    with subject.flood():
        subject.up()
        subject.check_tunnel_carries()
    subject.check_others_blocked()
    subject.check_lan_works()
    subject.assert_no_leak(mark)


def the_transport_cannot_be_abused_while_up(subject):
    _armed_up(subject)
    _check_no_abuse(subject)
    subject.check_tunnel_carries()


def killing_does_not_leak(subject):
    _losing(subject, subject.kill)


def disconnecting_does_not_leak(subject):
    _losing(subject, subject.disconnect)


def the_end_of_the_server_does_not_leak(subject):
    _losing(subject, subject.server_gone)


def reconnecting_does_not_leak(subject):
    _armed_up(subject)
    mark = subject.mark()
    with subject.flood():
        subject.reconnect()
        subject.check_tunnel_carries()
    subject.assert_no_leak(mark)


def disarming_leaves_nothing(subject):
    _armed_up(subject)
    subject.disconnect()
    subject.check_blocked()
    subject.disarm()
    subject.wait_down()
    # NetworkManager takes away what it made for the VPN once nmcli has returned
    with contextlib.suppress(TookTooLong):
        wait_for(lambda: subject.routing() == subject.untouched, 20, "rules, routes and nftables", 0.5)
    equal(subject.routing(), subject.untouched, "rules, routes and nftables")
    subject.check_leaks()


# How a loss is seen to leak need not be shown again for a type that has been shown to leak by it.
CONTROLS_OF_LOSSES = (
    without_killswitch_killing_leaks,
    without_killswitch_disconnecting_leaks,
    without_killswitch_the_end_of_the_server_leaks,
)

CASES = (
    without_killswitch_every_probe_leaks,
    *CONTROLS_OF_LOSSES,
    arming_while_down_blocks_and_the_transport_cannot_be_abused,
    the_first_connection_while_blocked_carries_everything,
    the_transport_cannot_be_abused_while_up,
    killing_does_not_leak,
    disconnecting_does_not_leak,
    the_end_of_the_server_does_not_leak,
    reconnecting_does_not_leak,
    disarming_leaves_nothing,
)
