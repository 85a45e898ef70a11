"""VPNs of NetworkManager's plugins in the virtual machine, as subjects of the sheet (sheet.py).

Their plugins, servers and kernel are in an image of their own (vm_image.py). All types of a test file share one machine, and
so one boot: it has the states "clean", in which all servers run and all profiles are there, and "installed".
"""

import os

from . import vm_vpn, wire
from .guest import Guest, Lan, Router, slow_flood
from .netns import TARGET, TARGET6
from .runner import Skip, wait_for
from .subject import Subject
from .vm import PATIENCE, Machine
from .vm_image import VARIANTS
from .vm_vpn import install, is_active, load_profile, package, snapshot, wait_idle

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")
_DIRECTORY = "/usr/local/lib/ks-types"


class PluginStages:
    """The machine of a test file whose VPNs are TYPES, subclasses of Plugin."""

    def __init__(self, name, types):
        self._name, self._types = name, types
        self.machine = self.router = self.untouched = None

    def set_up(self):
        package()
        image = f"{RELEASE}-plugins"
        if image not in VARIANTS:
            raise Skip(f"there is no image {image}")
        # NetworkManager gives up on a plugin that has not answered for ten seconds; to set up IPsec takes as long here
        self.machine = Machine(f"{self._name}-{RELEASE}", image, urgent=True)
        self.router = Router(self.machine.router)

    def clean(self):
        self.machine.stage("clean", self._boot)
        return self.machine

    def installed(self):
        self.machine.stage("installed", self._install)
        return self.machine

    def _boot(self):
        self.machine.start()
        self.machine.wait_booted()
        Guest(self.machine).serve_echo(TARGET, TARGET6)
        for each in self._types:
            each.prepare(self.machine)
            load_profile(self.machine, each.name, each.profile)
        self.untouched = snapshot(self.machine)

    def _install(self):
        install(self.clean())
        wait_idle(self.machine)


def start(machine, name, command, ready, timeout=30):
    """Start the shell script COMMAND at the provider; wait until a line of its output matches READY."""
    log = log_of(name)
    machine.push(f"{_DIRECTORY}/{name}.sh", command + "\n")
    machine.run(f"ip netns exec server setsid sh {_DIRECTORY}/{name}.sh </dev/null >{log} 2>&1 &\n"
                f"until grep -q '{ready}' {log}; do [ $SECONDS -lt {round(timeout * PATIENCE)} ] || {{ cat {log}; exit 1; }};"
                " sleep 0.1; done", timeout=timeout + 10)


def log_of(name):
    return f"/run/ks-{name}.log"


class Plugin(Subject):
    """One type of VPN.

    To connect takes seconds in an emulated machine: a tunnel that is up is kept by up(), so what loses it must say so.
    """

    name = ""               # of the profile
    profile = ""            # its keyfile
    transport = ()          # what the wire may carry, as (protocol name, server, port)
    program = ""            # what carries the VPN at the client, as a process is called
    patience = 2 * PATIENCE

    def __init__(self, stages):
        self._stages = stages
        self.machine = stages.clean()
        self._is_up = self._is_armed = False
        self._served = True
        super().__init__(Guest(self.machine), [wire.Wire(stages.router, "tap0", Lan.prefixes, self.transport)], [Lan()])
        # nobody can make packets of protocols that have no ports
        self.transports = [each for each in self.transport if each[0] in ("udp", "tcp")]
        self.untouched = stages.untouched

    @classmethod
    def prepare(cls, machine):
        """Configure the server, and start it."""
        cls.serve(machine)

    @staticmethod
    def serve(machine):
        """Start the server."""

    @staticmethod
    def end_server(machine):
        """End it."""

    def install(self):
        if not self.killswitch:
            self.machine = self._stages.installed()
            self.host = Guest(self.machine)
            self._is_up, self._served, self.killswitch = False, True, True

    def arm(self):
        if not self._is_armed:
            vm_vpn.arm(self.machine, self)
            self._is_armed = True

    def disarm(self):
        vm_vpn.disarm(self.machine, self)
        self._is_armed = False

    def up(self):
        if not self._is_up:
            self.down()
            if not self._served:
                self.serve(self.machine)
                self._served = True
            self._connect(3)
            self._is_up = True

    def _connect(self, tries):
        try:
            vm_vpn.up(self.machine, self, 90)
        except AssertionError as error:
            # the plugin's service has five seconds to start, and ten to connect: on a busy host that is not always enough
            if tries == 1 or "did not start in time" not in str(error) and "failed to start" not in str(error):
                raise
            self._connect(tries - 1)

    def down(self):
        if is_active(self.machine, self):
            self.disconnect()
        self._is_up = False

    def disconnect(self):
        self._is_up = False
        vm_vpn.down(self.machine, self)

    def wait_down(self):
        wait_idle(self.machine)

    def routing(self):
        return snapshot(self.machine)

    def flood(self):
        return slow_flood(self.host)

    def wait_lost(self):
        """Until NetworkManager has noticed that the VPN is no longer there."""
        self._is_up = False
        wait_for(lambda: not is_active(self.machine, self), 60 * PATIENCE, f"{self.name} is down", 0.3)

    def kill(self):
        """Of the programs of that name those of the client: a server may have some, too."""
        self.machine.run(["pkill", "-KILL", "--ns", "1", "--nslist", "net", "-x", self.program])
        self.wait_lost()

    def server_gone(self):
        self.end_server(self.machine)
        self._served = False
        self.wait_lost()
