#!/usr/bin/env python3
"""Records real dispatcher events as fixtures for the unit tests: tests/unit/events/*.env.

Not a test: run it by hand when a newer NetworkManager sends something else.
It takes a little more than a minute, most of it waiting for events that do not come.

A fixture is one event. Its first line is `argv: IFACE ACTION`, as NetworkManager
called the program (the interface may be empty, so ACTION is what follows the
last space); then comes the environment, NAME=value, a line each. A fixture's
name says in which session it came: `killed-02-vpn-down.env` is the second event
after openvpn was killed.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, nm, openvpn, runner
from kstest.runner import test

FIXTURES = os.path.join(netns.ROOT, "tests", "unit", "events")


class Session:
    """The events since the last call."""

    def __init__(self, manager):
        self._manager = manager
        self._seen = 0

    def _settled(self):
        """All events, once no more come for two seconds."""
        count = -1
        while count != len(events := self._manager.events()):
            count = len(events)
            time.sleep(2)
        return events

    def skip(self):
        self._seen = len(self._settled())

    def save(self, title):
        events = self._settled()
        for number, event in enumerate(events[self._seen:], 1):
            lines = [f"argv: {event['iface']} {event['action']}"]
            # The keys' directory differs each time, and is this machine's.
            lines += sorted(f"{name}={value}" for name, value in event["env"].items())
            text = re.sub(r"/tmp/ks-[^/]*/", "/etc/openvpn/", "\n".join(lines)) + "\n"
            path = os.path.join(FIXTURES, f"{title}-{number:02}-{event['action']}.env")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            print(f"        {os.path.basename(path)}")
        self._seen = len(events)


@test
def record():
    os.makedirs(FIXTURES, exist_ok=True)
    for name in os.listdir(FIXTURES):
        if name.endswith(".env"):
            os.unlink(os.path.join(FIXTURES, name))
    lab = netns.Lab()
    lab.serve()
    lab.lan.serve(True, "--dhcp-option=option:domain-name,lan.test")
    keys = openvpn.Keys(os.path.join(lab.directory, "keys"))
    openvpn.Server(lab, keys, ipv6=True, push=["dhcp-option DNS 10.8.0.1", "dhcp-option DOMAIN vpn.test",
                                               "route 10.99.0.0 255.255.0.0"])
    openvpn.Server(lab, keys, port=1195, tun="tun1", network="10.9.0.0")
    manager = nm.NetworkManager(lab.host)
    manager.record_events()
    manager.add_lan(lab.lan, method="auto")
    manager.add_profile("my-vpn", openvpn.profile(keys, user_data={"nm-killswitch.mode": "strict"}))
    manager.add_profile("bare-vpn", openvpn.profile(keys, "bare-vpn", port=1195, dev="corp0"))
    manager.start()
    manager.wait_state("lan1", "activated")
    session = Session(manager)

    session.save("boot")
    manager.up("my-vpn")
    session.save("openvpn-up")
    manager.down("my-vpn")
    session.save("openvpn-down")

    manager.up("bare-vpn")
    session.save("openvpn-without-ipv6-or-routes-up")
    manager.down("bare-vpn")
    session.save("openvpn-without-ipv6-or-routes-down")

    manager.up("my-vpn")
    session.skip()
    lab.host.kill_all("openvpn")
    session.save("killed")

    manager.up("my-vpn")
    session.skip()
    lab.host.run("ip", "link", "delete", "tun0")
    session.save("device-deleted")
    manager.down("my-vpn")
    session.save("down-after-device-deleted")

    manager.up("my-vpn")
    session.skip()
    manager.nmcli("device", "reapply", lab.lan.device)
    session.save("reapply")
    manager.down("lan1")
    session.save("parent-down")
    manager.up("lan1")
    manager.up("my-vpn")
    session.save("parent-up")
    lab.lan.plug(False)
    time.sleep(7)
    session.save("carrier-lost")
    lab.lan.plug(True)
    manager.wait_state("lan1", "activated")
    session.save("carrier-back")
    manager.up("my-vpn")
    session.skip()
    manager.restart()
    session.save("restart")


if __name__ == "__main__":
    runner.main()
