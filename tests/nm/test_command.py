#!/usr/bin/env python3
"""What the command tells, and does for a person, with a real NetworkManager: as root and as an ordinary user."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, probes, runner
from kstest.machine import VPN, Machine
from kstest.runner import check, equal, test, wait_for

_machine = None


def machine():
    """The machine: armed, the VPN down."""
    global _machine
    if _machine is None:
        _machine = Machine(True)
    _machine.arm()
    _machine.down()
    return _machine


def command(m, *arguments, uid=0, check_status=True):
    return m.host.run("nm-killswitch", *arguments, uid=uid, check=check_status)


def state(m, uid):
    """What `status --json` says to UID."""
    return json.loads(command(m, "status", "--json", uid=uid).stdout)


def quiet(m, uid=probes.NOBODY):
    return command(m, "status", "--quiet", uid=uid, check_status=False).returncode


@test
def a_user_sees_the_state_and_nothing_of_the_profile():
    m = machine()
    told = command(m, "status", uid=probes.NOBODY).stdout
    for text in ("Kill switch: blocking", VPN, "by connection.zone; down", "Not shown, since only root may see it",
                 f"nmcli connection up {VPN}", "sudo nm-killswitch release"):
        check(text in told, f"'{text}' is not in: {told}")
    check(netns.SERVER not in told, f"the server's address is root's: {told}")
    check(netns.SERVER in command(m, "status").stdout, "root sees the server's address")
    equal(m.host.run("stat", "-c", "%a", "/run/nm-killswitch/status.json").stdout.strip(), "644", "mode of the file")
    check(netns.SERVER not in m.host.read("/run/nm-killswitch/status.json"), "the server's address is in the file")
    result = m.host.run("cat", "/var/lib/nm-killswitch/state", uid=probes.NOBODY, check=False)
    check(result.returncode, "the control: a user cannot read what is remembered")


@test
def root_and_a_user_are_told_the_same_state_through_a_whole_life():
    m = machine()
    for act, expected, status in (
            (lambda: None, "blocking", 3),
            (m.up, "protected", 0),
            (m.kill, "blocking", 3),
            (lambda: command(m, "release"), "released", 4),
            (lambda: command(m, "resume"), "blocking", 3),
            (m.disarm, "off", 4)):
        act()
        told = wait_for(lambda: (lambda each: each if each["state"] == expected else None)(state(m, probes.NOBODY)), 5,
                        f"a user is told '{expected}'")
        wait_for(lambda: state(m, 0)["state"] == expected, 5, f"root is told '{expected}'")
        equal((told["complete"], told["problems"]), (False, []), "a user is told all there is to tell")
        equal((quiet(m), quiet(m, 0)), (status, status), f"exit status of `status --quiet` while {expected}")
        equal([profile["tunnel"] for profile in told["armed"]], {"protected": ["tun0"], "blocking": [None]}.get(expected, []),
              f"tunnels while {expected}")


@test
def a_user_sees_at_once_that_rules_are_missing():
    m = machine()
    m.host.run("ip", "-6", "rule", "delete", "priority", "8390")
    told = state(m, probes.NOBODY)
    equal((told["state"], len(told["problems"]), quiet(m)), ("incomplete", 1, 5), "without the terminal rule")
    command(m, "sync")
    equal((state(m, probes.NOBODY)["state"], quiet(m)), ("blocking", 3), "repaired")


@test
def since_when_is_told_and_lasts():
    m = machine()
    before = state(m, probes.NOBODY)["since"]
    check(before, "there is a time")
    command(m, "sync")
    for uid in (0, probes.NOBODY):
        # the two clocks are read one after the other: a second may pass in between
        since = state(m, uid)["since"]
        check(abs(_seconds(since) - _seconds(before)) <= 1, f"another run of the same state: {before}, then {since}")


def _seconds(timestamp):
    """Of the day."""
    hours, minutes, seconds = timestamp.split("T")[1].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


@test
def watching_shows_what_changes():
    m = machine()
    watch = m.host.start("watch", "nm-killswitch", "status", "--watch", "--json")
    wait_for(lambda: '"blocking"' in watch.text(), 5, "the first state")
    command(m, "release")
    wait_for(lambda: '"released"' in watch.text(), 5, "the next state")
    command(m, "resume")
    wait_for(lambda: len(watch.text().splitlines()) >= 3, 5, "and back")
    watch.stop()
    equal([json.loads(line)["state"] for line in watch.text().splitlines()][:3], ["blocking", "released", "blocking"],
          "one line for each state")


if __name__ == "__main__":
    runner.main()
