"""A small internet made of network namespaces, for tests that need a wire to watch.

    host                    router                        internet
  +--------------+        +------------------------+    +---------------------------------+
  | eth0         |--------| lan1             wan   |----| eth0  203.0.113.10              |
  | 192.168.50.2 |   ^    | 192.168.50.1           |    |       2001:db8:113::10          |
  | fd50::2      |   |    | fd50::1   203.0.113.1  |    |       (the VPN's server)        |
  |              |   |    |     2001:db8:113::1    |    | lo    198.51.100.1              |
  | (tun0        |   |    |                        |    |       2001:db8:1::1 (a probe's  |
  |   10.8.0.2)  |   |    | lan2: a second LAN,    |    |       destination)              |
  +--------------+   |    | added when asked for   |    | tun0  10.8.0.1, fd08::1         |
                     |    +------------------------+    +---------------------------------+
                the wire that wire.py records, at the router's end

The destination of the probes is reached both ways: over the wire, which is
the leak, and through the tunnel, of which the wire sees the transport only.
There is no address translation: what a server sees is what the host sent.

A namespace has no name and leaves nothing behind. It lives as long as its
first process, which has a PID namespace of its own and is killed by the
kernel when the test run ends, however it ends; everything inside ends with
it. So there is nothing to collect after a run that was killed, but its
directory in /tmp, whose name (ks-PID-...) says whose it was.
"""

import contextlib
import ctypes
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from . import evidence, runner

LIB = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(LIB))

SERVER = "203.0.113.10"
SERVER6 = "2001:db8:113::10"
PRIVATE_SERVER = "10.200.0.10"  # the same host; not of the LAN, behind the router like the others
TARGET = "198.51.100.1"
TARGET6 = "2001:db8:1::1"
# Source ports that tests choose (sheet.py) or that WireGuard has: the kernel may give them to no other socket by chance.
CHOSEN_PORTS = "41000-41999,51820-51829"

# The environment of programs in a namespace: nothing from this machine's.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LC_ALL": "C.UTF-8"}

_TIMED_OUT = 124    # timeout(1)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd, kind):
    if _libc.setns(fd, kind) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextlib.contextmanager
def entered(path):
    """While in here, this thread's sockets and /proc/sys/net are those of the network namespace at PATH."""
    with open("/proc/thread-self/ns/net", "rb") as before, open(path, "rb") as inside:
        _setns(inside.fileno(), _CLONE_NEWNET)
        try:
            yield
        finally:
            _setns(before.fileno(), _CLONE_NEWNET)


