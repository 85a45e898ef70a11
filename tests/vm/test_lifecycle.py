"""Never stuck: every change of a profile or the configuration takes effect, whoever makes it and in whatever way.

A prober sends from the machine all the time (both families, root and an
unprivileged user, sockets bound to the uplink and unbound), and the wire is
watched from outside. Nothing here calls the product to make it notice a change.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, equal, main, test
from kstest.vm import PATIENCE
from kstest.vm_life import (SYNC, all_probes, assert_prober_leaks, chase, cpu_ms, edit_zone, now, quiet,
                            wait_armed, wait_released, wait_rule, wait_same, wait_server)
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PROFILES, SERVER, arm, assert_blocked, assert_leak, assert_tunnel, assert_tunnel_unprotected,
                           disarm, load_profile, up, wait_idle)

at = Stages("lifecycle")


# Controls: without the kill switch the same packets are on the wire

@test
def without_kill_switch_everything_sent_is_seen():
    machine = at.clean()
    assert_leak(machine, "not installed", lambda: all_probes(machine))
    assert_prober_leaks(machine)


@test
def the_package_enables_and_starts_its_units():
    machine = at.installed()
    wait_idle(machine)
    for unit in ("nm-killswitch-boot.service", "nm-killswitch-sync.path", "nm-killswitch-heal.socket"):
        machine.run(["systemctl", "is-enabled", unit])
    for unit in ("nm-killswitch-sync.path", "nm-killswitch-settings.path", "nm-killswitch-heal.socket"):
        machine.run(["systemctl", "is-active", unit])
    # both families' rules, routes and addresses (groups 8, 19, 7, 11, 5, 9) and links (group 1), and nftables (group 7)
    for family, mask in (("0", "000405d1"), ("12", "00000040")):
        held = machine.run(f"awk '$2 == {family} {{ print $4 }}' /proc/net/netlink").stdout.split()
        check(mask in held, f"nobody listens to netlink {family}, groups {mask}: {held}")
    equal(machine.run("pgrep -x nm-killswitch", check=False).stdout, "", "programs of ours")


# Changes of profiles and configuration take effect by themselves

@test
def profiles_in_networkmanagers_configured_directory_are_followed():
    machine, vpn = at.installed(), at.vpns.vpn
    machine.run(f"cp -a {PROFILES} /srv/profiles; mkdir /srv/old; mv {PROFILES}/*vpn* /srv/old")
    machine.push("/etc/NetworkManager/conf.d/90-path.conf", "[keyfile]\npath=/srv/profiles\n")
    machine.run("systemctl daemon-reload; systemctl restart NetworkManager")
    machine.wait_online()
    arm(machine, vpn)
    assert_blocked(machine, "armed in /srv/profiles")
    disarm(machine, vpn)
    assert_leak(machine, "disarmed in /srv/profiles")
    # a profile that NetworkManager does not know arms nothing
    machine.run(f"sed -i 's/^\\[connection\\]/&\\nzone=killswitch/' /srv/old/{vpn.name}.nmconnection;"
                f" mv /srv/old/{vpn.name}.nmconnection {PROFILES}")
    time.sleep(3 * PATIENCE)
    wait_idle(machine)
    assert_leak(machine, "armed in the directory that is not used")


def _toggle_down_and_up(what, on, off):
    """ON arms and OFF releases, with the VPN down and up; both are commands that a person types."""
    machine, vpn = at.installed(), at.vpns.vpn
    machine.run(on)
    wait_armed(machine, f"{what}, down")
    wait_idle(machine)
    quiet(at.machine, f"{what}, down")
    machine.run(off)
    wait_released(machine, f"{what}, down")
    wait_same(machine, at.vpns.before, f"{what}, down")
    up(machine, vpn)
    machine.run(on)
    wait_armed(machine, f"{what}, up")
    wait_idle(machine)
    assert_tunnel(machine, f"{what}, up")
    quiet(at.machine, f"{what}, up")
    machine.run(off)
    wait_released(machine, f"{what}, up")
    assert_tunnel_unprotected(machine, f"{what}, up, released")


@test
def modifying_temporarily_takes_effect():
    _toggle_down_and_up("modify --temporary", "nmcli connection modify --temporary my-vpn connection.zone killswitch",
                        "nmcli connection modify --temporary my-vpn connection.zone ''")


@test
def an_edited_keyfile_takes_effect():
    at.installed()
    reload = "; nmcli connection reload"
    _toggle_down_and_up("edited", edit_zone(at.vpns.vpn, "killswitch") + reload, edit_zone(at.vpns.vpn, "") + reload)


@test
def a_loaded_keyfile_takes_effect():
    machine = at.installed()
    keyfile = machine.pull(f"{PROFILES}/my-vpn.nmconnection").decode()
    loaded = keyfile.replace("id=my-vpn", "id=loaded\nzone=killswitch").replace("66666666-6666", "66666666-7777")
    load_profile(machine, "loaded", loaded.replace("wg0", "wg7"))
    wait_armed(machine, "loaded")
    wait_idle(machine)
    quiet(at.machine, "loaded")
    machine.run(f"rm {PROFILES}/loaded.nmconnection; nmcli connection reload")
    wait_released(machine, "file removed")
    wait_same(machine, at.vpns.before, "file removed")


@test
def deleting_the_armed_profile_releases_down_and_up():
    machine = at.armed()
    machine.run("nmcli connection delete my-vpn")
    wait_released(machine, "deleted while down")
    wait_same(machine, at.vpns.before, "deleted while down")
    machine = at.armed_up()
    machine.run("nmcli connection delete my-vpn")
    wait_released(machine, "deleted while up")
    wait_same(machine, at.vpns.before, "deleted while up")
    assert_leak(machine, "deleted", lambda: all_probes(machine))


@test
def a_clone_of_an_armed_profile_is_armed_too():
    machine = at.armed()
    quiet(at.machine, "cloned", lambda: machine.run("nmcli connection clone my-vpn copy"))
    machine.run("nmcli connection delete my-vpn")
    wait_idle(machine)
    assert_blocked(machine, "only the clone is left")
    machine.run("nmcli connection delete copy")
    wait_same(machine, at.vpns.before, "the clone deleted")


@test
def an_imported_vpn_can_be_armed():
    machine = at.installed()
    key = machine.run("wg genkey").stdout.strip()
    machine.push("/tmp/wg9.conf", f"[Interface]\nPrivateKey = {key}\nListenPort = 40009\nAddress = 10.99.0.2/24\n\n"
                 f"[Peer]\nPublicKey = {at.vpns.vpn.client_peer}\nEndpoint = 203.0.113.10:51899\n"
                 "AllowedIPs = 0.0.0.0/0\n")
    machine.run("nmcli connection import type wireguard file /tmp/wg9.conf;"
                " nmcli connection modify wg9 connection.autoconnect no connection.zone killswitch;"
                " nmcli --wait 20 connection down wg9", check=False)
    wait_armed(machine, "imported")
    wait_server(machine, SERVER, "its server is exempted")
    wait_rule(machine, "dport 51899 .*lookup 86", "its port is exempted")
    quiet(at.machine, "imported")
    machine.run("nmcli connection delete wg9")
    wait_same(machine, at.vpns.before, "deleted")


@test
def changed_settings_take_effect():
    machine = at.armed()
    config, lan = "/etc/nm-killswitch.conf", "^8330:"
    original = machine.pull(config)
    wait_rule(machine, lan, "the LAN is reachable")
    machine.run(f"sed -i s/^#Lan=.*/Lan=off/ {config}")         # replaces the file, as most editors do
    wait_rule(machine, lan, "Lan=off", present=False)
    machine.run(f"echo '[main]' > {config}; echo Dns=lan >> {config}")  # writes into it
    wait_rule(machine, lan, "Lan is back")
    wait_rule(machine, "^8310:", "Dns=lan", present=False)
    machine.run(f"rm {config}")
    wait_rule(machine, "^8310:", "no file: the defaults")
    machine.push(config, original.replace(b"#Zones=killswitch", b"Zones=another"))
    wait_released(machine, "another zone")
    machine.push(config, original)
    wait_armed(machine, "the first zone again")
    wait_idle(machine)
    quiet(at.machine, "settings")


def _burst(count, last):
    """Replace the profile's file COUNT times as fast as possible, with the zone LAST in the end."""
    other = "" if last else "killswitch"
    odd, even = edit_zone(at.vpns.vpn, other), edit_zone(at.vpns.vpn, last)
    return f"for i in $(seq {count // 2}); do {odd}; {even}; done"


