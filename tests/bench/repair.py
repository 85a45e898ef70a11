#!/usr/bin/env python3
"""How fast is a repair? A benchmark, not a test: it prints figures and judges none.

usage: tests/bench/repair.py; KS_BENCH_ROUNDS is how often each is destroyed (15)

A whole Debian 12 with systemd as its first process runs in a container of this
machine's kernel (systemd-nspawn, a network of its own that leads nowhere), at
this machine's speed: emulated, the same repair takes ten times as long. The
package is installed, a WireGuard profile is armed, and something of ours is
destroyed over and over. The time is from the moment in which netlink shows the
damage to the one in which rules, routes and guard are as before.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import at_exit, check, main, test
from kstest.vm_image import BUILD, GUEST
from kstest.vm_vpn import package

PACKAGES = ("systemd-sysv", "dbus", "iproute2", "nftables", "network-manager", "python3", "procps",
            "libnl-3-200", "libnl-route-3-200", "libnftables1", "libnm0", "libglib2.0-bin")
DAMAGE = {
    "one rule": "ip rule del priority 8380",
    "all rules of both families": "ip -4 rule flush protocol 83; ip -6 rule flush protocol 83",
    "table 83": "ip -4 route flush table 83; ip -6 route flush table 83",
    "the guard": "nft delete table inet nm_killswitch",
}
UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/bench.sh
StandardOutput=file:/root/bench.log
StandardError=file:/root/bench.log
[Install]
WantedBy=multi-user.target
"""
SCRIPT = """\
dpkg --install /root/nm-killswitch.deb
cp /root/vpn.nmconnection /etc/NetworkManager/system-connections/
chmod 600 /etc/NetworkManager/system-connections/vpn.nmconnection
nmcli connection reload
until nm-killswitch check; do sleep 0.5; done
sleep 3
while read -r command; do
    rm -f /run/nm-killswitch/healed
    python3 /root/life.py repair 20 same "$command" | sed 's/^/RESULT /'
    sleep 1
done </root/damage
poweroff -ff
"""
PROFILE = """\
[connection]
id=vpn
uuid=66666666-6666-4666-8666-000000000000
type=wireguard
interface-name=wg0
autoconnect=false
zone=killswitch

[wireguard]
private-key=YAnz5TF+lXXJte14tji3zlMNftF7r6pFYWZqbRsjJl8=
listen-port=51820

[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]
endpoint=203.0.113.10:51820
allowed-ips=0.0.0.0/0;::/0;

[ipv4]
method=disabled

[ipv6]
method=disabled
"""


def make_root(rounds):
    """A root file system with all in it; gone at the end."""
    os.makedirs(BUILD, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench-", dir=BUILD)
    at_exit(shutil.rmtree, directory, True)
    root = os.path.join(directory, "root")
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", root],
                   check=True)
    shutil.copy(package(), os.path.join(root, "root", "nm-killswitch.deb"))
    for name in ("life.py", "kernel.py"):
        shutil.copy(os.path.join(GUEST, name), os.path.join(root, "root", name))
    for name, text in (("root/bench.sh", SCRIPT), ("root/vpn.nmconnection", PROFILE), ("etc/systemd/system/bench.service", UNIT),
                       ("root/damage", "".join(f"{command}\n" for _ in range(rounds) for command in DAMAGE.values()))):
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write(text)
    wanted = os.path.join(root, "etc/systemd/system/multi-user.target.wants")
    os.makedirs(wanted, exist_ok=True)
    os.symlink("../bench.service", os.path.join(wanted, "bench.service"))
    return root


@test
def repair_times():
    rounds = int(os.environ.get("KS_BENCH_ROUNDS", "15"))
    root = make_root(rounds)
    # it may end with an error on a host that was not booted by systemd; the log says whether it got to the end
    subprocess.run(["systemd-nspawn", "--quiet", "--directory", root, "--private-network", "--register=no", "--keep-unit",
                    "--console=pipe", "--boot"], check=False, timeout=120 + 10 * rounds, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(os.path.join(root, "root", "bench.log"), encoding="utf-8", errors="replace") as file:
        log = file.read()
    results = [json.loads(line[7:]) for line in log.splitlines() if line.startswith("RESULT ")]
    check(len(results) == rounds * len(DAMAGE), f"the container did not get to the end: {log[-2000:]}")
    for number, what in enumerate(DAMAGE):
        times = [each["fixed"] - each["broken"] for each in results[number::len(DAMAGE)] if each["fixed"]]
        print(f"        {what:<28} repaired {len(times)} of {rounds}; ms: minimum {min(times):.0f},"
              f" median {statistics.median(times):.0f}, maximum {max(times):.0f}")


if __name__ == "__main__":
    main()
