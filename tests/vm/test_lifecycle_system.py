"""Never stuck: sleep, crashes, full disks, upgrades and removal of an armed machine.

Nothing gets out meanwhile. In the end, the machine is armed and its VPN works, or
it is as if the kill switch had never been installed.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import Skip, check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import all_probes, edit_zone, quiet, wait_armed, wait_released, wait_rule, wait_same
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, assert_blocked, assert_kept_up, assert_leak, assert_tunnel, assert_tunnel_unprotected,
                           disarm, down, install, is_active, package, ping, purge, up, wait_idle)

SLEEP = "busctl call org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Sleep b"
NEWER, FORMER = "/tmp/nm-killswitch-newer.deb", "/tmp/nm-killswitch-former.deb"
DPKG = "dpkg --force-unsafe-io"
RUNTIME = "/run/nm-killswitch"
at = Stages("lifecycle-system")


@functools.cache
def _other_version(version, change=None):
    """The package under test with another VERSION and a CHANGE of the tree of its files."""
    if not shutil.which("dpkg-deb"):
        raise Skip("dpkg-deb is not installed")
    with tempfile.TemporaryDirectory() as directory:
        tree, path = os.path.join(directory, "tree"), os.path.join(directory, "other.deb")
        subprocess.run(["dpkg-deb", "-R", package(), tree], check=True, timeout=60)
        control = os.path.join(tree, "DEBIAN", "control")
        subprocess.run(["sed", "-i", f"s/^Version: .*/Version: {version}/", control], check=True, timeout=10)
        if change:
            change(tree)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, path], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        with open(path, "rb") as file:
            return file.read()


def _with_newer(machine):
    """MACHINE, with the newer package at hand."""
    machine.push(NEWER, _other_version("99-1"))
    return machine


def _rename_program(tree):
    """The dispatcher's program and the links to it have another name, and there is one unit more."""
    dispatcher = os.path.join(tree, "usr/lib/NetworkManager/dispatcher.d")
    for directory in ("no-wait.d", "", "pre-up.d", "pre-down.d"):
        old, new = (os.path.join(dispatcher, directory, name) for name in ("10-killswitch", "05-killswitch"))
        if os.path.islink(old):
            os.symlink(os.readlink(old).replace("10-", "05-"), new)
            os.unlink(old)
        else:
            os.rename(old, new)
    boot, = (os.path.join(tree, path, "nm-killswitch-boot.service") for path in ("lib/systemd/system", "usr/lib/systemd/system")
             if os.path.exists(os.path.join(tree, path, "nm-killswitch-boot.service")))
    shutil.copy(boot, boot.replace("-boot", "-former"))


def _works_again(what, was_up):
    """WireGuard protects: it is still up if it WAS_UP, and can be brought up otherwise."""
    machine = at.machine
    if was_up:
        assert_kept_up(machine, at.vpns.vpn, what)
    else:
        up(machine, at.vpns.vpn)
        assert_tunnel(machine, what)
    quiet(at.machine, what)


@test
def without_kill_switch_everything_sent_is_seen():
    machine = at.clean()
    assert_leak(machine, "not installed", lambda: all_probes(machine))


# Sleep, crashes, and missing parts

@test
def sleeping_and_waking_leaks_nothing():
    machine = at.armed_up()
    quiet(at.machine, "asleep", lambda: (machine.run(f"{SLEEP} true"), all_probes(machine)))
    quiet(at.machine, "waking up", lambda: (machine.run(f"{SLEEP} false"), machine.wait_online(), all_probes(machine)))
    _works_again("awake", was_up=True)


@test
def a_killed_networkmanager_leaks_nothing():
    for build in (at.armed, at.armed_up):
        machine = build()
        quiet(at.machine, "killed", lambda: (machine.run("pkill -9 -x NetworkManager"), all_probes(machine)))
        machine.wait_online()
        _works_again("NetworkManager is back", was_up=build == at.armed_up)


@test
def a_killed_networkmanager_with_a_plugin_leaks_nothing():
    machine = at.armed_plugin_up()
    quiet(at.machine, "killed", lambda: (machine.run("pkill -9 -x NetworkManager"), all_probes(machine)))
    machine.wait_online()
    wait_idle(machine)
    quiet(at.machine, "NetworkManager is back")
    check(not is_active(machine, at.vpns.plugin), "a plugin's VPN outlived NetworkManager")
    up(machine, at.vpns.plugin)
    assert_tunnel(machine, "up again")


