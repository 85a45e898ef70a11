"""A dispatcher script that keeps what it was given: arguments, environment, and NetworkManager's state.

    recorder.main([DIRECTORY, IFACE, ACTION])

Each event becomes a file in DIRECTORY. nm.py installs it and reads the files.
"""

import json
import os
import subprocess
import sys
import time


def main(arguments):
    directory, iface, action = arguments[0], arguments[1], arguments[2]
    now = time.time()
    try:
        objects = subprocess.run(
            ["busctl", "--json=short", "--timeout=2", "call", "org.freedesktop.NetworkManager",
             "/org/freedesktop", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, timeout=4, check=False).stdout
    except subprocess.TimeoutExpired:
        objects = ""
    # What the shell and Python put into it is no part of the event.
    env = {name: value for name, value in os.environ.items()
           if name not in ("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE")}
    name = os.path.join(directory, f"{time.time_ns()}-{os.getpid()}")
    with open(name, "w", encoding="utf-8") as file:
        json.dump({"time": now, "took": time.time() - now, "iface": iface, "action": action,
                   "parent": os.path.basename(os.readlink(f"/proc/{os.getppid()}/exe")),
                   "env": env, "objects": objects}, file)
    os.rename(name, name + ".json")


if __name__ == "__main__":
    main(sys.argv[1:])
