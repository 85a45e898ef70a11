"""Runs in the guest: how fast are our rules, routes and the guard back after a command has changed them?

usage: python3 life.py repair SECONDS same|jump COMMAND
       python3 life.py chase FILE UNIT SECOND-FILE

`repair` runs COMMAND in a shell and prints, as one line of JSON, the milliseconds
from its start to the first difference seen and to the moment in which all of
ours is as it was before ("jump": is in force again behind a jump).

`chase` replaces the profile FILE by its other version at the very moment in
which the service UNIT that the first change has started ends: the worst moment
for a unit that watches the file.
"""

import json
import os
import select
import subprocess
import sys
import time

from kernel import has_jump, look, members


def repair(limit, until, command):
    before = look()
    start = time.monotonic()
    with subprocess.Popen(["/bin/bash", "-c", command]) as process:
        broken = None if until == "same" else 0.0
        ended = fixed = None
        while time.monotonic() - start < limit and not (fixed and ended):
            same = look() == before if until == "same" else has_jump()
            now = (time.monotonic() - start) * 1000
            if broken is None and not same:
                broken = now
            elif broken is not None and same:
                fixed = fixed or now
            elif broken is not None:
                fixed = None
            if ended is None and process.poll() is not None:
                ended = now
            if ended is not None and broken is None and now > ended + 3000:
                break  # so quick that it was not seen, or not ours
            if broken is not None:
                time.sleep(0.02)  # what repairs needs the processor; no repair is over before the damage is seen
    print(json.dumps({"broken": broken, "command": ended, "fixed": fixed}))


def replace(path, data):
    temporary = os.path.join(os.path.dirname(path), ".chase")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, data)
    os.close(descriptor)
    os.rename(temporary, path)


def chase(path, unit, other):
    with open(path, "rb") as file:
        first = file.read()
    with open(other, "rb") as file:
        second = file.read()
    replace(path, second)
    end = time.monotonic() + 30
    while not (pids := members(unit)):
        if time.monotonic() > end:
            sys.exit("the service did not start")
    process = os.pidfd_open(pids[0])
    select.select([process], [], [], 30)
    replace(path, first)


def main():
    if sys.argv[1] == "repair":
        repair(float(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        chase(*sys.argv[2:5])


if __name__ == "__main__":
    main()
