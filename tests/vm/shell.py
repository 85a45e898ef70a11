"""A shell in the virtual machine that the tests use, to look at the kill switch as its user, or to debug a test.

usage: tests/vm/shell.py [clean|installed|armed|armed_up|armed_plugin|armed_plugin_up]

The machine begins in that state ("installed" unless given; see kstest/vm_stages.py): "my-vpn" is a WireGuard profile,
"my-openvpn" an OpenVPN one. KS_VM_RELEASE chooses the Debian. Each line is run by bash as root; what the machine sent on its
uplink meanwhile is counted below the output, and each leaked packet is shown. Lines that begin with a colon:

    :nobody COMMAND     as the user nobody
    :server COMMAND     at the VPN's provider
    :reboot             and wait until the machine is up again

Lines can also come from a pipe. The machine is gone afterwards; the capture, the console and the journal stay in
build/vm/logs.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.vm import LOGS, NOBODY, CommandError
from kstest.vm_stages import Stages

STATES = ("clean", "installed", "armed", "armed_up", "armed_plugin", "armed_plugin_up")
TIMEOUT = 600


def run(machine, line):
    """Run one LINE as the usage says; returns the text to show."""
    word, _, rest = line.partition(" ")
    if word == ":reboot":
        machine.reboot()
        return ""
    if word == ":server":
        result = machine.server(rest, check=False, timeout=TIMEOUT)
    elif word == ":nobody":
        result = machine.run(rest, check=False, timeout=TIMEOUT, uid=NOBODY)
    elif word.startswith(":"):
        return f"{word}: not one of :nobody, :server, :reboot\n"
    else:
        result = machine.run(line, check=False, timeout=TIMEOUT)
    status = f"[exit status {result.rc}]\n" if result.rc else ""
    return result.stdout + result.stderr + status


def main():
    state = sys.argv[1] if len(sys.argv) == 2 else "installed"
    if len(sys.argv) > 2 or state not in STATES:
        print(f"usage: {sys.argv[0]} [{'|'.join(STATES)}]", file=sys.stderr)
        return 2
    stages = Stages("shell")
    stages.set_up()
    machine = getattr(stages, state)()
    print(f"The machine is up; its logs are in {os.path.relpath(LOGS)}. The end of input ends it.", flush=True)
    interactive = sys.stdin.isatty()
    while True:
        print("# ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return 0
        if not interactive:
            print(line, end="")
        mark = machine.wire.mark()
        try:
            text = run(machine, line.strip()) if line.strip() else ""
        except CommandError as error:
            text = f"{error}\n"
        traffic = machine.wire.since(mark)
        print(text, end="" if text.endswith("\n") or not text else "\n")
        print(f"[wire: {traffic}]", *(f"[leaked: {packet}]" for packet in traffic.leak[:10]), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
