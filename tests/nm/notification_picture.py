#!/usr/bin/env python3
"""Draws docs/notification.png: what a real notification service shows, with one of its buttons pressed.

Run by `make notification-picture`. GNOME's old notification daemon runs on an X server without a screen. There are stand-ins
for NetworkManager and systemd, as in test_desktop.py, and everything is in namespaces of its own.
"""

import atexit
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, probes, runner
from kstest.runner import check, wait_for
from test_desktop import ENVIRONMENT, Desktop

DAEMON = "/usr/lib/notification-daemon/notification-daemon"
PICTURE = os.path.join(netns.ROOT, "docs", "notification.png")
X = "/tmp/.X11-unix"
WIDTH, HEIGHT = 640, 300


def start(desktop):
    """The X server and the service."""
    desktop.host.run("sh", "-c", f"mount -t tmpfs -o mode=1777 tmpfs /tmp; mkdir -m 1777 {X}")
    desktop.start("x", "Xvfb", ENVIRONMENT["DISPLAY"], "-wr", "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp")
    wait_for(lambda: desktop.host.run("ls", X).stdout, 10, "the X server is up")
    desktop.start("daemon", DAEMON)
    wait_for(lambda: '"org.freedesktop.Notifications"' in desktop.send(
        "session", "org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames"), 20, "the service is up")


def run(desktop, *command):
    return desktop.host.run(*command, uid=probes.NOBODY, env=ENVIRONMENT).stdout


def window(desktop):
    """(x, y, width, height) of the notification on the screen; None while there is none."""
    shown = run(desktop, "sh", "-c", "for id in $(xdotool search --onlyvisible --name .); do"
                " xdotool getwindowgeometry --shell $id; done")
    values = [dict(line.split("=") for line in part.split()) for part in shown.split("WINDOW=")[1:]
              for part in [f"WINDOW={part}"]]
    found = [tuple(int(each[key]) for key in ("X", "Y", "WIDTH", "HEIGHT")) for each in values]
    return next((each for each in found if 100 < each[2] < WIDTH), None)


def take(desktop, state, tunnel, name):
    """What is shown when the state is STATE, in a file."""
    desktop.state(state, tunnel)
    desktop.run()
    time.sleep(3)   # it fades in, and may replace one of another size
    x, y, width, height = wait_for(lambda: window(desktop), 10, "a notification is on the screen")
    run(desktop, "import", "-window", "root", "-crop", f"{width}x{height}+{x}+{y}", "+repage", f"{X}/{name}.png")
    path = os.path.join(desktop.host.directory, f"{name}.png")
    shutil.copy(desktop.host.path(f"{X}/{name}.png"), path)
    return path, (x, y, width, height)


def main():
    """Take the pictures."""
    atexit.register(runner._clean_up)   # pylint: disable=protected-access
    for program in ("Xvfb", "xdotool", "import", DAEMON):
        check(shutil.which(program), f"{program} is not installed: packaging/install-dependencies picture")
    desktop = Desktop(service=False)
    start(desktop)
    desktop.tell("protected", "tun0")
    lost, (x, y, width, height) = take(desktop, "blocking", None, "lost")
    # the second button, in the lower right corner
    run(desktop, "xdotool", "mousemove", str(x + width - 88), str(y + height - 39), "click", "1")
    call = wait_for(lambda: desktop.calls(desktop.asked, "StartUnit"), 10, "the button is pressed, and systemd is asked")[0]
    print(f"systemd is asked to start {call['arguments'][0]}")
    released, _ = take(desktop, "released", None, "released")
    desktop.ended(10)
    take(desktop, "blocking", None, "down")
    back, _ = take(desktop, "protected", "tun0", "back")
    subprocess.run(["convert", lost, released, back, "-background", "white", "-append", "-strip", "-colors", "64", PICTURE],
                   check=True, timeout=60)
    print(os.path.relpath(PICTURE, netns.ROOT))


if __name__ == "__main__":
    main()