def die_with_parent():
    """For preexec_fn: the kernel kills this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# The first process of a namespace. It waits for its children for ever, since
# the orphans of a PID namespace are its own. The pid it prints is the one
# seen outside: /proc still is the outer one when it is read. As its children
# inherit nothing but this environment, it must not be left in a directory.
_INIT = """
read -r pid rest </proc/self/stat
mount -t proc proc /proc &&
mount -t sysfs -o ro sysfs /sys &&
cd / &&
echo "$0" >/proc/sys/kernel/hostname &&
ip link set lo up &&
echo "$pid" || exit 1
exec >/dev/null
while :; do sleep 100000 & wait $!; done
"""


class Process:
    """A long-running program in a namespace; its output goes to a file.

    It is an error if it has ended before it was seen to run, unless it MAY_END.
    """

    def __init__(self, namespace, name, command, env=None, may_end=False):
        self.name = name
        self.may_end = may_end
        self.log = os.path.join(namespace.directory, f"{namespace.name}-{name}.log")
        with open(self.log, "ab") as output:
            self.popen = subprocess.Popen(
                namespace.enter() + list(command), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, env=env or ENVIRONMENT, preexec_fn=die_with_parent)
        # nsenter stays outside and waits; its child is the program.
        self.pid = runner.wait_for(self._find, 5, f"{name} is started: {self.text()}", 0.002)

    def _find(self):
        children = _read(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").split()
        if not children and self.popen.poll() is not None:
            if self.may_end:
                return self.popen.pid
            raise AssertionError(f"{self.name} ended at once: {self.text()}")
        return int(children[0]) if children else 0

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        """What it has written so far."""
        return _read(self.log)

    def send(self, signum):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def stop(self, signum=signal.SIGTERM, timeout=20):
        """Ask it to end, kill it if it does not, and wait until it has ended."""
        if self.alive():
            self.send(signum)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGKILL)
                self.popen.wait(5)


class Namespace:
    """A machine: its own network, mounts and processes."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self._init = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child",
             "sh", "-c", _INIT, name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, preexec_fn=die_with_parent)
        runner.at_exit(self.close)
        line = self._init.stdout.readline().strip()
        if not line.isdigit():
            raise runner.Skip(f"no network namespaces here: {line}")
        self.pid = int(line)
        self._inode = os.stat(f"/proc/{self.pid}/ns/net").st_ino

    def close(self):
        if self._init.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            try:
                self._init.wait(5)
            except subprocess.TimeoutExpired:
                self._init.kill()
                self._init.wait(5)
        self._init.stdout.close()

    def enter(self):
        """The beginning of a command line that runs the rest of the line in here."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--pid", "--"]

    def run(self, *command, timeout=30, check=True, input=None, env=None, uid=None, late=()):
        """Run COMMAND to its end, TIMEOUT seconds at most; returns the CompletedProcess.

        It fails with what the command wrote, unless CHECK is false. LATE are exit statuses by which it says
        itself that something took too long.
        """
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        result = subprocess.run(
            self.enter() + ["timeout", "-k", "1", str(timeout)] + as_user + list(command),
            input=input, stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            timeout=timeout + 5, check=False, env=env or ENVIRONMENT)
        if check and result.returncode:
            error = runner.TookTooLong if result.returncode in (_TIMED_OUT, *late) else AssertionError
            raise error(f"{self.name}: {' '.join(command)}: exit {result.returncode}: "
                        f"{(result.stdout + result.stderr).strip()}")
        return result

    def ip(self, script):
        """Run a script of `ip` commands, one a line, as one process."""
        self.run("ip", "-batch", "-", input=script)

    def ip_json(self, *arguments):
        return json.loads(self.run("ip", "-json", *arguments).stdout or "[]")

    def run_python(self, name, *arguments, **options):
        """Run a module of this package to its end; OPTIONS are those of run()."""
        return self.run(*python_module(name, *arguments), **options)

    def start(self, name, *command, env=None, may_end=False):
        """Start a long-running program."""
        return Process(self, name, command, env, may_end)

    def python(self, name, *arguments):
        """Start a module of this package as a long-running program."""
        return self.start(name, *python_module(name, *arguments))

    def entered(self):
        """While in here, this thread's sockets and /proc/sys/net are those of the namespace."""
        return entered(f"/proc/{self.pid}/ns/net")

    def sysctl(self, **settings):
        """Set net.* keys; two underscores stand for the dot: ipv4__ip_forward=1."""
        with self.entered():
            for key, value in settings.items():
                path = "/proc/sys/net/" + key.replace("__", "/")
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(value))

    def path(self, path):
        """The path from outside to PATH in the namespace."""
        return f"/proc/{self.pid}/root{path}"

    def read(self, path):
        """The text of a file in the namespace; empty if there is none."""
        return _read(self.path(path))

    def write(self, path, text, mode=0o644):
        """Make or replace a file in the namespace."""
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)

    def has_device(self, name):
        """Is there a network device of that name?"""
        return f" {name}:" in _read(f"/proc/{self.pid}/net/dev").replace("\n", " ")

    def processes(self, comm=None):
        """The ids (seen outside) of the programs in here, or of those called COMM."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == self.pid:
                continue
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/net").st_ino == self._inode \
                        and (comm is None or _read(f"/proc/{entry}/comm").strip() == comm[:15]):
                    found.append(int(entry))
        return found

    def kill_all(self, comm, signum=signal.SIGKILL):
        """Send SIGNUM to the programs called COMM in here; returns how many there were."""
        pids = self.processes(comm)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        return len(pids)

    def routing(self):
        """All rules, routes and nftables rules, to compare before and after."""
        state = {}
        for family in ("-4", "-6"):
            state["rules " + family] = self.ip_json(family, "rule")
            state["routes " + family] = sorted(
                self.ip_json(family, "route", "show", "table", "all"),
                key=lambda route: json.dumps(route, sort_keys=True))
        state["nftables"] = self.run("nft", "list", "ruleset").stdout
        return state


class Lan:
    """One of the router's LANs, with the host's interface in it."""

    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = f"lan{number}"                 # the NetworkManager profile's
        self.device = f"eth{number - 1}"           # at the host
        self.port = f"lan{number}"                 # at the router
        third = 40 + 10 * number
        self.network = ipaddress.ip_network(f"192.168.{third}.0/24")
        self.network6 = ipaddress.ip_network(f"fd{third}::/64")
        self.router, self.router6 = f"192.168.{third}.1", f"fd{third}::1"
        self.address, self.address6 = f"192.168.{third}.2", f"fd{third}::2"
        self.mac = f"02:00:00:00:{third:02x}:02"
        self.plugged = True
        self._dnsmasq = None
        lab.router.run("ip", "link", "add", self.port, "address", f"02:00:00:00:{third:02x}:01",
                       "type", "veth", "peer", "name", self.device, "address", self.mac)
        # The number is one of the runner's own PID namespace, hence no --pid.
        subprocess.run(["nsenter", "--target", str(lab.router.pid), "--net", "--", "ip", "link",
                        "set", self.device, "netns", str(lab.host.pid)], check=True, timeout=10)
        lab.router.ip(f"""
            link set {self.port} up
            address add {self.router}/24 dev {self.port}
            address add {self.router6}/64 dev {self.port} nodad
        """)

    @property
    def prefixes(self):
        return (self.network, self.network6)

    def configure(self):
        """Give the host its addresses by hand: for tests without NetworkManager."""
        self.lab.host.ip(f"""
            link set {self.device} up
            address add {self.address}/24 dev {self.device}
            address add {self.address6}/64 dev {self.device} nodad
            route add default via {self.router}
            route add ::/0 via {self.router6}
        """)

    def plug(self, plugged):
        """Plug the cable in, or pull it out, at the router's end."""
        self.plugged = plugged
        self.lab.router.run("ip", "link", "set", self.port, "up" if plugged else "down")
        if plugged:
            # Pulling it out removed its IPv6 address.
            self.lab.router.run("ip", "address", "replace", f"{self.router6}/64", "dev", self.port, "nodad")

    def serve(self, dhcp, *options, hosts=(), ra=True, lease="2m"):
        """What a home router does: DNS, and with DHCP set that and router advertisements.

        HOSTS are (name, address) that it resolves; OPTIONS are further ones of dnsmasq.
        Replaces what an earlier call started.
        """
        if self._dnsmasq is not None:
            self._dnsmasq.stop()
        leases = os.path.join(self.lab.directory, f"leases-{self.number}")
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                   "--log-facility=-", "--log-queries", "--user=root", "--pid-file", "--local-ttl=1",
                   f"--listen-address={self.router},{self.router6}", "--bind-interfaces"]
        command += [f"--host-record={name},{address}" for name, address in hosts]
        # else it refuses queries for IPv6 addresses, which a resolver passes on as a failure
        command += [f"--local=/{name}/" for name, _ in hosts]
        if dhcp:
            command += [f"--interface={self.port}", "--log-dhcp", "--no-ping", "--dhcp-authoritative",
                        f"--dhcp-leasefile={leases}",
                        f"--dhcp-range={self.address},{self.address},255.255.255.0,{lease}"]
            if ra:
                command += ["--enable-ra", f"--dhcp-range={self.network6.network_address},ra-only,64,{lease}"]
        self._dnsmasq = self.lab.router.start(f"dnsmasq{self.number}", *command, *options)


