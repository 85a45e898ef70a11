"""The network outside the virtual machine: a router and an internet in a namespace of this host.

    client (guest, eth0) --- tap0 [ router: LAN gateway, DHCP, DNS, RA ] tap1 --- provider (guest, eth1)
    second uplink (eth2) --- tap2 [ 198.51.100.1 and other "internet"  ]

The router answers for the internet's addresses itself, so a probe that escapes
the tunnel is seen on the wire and even answered. By default it also answers ARP for
them (a router with proxy ARP), since that is the network in which a leak gets farthest.
Everything is in the namespace, sysctls included: the host's own network is not touched.
"""

import os
import shutil
import signal
import subprocess
import tempfile

from .runner import Skip, at_exit, check, wait_for

LAN, LAN_GATEWAY, LAN6_GATEWAY = "192.168.77.0/24", "192.168.77.1", "fd77::1"
LAN_CLIENT = "192.168.77.50"  # by DHCP
LAN2, LAN2_GATEWAY, LAN2_GATEWAY6 = "192.168.78.0/24", "192.168.78.1", "fd78::1"
SERVER_NET_GATEWAY, SERVER6_NET_GATEWAY = "203.0.113.1", "2001:db8:203::1"
INTERNET = tuple(f"198.51.100.{n}" for n in range(1, 11))
INTERNET6 = tuple(f"2001:db8:1::{n}" for n in range(1, 5))

# of the guest's cards
MACS = {"tap0": "52:54:00:77:00:02", "tap1": "52:54:00:71:00:0a", "tap2": "52:54:00:78:00:02"}
# of the router's: a machine that is put back to an earlier state knows them from another run
_ROUTER_MACS = {"tap0": "52:54:00:77:00:01", "tap1": "52:54:00:71:00:01", "tap2": "52:54:00:78:00:01"}
_TAPS = {
    "tap0": (LAN_GATEWAY + "/24", LAN6_GATEWAY + "/64"),
    "tap1": (SERVER_NET_GATEWAY + "/24", SERVER6_NET_GATEWAY + "/64"),
    "tap2": (LAN2_GATEWAY + "/24", LAN2_GATEWAY6 + "/64"),
}
PREFIX = "ks-vm-"
_STARTED = "]: started, version "   # dnsmasq says so when it has its sockets

# In front of a command: it is killed when the test program is, however that ends. A
# preexec_fn would do as well but for the threads this program has. A program that changes
# its own credentials, such as dnsmasq, loses it; remove_stale() finds that one.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


def remove_stale():
    """Delete what test programs left behind that were killed with SIGKILL: namespaces and temporary disks."""
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        if _is_stale(line.split()[0]):
            _remove_namespace(line.split()[0])
    for name in os.listdir(tempfile.gettempdir()):
        if _is_stale(name):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def _remove_namespace(name):
    """Delete a namespace of ours and end what still runs in it."""
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
    for pid in pids.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    subprocess.run(["ip", "netns", "delete", name], check=False, timeout=10)


def _is_stale(name):
    """Whether NAME is of our making and its maker, whose process id it carries, is no more."""
    pid = name[len(PREFIX):].partition("-")[0]
    return name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}")


