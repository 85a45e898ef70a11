"""README.md, docs/ and the manual pages, read by somebody who types each command as it stands there.

The output they show is compared with what is printed. Commands that cannot be typed in this machine are listed below, with
the reason; the last test fails if any other command was not typed.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import documents
from kstest.runner import check, equal, main, test
from kstest.vm_stages import Stages
from kstest.vm_vpn import PUBLIC, SERVER, assert_blocked, assert_leak, assert_tunnel, package, ping, wait_idle

at = Stages("documents")

BUILDS = "builds or runs tests, on the machine of the developer"
OTHER = "for another distribution"
NAMED = "is only named"
# Command -> why it is not typed here.
ELSEWHERE = {
    **dict.fromkeys((
        "make", "make install", "make help", "make lint", "make format", "make mutate", "make FAULTS=1",
        "make check", "make check-full", "make check-unit", "sudo make install", "sudo make uninstall", "sudo make deb",
        "sudo make demo", "sudo make demo-plot", "sudo make vm", "sudo make bench", "sudo make mutate", "sudo make attacks",
        "sudo make check", "sudo make check-full", "sudo make check-kernel", "sudo make check-nm", "sudo make check-attacks",
        "sudo make check-vm", "sudo packaging/install-dependencies build", "sudo packaging/install-dependencies check",
        "make build/tests/unit/test-ks-policy && build/tests/unit/test-ks-policy",
        "sudo env TEST_FILTER='every_fault_*' build/tests/kernel/test-faults",
        "sudo python3 tests/nm/test_several.py 'a_company*'", "sudo python3 tests/attacks/test_sockets.py PATTERN",
        "sudo make deb && sudo python3 tests/vm/test_boot.py PATTERN", "sudo python3 tests/vm/shell.py armed_up",
        "make dist", "sudo make rpm", "sudo make arch", "sudo make check-arch", "sudo make bench-repair",
        "sudo make bench PARTS=packets", "sudo make bench QUICK=1",
        "sudo python3 tests/arch/test_architectures.py '*big_endian*'"), BUILDS),
    **dict.fromkeys(("wg set", "nmcli device reapply", "ip rule flush", "nft flush ruleset", "ip daddr set",
                     "nm-killswitch enable", "nm-killswitch heal", "nm-killswitch selftest",
                     "nmcli -t connection show", "nmcli connection up", "nmcli connection modify"), NAMED),
    **dict.fromkeys((
        "sudo dnf install ./nm-killswitch-*.rpm", "sudo zypper install --allow-unsigned-rpm ./nm-killswitch-*.rpm",
        "sudo pacman -U nm-killswitch-*.pkg.tar.zst"), OTHER),
    "sudo firewall-cmd --reload": "firewalld is not in this machine",
    **dict.fromkeys(("sudo ufw allow out to 203.0.113.10 port 51820 proto udp", "sudo ufw allow out on wg0"),
                    "typed in tests/vm/test_neighbours_firewalls.py"),
    "sudo nmcli --ask connection up NAME": "OpenConnect's; typed in tests/nm/test_types_openconnect.py",
    "nm-killswitch disable staex": "typed in tests/nm/test_sections.py",
    "systemctl --user mask --now nm-killswitch-notify.path nm-killswitch-notify.service": "typed in tests/vm/test_person.py",
    "nmcli connection import": "the form with a file is typed",
    "apt show nm-killswitch": "the package is in no archive yet",
    "nm-killswitch status --quiet && rsync -a backup: /srv/backup": "rsync is not in this machine",
    "echo nm-killswitch release | at now + 10 minutes": "at is not in this machine",
    "timedatectl timesync-status": "there is no time server",
}
SUDO = '#!/bin/sh\nexec "$@"\n'    # this machine has no sudo
README, MANUAL, MIGRATION = "README.md", "man/nm-killswitch.8", "docs/migration.md"
shown = {path: documents.commands(path) for path in documents.MARKDOWN + documents.MANUALS}
typed = set()
_LOOKS = re.compile(r"(sudo )?(nm-killswitch (status|check|list|selftest)|ip|nft|wg|journalctl)\b")


def type_in(machine, path, command, status=0):
    """Run COMMAND, which PATH must show, and return what it prints."""
    check(command in shown[path], f"{path} does not show {command!r}")
    typed.add(command)
    words = re.sub(r"\bUPLINK\b", "lan", re.sub(r"\b(PROFILE|NAME)\b", "my-vpn", command))
    result = machine.run(f"cd /root && {words}", check=False, timeout=120)
    equal(result.rc, status, f"{path}: {command}: {result}")
    if not _LOOKS.match(command):
        wait_idle(machine)
    return result.stdout


def type_all(machine, path, *some):
    """Each of SOME commands of PATH; returns {command: what it printed}."""
    return {command: type_in(machine, path, command) for command in some}


def pattern(line):
    """A regular expression for a LINE of output; its times and user IDs are only examples."""
    text = re.escape(line)
    text = re.sub(r"uid\\ \d+", r"uid\\ \\d+", text)
    text = re.sub(r"since\\ .*", r"since\\ .*", text)
    return re.sub(r"\d+(\\ of\\ )\d+|\d+(\\ packets)", r"\\d+\1\2", text).replace(r"\d+\ of\ ", r"\d+\ of\ \d+")


def compare(output, expected, what):
    """Check that OUTPUT is what a block shows, line by line; lines may be wrapped, and `...` stands for any lines."""
    rest = [" ".join(line.split()) for line in re.sub(r"\n {4}(?=\S)", " ", output).splitlines()]
    lines = [" ".join(line.split()) for line in re.sub(r"\n {2,4}(?=(fc00|blocked))", " ", "\n".join(expected)).splitlines()]
    for line in lines:
        if line == "...":
            continue
        place = next((number for number, each in enumerate(rest) if re.fullmatch(pattern(line), each)), None)
        check(place is not None, f"{what}: no line {line!r} in\n{output}")
        rest = rest[place + 1:]


def _reader(machine):
    """A machine like that of README's reader, with sudo and an OpenVPN profile called my-vpn."""
    machine.push("/usr/bin/sudo", SUDO, 0o755)
    machine.run("nmcli connection delete my-vpn && nmcli connection modify my-openvpn connection.id my-vpn")
    return machine


