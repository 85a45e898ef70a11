#!/usr/bin/env python3
"""Desktop notifications and their buttons, with stand-ins for the services on the two buses.

A test is a list of states that the status file has one after the other, and what the notification service was asked to
show.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, probes, runner
from kstest.runner import check, equal, test, wait_for

PROGRAM = "/run/program"
STATUS = "/run/nm-killswitch/status.json"
HOME = "/run/user/nobody"
ENVIRONMENT = {**netns.ENVIRONMENT, "HOME": f"{HOME}/home", "XDG_RUNTIME_DIR": HOME, "DISPLAY": ":7",
               "DBUS_SESSION_BUS_ADDRESS": f"unix:path={HOME}/bus", "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={HOME}/system"}
UUID = "11111111-1111-4111-8111-111111111111"
ALL = ("actions", "body", "body-markup")
LOST = "VPN lost: traffic is blocked"
DOWN = "VPN down: traffic is blocked"
SERVICES = os.path.join(netns.LIB, "kstest", "desktop_services.py")
SETTLE = 0.2
# This bus starts no services, since a real notification service may be installed here.
_BUS = """<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""

_machines = []


class Desktop:
    """A person's session: two buses, the status file, and the program as systemd starts it."""

    def __init__(self, *capabilities, session=True, service=True, system="system"):
        while _machines:
            _machines.pop().close()
        self.host = netns.Namespace("desktop", netns.make_directory())
        _machines.append(self.host)
        self.host.run("sh", "-c", f"mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/nm-killswitch {HOME}/home;"
                      f" cp {netns.ROOT}/build/nm-killswitch-notify {PROGRAM};"
                      f" chown -R {probes.NOBODY}:{probes.NOBODY} {HOME}; chmod 700 {HOME}")
        self.service = self.program = None
        self.shown = 0
        if session:
            self.bus("bus")
        self.bus("system")
        if service:
            self.service = self.services("notifications", "notifications", *(capabilities or ALL))
        self.asked = self.services("asked", system)

    def start(self, name, *command, may_end=False):
        return self.host.start(name, "setpriv", f"--reuid={probes.NOBODY}", f"--regid={probes.NOBODY}", "--clear-groups", "--",
                               *command, env=ENVIRONMENT, may_end=may_end)

    def bus(self, name):
        self.host.write(f"/run/{name}.conf", _BUS.format(path=f"{HOME}/{name}"))
        self.start(name, "dbus-daemon", f"--config-file=/run/{name}.conf", "--nofork", "--nopidfile")
        wait_for(lambda: os.path.exists(self.host.path(f"{HOME}/{name}")), 5, f"the bus {name} is up", 0.01)

    def services(self, name, *arguments):
        process = self.start(name, "/usr/bin/python3", "-I", SERVICES, *arguments)
        bus, destination = ("system", "org.freedesktop.systemd1") if name == "asked" else ("session", "org.freedesktop.Notifications")
        wait_for(lambda: f'"{destination}"' in self.send(bus, "org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames"), 10,
                 f"{name} is on the bus: {process.text()}", 0.02)
        return process

    def send(self, bus, destination, path, method, *arguments):
        return self.host.run("dbus-send", f"--{bus}", "--print-reply", f"--dest={destination}", path, method, *arguments,
                             uid=probes.NOBODY, env=ENVIRONMENT).stdout

    def person(self, method, *arguments):
        """Do something with the notification, as the person would."""
        self.send("session", "org.freedesktop.Notifications", "/org/freedesktop/Notifications", f"org.example.Person.{method}",
                  *arguments)

    def choose(self, number, key):
        self.person("Choose", f"uint32:{number}", f"string:{key}")

    def state(self, state, tunnel=None, name="my-vpn"):
        """Write the status file, as a run does."""
        armed = [] if state in ("off", "released") else [
            {"id": name, "uuid": UUID, "type": "vpn", "mode": "strict", "reason": "connection.zone", "tunnel": tunnel,
             "server_known": True}]
        text = {"file_version": 1, "state": "protected" if tunnel else state, "networkmanager": True, "armed": armed}
        self.host.write(f"{STATUS}.new", json.dumps(text))
        os.rename(self.host.path(f"{STATUS}.new"), self.host.path(STATUS))

    def run(self, *options):
        """Start the program unless it is still running, as the path unit does."""
        if self.program is None or not self.program.alive():
            self.program = self.start("program", PROGRAM, f"--settle={SETTLE * 1000:.0f}", *options, may_end=True)

    def ended(self, timeout=5):
        wait_for(lambda: not self.program.alive(), timeout, "the program ends", 0.02)
        equal((self.program.popen.returncode, self.program.text()), (0, ""), "exit status and what it says")

    def tell(self, state, tunnel=None, options=()):
        """Change the state, start the program, and wait until it has ended."""
        self.state(state, tunnel)
        self.run(*options)
        self.ended()

    def calls(self, process, *methods):
        calls = [json.loads(line) for line in process.text().splitlines()]
        return [call for call in calls if call["method"] in methods]

    def wait_shown(self, count=1):
        """The next COUNT notifications: (number of the one it replaces, title, body, {key: label}, urgency)."""
        wait_for(lambda: len(self.calls(self.service, "Notify")) >= self.shown + count, 5, "a notification is shown", 0.02)
        return self.new()

    def new(self):
        """All notifications since the last call."""
        calls = self.calls(self.service, "Notify")[self.shown:]
        self.shown += len(calls)
        return [(replaces, title, body, dict(zip(actions[::2], actions[1::2])), hints["urgency"])
                for _, replaces, _, title, body, actions, hints, _ in (call["arguments"] for call in calls)]

    def titles(self):
        return [title for _, title, *_ in self.new()]

    def lose(self, stay=15):
        """Lose a VPN that was up, and wait for the notification, whose buttons are there for STAY seconds."""
        self.tell("protected", "tun0")
        self.state("blocking")
        self.run("--patience=1", f"--stay={stay}")
        return self.wait_shown()[0]