class Router:
    """One namespace with the taps of one machine; deleted at exit."""

    def __init__(self, name, log_directory, uplinks=1):
        if os.geteuid() != 0:
            raise Skip("making a network namespace needs root")
        for program in ("ip", "dnsmasq", "nsenter", "setpriv"):
            if not shutil.which(program):
                raise Skip(f"{program} is not installed")
        remove_stale()
        self.namespace = f"{PREFIX}{os.getpid()}-{name}"
        self.log = os.path.join(log_directory, f"{name}-dnsmasq.log")
        self.uplinks = ["tap0", "tap2"][:uplinks]
        self.taps = ["tap0", "tap1", "tap2"][:1 + uplinks]
        self._dnsmasq = None
        subprocess.run(["ip", "netns", "add", self.namespace], check=True, timeout=10)
        at_exit(self.remove)
        self._set_up()
        self.serve()

    def command(self, *argv):
        """The argument vector that runs ARGV inside the namespace (no second process: nsenter execs)."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *argv]

    def run(self, *argv, check=True, timeout=30):
        """Run a program of this host inside the namespace."""
        return subprocess.run(self.command(*argv), check=check, timeout=timeout, capture_output=True, text=True)

    def sysctl(self, key, value):
        """KEY with slashes, since an interface name may have a dot."""
        self.run("sh", "-c", 'echo "$2" > "/proc/sys/net/$1"', "sh", key, str(value))

    @staticmethod
    def mac(tap="tap0"):
        """The router's own address on a wire: what comes from there did not come from the guest."""
        return _ROUTER_MACS[tap]

    def _set_up(self):
        for key, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1),
                           ("ipv4/conf/all/rp_filter", 0), ("ipv4/conf/default/rp_filter", 0),
                           ("ipv6/conf/default/accept_dad", 0), ("ipv6/conf/default/accept_ra", 0)):
            self.sysctl(key, value)
        self.run("ip", "link", "set", "lo", "up")
        for address in INTERNET:
            self.run("ip", "address", "add", address + "/32", "dev", "lo")
        for address in INTERNET6:
            self.run("ip", "address", "add", address + "/128", "dev", "lo")
        for tap in self.taps:
            self.run("ip", "tuntap", "add", tap, "mode", "tap")
            self.run("ip", "link", "set", tap, "address", _ROUTER_MACS[tap])
            for address in _TAPS[tap]:
                self.run("ip", "address", "add", address, "dev", tap)
            self.run("ip", "link", "set", tap, "up")

    def serve(self, *options, ipv6=True):
        """(Re)start DHCP, router advertisements and DNS; OPTIONS are further ones for dnsmasq.

        For example serve("--dhcp-option=121,198.51.100.0/24,192.168.77.1") for a hostile LAN.
        """
        self.stop_serving()
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
                   "--no-resolv", "--no-hosts", "--bind-dynamic", "--leasefile-ro", "--no-ping", "--dhcp-authoritative",
                   f"--log-facility={self.log}", "--log-dhcp", "--log-queries",
                   "--dhcp-range=set:lan,192.168.77.50,192.168.77.99,255.255.255.0,1h",
                   f"--dhcp-host={MACS['tap0']},{LAN_CLIENT}",
                   "--host-record=www.example," + INTERNET[0] + "," + INTERNET6[0],
                   "--host-record=vpn.example,203.0.113.10,2001:db8:203::10"]
        command += [f"--interface={tap}" for tap in self.uplinks]
        if len(self.uplinks) > 1:
            command.append("--dhcp-range=set:lan2,192.168.78.50,192.168.78.99,255.255.255.0,1h")
        if ipv6:
            command += ["--enable-ra", "--dhcp-range=set:lan,fd77::,ra-only,64,30m"]
            if len(self.uplinks) > 1:
                command.append("--dhcp-range=set:lan2,fd78::,ra-only,64,30m")
        begun = self._log_text().count(_STARTED)
        process = self._dnsmasq = subprocess.Popen(DIE_WITH_PARENT + self.command(*command, *options), stdin=subprocess.DEVNULL)
        wait_for(lambda: self._log_text().count(_STARTED) > begun or process.poll() is not None, 30, "dnsmasq has started", 0.02)
        check(process.poll() is None, f"dnsmasq ended at once, see {self.log}")

    def _log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop_serving(self):
        if self._dnsmasq is not None:
            self._dnsmasq.terminate()
            self._dnsmasq.wait(10)
            self._dnsmasq = None

    def remove(self):
        """Take it all away: the taps go with the namespace."""
        self.stop_serving()
        _remove_namespace(self.namespace)