@test
def the_last_of_a_burst_of_changes_counts():
    machine = at.armed()
    for last in ("", "killswitch"):
        since = now(machine)
        machine.run(_burst(60, last), timeout=120)
        (wait_armed if last else wait_released)(machine, f"60 changes, at the end {last or 'off'}")
        wait_idle(machine)
        runs, used = cpu_ms(machine, since, SYNC)
        print(f"        60 changes in a row, at the end {last or 'off'}: {runs} runs, {used:.0f} ms of CPU")
        check(runs <= 60, f"{runs} runs")
        (wait_armed if last else wait_released)(machine, "and it stays so")
    quiet(at.machine, "after the burst")


@test
def the_last_of_a_burst_of_nmcli_changes_counts():
    machine = at.armed()
    for last in ("", "killswitch"):
        other = "" if last else "killswitch"
        machine.run(f"for i in 1 2 3 4 5; do nmcli connection modify my-vpn connection.zone '{other}';"
                    f" nmcli connection modify my-vpn connection.zone '{last}'; done", timeout=120)
        (wait_armed if last else wait_released)(machine, f"at the end {last or 'off'}")


@test
def a_change_just_as_the_service_ends_is_not_missed():
    machine, vpn = at.armed(), at.vpns.vpn
    path = f"{PROFILES}/my-vpn.nmconnection"
    for number in range(4):
        # first released, then armed again at the worst moment; and the other way round
        wait_idle(machine)
        machine.run(f"cp -p {path} /root/other; sed -i /^zone=/d /root/other")
        chase(machine, vpn, "/root/other")
        wait_armed(machine, f"pair {number}: armed again", timeout=10)
        wait_idle(machine)
        wait_armed(machine, f"pair {number}: armed again and it stays so", timeout=10)
    for pause in range(0, 100, 25):
        machine.run(f"{edit_zone(vpn, '')}; sleep {pause / 1000}; {edit_zone(vpn, 'killswitch')}")
        time.sleep(0.3)
        wait_armed(machine, f"two changes {pause} ms apart", timeout=10)
        wait_idle(machine)
        wait_armed(machine, f"two changes {pause} ms apart, and it stays so", timeout=10)


if __name__ == "__main__":
    main(at.set_up)
