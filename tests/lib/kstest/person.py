"""A person logged in at the virtual machine, and what the desktop shows them.

PAM and systemd-logind make the session on the machine's first console, so polkit considers it active, and the person's own
systemd starts the units that the package has installed for it. There is no desktop; its notification service is
tests/vm/guest/notifications.py.
"""

import json
import os
import shlex

from .runner import TookTooLong
from .vm import PATIENCE
from .vm_image import GUEST

NAME, UID = "person", 1000
RUNTIME, HOME = f"/run/user/{UID}", f"/home/{NAME}"
_SERVICE, _SHOWN = "/usr/local/lib/ks-test/notifications.py", f"{RUNTIME}/shown"
_ENVIRONMENT = {"HOME": HOME, "USER": NAME, "XDG_RUNTIME_DIR": RUNTIME, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUNTIME}/bus"}
LOST, DOWN = "VPN lost: traffic is blocked", "VPN down: traffic is blocked"
BACK, UP = "VPN is back", "VPN is up"


class Person:
    """They are in the group that Debian allows to change network connections, but not in that of administrators."""

    def __init__(self, machine):
        self.machine = machine
        self.seen = 0
        machine.run(f"getent passwd {NAME} || useradd --create-home --uid {UID} --shell /bin/bash {NAME};"
                    f" getent group netdev || groupadd --system netdev; usermod --append --groups netdev {NAME}")

    def log_in(self, notifications=True):
        """Log in at the console, with a notification service unless NOTIFICATIONS is false."""
        self.machine.run(f"systemd-run --quiet --unit=console --property=User={NAME} --property=PAMName=login"
                         " --property=TTYPath=/dev/tty1 --property=StandardInput=tty-force --setenv=XDG_SEAT=seat0"
                         " --setenv=XDG_VTNR=1 --setenv=XDG_SESSION_TYPE=tty sleep infinity")
        self._wait(f"test -S {RUNTIME}/bus && busctl --address=unix:path={RUNTIME}/bus call org.freedesktop.systemd1"
                   " /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping", "the person's systemd is up", as_person=True)
        self._wait(f"loginctl show-user {NAME} --property=State | grep -qx State=active", "the session is active")
        if notifications:
            self.serve_notifications()

    def serve_notifications(self):
        with open(os.path.join(GUEST, "notifications.py"), "rb") as file:
            self.machine.push(_SERVICE, file.read())
        self.seen = 0
        self.run(f"systemd-run --user --quiet --unit=notifications --property=StandardOutput=truncate:{_SHOWN}"
                 f" python3 -I {_SERVICE}")
        self._wait("busctl --user status org.freedesktop.Notifications", "the notification service is there", as_person=True)

    def log_out(self):
        """Log out, and wait until nothing of the session is left."""
        self.machine.run("systemctl stop console.service", timeout=60)
        self._wait(f"! systemctl is-active --quiet user@{UID}.service", "the person's systemd has ended")

    def run(self, command, check=True, timeout=60):
        """Run COMMAND as the person, outside any session, as a cron job would."""
        environment = " ".join(f"{key}={shlex.quote(value)}" for key, value in _ENVIRONMENT.items())
        return self.machine.run(["bash", "-c", f"export {environment}; cd; {command}"], check=check, timeout=timeout, uid=UID)

    def type(self, command, check=True, timeout=90):
        """Run COMMAND in the person's session."""
        return self.run(f"exec systemd-run --user --quiet --pipe --wait --collect bash -c {shlex.quote('cd; ' + command)}",
                        check, timeout)

    # What the desktop shows

    def calls(self, method):
        """The arguments of each call of METHOD so far."""
        lines = self.machine.run(f"cat {_SHOWN}").stdout.splitlines()
        return [call["arguments"] for call in map(json.loads, lines) if call["method"] == method]

    def wait_shown(self, what, timeout=60):
        """The next notification: (title, body, {key: label})."""
        number = self.seen + 1
        self._wait(f"[ $(grep -c '\"Notify\"' {_SHOWN}) -ge {number} ]", f"{what}: a notification is shown", timeout)
        self.seen = number
        _, _, _, title, body, actions, _, _ = self.calls("Notify")[number - 1]
        return title, body, dict(zip(actions[::2], actions[1::2]))

    def new(self):
        """The titles of the notifications since the last call of this or of wait_shown()."""
        titles = [arguments[3] for arguments in self.calls("Notify")[self.seen:]]
        self.seen += len(titles)
        return titles

    def press(self, key):
        """Press the button KEY of the notification that is shown."""
        self.run("busctl --user call org.freedesktop.Notifications /org/freedesktop/Notifications org.example.Person"
                 f" Choose us 1 {shlex.quote(key)}")

    def wait_told(self):
        """Wait until the program that shows notifications has ended, or is waiting for a button."""
        self._wait("! systemctl --user is-active --quiet nm-killswitch-notify.service nm-killswitch-notify-settle.service",
                   "the notifications' program has ended", as_person=True)

    def _wait(self, command, what, timeout=60, as_person=False):
        limit = round(timeout * PATIENCE)
        script = f"until {command} >/dev/null 2>&1; do [ $SECONDS -lt {limit} ] || exit 1; sleep 0.3; done"
        run = self.run if as_person else self.machine.run
        if not run(script, check=False, timeout=timeout + 30):
            raise TookTooLong(f"not within {limit} s: {what}")