@test
def readme_is_true_from_installing_to_switching_off():
    machine = _reader(at.clean())
    with open(package(), "rb") as file:
        machine.push("/root/" + "nm-killswitch_0_amd64.deb", file.read())
    type_in(machine, README, "sudo apt install ./nm-killswitch_*.deb")
    assert_leak(machine, "installed, and nothing armed")
    type_in(machine, README, "nmcli connection modify my-vpn connection.zone killswitch")
    assert_blocked(machine, "armed")
    type_in(machine, README, "nmcli connection up my-vpn")
    assert_tunnel(machine, "up")
    type_in(machine, README, "nm-killswitch status")
    compare(type_in(machine, README, "sudo nm-killswitch status"), documents.block_after(README, "## What you see"), "status")
    compare(type_in(machine, README, "sudo nm-killswitch check"), documents.block_after(README, "Four of its lines:"), "check")
    check("my-vpn" in type_in(machine, README, "nm-killswitch list"), "list")
    type_in(machine, README, 'nmcli connection modify my-vpn connection.zone ""')
    type_in(machine, README, "nm-killswitch enable my-vpn")
    assert_tunnel(machine, "enabled")
    type_in(machine, README, "nm-killswitch disable my-vpn")
    machine.run("nmcli connection down my-vpn")
    assert_leak(machine, "off again")


