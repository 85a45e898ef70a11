"""A real NetworkManager, with its dispatcher and nmcli, in the namespace of a Lab's host.

The namespace sees the machine's own /etc, /usr and /var through an overlay,
and an empty /run. What a test writes there (profiles, hooks, the installed
kill switch) is in memory, seen by nobody else, and gone with the namespace.
The system bus is a private one; it starts nothing but nm-dispatcher.

There is no udev in there: /sys is read-only, by which NetworkManager knows
that it must not wait for udev. There is no systemd either, so what systemd
does for the product is done by hand, in methods called `stand_in_for_...`.
"""

import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import uuid

from . import netns, runner
from .runner import check

PROFILES = "/etc/NetworkManager/system-connections"
BUS_NAME = "org.freedesktop.NetworkManager"
NMCLI_TIMED_OUT = 3     # nmcli(1), EXIT STATUS

_PRIVATE_VIEW = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dbus /run/lock /run/NetworkManager /run/overlay
for name in etc usr var; do
    mkdir -p /run/overlay/$name/upper /run/overlay/$name/work
    mount -t overlay overlay -o lowerdir=/$name,upperdir=/run/overlay/$name/upper,workdir=/run/overlay/$name/work /$name
done
# What the machine's own administrator configured must not matter here.
rm -rf /etc/NetworkManager /var/lib/NetworkManager /usr/lib/NetworkManager/conf.d \
       /usr/lib/NetworkManager/dispatcher.d /usr/lib/NetworkManager/system-connections \
       /etc/nm-killswitch* /var/lib/nm-killswitch
for base in /etc/NetworkManager /usr/lib/NetworkManager; do
    mkdir -p $base/conf.d $base/system-connections $base/dispatcher.d/no-wait.d \
             $base/dispatcher.d/pre-up.d $base/dispatcher.d/pre-down.d
done
mkdir -p /var/lib/NetworkManager
chmod 700 /var/lib/NetworkManager
# May be a symbolic link to systemd-resolved's, which is not in here.
rm -f /etc/resolv.conf
: >/etc/resolv.conf
"""

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <!-- not of type "system": that one starts services through a set-uid helper -->
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <servicedir>/run/dbus/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow receive_type="signal"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow send_type="signal"/>
    <allow send_type="method_return"/>
    <allow send_type="error"/>
    <allow receive_type="method_call"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.NetworkManager"/>
  </policy>
  <policy user="root">
    <allow own="*"/>
    <allow send_destination="*"/>
  </policy>
{plugins}
</busconfig>
"""

_DISPATCHER_SERVICE = """[D-BUS Service]
Name=org.freedesktop.nm_dispatcher
Exec={program}{options}
"""

_CONFIG = """[main]
plugins=keyfile
dhcp=internal
dns={dns}
rc-manager=file
auth-polkit=false
no-auto-default=*
[connectivity]
enabled=false
[logging]
level={level}
{extra}
"""