@test
def the_setting_can_be_turned_off_while_networkmanager_is_stopped():
    for build in (at.armed, at.armed_up):
        machine = build()
        quiet(at.machine, "stopped", lambda: (machine.run("systemctl stop NetworkManager"), all_probes(machine)))
        machine.run(edit_zone(at.vpns.vpn, ""))
        wait_released(machine, "turned off while NetworkManager is down")
        check(ping(machine, PUBLIC), "off-line")
    machine = at.armed()
    machine.run("systemctl stop NetworkManager")
    machine.run(edit_zone(at.vpns.vpn, ""))
    wait_same(machine, at.vpns.before, "turned off while NetworkManager is down")
    assert_leak(machine, "turned off while NetworkManager is down", lambda: all_probes(machine))


@test
def without_d_bus_it_blocks_and_can_be_turned_off():
    machine = at.armed()
    machine.run("pkill -STOP -x dbus-daemon")
    try:
        quiet(at.machine, "D-Bus hangs", lambda: (machine.run("timeout 60 nm-killswitch sync", timeout=90), all_probes(machine)))
        machine.run("ip rule del priority 8380")
        wait_rule(machine, "^8380:", "repaired while D-Bus hangs")
        machine.run(edit_zone(at.vpns.vpn, ""))
        wait_released(machine, "turned off while D-Bus hangs")
        machine.run(edit_zone(at.vpns.vpn, "killswitch"))
        wait_armed(machine, "turned on while D-Bus hangs")
    finally:
        machine.run("pkill -CONT -x dbus-daemon")
    machine.run("nmcli connection reload", timeout=90)
    _works_again("D-Bus goes on", was_up=False)


@test
def with_d_bus_stopped_a_tunnel_that_is_up_stays():
    machine = at.armed_up()
    quiet(at.machine, "D-Bus stopped", lambda: (machine.run("systemctl stop dbus.socket dbus", check=False, timeout=90),
                                     machine.run("nm-killswitch sync", check=False, timeout=90),
                                     all_probes(machine)), journal=False)
    assert_tunnel(machine, "D-Bus stopped")
    machine.run(["ip", "link", "delete", at.vpns.vpn.device])
    quiet(at.machine, "device deleted")


FILL = "fallocate -l $(($(stat -f -c '%a * %S' /var/lib) - 4096)) /var/lib/full 2>/dev/null; " \
       "dd if=/dev/zero of=/var/lib/full2 bs=4k 2>/dev/null; dd if=/dev/zero of=/run/full bs=4k 2>/dev/null; " \
       "df --output=avail /var/lib /run"


@test
def with_full_disks_it_arms_repairs_and_releases():
    machine = at.armed()
    machine.run("cp /etc/NetworkManager/system-connections/my-vpn.nmconnection /dev/shm/on;"
                " sed 's/^zone=/#one=/' /dev/shm/on > /dev/shm/off")
    # NetworkManager could not write a new file; a shortened one would lose its only block to another program
    on, off = (f"dd if=/dev/shm/{name} of=/etc/NetworkManager/system-connections/my-vpn.nmconnection conv=notrunc"
               for name in ("on", "off"))
    free = machine.run(FILL, timeout=120).stdout.split()
    check(int(free[1]) < 64 and int(free[2]) < 64, f"not full: {free}")
    quiet(at.machine, "full", lambda: (machine.run("ip rule del priority 8380"),
                            wait_rule(machine, "^8380:", "repaired with full disks"), all_probes(machine)),
           journal=False)
    up(machine, at.vpns.vpn)
    assert_tunnel(machine, "full")
    down(machine, at.vpns.vpn)
    assert_blocked(machine, "full")
    machine.run(off)
    wait_released(machine, "turned off with full disks")
    machine.run(on)
    wait_armed(machine, "turned on with full disks")
    machine.run("nm-killswitch release", check=False)
    wait_released(machine, "released with full disks")
    check(ping(machine, PUBLIC), "off-line")
    machine.run("rm /var/lib/full* /run/full; nm-killswitch resume")
    _works_again("room again", was_up=False)


@test
def a_wiped_runtime_directory_leaks_nothing():
    for build in (at.armed, at.armed_up):
        machine = build()
        machine.run(f"rm -rf {RUNTIME} && nft delete table inet nm_killswitch")
        wait_armed(machine, "repaired")  # until then, nothing stops sockets bound to the uplink
        wait_idle(machine)
        quiet(machine, "wiped and repaired")
        quiet(machine, "wiped", lambda: (machine.run(f"rm -rf {RUNTIME}"), all_probes(machine)))
        machine.run("nm-killswitch sync")
        _works_again("wiped", was_up=build == at.armed_up)


# Release and resume

@test
def release_puts_the_machine_online_and_resume_arms_again():
    machine = at.armed()
    machine.run("nm-killswitch release")
    wait_same(machine, at.vpns.before, "released")
    assert_leak(machine, "released", lambda: all_probes(machine))
    # it stays so whatever happens
    machine.run("nmcli connection up lan; nmcli connection modify my-vpn connection.autoconnect no;"
                " systemctl restart NetworkManager")
    machine.wait_online()
    up(machine, at.vpns.vpn)
    down(machine, at.vpns.vpn)
    wait_idle(machine)
    wait_same(machine, at.vpns.before, "still released")
    machine.run("nm-killswitch resume")
    wait_armed(machine, "resumed")
    wait_idle(machine)
    quiet(at.machine, "resumed")
    _works_again("resumed", was_up=False)