@test
def each_change_is_shown_once():
    d = Desktop("body")
    for state, tunnel, expected in (
            ("protected", "tun0", []), ("blocking", None, [LOST]), ("blocking", None, []), ("protected", "tun0", ["VPN is back"]),
            ("incomplete", None, ["Kill switch is incomplete"]), ("protected", "tun0", ["Kill switch is back on"]),
            ("released", None, ["Kill switch released: nothing is blocked"]), ("blocking", None, [DOWN]),
            ("off", None, ["Kill switch off: nothing is blocked"]), ("blocking", None, [DOWN]), ("protected", "tun0", ["VPN is up"]),
            ("blocking", None, [LOST])):
        d.tell(state, tunnel)
        equal(d.titles(), expected, f"shown when the state became {state}")


@test
def a_notification_replaces_the_last_one_and_goes_when_it_is_no_longer_true():
    d = Desktop("body")
    d.tell("blocking")
    d.tell("incomplete")
    equal([replaces for replaces, *_ in d.new()], [0, 1], "what is replaced")
    d.tell("released")
    d.tell("off")
    equal([replaces for replaces, *_ in d.new()], [1], "what is replaced")
    equal([call["arguments"] for call in d.calls(d.service, "CloseNotification")], [[1]], "what is closed")


@test
def a_state_that_does_not_last_is_not_shown():
    d = Desktop()
    d.tell("protected", "tun0")
    d.state("incomplete")
    d.run("--settle=2000")      # time enough for the next state to come, on a busy machine too
    time.sleep(SETTLE)
    d.state("protected", "tun0")
    d.ended()
    equal(d.new(), [], "shown while a run went on")


@test
def a_state_that_never_settles_is_shown_anyway():
    d = Desktop("body")
    d.tell("protected", "tun0")
    d.state("incomplete")
    d.run()
    end = time.monotonic() + 8
    while d.program.alive():
        for state in ("blocking", "incomplete"):
            d.state(state)
            time.sleep(SETTLE / 4)
        check(time.monotonic() < end, "the program waits for ever")
    equal(len(d.new()), 1, "notifications")


@test
def the_buttons_connect_the_vpn():
    d = Desktop()
    replaces, title, body, actions, urgency = d.lose()
    equal((replaces, title, body, urgency), (0, LOST, "Only the local network can be reached until my-vpn is up.", 2), "what is shown")
    equal(actions, {f"connect:{UUID}": "Connect", "release": "Release"}, "buttons")
    d.choose(1, f"connect:{UUID}")
    wait_for(lambda: len(d.calls(d.asked, "ActivateConnection")) == 1, 5, "NetworkManager is asked")
    d.person("Close", "uint32:1")
    equal([call["arguments"] for call in d.calls(d.asked, "GetConnectionByUuid")], [[UUID]], "the profile")
    call, = d.calls(d.asked, "ActivateConnection")
    equal((call["arguments"], call["interactive"]), (["/org/freedesktop/NetworkManager/Settings/7", "/", "/"], True), "the call")
    equal(d.calls(d.asked, "StartUnit"), [], "what systemd is asked")
    d.state("protected", "tun0")
    equal([title for _, title, *_ in d.wait_shown()], ["VPN is back"], "shown then")
    d.ended()


@test
def the_button_releases_through_systemd():
    d = Desktop()
    d.lose()
    d.choose(1, "release")
    wait_for(lambda: len(d.calls(d.asked, "StartUnit")) == 1, 5, "systemd is asked")
    call, = d.calls(d.asked, "StartUnit")
    equal((call["arguments"], call["interactive"]), (["nm-killswitch-release.service", "replace"], True), "the call")
    d.state("released")
    (replaces, title, _, actions, _), = d.wait_shown()
    equal((replaces, title, actions), (1, "Kill switch released: nothing is blocked", {}), "shown then")
    d.ended()
    equal(d.calls(d.asked, "ActivateConnection"), [], "what NetworkManager is asked")