class NetworkManager:
    """NetworkManager in NAMESPACE; not started yet."""

    def __init__(self, host, dns="default", level="INFO", extra_config=""):
        if not shutil.which("NetworkManager", path="/usr/sbin:/usr/bin"):
            raise runner.Skip("no NetworkManager here")
        self.host = host
        self.killswitch = False
        self._daemon = None
        self._events = None
        host.run("sh", "-c", _PRIVATE_VIEW)
        host.write("/etc/hostname", host.name + "\n")  # is sent to the DHCP server
        host.write("/etc/NetworkManager/NetworkManager.conf",
                   _CONFIG.format(dns=dns, level=level, extra=extra_config))
        self._start_bus()

    def _start_bus(self):
        # What the VPN plugins' packages say: the helper of some is not root's, and has to reach its plugin.
        plugins = [f"  <include>{path}</include>" for directory in ("/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d")
                   for path in sorted(glob.glob(f"{directory}/nm-*-service.conf"))]
        self.host.write("/run/dbus/bus.conf", _BUS.format(plugins="\n".join(plugins)))
        self.host.write("/run/dbus/services/org.freedesktop.nm_dispatcher.service",
                        _DISPATCHER_SERVICE.format(program=_find_dispatcher(), options=""))
        self.host.start("dbus", "dbus-daemon", "--config-file=/run/dbus/bus.conf", "--nofork",
                        "--nopidfile")
        runner.wait_for(lambda: os.path.exists(self.host.path("/run/dbus/system_bus_socket")),
                        5, "the system bus is up", 0.01)

    # The service

    def start(self, timeout=15):
        """Start it as systemd would, and wait until it answers."""
        self._daemon = self.host.start("NetworkManager", "NetworkManager", "--debug")
        runner.wait_for(self.running, timeout, f"NetworkManager answers: {self._daemon.text()[-2000:]}", 0.05)

    def running(self):
        return self.host.run("nmcli", "-t", "-f", "RUNNING", "general", check=False).stdout.strip() == "running"

    def stop(self):
        self._daemon.stop(signal.SIGTERM, 15)

    def kill(self):
        """As by the OOM killer: it cannot do anything about it."""
        self._daemon.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def sleep(self, asleep):
        """What logind tells it before suspending and after resuming."""
        self.host.run("busctl", "call", BUS_NAME, "/org/freedesktop/NetworkManager", BUS_NAME,
                      "Sleep", "b", "true" if asleep else "false")

    def log(self):
        return self._daemon.text() if self._daemon else ""

    def has_name(self, name):
        """Whether a program on the bus has the NAME."""
        reply = self.host.run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                              "org.freedesktop.DBus", "NameHasOwner", "s", name)
        return json.loads(reply.stdout)["data"][0]

    # Profiles

    def nmcli(self, *arguments, check=True, timeout=45):
        return self.host.run("nmcli", *arguments, check=check, timeout=timeout, late=(NMCLI_TIMED_OUT,))

    def add_profile(self, name, text):
        """Write a keyfile, as an administrator or cloud-init would, and have it read."""
        path = f"{PROFILES}/{name}.nmconnection"
        self.host.write(path, text, 0o600)
        if self._daemon is not None and self._daemon.alive():
            self.nmcli("connection", "load", path)
        self.stand_in_for_path_unit()

    def add_lan(self, lan, name=None, method="manual", metric=None, autoconnect=True):
        """The profile of a LAN's interface: METHOD is 'manual' or 'auto' (have it serve DHCP then)."""
        ipv4, ipv6 = f"method={method}", f"method={method}"
        if method == "manual":
            ipv4 += f"\naddress1={lan.address}/24,{lan.router}\ndns={lan.router};"
            ipv6 += f"\naddress1={lan.address6}/64,{lan.router6}"
        route_metric = f"\nroute-metric={metric}" if metric is not None else ""
        name = name or lan.name
        self.add_profile(name, f"""[connection]
id={name}
uuid={uuid.uuid5(uuid.NAMESPACE_DNS, name)}
type=ethernet
interface-name={lan.device}
autoconnect={"true" if autoconnect else "false"}
[ipv4]
{ipv4}{route_metric}
[ipv6]
{ipv6}{route_metric}
addr-gen-mode=eui64
""")

    def up(self, name, wait=20):
        self.nmcli("--wait", str(wait), "connection", "up", name, timeout=wait + 5)

    def down(self, name, wait=20):
        self.nmcli("--wait", str(wait), "connection", "down", name, timeout=wait + 5)

    def modify(self, name, *settings):
        """nmcli connection modify, and what systemd makes of it."""
        self.nmcli("connection", "modify", name, *settings)
        self.stand_in_for_path_unit()

    def state(self, name):
        """'activated', 'activating', ..., or '' for a profile that is not active."""
        result = self.nmcli("-g", "GENERAL.STATE", "connection", "show", name, check=False)
        return result.stdout.strip()

    def wait_state(self, name, state, timeout=20):
        runner.wait_for(lambda: self.state(name) == state, timeout, f"{name} is {state or 'down'}")

    def objects(self):
        """Everything it shows on D-Bus: {path: {interface: {property: value}}}."""
        return _objects(self.host.run(*OBJECTS).stdout)

    # The kill switch

    def install(self, stage):
        """Put what `make install` left in STAGE where it belongs, in the private view."""
        # Not cp: it does not follow /lib, which is a symbolic link to usr/lib. No directories: of one that exists tar
        # takes the permissions away for a moment, and / is not a private one, so nobody can run anything meanwhile.
        files = [os.path.relpath(os.path.join(directory, name), stage)
                 for directory, directories, names in os.walk(stage)
                 for name in names + [each for each in directories if os.path.islink(os.path.join(directory, each))]]
        archive = subprocess.run(["tar", "-C", stage, "-c", "--null", "--files-from=-"], input="\0".join(files).encode(),
                                 check=True, timeout=30, stdout=subprocess.PIPE).stdout
        subprocess.run(self.host.enter() + ["tar", "-C", "/", "-x", "--keep-directory-symlink", "--no-same-owner"],
                       input=archive, check=True, timeout=30)
        self.killswitch = True

    def stand_in_for_path_unit(self):
        """Do what nm-killswitch-sync.path does in the real system: a profile changed on disk.

        NetworkManager sends no dispatcher event for that; see the unit.
        """
        self._run_unit("nm-killswitch-sync.service")

    def stand_in_for_boot_unit(self):
        """Do what nm-killswitch-boot.service does in the real system, before any network."""
        self._run_unit("nm-killswitch-boot.service")

    def stand_in_for_heal_socket(self):
        """Do what nm-killswitch-heal.socket and .service do in the real system, from now on; returns the process."""
        process = self.host.python("activation", "/usr/lib/systemd/system", "nm-killswitch-heal")
        runner.wait_for(lambda: "ready" in process.text(), 5, "the heal socket listens", 0.01)
        return process

    def _run_unit(self, unit):
        """Run the command of an installed unit; there is no systemd in here."""
        if self.killswitch:
            command = re.search(r"^ExecStart=(.*)", self.host.read(f"/usr/lib/systemd/system/{unit}"), re.MULTILINE)
            check(command, f"{unit} is installed and has a command")
            self.host.run(*shlex.split(command.group(1)))

    # The dispatcher

    def add_hook(self, name, text, directories=("", "pre-up.d", "pre-down.d")):
        """A dispatcher script of the administrator's, in those directories."""
        for directory in directories:
            self.host.write(os.path.join("/etc/NetworkManager/dispatcher.d", directory, name), text, 0o755)

    def record_events(self, no_wait=False):
        """From now on keep the arguments, environment and D-Bus state of every event."""
        self._events = os.path.join(self.host.directory, "events")
        os.makedirs(self._events, exist_ok=True)
        command = shlex.join(netns.python_module("recorder", self._events))
        hook = f'#!/bin/sh\nexec {command} "$@"\n'
        self.add_hook("00-record", hook)
        if no_wait:
            # Only a symbolic link into no-wait.d is run at once and beside the others.
            self.host.write("/etc/NetworkManager/dispatcher.d/no-wait.d/00-record-no-wait",
                            hook, 0o755)
            os.symlink("no-wait.d/00-record-no-wait",
                       self.host.path("/etc/NetworkManager/dispatcher.d/00-record-no-wait"))

    def events(self):
        """The events so far, oldest first: dicts with 'iface', 'action', 'env', 'objects', 'time'."""
        found = []
        for name in sorted(os.listdir(self._events)):
            if name.endswith(".json"):
                with open(os.path.join(self._events, name), encoding="utf-8") as file:
                    found.append(json.load(file))
        for event in found:
            event["objects"] = _objects(event["objects"]) if event["objects"] else {}
        return sorted(found, key=lambda event: event["time"])