@test
def release_while_up_leaves_a_working_vpn():
    for build, vpn in ((at.armed_up, at.vpns.vpn), (at.armed_plugin_up, at.vpns.plugin)):
        machine = build()
        vpn = vpn or at.vpns.plugin
        machine.run("nm-killswitch release")
        wait_released(machine, "released")
        assert_tunnel_unprotected(machine, "released while up")
        machine.run("nm-killswitch resume")
        wait_armed(machine, "resumed")
        assert_tunnel(machine, "resumed while up")
        quiet(at.machine, "resumed while up")


# The package

_GAPS = """
import subprocess, time
last = time.monotonic(); longest = 0
while True:
    if subprocess.run(["ping", "-n", "-c1", "-W1", "198.51.100.1"], stdout=subprocess.DEVNULL).returncode == 0:
        now = time.monotonic(); longest = max(longest, now - last); last = now
        print(f"{longest:.1f}", flush=True)
    time.sleep(0.1)
"""


@test
def an_upgrade_leaks_nothing_and_keeps_the_tunnel():
    for build, what in ((at.armed, "down"), (at.armed_up, "up")):
        machine = _with_newer(build())
        job = machine.spawn(["python3", "-I", "-c", _GAPS]) if what == "up" else None
        quiet(at.machine, f"upgrade while {what}", lambda: machine.run(["dpkg", "--force-unsafe-io", "--install", NEWER], timeout=180))
        if job:
            time.sleep(2)
            job.kill()
            said = job.wait(30).stdout.split()
            check(said, "no ping came back through the tunnel during the upgrade")
            longest = float(said[-1])
            print(f"        the tunnel's longest gap during the upgrade: {longest:.1f} s")
            check(longest < 10 * PATIENCE, f"the tunnel was interrupted for {longest} s")
        check("99-1" in machine.run("dpkg-query -W -f '${Version}' nm-killswitch").stdout, "not upgraded")
        wait_idle(machine)
        for unit in ("nm-killswitch-sync.path", "nm-killswitch-heal.socket"):
            machine.run(["systemctl", "is-active", unit])
        quiet(at.machine, f"upgraded while {what}")
        _works_again(f"upgraded while {what}", was_up=what == "up")
        disarm(machine, at.vpns.vpn)
        down(machine, at.vpns.vpn)
        wait_same(machine, at.vpns.before, "upgraded, disarmed")


# Events all the time, so that dpkg replaces the dispatcher's program while it runs.
# nmcli would take more of an emulated processor than all else here.
EVENTS = """
    call="busctl call org.freedesktop.NetworkManager"
    manager="/org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
    device=$($call $manager GetDeviceByIpIface s eth0 | cut -d'"' -f2)
    while :; do
        $call $device org.freedesktop.NetworkManager.Device Reapply 'a{sa{sv}}tu' 0 0 0 && echo reapplied
        $call $manager Reload u 2 && echo reloaded
        sleep 1
    done"""


@test
def a_downgrade_and_an_upgrade_that_rename_the_program_leak_nothing():
    machine = at.armed_up()
    machine.push(FORMER, _other_version("0-1", _rename_program))
    machine.push(NEWER, _other_version("99-1"))
    for deb, name in ((FORMER, "05-killswitch"), (NEWER, "10-killswitch")):
        job = machine.spawn(EVENTS)
        quiet(machine, f"installing {deb}", lambda deb=deb: machine.run(f"{DPKG} --install {deb}", timeout=180))
        job.kill()
        said = job.wait(30).stdout
        check("reapplied" in said and "reloaded" in said, f"there were no events: {said}")
        files = machine.run("cd /usr/lib/NetworkManager/dispatcher.d && ls -d *killswitch */*killswitch").stdout.split()
        equal(sorted(files), sorted(f"{directory}{name}" for directory in ("", "no-wait.d/", "pre-down.d/", "pre-up.d/")), "programs")
        wait_idle(machine)
        _works_again(f"{deb} installed", was_up=True)


# A run of the old program, stopped while dpkg replaces its file, and let go on before the new one is set up.
_REPLACED = f"""
    while :; do
        nm-killswitch sync & pid=$!
        until grep -q "^[0-9]*: FLOCK .* $pid " /proc/locks; do kill -0 $pid || continue 2; done
        kill -STOP $pid
        grep -q "^State:.T" /proc/$pid/status && break
        wait $pid
    done
    {DPKG} --unpack {NEWER}
    readlink /proc/$pid/exe
    kill -CONT $pid
    wait $pid
    {DPKG} --configure nm-killswitch"""


