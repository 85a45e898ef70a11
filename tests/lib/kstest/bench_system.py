"""What only a host with systemd shows: how long a toggle takes, and the boot unit. In a container (container.py)."""

import json
import os
import shutil

from . import netns
from .bench_hosts import median
from .container import PROFILE, VPN, Container
from .runner import check

SCRIPT = """\
cd /root
until [ "$(systemctl is-active NetworkManager)" = active ]; do sleep 0.2; done
until nm-killswitch check; do sleep 0.5; done
python3 guest.py boot | sed 's/^/RESULT /'
if [ -e rounds ]; then python3 guest.py toggle "$(cat rounds)" | sed 's/^/RESULT /'; fi
poweroff -ff
"""

def _boot(container, seconds):
    log = container.boot(seconds)
    results = [json.loads(line[7:]) for line in log.splitlines() if line.startswith("RESULT ")]
    return results, log


def _medians(results):
    return {name: median([each[name] for each in results]) for name in results[0] if name != "zone"}


def _toggle(results):
    """Of each kind, and how long after nmcli has returned it is in force."""
    figures = {}
    for name, zone in (("arm", "killswitch"), ("disarm", "")):
        each = [result for result in results if result["zone"] == zone]
        figures[name] = _medians(each)
        figures[name]["after_nmcli"] = median([result["in_force"] - result["returned"] for result in each])
    return figures


def run(quick):
    boots, rounds = (1, 1) if quick else (5, 11)
    with open(os.path.join(netns.ROOT, "tests", "bench", "guest.py"), encoding="utf-8") as file:
        guest = file.read()
    container = Container(SCRIPT, {VPN: PROFILE.format(zone="zone=killswitch\n"), "root/guest.py": guest})
    results = []
    for number in range(boots):
        if number == boots - 1:
            with open(container.path("root/rounds"), "w", encoding="utf-8") as file:
                file.write(f"{rounds}\n")
        these, log = _boot(container, 180 + 30 * rounds)
        check(these, f"the container did not get to the end: {log[-2000:]}")
        results += these
    toggles = [each for each in results if "zone" in each]
    check(len(toggles) == 2 * rounds, f"{len(toggles)} of {2 * rounds} toggles: {log[-2000:]}")
    shutil.rmtree(container.root, ignore_errors=True)
    return {"boot": _medians([each for each in results if "unit_ms" in each]), "boots": boots, "rounds": rounds,
            "toggle": _toggle(toggles)}
