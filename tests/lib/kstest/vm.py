"""A whole system in a virtual machine, its network cards captured from outside.

Only such a machine can show that nothing leaves at boot and shutdown, that
systemd starts us in time, and that a real NetworkManager with a real WireGuard
gets along with us: a namespace has none of that. The guest is driven through a
serial port, so it stays in reach while the kill switch blocks its network.

    machine = Machine("wireguard")          # the network is described in vm_router.py
    machine.start()
    machine.wait_booted()
    mark = machine.wire.mark()
    machine.run("ping -c1 198.51.100.1", check=False)
    equal(machine.wire.since(mark).leak, [], "leaks")

Variables: KS_QEMU_ACCEL, "tcg" unless set; KS_VM_TIMEOUT, a factor for all
timeouts on a slow host.
"""

import base64
import glob
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

from .evidence import STATE, UNITS, crashes
from .runner import Skip, TookTooLong, at_exit, check, on_failure, wait_for
from .vm_image import BUILD, ensure_image
from .vm_router import DIE_WITH_PARENT, MACS, PREFIX, Router
from .vm_wire import Wire

LOGS = os.path.join(BUILD, "logs")
ACCEL = os.environ.get("KS_QEMU_ACCEL", "tcg")
PATIENCE = float(os.environ.get("KS_VM_TIMEOUT", "1"))
NOBODY = 65534

_COMMAND_LINE = ("console=ttyS0 net.ifnames=0 quiet loglevel=4 mitigations=off fsck.mode=skip panic=5 "
                 "systemd.show_status=false systemd.journald.forward_to_console=1 "
                 "systemd.journald.max_level_console=warning "
                 "random.trust_cpu=on "
                 # what only costs time, emulated; above all code at random addresses, which is translated anew for each
                 # process (a sync took 1.3 s of processor and not 0.5, `ip rule` 0.25 and not 0.06)
                 "norandmaps "
                 "init_on_alloc=0 nowatchdog nokaslr rcupdate.rcu_expedited=1")
# without what is dear to emulate: changes of the protection keys and of SMAP at each system call, wide vectors
_CPU = "max,-smap,-smep,-pku,-la57,-avx,-avx2"
_CHUNK = 256 << 10
_LOG_SUFFIXES = (".log", "-qemu.log", "-dnsmasq.log", "-journal.log", "-eth[0-9].*.pcap")


def device_state(state, device="eth0"):
    """The shell command that succeeds if NetworkManager has the DEVICE in this STATE.

    nmcli reads all that NetworkManager knows first: it takes three times as long, and NetworkManager as long again.
    """
    call = "busctl --auto-start=no --timeout=10"
    name, path = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"
    return (f"path=$({call} call {name} {path} {name} GetDeviceByIpIface s {device} 2>/dev/null | cut -d'\"' -f2) &&"
            f" {call} get-property {name} \"$path\" {name}.Device State 2>/dev/null | grep -q '^u {state}$'")


class CommandError(AssertionError):
    """A command in the guest failed."""


class SlowCommand(CommandError, TookTooLong):
    """A command in the guest, or its agent, took too long."""


@dataclass
class Result:
    """What a command in the guest did."""

    command: object
    rc: int
    stdout: str
    stderr: str
    timed_out: bool = False

    def __bool__(self):
        return self.rc == 0

    def __str__(self):
        text = self.command if isinstance(self.command, str) else shlex.join(self.command)
        end = "timed out" if self.timed_out else f"exit status {self.rc}"
        return f"{text!r}: {end}\n{self.stdout}{self.stderr}".rstrip()


class Job:
    """A command in the guest that runs while others do."""

    def __init__(self, agent, number, command):
        self._agent, self._number, self._command = agent, number, command

    def wait(self, timeout):
        answer = self._agent.answer(self._number, timeout)
        return Result(self._command, answer["rc"], answer["stdout"], answer["stderr"], answer["timed_out"])

    def kill(self):
        """Kill the command and all it started; its output so far is then to be had from wait()."""
        self._agent.request({"op": "kill", "target": self._number}, 10)