class Lab:
    """The network drawn above."""

    def __init__(self):
        if os.geteuid() != 0:
            raise runner.Skip("needs root")
        self.directory = make_directory()
        self.host = Namespace("host", self.directory)
        self.router = Namespace("router", self.directory)
        self.internet = Namespace("internet", self.directory)
        for namespace in (self.host, self.router, self.internet):
            # Duplicate address detection takes a second of waiting, and there are no duplicates.
            namespace.sysctl(ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0)
        # Ping sockets for all users, as with systemd, so that the user nobody can ping, too.
        self.host.sysctl(ipv4__ping_group_range="0 2147483647", ipv4__ip_local_reserved_ports=CHOSEN_PORTS)
        self._wan()
        self.lans = []
        self.lan = self.add_lan()
        runner.on_failure(self._keep_evidence)

    def add_lan(self):
        """One more LAN, with one more interface in the host."""
        lan = Lan(self, len(self.lans) + 1)
        self.lans.append(lan)
        return lan

    def _wan(self):
        self.router.run("ip", "link", "add", "wan", "type", "veth", "peer", "name", "eth0")
        subprocess.run(["nsenter", "--target", str(self.router.pid), "--net", "--", "ip", "link",
                        "set", "eth0", "netns", str(self.internet.pid)], check=True, timeout=10)
        self.router.ip(f"""
            link set wan up
            address add 203.0.113.1/24 dev wan
            address add 2001:db8:113::1/64 dev wan nodad
            route add {TARGET} via {SERVER}
            route add {TARGET6} via {SERVER6}
            route add {PRIVATE_SERVER} via {SERVER}
        """)
        self.internet.ip(f"""
            link set eth0 up
            address add {SERVER}/24 dev eth0
            address add {SERVER6}/64 dev eth0 nodad
            address add {TARGET}/32 dev lo
            address add {PRIVATE_SERVER}/32 dev lo
            address add {TARGET6}/128 dev lo nodad
            route add default via 203.0.113.1
            route add ::/0 via 2001:db8:113::1
        """)
        for namespace in (self.router, self.internet):
            # With a limit on error messages, a probe's outcome would depend on the one before it.
            namespace.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1,
                             ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)

    def _keep_evidence(self, directory):
        """For on_failure(): all logs, including those of NetworkManager and its dispatcher, and the host's state."""
        kept = os.path.join(directory, os.path.basename(self.directory))
        os.makedirs(kept)
        seen = []
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".log"):
                text = _read(shutil.copy(os.path.join(self.directory, name), kept))
                seen.append(evidence.crashes(text))
        with open(os.path.join(kept, "host-state.log"), "w", encoding="utf-8") as file:
            file.write(self.host.run("sh", "-c", evidence.STATE, check=False, timeout=120).stdout)
        return "; ".join(filter(None, seen))

    def serve(self):
        """Answer probes: echo servers in the internet and at the router."""
        self.internet.python("echo", "udp:7,53,443,5353", "tcp:7,53,80,443,853",
                             SERVER, SERVER6, TARGET, TARGET6)
        self.router.python("echo", "udp:7", "tcp:7,853",
                           *(address for lan in self.lans for address in (lan.router, lan.router6)))


def python_module(name, *arguments):
    """The command line of a module of this package."""
    # Isolated: a program that runs as root must not import from where it was started.
    code = f"import sys; sys.path.insert(0, {LIB!r}); from kstest import {name}; {name}.main(sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def make_directory():
    """A directory for this run; kept if KS_KEEP_LOGS is in the environment."""
    _remove_stale()
    directory = tempfile.mkdtemp(prefix=f"ks-{os.getpid()}-")
    os.chmod(directory, 0o755)  # OpenVPN reads its keys as another user
    if not os.environ.get("KS_KEEP_LOGS"):
        runner.at_exit(shutil.rmtree, directory, True)
    return directory


def _remove_stale():
    """Remove the directories of runs that were killed: those whose process is gone."""
    for entry in os.listdir(tempfile.gettempdir()):
        parts = entry.split("-")
        if len(parts) == 3 and parts[0] == "ks" and parts[1].isdigit() \
                and not os.path.exists(f"/proc/{parts[1]}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), entry), ignore_errors=True)