OBJECTS = ("busctl", "--json=short", "--timeout=5", "call", BUS_NAME, "/org/freedesktop",
           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")


def _objects(text):
    """The values in busctl's JSON, without their D-Bus types."""
    return {path: {interface: {name: value["data"] for name, value in properties.items()}
                   for interface, properties in interfaces.items()}
            for path, interfaces in json.loads(text)["data"][0].items()}


def _find_dispatcher():
    """Where the distribution has it: its service file says so."""
    with open("/usr/share/dbus-1/system-services/org.freedesktop.nm_dispatcher.service",
              encoding="utf-8") as file:
        return re.search(r"^Exec=(\S+)", file.read(), re.MULTILINE).group(1)


_stage = None


def stage():
    """`make install` into a directory of this run, once; returns it. Skips if that does not work.

    KS_STAGE in the environment names a directory to take instead, such as an unpacked package.
    """
    global _stage
    if _stage is None:
        _stage = os.environ.get("KS_STAGE")
    if _stage is None:
        target = os.path.join(netns.make_directory(), "stage")
        result = subprocess.run(["make", "-C", netns.ROOT, "install", f"DESTDIR={target}"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        if result.returncode:
            raise runner.Skip("make install fails: "
                              + " ".join(line for line in result.stdout.splitlines() if "***" in line))
        _stage = target
    return _stage
