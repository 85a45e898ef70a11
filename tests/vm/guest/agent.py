"""The hand of the tests inside the virtual machine: runs commands for the host.

It speaks JSON lines over a virtio serial port, so that the tests can look at and
change the guest while the kill switch blocks all of its network. One request is
{"id": N, "op": one of OPERATIONS, ...}; the answer carries the same id.
Every request has a thread of its own: a flood can run while other commands do.
On start it says {"hello": BOOT-ID}, by which the host notices a reboot. What the
tests do all the time (probes, pings, looking at the kernel) it does itself: in an
emulated machine, to start a program takes longer than what the program does.
"""

import base64
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # -I leaves it out

# pylint: disable=wrong-import-position
import kernel
import probes

PORT_NAME = "ks.agent"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "PAGER": "cat", "SYSTEMD_COLORS": "0", "DEBIAN_FRONTEND": "noninteractive"}

running = {}
output_lock = threading.Lock()


def find_port():
    """The device of our port; udev may not have run yet, so sysfs is asked by name."""
    while True:
        subprocess.run(["/sbin/modprobe", "-q", "virtio_console"], check=False)
        for path in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(path, encoding="ascii") as file:
                if file.read().strip() == PORT_NAME:
                    return "/dev/" + path.split("/")[-2]
        time.sleep(0.05)


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def run(request):
    """Run a command (a list, or a string for the shell) in a session of its own, so that all of it can be killed."""
    command, uid = request["cmd"], request.get("uid")
    process = subprocess.Popen(
        command, shell=isinstance(command, str), executable="/bin/bash" if isinstance(command, str) else None,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=ENVIRONMENT, cwd="/", user=uid, group=uid, extra_groups=[] if uid else None)
    running[request["id"]] = process
    timed_out = False
    try:
        out, err = process.communicate(request.get("input", "").encode(), request["timeout"])
    except subprocess.TimeoutExpired:
        timed_out = True
        kill_group(process)
        out, err = drain(process)
    finally:
        running.pop(request["id"], None)
    return {"rc": process.returncode, "timed_out": timed_out,
            "stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}


def drain(process):
    """What a killed command wrote; a daemon it started may hold the pipe open, which is no reason to wait for ever."""
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", error.stderr or b""


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill(request):
    process = running.get(request["target"])
    if process:
        kill_group(process)
    return {"found": process is not None}


def push(request):
    """Write (or append) a piece of a file."""
    path, data = request["path"], base64.b64decode(request["data"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if request["append"] else os.O_TRUNC)
    descriptor = os.open(path, flags, request["mode"])
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(descriptor, request["mode"])
    return {}


def pull(request):
    with open(request["path"], "rb") as file:
        file.seek(request["offset"])
        return {"data": base64.b64encode(file.read(request["size"])).decode()}


def hello(_request):
    """Who is this? Asked after the machine was put back to a state in which it had said hello long ago."""
    return {"hello": boot_id()}


def now(_request):
    """The time of the journal's entries, in seconds."""
    return {"now": time.time()}


def probe(request):
    """Each kind of packet by root and by nobody, side by side."""
    children = [probes.in_child(lambda: probes.all_kinds(request["to"], request["device"]), uid)
                for uid in (0, probes.NOBODY)]
    return {"rc": max([probes.wait(child) for child in children])}


def ping(request):
    child = probes.in_child(lambda: probes.ping(request["address"], request["timeout"], request["device"]), request["uid"])
    return {"rc": probes.wait(child)}


def prober(request):
    """Let the prober go on, or stand still: it takes a good part of an emulated processor."""
    if request["runs"] and not kernel.members("ks-prober.service"):
        subprocess.run(["systemctl", "start", "ks-prober"], check=True, env=ENVIRONMENT)
    pids = kernel.members("ks-prober.service")
    for pid in pids:
        os.kill(pid, signal.SIGCONT if request["runs"] else signal.SIGSTOP)
    return {"pids": pids, "now": time.time()}


def at_work():
    """Whether a unit or program of ours is at work."""
    if any(os.path.exists(f"{kernel.SERVICES}/nm-killswitch-{name}.service") for name in ("sync", "settle", "heal")):
        return True
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                if file.read().strip() in ("nm-killswitch", "10-killswitch"):
                    return True
        except OSError:
            pass
    return False


class Idle:
    """Nothing of ours is at work in three looks in a row: between two of our units there is a moment without any."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks = 0 if at_work() else self.looks + 1
        return self.looks >= 3


CONDITIONS = {"armed": lambda: kernel.is_armed, "released": lambda: kernel.is_released, "rules": lambda: kernel.has_rules,
              "no rules": lambda: lambda: not kernel.has_rules(), "idle": Idle}


def wait(request):
    """Until the condition is there. It is looked at ten times a second: more would slow down what is waited for."""
    holds = CONDITIONS[request["condition"]]()
    end = time.monotonic() + request["timeout"]
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return {"held": held}


OPERATIONS = {"run": run, "push": push, "pull": pull, "kill": kill, "hello": hello, "now": now, "probe": probe, "ping": ping,
              "prober": prober, "wait": wait}


def send(port, message):
    data = json.dumps(message).encode() + b"\n"
    with output_lock:
        while data:
            data = data[os.write(port, data):]


def serve(port, line):
    try:
        request = json.loads(line)
        answer = OPERATIONS[request["op"]](request)
        answer["id"] = request["id"]
    except ValueError:
        return  # half a line from before a reboot
    except Exception as error:  # pylint: disable=broad-except
        answer = {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    send(port, answer)


def main():
    port = os.open(find_port(), os.O_RDWR)
    send(port, {"hello": boot_id()})
    rest = b""
    while True:
        data = os.read(port, 1 << 16)
        if not data:  # nobody at the other end
            time.sleep(0.05)
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            threading.Thread(target=serve, args=(port, line), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