@test
def the_unit_that_is_asked_for_is_installed_and_releases():
    with open(os.path.join(netns.ROOT, "build/nm-conf/nm-killswitch-release.service"), encoding="utf-8") as file:
        check("ExecStart=/usr/bin/nm-killswitch release\n" in file.read(), "the unit releases")


@test
def a_refusal_is_shown_with_its_reason():
    d = Desktop(system="refusing")
    d.lose()
    d.choose(1, "release")
    (replaces, title, body, actions, urgency), = d.wait_shown()
    equal((title, urgency), (LOST, 2), "the same news")
    check(body.startswith("That did not work: Not authorized. Only the local"), f"the reason is not shown: {body}")
    equal((replaces, len(actions)), (1, 2), "the same notification, with its buttons")
    d.person("Close", "uint32:1")
    d.ended()


@test
def a_request_without_effect_is_reported_and_the_buttons_go_with_the_program():
    d = Desktop()
    d.lose(stay=3)
    d.choose(1, f"connect:{UUID}")
    (_, _, body, actions, _), = d.wait_shown()
    check(body.startswith("Nothing has changed yet. Only the local network"), f"shown: {body}")
    equal(len(actions), 2, "buttons")
    (replaces, _, _, actions, _), = d.wait_shown()
    equal((replaces, actions), (1, {}), "shown when the time is over")
    d.ended()


@test
def another_program_cannot_press_a_button():
    d = Desktop()
    d.lose()
    d.host.run("dbus-send", "--session", "--type=signal", "/org/freedesktop/Notifications",
               "org.freedesktop.Notifications.ActionInvoked", "uint32:1", "string:release", uid=probes.NOBODY, env=ENVIRONMENT)
    d.choose(2, "release")      # another program's notification
    time.sleep(0.5)
    equal(d.calls(d.asked, "StartUnit"), [], "what systemd is asked")
    d.choose(1, "release")
    wait_for(lambda: d.calls(d.asked, "StartUnit"), 5, "the control: the service's own signal is followed")


@test
def a_second_process_leaves_it_to_the_first():
    d = Desktop()
    d.lose()
    first, d.program = d.program, None
    d.run()
    d.ended()
    check(first.alive(), "the first one watches")
    d.state("protected", "tun0")
    equal([title for _, title, *_ in d.wait_shown()], ["VPN is back"], "shown by the first")
    d.program = first
    d.ended()


@test
def a_service_without_buttons_or_markup_gets_none():
    d = Desktop("body")
    d.state("blocking", name="<b>&")
    d.run()
    (_, _, body, actions, _), = d.wait_shown()
    equal((body, actions), ("Only the local network can be reached until <b>& is up.", {}), "without markup")
    d.ended()
    d = Desktop("body", "body-markup")
    d.state("blocking", name="<b>&")
    d.run()
    equal([body for _, _, body, *_ in d.wait_shown()], ["Only the local network can be reached until &lt;b&gt;&amp; is up."], "with")


@test
def the_program_ends_with_the_notification_or_its_service():
    d = Desktop()
    d.lose()
    d.person("Close", "uint32:1")
    d.ended()
    d = Desktop()
    d.lose()
    d.service.stop()
    d.ended()


@test
def another_programs_notification_is_not_replaced():
    d = Desktop("body")
    d.tell("blocking")
    # the next service counts from 1 again: its number 1 belongs to another program
    d.service.stop()
    d.service, d.shown = d.services("notifications-again", "notifications", "body"), 0
    d.tell("released")
    d.tell("incomplete")
    equal([replaces for replaces, *_ in d.new()], [0, 1], "what is replaced")


@test
def the_program_is_silent_without_a_session_or_a_service():
    d = Desktop(session=False, service=False)
    d.tell("blocking")
    d = Desktop(service=False)
    d.tell("blocking")
    # what could not be shown is shown later
    d.service = d.services("notifications", "notifications", "body")
    d.tell("blocking")
    equal(d.titles(), [DOWN], "shown when there is a service")
    d.host.run("rm", STATUS)
    d.run()
    d.ended()


@test
def a_malformed_file_shows_nothing():
    d = Desktop("body")
    d.tell("protected", "tun0")
    d.host.write(STATUS, "{")
    d.run()
    d.ended()
    equal(d.new(), [], "shown")


@test
def notifications_can_be_turned_off():
    d = Desktop("body")
    d.host.write(f"{HOME}/home/.config/nm-killswitch/no-notifications", "")
    d.tell("blocking")
    equal(d.new(), [], "shown with the file there")
    d.host.run("rm", f"{HOME}/home/.config/nm-killswitch/no-notifications")
    d.tell("blocking")
    equal(d.titles(), [DOWN], "shown without it")


if __name__ == "__main__":
    runner.main()