def _listens(path):
    """Whether qemu listens at the socket PATH; it makes the file a moment earlier."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False


class Agent:
    """The host's end of the serial port to tests/vm/guest/agent.py."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._changed = threading.Condition()
        self._answers, self._number, self._boot_id, self._closed = {}, 0, None, False
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def boot_id(self):
        """Of the boot the agent last said hello from; None until then."""
        with self._changed:
            return self._boot_id

    def forget_boot(self):
        """From here on boot_id is None until the agent says hello again."""
        with self._changed:
            self._boot_id = None

    def wait_hello(self, timeout):
        """Wait until an agent is there; the time it takes is the time to the first service."""
        with self._changed:
            self._changed.wait_for(lambda: self._boot_id or self._closed, timeout)
            check(self._boot_id or not self._closed, "the machine went away")
            if not self._boot_id:
                raise TookTooLong(f"the machine's agent did not start within {timeout:.0f} s")
            return self._boot_id

    def post(self, message):
        """Send a request and return its number, without waiting."""
        with self._changed:
            self._number += 1
            number = self._number
        self._socket.sendall(json.dumps({**message, "id": number}).encode() + b"\n")
        return number

    def answer(self, number, timeout):
        """Wait for the answer to the request of this NUMBER."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._closed, timeout)
            if number not in self._answers:
                if self._closed:
                    raise CommandError("the machine went away")
                raise SlowCommand(f"the machine's agent did not answer within {timeout:.0f} s")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise CommandError(answer["error"])
        return answer

    def request(self, message, timeout):
        return self.answer(self.post(message), timeout)

    def _read(self):
        rest = b""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            return  # cut in two by a reboot
        with self._changed:
            if "hello" in message:
                self._boot_id = message["hello"]
            if "id" in message:
                self._answers[message["id"]] = message
            self._changed.notify_all()

    def close(self):
        self._socket.close()


@dataclass(frozen=True)
class Kept:
    """A disk with checkpoints on it, which Machine.keep() has made."""

    disk: str
    checkpoints: tuple


class Machine:
    """One virtual machine with its router; NAME must be unique within the test program.

    eth0 is the uplink (captured as `wire`), eth1 the VPN provider's (`server_wire`),
    eth2 with uplinks=2 a second uplink (`wire2`). With KEPT the machine has the
    checkpoints of an earlier one, which had the same network: stage() begins there
    without a boot. With URGENT it comes before what else runs on this host, for
    guests whose programs have deadlines of their own.
    """

    def __init__(self, name, release="bookworm", memory=512, uplinks=1, kept=None, urgent=False):
        if not shutil.which("qemu-system-x86_64") or not shutil.which("qemu-img"):
            raise Skip("qemu-system-x86_64 or qemu-img is not installed")
        self.name, self.memory, self.append = name, memory, ""
        self._urgent = urgent
        self.image = ensure_image(release)
        os.makedirs(LOGS, exist_ok=True)
        self.console = os.path.join(LOGS, f"{name}.log")
        for suffix in _LOG_SUFFIXES:  # those of the last time would only mislead
            for path in glob.glob(os.path.join(LOGS, glob.escape(name) + suffix)):
                os.unlink(path)
        self.router = Router(name, LOGS, uplinks)
        self.wires = {tap: Wire([self.router.mac(tap)]) for tap in self.router.taps}
        self.wire, self.server_wire, self.wire2 = (self.wires.get(tap) for tap in ("tap0", "tap1", "tap2"))
        self._directory = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        self._overlay = os.path.join(self._directory, "overlay.qcow2")
        self._process = self._agent = None
        self._starts, self._unplugged = 0, set()
        self._stages = {checkpoint: None for checkpoint in kept.checkpoints} if kept else {}
        at_exit(self._remove)
        on_failure(self._keep_evidence)
        if kept:
            shutil.copyfile(kept.disk, self._overlay)
        else:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image.disk, self._overlay],
                           check=True, timeout=30)

    # Power

    def start(self, checkpoint=None):
        """Switch on, with the disk as it was left. The captures begin before the first instruction.

        With CHECKPOINT the machine goes on from there instead of booting.
        """
        check(self._process is None, f"{self.name} is running")
        self._starts += 1
        for path in (self._path("agent"), self._path("qmp")):
            if os.path.exists(path):
                os.unlink(path)
        with open(os.path.join(LOGS, f"{self.name}-qemu.log"), "wb") as log:
            self._process = subprocess.Popen(DIE_WITH_PARENT + self.router.command(*self._command(checkpoint)),
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # the agent's socket is made before this one
        wait_for(lambda: _listens(self._path("qmp")) or self._process.poll() is not None, 20 * PATIENCE, "qemu started")
        check(self._process.poll() is None, f"qemu ended at once, see {log.name}")
        for number in self._unplugged:
            self.qmp("set_link", name=f"nic{number}", up=False)
        self._agent = Agent(self._path("agent"))
        if checkpoint:
            self.ask({"op": "hello"})

    def plug(self, number, plugged=True):
        """Put the cable of the card ethNUMBER in, or pull it, now or when the machine is switched on."""
        self._unplugged = self._unplugged - {number} if plugged else self._unplugged | {number}
        if self._process is not None:
            self.qmp("set_link", name=f"nic{number}", up=plugged)

    def wait_booted(self, timeout=240):
        """Wait until systemd has nothing left to do and the uplink has its addresses."""
        end = time.monotonic() + timeout * PATIENCE
        self._agent.wait_hello(timeout * PATIENCE)
        self.run("systemctl is-system-running --wait", check=False, timeout=max(1, end - time.monotonic()))
        self.wait_online(max(10, end - time.monotonic()))

    def wait_online(self, timeout=60):
        """Wait until the uplink has both addresses and default routes, and NetworkManager (restarted?) says so too."""
        self.run("until ip -4 address show dev eth0 scope global | grep -q inet &&"
                 " ip -6 address show dev eth0 scope global -tentative | grep -q inet6 &&"
                 " ip -4 route show default dev eth0 | grep -q . && ip -6 route show default dev eth0 | grep -q . &&"
                 f" {device_state(100)}; do sleep 0.2; done", timeout=timeout)

    def reboot(self, timeout=240):
        """Reboot as a user does, and wait until it is up again."""
        self._agent.forget_boot()
        self._agent.post({"op": "run", "cmd": ["systemctl", "reboot", "--no-block"], "timeout": 30})
        self.wait_booted(timeout)

    def reset(self, timeout=240):
        """Pull the plug and boot again: what was not written to the disk is lost."""
        self._agent.forget_boot()
        self.qmp("system_reset")
        self.wait_booted(timeout)

    def poweroff(self, timeout=120):
        """Shut down in order. start() boots it again."""
        self._agent.post({"op": "run", "cmd": ["systemctl", "poweroff", "--no-block"], "timeout": 30})
        try:
            self._process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise TookTooLong(f"{self.name} did not shut down within {timeout} s") from error
        self._forget_process()

    def kill(self):
        """End the virtual machine at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._forget_process()

    def checkpoint(self, name="clean"):
        """Keep the whole state of the running machine, memory included; restore() is much quicker than a boot.

        The machine's clock goes on while it is in another state, so what systemd has begun must have ended: at
        restore() it would have timed out.
        """
        self.run("until busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping;"
                 " do sleep 0.2; done", check=False, timeout=30)
        self._monitor(f"savevm {name}")

    def keep(self, disk):
        """Switch off and keep the disk with its checkpoints as the file DISK, for another Machine."""
        self.qmp("quit")
        self._process.wait(30)
        self._forget_process()
        shutil.move(self._overlay, disk)
        return Kept(disk, tuple(self._stages))

    def restore(self, name="clean"):
        """Put the machine back to the checkpoint NAME. Jobs of now are lost; the network outside is as it is."""
        self._monitor(f"loadvm {name}")

    def stage(self, name, build):
        """Put the machine in the state NAME, which BUILD makes when it is first asked for.

        So a test can begin in a known state whatever those before it have done, and without paying for it
        again. BUILD may itself begin with another stage. If it fails, all tests that need it do.
        """
        if name not in self._stages:
            try:
                build()
                self.checkpoint(name)
                self._stages[name] = None
            except Exception as error:
                kind = TookTooLong if isinstance(error, TookTooLong) else AssertionError
                self._stages[name] = kind(f"the state {name!r} could not be made: {error}")
                raise
        elif self._stages[name] is not None:
            raise self._stages[name]
        elif self._process is None:
            self.start(name)
        else:
            self.restore(name)

    def _monitor(self, line):
        """Give qemu's human monitor a command; what it says is an error."""
        answer = self.qmp("human-monitor-command", **{"command-line": line})
        check(not answer.strip(), f"qemu: {line}: {answer.strip()}")

    def _forget_process(self):
        self._agent.close()
        self._process = self._agent = None

    def _remove(self):
        self._save_journal()
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _keep_evidence(self, directory):
        """For on_failure(): the console, the whole journal, the state. A machine that does not answer is asked once."""
        if not os.path.exists(self._overlay):
            return None  # keep() has given it away
        path = os.path.join(directory, self.name)
        seen = None
        if os.path.exists(self.console):
            seen = crashes(_text(shutil.copyfile(self.console, f"{path}-console.log")))
        if self._process is None or self._process.poll() is not None or not self._agent.boot_id:
            return seen
        for name, script in (("journal", "exec journalctl --no-pager --all --output=short-precise"), ("state", STATE + UNITS)):
            with open(f"{path}-{name}.log", "w", encoding="utf-8") as file:
                try:
                    file.write(self.run(script, check=False, timeout=120).stdout)
                except CommandError as error:
                    file.write(f"{error}\n")
                    break
        return crashes(_text(f"{path}-journal.log")) or seen

    def _save_journal(self):
        """Leave the journal beside the console's log, for whoever looks into a failure."""
        if self._process is None or self._process.poll() is not None or not self._agent.boot_id:
            return
        try:
            text = self.run(["journalctl", "--no-pager", "--output=short-monotonic"], timeout=10).stdout
        except CommandError as error:
            text = f"{error}\n"
        with open(os.path.join(LOGS, f"{self.name}-journal.log"), "w", encoding="utf-8") as file:
            file.write(text)

    def _path(self, name):
        return os.path.join(self._directory, name)

    def _command(self, checkpoint):
        command = ["nice", "-n", "-5"] if self._urgent else []
        command += [
            "qemu-system-x86_64", "-name", self.name, "-machine", "pc", "-accel", ACCEL,
            "-cpu", _CPU if ACCEL == "tcg" else "host", "-smp", "1", "-m", str(self.memory),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", self.image.kernel, "-initrd", self.image.initrd,
            "-append", f"{_COMMAND_LINE} {self.image.kernel_words} {self.append}".strip(),
            "-chardev", f"file,id=console,path={self.console},append={'on' if self._starts > 1 else 'off'}",
            "-serial", "chardev:console",
            # unsafe: a crash of this host may ruin an overlay that is thrown away anyway
            "-drive", f"file={self._overlay},format=qcow2,if=none,id=disk,cache=unsafe",
            "-device", "virtio-blk-pci,drive=disk",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self._path('agent')},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=ks.agent",
            "-qmp", f"unix:{self._path('qmp')},server=on,wait=off",
        ]
        for number, tap in enumerate(self.router.taps):
            pcap = os.path.join(LOGS, f"{self.name}-eth{number}.{self._starts}.pcap")
            if os.path.exists(pcap):
                os.unlink(pcap)
            self.wires[tap].add_file(pcap)
            command += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no,vnet_hdr=off",
                        "-device", f"virtio-net-pci,netdev=net{number},id=nic{number},mac={MACS[tap]},romfile=",
                        "-object", f"filter-dump,id=dump{number},netdev=net{number},file={pcap}"]
        return command + (["-loadvm", checkpoint] if checkpoint else [])

    def qmp(self, command, **arguments):
        """Give qemu itself a command, for example qmp("set_link", name="nic0", up=False) to pull the cable."""
        try:
            return self._qmp(command, arguments)
        except TimeoutError as error:
            raise TookTooLong(f"qemu: {command}") from error

    def _qmp(self, command, arguments):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120 * PATIENCE)   # a state is saved to a disk that others use, too
            connection.connect(self._path("qmp"))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.readline()  # the greeting
                for message in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(message) + "\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
                    while "event" in answer:
                        answer = json.loads(stream.readline())
                    check("return" in answer, f"qemu: {command}: {answer}")
                return answer["return"]

    # Commands in the guest

    def spawn(self, command, timeout=600, uid=None, stdin=""):
        """Start COMMAND (a list, or a string for bash) as root or UID and return a Job."""
        self._agent.wait_hello(60 * PATIENCE)
        number = self._agent.post({"op": "run", "cmd": command, "timeout": timeout * PATIENCE, "uid": uid,
                                   "input": stdin})
        return Job(self._agent, number, command)

    def run(self, command, check=True, timeout=60, uid=None, stdin=""):  # pylint: disable=redefined-outer-name
        """Run COMMAND and wait for it. With CHECK, a failure or timeout raises CommandError."""
        # the guest's own timeout is to fire first: it leaves output to show
        result = self.spawn(command, timeout, uid, stdin).wait(timeout * PATIENCE + 15)
        if check and result.rc != 0:
            raise (SlowCommand if result.timed_out else CommandError)(str(result))
        return result

    def ask(self, request, timeout=60):
        """Give the agent itself a REQUEST (tests/vm/guest/agent.py) and wait for the answer."""
        return self._agent.request(request, timeout * PATIENCE)

    def server(self, command, **options):
        """Run COMMAND at the VPN provider: in the namespace behind eth1."""
        inner = ["bash", "-c", command] if isinstance(command, str) else list(command)
        return self.run(["ip", "netns", "exec", "server", *inner], **options)

    def push(self, path, data, mode=0o644):
        """Write DATA (bytes or text) to the file PATH in the guest."""
        data = data.encode() if isinstance(data, str) else data
        for start in range(0, max(1, len(data)), _CHUNK):
            self.ask({"op": "push", "path": path, "mode": mode, "append": start > 0,
                      "data": base64.b64encode(data[start:start + _CHUNK]).decode()})

    def pull(self, path):
        """The bytes of the file PATH in the guest."""
        data = b""
        while True:
            piece = base64.b64decode(self.ask({"op": "pull", "path": path, "offset": len(data), "size": _CHUNK})["data"])
            data += piece
            if len(piece) < _CHUNK:
                return data

    def journal(self, *options):
        """The guest's journal of this boot, for messages."""
        return self.run(["journalctl", "--boot", "--no-pager", "--output=short-monotonic", *options]).stdout


def _text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
