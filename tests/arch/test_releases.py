#!/usr/bin/env python3
"""The Debian package built, judged, installed, upgraded and purged on each Debian release, and its tests for autopkgtest.

In a change root, so nothing of it touches a kernel but where a test makes a network namespace: what the installed system
does when it runs is tested in virtual machines (tests/vm).
"""

import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.chroot import ROOT, Chroot
from kstest.runner import at_exit, check, equal, main, test

RELEASES = ("bookworm", "trixie")
FOREIGN = {"bookworm": ("i386", "arm64", "s390x")}


@functools.cache
def _chroot(release):
    # one directory for this file and test_architectures.py
    if release == "bookworm":
        from test_architectures import _chroot as shared    # pylint: disable=import-outside-toplevel
        return shared()
    return Chroot(release)


@functools.cache
def _built(release):
    """The paths in the chroot of what the package is there: {suffix: path}."""
    chroot = _chroot(release)
    out = tempfile.mkdtemp(prefix="ks-releases-")
    at_exit(shutil.rmtree, out, True)
    with open(os.path.join(ROOT, "NEWS.md"), encoding="utf-8") as file:
        version = file.readline().split()[-1]
    subprocess.run(["packaging/dist", version], cwd=ROOT, env={**os.environ, "DIST_DIR": out}, check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    archive, = glob.glob(f"{out}/*.tar.xz")
    chroot.unpack(archive, "/build/native/source")
    chroot.run(f"cd /build/native/source; DEB_DIR=/build/native/deb packaging/deb/build {version}", DEB_BUILD_OPTIONS="nocheck")
    found = glob.glob(chroot.path("/build/native/deb/*"))
    return {suffix: path.removeprefix(chroot.root) for path in found for suffix in (".deb", ".changes", ".dsc") if path.endswith(suffix)}


def _with_package(release, script):
    """Run the SCRIPT where the package is installed, which is removed again; returns its output."""
    chroot, package = _chroot(release), _built(release)[".deb"]
    try:
        return chroot.run(f"dpkg --install {package} >/dev/null 2>&1; {script}")
    finally:
        chroot.run("dpkg --purge nm-killswitch")


@test
def lintian_reports_nothing_on_any_release():
    for release in RELEASES:
        changes = _built(release)[".changes"]
        equal(_chroot(release).lintian(changes), "", f"tags on {release}")


@test
def units_are_where_the_release_expects_them():
    for release, directory in (("bookworm", "./lib/systemd/system/"), ("trixie", "./usr/lib/systemd/system/")):
        contents = _chroot(release).run(f"dpkg-deb -c {_built(release)['.deb']}")
        check(f" {directory}nm-killswitch-boot.service\n" in contents, f"{release}: {contents}")
        check(release == "bookworm" or not re.search(r" \./(lib|bin|sbin)/", contents), f"{release}: outside /usr: {contents}")
        enabled = _with_package(release, "systemctl is-enabled nm-killswitch-boot.service nm-killswitch-sync.path"
                                         " nm-killswitch-names.path nm-killswitch-heal.socket")
        equal(enabled.split(), ["enabled"] * 4, f"units on {release}")


@test
def ip_knows_the_names_on_every_release():
    for release in RELEASES:
        script = "ip link add eth0 type veth peer name other; ip link set eth0 up; ip rule add lookup {} protocol {}; ip rule"
        said = _with_package(release, script.format("killswitch-servers", "killswitch"))
        check("lookup killswitch-servers proto killswitch" in said, f"{release}: {said}")
        # control: the names are the package's
        said = _chroot(release).run(script.format("killswitch-servers", "killswitch"), ok=False)
        check("killswitch-servers" not in said.replace("\"killswitch-servers\"", "").partition("lookup")[2], f"{release}: {said}")


@test
def selinuxs_policy_takes_the_module_on_any_release():
    program = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch"
    label = f"matchpathcon -n -f /etc/selinux/default/contexts/files/file_contexts {program}"
    module = "/usr/share/nm-killswitch/nm-killswitch.cil"
    for release, label_without in (("bookworm", "lib_t"), ("trixie", "NetworkManager_initrc_exec_t")):
        said = _with_package(release, f"{label}; semodule -n -s default -i {module} >/dev/null 2>&1;"
                                      f" {label}; semodule -n -s default -r nm-killswitch >/dev/null 2>&1; {label}")
        equal(said.split(), [f"system_u:object_r:{name}:s0" for name in (label_without, "initrc_exec_t", label_without)],
              f"labels on {release}, without the module, with it, and without again")


@test
def an_upgrade_and_a_purge_leave_nothing_behind():
    for release in RELEASES:
        chroot, package = _chroot(release), _built(release)[".deb"]
        listing = "find / -xdev \\( -path /proc -o -path /build -o -path /var/cache -o -path /var/log -o -path /var/lib/dpkg" \
                  " -o -path /run -o -path /tmp -o -path /sys -o -path /dev \\) -prune -o -print | sort"
        before = chroot.run(listing)
        # the previous version: this one with a lower number
        chroot.run(f"rm -rf /build/old; dpkg-deb -R {package} /build/old; sed -i 's/^Version: .*/Version: 0.0.1-1/' /build/old/DEBIAN/control;"
                   " dpkg-deb -b /build/old /build/old.deb; dpkg --install /build/old.deb; echo Guard=off >>/etc/nm-killswitch.conf")
        chroot.run(f"dpkg --install --force-confold {package}; mkdir -p /var/lib/nm-killswitch; : >/var/lib/nm-killswitch/state")
        status = chroot.run("dpkg-query -W -f '${Status} ${Version}' nm-killswitch; dpkg --audit; dpkg --verify nm-killswitch; tail -n 1 /etc/nm-killswitch.conf")
        check(status.startswith("install ok installed 0.1") and status.endswith("Guard=off\n"), f"{release}: {status}")
        chroot.run("dpkg --purge nm-killswitch")
        equal(chroot.run(listing), before, f"files on {release}, purged")


@test
def the_packages_own_tests_pass_where_it_is_installed():
    for release in RELEASES:
        chroot, built = _chroot(release), _built(release)
        files = " ".join((built[".deb"], built[".dsc"]))
        said = chroot.run(f"rm -rf /build/autopkgtest; autopkgtest --ignore-restrictions=isolation-container"
                          f" --output-dir /build/autopkgtest {files} -- null", ok=False, timeout=1800)
        results = chroot.run("cat /build/autopkgtest/summary; dpkg --purge nm-killswitch >/dev/null", ok=False)
        equal(re.findall(r"^(\w+) +(\w+)", results, re.MULTILINE), [("selftest", "PASS"), ("namespaces", "PASS")],
              f"results on {release}: {said[-3000:]}")


if __name__ == "__main__":
    main()
