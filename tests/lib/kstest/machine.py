"""A laptop in a Lab: NetworkManager, the profile of a VPN, and the wire."""

import os
import signal

from . import netns, nm, openvpn, runner, wire
from .runner import check, wait_for
from .subject import Subject

VPN = "my-vpn"


class Host(Subject):
    """A host with NetworkManager and the profile of one VPN, and the wires it is watched by.

    How that VPN is served and lost is said by a subclass, one for each type: see sheet.py, whose cases are run on them.
    """

    needs = ()              # paths that must exist, else the tests are skipped
    program = ""            # the name of the process that carries the VPN at the host

    def __init__(self, killswitch, method="manual", lans=1, hosts=(), dns="default"):
        """METHOD is that of the LAN: 'manual' or 'auto'; HOSTS are (name, address) that its DNS resolves; DNS is
        what NetworkManager does with resolvers.
        """
        for path in self.needs:
            if not os.path.exists(path):
                raise runner.Skip(f"no {path} here")
        stage = nm.stage() if killswitch else None
        self.lab = netns.Lab()
        while len(self.lab.lans) < lans:
            self.lab.add_lan()
        self.lab.serve()
        for lan in self.lab.lans:
            lan.serve(dhcp=method == "auto", hosts=hosts)
        super().__init__(self.lab.host, [wire.Wire(self.lab.router, lan.port, lan.prefixes) for lan in self.lab.lans],
                         self.lab.lans)
        self.nm = nm.NetworkManager(self.host, dns=dns)
        if stage:
            self._install(stage)
        for lan in self.lab.lans:
            self.nm.add_lan(lan, method=method, metric=90 + 10 * lan.number)
        self.untouched = None

    def _install(self, stage):
        self.nm.install(stage)
        self.killswitch = True

    def start(self, profile, transports):
        """Begin, with the VPN's PROFILE if it has one.

        TRANSPORTS are (protocol name, server, port) that the wires may carry for it.
        """
        self.transports = list(transports)
        for each in self.wires:
            each.transports += self.transports
        if profile:
            self.nm.add_profile(VPN, profile)
        self.nm.stand_in_for_boot_unit()
        self.nm.start()
        for lan in self.lab.lans:
            self.nm.wait_state(lan.name, "activated")
        self.untouched = self.host.routing()

    # The kill switch

    def install(self):
        """Install it on the running host, if it is not there yet."""
        if not self.killswitch:
            self._install(nm.stage())
            self.nm.stand_in_for_boot_unit()

    def arm(self):
        self.nm.modify(VPN, "connection.zone", "killswitch")

    def disarm(self):
        self.nm.modify(VPN, "connection.zone", "")

    def wait_released(self):
        """Wait for the last event: nmcli returns from a disconnect once NetworkManager is done with it."""
        wait_for(lambda: not any(8300 <= rule["priority"] < 8400 for family in ("-4", "-6")
                                 for rule in self.host.ip_json(family, "rule")), 30, "the rules are gone",
                 error=AssertionError)

    def routing(self):
        return self.host.routing()

    # Ways to lose the tunnel

    def down(self):
        """Disconnect, whatever state the VPN is in."""
        self.nm.nmcli("connection", "down", VPN, check=False)
        wait_for(lambda: not self.host.processes(self.program), 20, f"the last {self.program} has ended")

    def up(self):
        """Connect, whatever state the VPN is in."""
        self.down()
        self.nm.up(VPN)

    def disconnect(self):
        self.nm.down(VPN)

    def wait_down(self):
        """Wait until the device is gone, which may be after nmcli has returned."""
        wait_for(lambda: not self.host.has_device(self.device), 20, "the tunnel's device is gone")

    def kill(self):
        """Kill the program that carries the VPN."""
        check(self.host.kill_all(self.program), f"{self.program} was killed")
        self.nm.wait_state(VPN, "")


class Machine(Host):
    """A host with an OpenVPN profile; its device is tun0."""

    program = "openvpn"
    inside = ("10.8.", "fd08::")

    def __init__(self, killswitch, proto="udp", address=netns.SERVER, remote=None, hosts=(), transports=None, extra="",
                 **options):
        """ADDRESS is the server's, REMOTE what the profile has instead of it, if it has.

        EXTRA are further lines of its [vpn] section, TRANSPORTS what the wires may carry if that is not what all this
        says. HOSTS are in every DNS.
        """
        super().__init__(killswitch, hosts=hosts, **options)
        self.prepare()
        self.keys = openvpn.Keys(os.path.join(self.lab.directory, "keys"))
        self.server = openvpn.Server(self.lab, self.keys, proto=proto, address=address, ipv6=True,
                                     keepalive=(1, 4), hosts=hosts,
                                     push=["dhcp-option DNS 10.8.0.1", "route 10.99.0.0 255.255.0.0"])
        self.start(openvpn.profile(self.keys, VPN, remote=remote or address, tcp=proto == "tcp", extra=extra),
                   transports or [self.server.transport])

    def prepare(self):
        """For a subclass: change the network before anything starts."""

    def delete_device(self):
        self.host.run("ip", "link", "delete", "tun0")

    def server_gone(self):
        """The server comes back with other addresses; OpenVPN reconnects and gives up its device.

        It cannot make a new one, as it is no longer root. NetworkManager still shows the VPN as connected.
        """
        self.server.stop()
        self.server.network = "10.8.1.0" if self.server.network == "10.8.0.0" else "10.8.0.0"
        self.server.start()
        wait_for(lambda: not self.host.has_device("tun0"), 20, "OpenVPN closes its device")

    def reconnect(self):
        """OpenVPN reconnects by itself and keeps its device, as after a loss; its new socket does not belong to root."""
        before = self.server.connections()
        self.host.kill_all(self.program, signal.SIGUSR1)
        wait_for(lambda: self.server.connections() > before, 20, "OpenVPN connects again")
