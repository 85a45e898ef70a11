"""Socket activation for nm-killswitch-heal, as systemd does it, where there is no systemd.

Listens as the socket unit says (ListenNetlink=, ListenFIFO=), and runs the service's
command whenever a message waits, with the sockets passed to it:

    activation.main([DIRECTORY OF UNITS, "nm-killswitch-heal"])
"""

import contextlib
import os
import re
import select
import shlex
import socket
import sys
import time

_FAMILIES = {"route": 0, "netfilter": 12}
_FIRST = 3      # the first descriptor passed (sd_listen_fds(3))


def _values(directory, unit, key):
    with open(os.path.join(directory, unit), encoding="utf-8") as file:
        return re.findall(f"^{key}=(.*)", file.read(), re.MULTILINE)


def _listen(value):
    family, groups = value.split()
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _FAMILIES[family])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, int(groups)))
    return sock


def _make_fifo(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # blocking: systemd takes O_NONBLOCK away for the service
    return open(path, "r+b", buffering=0)


def _run(command, sockets):
    pid = os.fork()
    if pid == 0:
        # move them out of the way first: one of them may have the number that another will get
        moved = [os.dup2(sock.fileno(), 100 + i) for i, sock in enumerate(sockets)]
        for i, descriptor in enumerate(moved):
            os.dup2(descriptor, _FIRST + i, inheritable=True)
        environment = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))
        os.execve(command[0], command, environment)
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime


def main(arguments):
    directory, name = arguments
    sockets = [_listen(value) for value in _values(directory, name + ".socket", "ListenNetlink")]
    sockets += [_make_fifo(path) for path in _values(directory, name + ".socket", "ListenFIFO")]
    command = shlex.split(_values(directory, name + ".service", "ExecStart")[0])
    print("ready", flush=True)
    while True:
        select.select(sockets, [], [])
        began = time.monotonic()
        processor = _run(command, sockets)
        print(f"ran for {time.monotonic() - began:.3f} s, {processor:.3f} s of a processor", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