@test
def the_other_commands_of_readme_and_the_manual_page_do_what_they_say():
    machine = _reader(at.installed())
    type_all(machine, MANUAL, "nmcli connection modify PROFILE connection.zone killswitch",
             'nmcli connection modify PROFILE connection.zone ""', "nmcli connection modify my-vpn connection.zone killswitch",
             "nmcli connection up my-vpn", "nm-killswitch status")
    said = type_all(machine, MANUAL, "ip rule | grep killswitch", "ip -6 rule | grep killswitch",
                    "ip route show table killswitch", "nft list table inet nm_killswitch", "journalctl -t nm-killswitch",
                    "journalctl -t nm-killswitch KILLSWITCH_STATE=blocking")
    for command, output in said.items():
        check(output.strip(), f"{command} shows nothing")
    type_in(machine, MANUAL, "nm-killswitch release")
    machine.run("nmcli connection down my-vpn")
    assert_leak(machine, "released")
    type_in(machine, MANUAL, "nm-killswitch resume")
    assert_blocked(machine, "resumed")
    type_all(machine, MANUAL, "systemd-run --unit=undo-killswitch --on-active=10min nm-killswitch release",
             "systemctl stop undo-killswitch.timer")
    type_all(machine, README, "sudo nm-killswitch sync", "journalctl -t nm-killswitch", "ip rule", "sudo nm-killswitch selftest")
    type_in(machine, "docs/status-json.md", "nm-killswitch sync")
    type_in(machine, "docs/vpns.md", "nmcli connection modify UPLINK +ipv4.dns-options edns0")
    type_all(machine, "SECURITY.md", "nm-killswitch status --json", "nm-killswitch check", "ip route show table all",
             "nft list ruleset")
    type_all(machine, "docs/build.md", "sudo systemctl daemon-reload", "sudo systemctl enable nm-killswitch-boot.service",
             "sudo systemctl enable --now nm-killswitch-sync.path nm-killswitch-names.path nm-killswitch-heal.socket",
             "sudo systemctl --global enable nm-killswitch-notify.path nm-killswitch-notify.service")
    type_in(machine, "man/nm-killswitch-notify.8",
            "systemctl --global disable nm-killswitch-notify.path nm-killswitch-notify.service")
    for command in ("sudo nm-killswitch release", "sudo nm-killswitch resume"):
        type_in(machine, README, command)
    assert_blocked(machine, "after all that")


@test
def the_way_from_wg_quick_is_as_migration_says():
    machine = at.installed()
    machine.push("/usr/bin/sudo", SUDO, 0o755)
    vpn = at.vpns.vpn
    profile = machine.run(f"cat /etc/NetworkManager/system-connections/{vpn.name}.nmconnection").stdout
    key, peer = re.search(r"private-key=(.*)", profile)[1], re.search(r"\[wireguard-peer\.(.*)\]", profile)[1]
    machine.run(f"nmcli connection delete {vpn.name}")
    machine.push("/etc/wireguard/wg0.conf", f"""[Interface]
PrivateKey = {key}
Address = {vpn.client_address}/24
PostUp = iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
PreDown = iptables -D OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
[Peer]
PublicKey = {peer}
Endpoint = {SERVER}:{vpn.port}
AllowedIPs = 0.0.0.0/0
""", 0o600)
    machine.run("systemctl enable --now wg-quick@wg0", timeout=120)
    check(ping(machine, PUBLIC), "wg-quick's tunnel works")
    check(type_in(machine, MIGRATION, "wg show").strip() and type_in(machine, MIGRATION, "ip link"), "its interface shows")
    for command in shown[MIGRATION][:6]:
        type_in(machine, MIGRATION, command)
    check("protected" in type_in(machine, MIGRATION, "sudo nm-killswitch status"), "it is protected")
    check(ping(machine, PUBLIC), "NetworkManager's tunnel works")
    type_all(machine, MIGRATION, "sudo nm-killswitch check", "ip rule", "ip -6 rule")
    machine.run("nmcli connection down home")
    assert_blocked(machine, "armed, and down")
    # or keep wg-quick, with the section that the page shows
    section = documents.block_after(MIGRATION, "Or keep wg-quick.")
    machine.run("nmcli connection delete home; sed -i '/^P[a-z]*\\(Up\\|Down\\)/d' /etc/wireguard/wg0.conf")
    machine.run("cat >>/etc/nm-killswitch.conf", stdin="\n".join(section) + "\n")
    wait_idle(machine)
    assert_blocked(machine, "armed by the section")
    machine.run("systemctl start wg-quick@wg0", timeout=120)
    wait_idle(machine)
    check(ping(machine, PUBLIC), "wg-quick's tunnel works while armed")
    check("protected" in type_in(machine, MIGRATION, "sudo nm-killswitch status"), "wg-quick is protected")


@test
def every_command_shown_was_typed():
    left = {path: [command for command in commands if command not in typed and command not in ELSEWHERE]
            for path, commands in shown.items()}
    equal({path: commands for path, commands in left.items() if commands}, {}, "commands that nobody has typed")
    stale = [command for command in ELSEWHERE if not any(command in commands for commands in shown.values())]
    equal(stale, [], "not shown any more")


if __name__ == "__main__":
    main(at.set_up)