@test
def a_run_whose_program_is_replaced_meanwhile_leaks_nothing():
    machine = _with_newer(at.armed())
    said = []
    quiet(machine, "upgrade", lambda: said.append(machine.run(_REPLACED, timeout=180).stdout))
    check("nm-killswitch (deleted)" in said[0], f"the run had ended before: {said[0]}")
    wait_idle(machine)
    quiet(machine, "upgraded")
    _works_again("upgraded", was_up=False)


@test
def removing_restores_the_host_and_installing_again_arms_at_once():
    machine = at.armed_up()
    machine.run(f"sed -i s/^#Transport=.*/Transport=beside/ /etc/nm-killswitch.conf; {DPKG} --remove nm-killswitch", timeout=180)
    wait_released(machine, "removed")
    assert_tunnel_unprotected(machine, "removed while up")
    down(machine, at.vpns.vpn)
    wait_same(machine, at.vpns.before, "removed")
    assert_leak(machine, "removed", lambda: all_probes(machine))
    install(machine)
    quiet(machine, "installed again")
    check("\nTransport=beside\n" in machine.run("cat /etc/nm-killswitch.conf").stdout, "the settings are gone")
    _works_again("installed again", was_up=False)
    purge(machine)
    down(machine, at.vpns.vpn)
    wait_same(machine, at.vpns.before, "purged")


@test
def purging_while_a_plugin_vpn_is_up_restores_every_rule():
    # WireGuard, up and down: test_wireguard.py
    machine = at.armed_plugin_up()
    purge(machine)
    assert_tunnel_unprotected(machine, "purged while up")
    check("203.0.113.10" in machine.run("ip route show table main protocol 83").stdout, "no host route kept it working")
    down(machine, at.vpns.plugin)
    wait_same(machine, at.vpns.before, "purged, and the VPN ended")
    wait_for(lambda: not machine.run("systemctl list-units --all --plain --no-legend 'vpn-host-route*'").stdout, 20,
             "the unit that took the host route away is gone")
    assert_leak(machine, "purged", lambda: all_probes(machine))


def _kill_dpkg(machine, word):
    """Begin the upgrade, and kill dpkg and its scripts as soon as the package's state is WORD."""
    machine.run(f"""
        setsid dpkg -i {NEWER} </dev/null >/dev/null 2>&1 &
        pid=$!
        for i in $(seq 2000); do
            grep -A1 '^Package: nm-killswitch$' /var/lib/dpkg/status /var/lib/dpkg/updates/* 2>/dev/null |
                grep -q '{word}' && break
            kill -0 $pid 2>/dev/null || break
            sleep 0.01
        done
        kill -9 -- -$pid; wait $pid; true""", timeout=120)
    return machine.run("dpkg-query -W -f '${db:Status-Abbrev}' nm-killswitch").stdout


@test
def an_upgrade_killed_half_way_can_be_purged():
    for word in ("half-installed", "unpacked"):
        machine = _with_newer(at.armed())
        states = []
        quiet(at.machine, f"killed when {word}", lambda: states.append(_kill_dpkg(machine, word)))
        print(f"        killed when {word}: {states[0]}")
        quiet(at.machine, f"killed when {word}")
        machine.run("dpkg --purge --force-remove-reinstreq nm-killswitch", timeout=180)
        wait_same(machine, at.vpns.before, f"purged after it was killed when {word}")
        assert_leak(machine, "purged", lambda: all_probes(machine))


@test
def an_upgrade_killed_half_way_can_be_repeated():
    machine = _with_newer(at.armed_up())
    quiet(at.machine, "killed", lambda: _kill_dpkg(machine, "half-installed"))
    assert_tunnel(machine, "half way")
    quiet(at.machine, "repeated", lambda: machine.run(f"dpkg -i {NEWER}", timeout=180))
    _works_again("repeated", was_up=True)
    disarm(machine, at.vpns.vpn)
    down(machine, at.vpns.vpn)
    wait_same(machine, at.vpns.before, "disarmed")


@test
def a_killed_removal_leaves_nobody_stuck():
    machine = at.armed()
    machine.run("""setsid dpkg --purge nm-killswitch </dev/null >/dev/null 2>&1 & pid=$!; sleep 0.7
        kill -9 -- -$pid; wait $pid; true""")
    wait_idle(machine)
    machine.run("dpkg --configure -a; dpkg --purge --force-remove-reinstreq nm-killswitch", timeout=180)
    wait_same(machine, at.vpns.before, "purged at the second attempt")
    check(ping(machine, PUBLIC), "off-line")


if __name__ == "__main__":
    main(at.set_up)
