#!/usr/bin/env python3
"""The packages for Debian, Fedora and openSUSE, and Arch Linux: what is in them, what they need, what their scripts do.

Each is built here from the tar ball of `make dist`, in a directory of this run. Fedora's is built with Debian's RPM, and
Arch's with Debian's makepkg, where the libraries are not known by the distributions' names: that they are built with the
dependencies they name is not shown here.
"""

import functools
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import Skip, at_exit, check, equal, main, test

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PACKAGING = os.path.join(ROOT, "packaging")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
DISPATCHER = "usr/lib/NetworkManager/dispatcher.d"
UNITS = {"nm-killswitch-boot.service", "nm-killswitch-heal.service", "nm-killswitch-heal.socket", "nm-killswitch-names.path",
         "nm-killswitch-names.timer", "nm-killswitch-release.service", "nm-killswitch-rewatch@.service", "nm-killswitch-settings.path",
         "nm-killswitch-settle.service", "nm-killswitch-sync.path", "nm-killswitch-sync.service"}
USER_ENABLED = ("nm-killswitch-notify.path", "nm-killswitch-notify.service")
ENABLED = ("nm-killswitch-boot.service", "nm-killswitch-sync.path", "nm-killswitch-names.path", "nm-killswitch-heal.socket")
# Another place, user, user's mask, language and time zone: none of it may show in what is built.
ELSEWHERE = {"LC_ALL": "C", "LANG": "C", "TZ": "Pacific/Kiritimati", "HOME": "/nonexistent", "USER": "nobody", "LOGNAME": "nobody"}
ANOTHER_USER = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _directory():
    path = tempfile.mkdtemp(prefix="ks-packages-")
    at_exit(shutil.rmtree, path, True)
    return path


def _run(*command, cwd=ROOT, umask=0o022, ok=True, user=None, **environment):
    result = subprocess.run(command, cwd=cwd, text=True, errors="backslashreplace", stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, umask=umask, check=False,
                            env={**ENVIRONMENT, **environment}, **(user or {}))
    check(not ok or result.returncode == 0, f"{' '.join(command)} fails: {result.stdout[-2000:]}")
    return result.stdout


def _needs(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def _read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def _version():
    return _read(ROOT, "NEWS.md").splitlines()[0].split()[-1]


def _only(directory, pattern):
    found = glob.glob(os.path.join(directory, pattern))
    equal(len(found), 1, f"files {pattern} in {os.listdir(directory)}")
    return found[0]


def _sums(directory, *patterns):
    """{name: SHA-256} of the files in DIRECTORY that match."""
    sums = {}
    for pattern in patterns:
        with open(_only(directory, pattern), "rb") as file:
            sums[os.path.basename(file.name)] = hashlib.sha256(file.read()).hexdigest()
    return sums


@functools.cache
def _elsewhere():
    """The tar ball, unpacked in a directory of another name, without git."""
    top = _directory()
    os.chmod(top, 0o755)    # another user builds there
    directory = os.path.join(top, "a-rather-long-name-of-a-directory", "below")
    os.makedirs(directory)
    out = _directory()
    _run("packaging/dist", _version(), DIST_DIR=out)
    _run("tar", "-xJf", _only(out, "*.tar.xz"), "-C", directory)
    return _only(directory, "nm-killswitch-*")


def _built(kind, cwd=ROOT, umask=0o022, user=None, **environment):
    """The directory in which packaging/KIND/build has left the package of the tree at CWD."""
    out = os.path.join(_directory(), kind)
    if user:
        shutil.chown(os.path.dirname(out), user["user"])
    _run(f"packaging/{kind}/build", _version(), cwd=cwd, umask=umask, user=user, **{f"{kind.upper()}_DIR": out}, **environment)
    return out


def _built_elsewhere(kind, **environment):
    """Likewise, from an unpacked tar ball, by somebody else."""
    return _built(kind, cwd=_elsewhere(), umask=0o002, user=ANOTHER_USER, **environment, **ELSEWHERE)


@functools.cache
def _deb():
    _needs("dpkg-buildpackage", "dh")
    return _built("deb", DEB_BUILD_OPTIONS="nocheck")


@functools.cache
def _rpm():
    _needs("rpmbuild")
    return _built("rpm")


@functools.cache
def _arch():
    _needs("makepkg", "bsdtar", "fakeroot")
    return _built("arch")


@functools.cache
def _tree(kind):
    """What the package installs, in a directory."""
    tree = _directory()
    if kind == "deb":
        _run("dpkg-deb", "-x", _only(_deb(), "*.deb"), tree)
    elif kind == "rpm":
        package = _only(_rpm(), "nm-killswitch-[0-9]*[!c].rpm")
        with subprocess.Popen(["rpm2cpio", package], stdout=subprocess.PIPE) as process:
            subprocess.run(["cpio", "-idm", "--quiet"], cwd=tree, stdin=process.stdout, check=True, timeout=60)
    else:
        _run("tar", "-xf", _only(_arch(), "*.pkg.tar.zst"), "-C", tree, "usr", "etc")
    return tree


def _installed(kind):
    """{path: None, or what the symbolic link is} without what each distribution has in other places."""
    found = {}
    for directory, _, names in os.walk(_tree(kind)):
        for name in names:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, _tree(kind))] = os.readlink(path) if os.path.islink(path) else None
    return {path: link for path, link in found.items() if not re.match(r"usr/share/(doc|licenses|lintian)/|usr/lib/\.build-id/", path)}


# The tar ball

@test
def the_tarball_is_the_same_from_git_and_from_a_tarball():
    first, second = _directory(), _directory()
    _run("packaging/dist", _version(), DIST_DIR=first)
    _run("packaging/dist", _version(), cwd=_elsewhere(), umask=0o077, DIST_DIR=second, **ELSEWHERE)
    name = f"nm-killswitch-{_version()}.tar.xz"
    equal(_sums(second, name), _sums(first, name), "tar ball made of a tar ball")


@test
def the_tarball_has_everything_in_git_and_nothing_built():
    out = _directory()
    _run("packaging/dist", _version(), DIST_DIR=out)
    names = {name.partition("/")[2] for name in _run("tar", "-tJf", _only(out, "*.tar.xz")).splitlines()}
    for name in ("NEWS.md", "COPYING", "Makefile", "packaging/deb/debian/control", "tests/unit/test-ks-policy.c"):
        check(name in names, f"no {name}")
    equal([name for name in names if name.startswith("build/") or name.endswith((".o", ".pyc"))], [], "built files")
    if os.path.exists(os.path.join(ROOT, ".git")):
        _needs("git")
        tracked = _run("git", "-c", f"safe.directory={ROOT}", "ls-files").splitlines()
        equal(sorted(set(name for name in tracked if os.path.exists(os.path.join(ROOT, name))) - names), [], "files left out")


# Debian

@test
def the_debian_package_is_the_same_when_built_elsewhere():
    _needs("dpkg-buildpackage", "dh")
    patterns = ("*.deb", "*.dsc", "*.debian.tar.xz", "*.orig.tar.xz")
    again = _built_elsewhere("deb", DEB_BUILD_OPTIONS="nocheck parallel=1")
    equal(_sums(again, *patterns), _sums(_deb(), *patterns), "the packages' sums")


@test
def lintian_reports_nothing_about_the_debian_package():
    _needs("lintian")
    changes = _only(_deb(), "*.changes")
    # Debian 12's does not know the policy of Debian 13 yet
    equal(_run("lintian", "--allow-root", "--display-info", "--pedantic", "--suppress-tags", "newer-standards-version", changes),
          "", "tags")
    # control: it does look
    check("initial-upload-closes-no-bugs" in _run("lintian", "--allow-root", "--no-override", changes), "lintian finds nothing at all")


@test
def the_debian_package_depends_on_the_libraries_it_loads():
    depends = _run("dpkg-deb", "-f", _only(_deb(), "*.deb"), "Depends")
    for name in ("libnm0 (>= ", "libnftables1", "libnl-3-200", "libnl-route-3-200", "libglib2.0-0", "network-manager",
                 "iproute2", "nftables", "systemd-sysv"):
        check(re.search(rf"(^|, ){re.escape(name)}", depends), f"{name} is not among {depends}")


@test
def the_debian_package_keeps_the_settings():
    tree = _directory()
    _run("dpkg-deb", "-e", _only(_deb(), "*.deb"), tree)
    equal(sorted(_read(tree, "conffiles").split()), ["/etc/iproute2/rt_protos.d/nm-killswitch.conf",
                                                     "/etc/iproute2/rt_tables.d/nm-killswitch.conf", "/etc/nm-killswitch.conf"],
          "conffiles")


@test
def the_watch_file_finds_the_tarball():
    lines = [line for line in _read(PACKAGING, "deb/debian/watch").splitlines() if line and not line.startswith("#")]
    equal(lines[0], "version=4", "the format")
    url, pattern = lines[1].split()
    check(url.endswith("/"), f"{url} is no directory")
    # as uscan(1) defines them
    pattern = pattern.replace("@PACKAGE@", "nm-killswitch").replace("@ANY_VERSION@", r"[-_]?[Vv]?(\d[\-+\.:\~\da-zA-Z]*)")
    pattern = pattern.replace("@ARCHIVE_EXT@", r"\.(?:tar\.xz|tar\.bz2|tar\.gz|tar\.zstd?|zip|tgz|tbz|txz)")
    match = re.fullmatch(pattern, f"nm-killswitch-{_version()}.tar.xz")
    check(match, f"{pattern} does not match the tar ball")
    equal(match[1], _version(), "the version found")


# Fedora and openSUSE

@test
def the_rpms_are_the_same_when_built_elsewhere():
    _needs("rpmbuild")
    patterns = ("*.spec", "*.src.rpm", "nm-killswitch-[0-9]*[!c].rpm")
    equal(_sums(_built_elsewhere("rpm"), *patterns), _sums(_rpm(), *patterns), "the packages' sums")


@test
def rpmlint_reports_nothing_about_the_rpm():
    _needs("rpmlint")
    files = [_only(_rpm(), "*.src.rpm"), _only(_rpm(), "nm-killswitch-[0-9]*[!c].rpm"), _only(_rpm(), "*.spec")]
    said = _run("rpmlint", "-c", "packaging/rpm/rpmlint.toml", *files)
    check("2 packages and 1 specfiles checked; 0 errors, 0 warnings" in said, said)
    # control: it does look
    check("no-packager-tag" in _run("rpmlint", *files, ok=False), "rpmlint finds nothing at all")


@test
def the_rpm_requires_the_libraries_it_loads():
    requires = _run("rpm", "-qp", "--requires", _only(_rpm(), "nm-killswitch-[0-9]*[!c].rpm")).split("\n")
    for name in ("libnm.so.0()(64bit)", "libnftables.so.1()(64bit)", "libnl-route-3.so.200()(64bit)", "iproute", "nftables",
                 "NetworkManager >= 1:1.30", "systemd"):
        check(name in requires, f"{name} is not among {requires}")


def _spec(*defines):
    """The spec file as RPM reads it."""
    return _run("rpmspec", "--load", "packaging/rpm/macros", *(word for define in defines for word in ("--define", define)),
                "-P", _only(_rpm(), "*.spec"))


@test
def fedoras_scriptlets_use_presets_and_open_nothing_on_an_upgrade():
    scripts = _run("rpm", "-qp", "--scripts", _only(_rpm(), "nm-killswitch-[0-9]*[!c].rpm"))
    check(f"preset {' '.join(ENABLED)}" in scripts, "the units are not preset")
    check(f"systemctl --global preset {' '.join(USER_ENABLED)}" in scripts, "the users' units are not preset")
    for name, units in (("", ENABLED), ("-user", USER_ENABLED)):
        preset = _read(PACKAGING, f"rpm/80-nm-killswitch{name}.preset")
        equal(set(re.findall(r"^enable (\S+)$", preset, re.MULTILINE)), set(units), f"preset{name}")
    post, preun = (scripts.partition(f"{name}install scriptlet")[2].partition("scriptlet")[0] for name in ("post", "preun"))
    check("release" not in post.replace("Nothing is released", ""), "an installation or upgrade releases")
    check("nm-killswitch release" in preun and "[ $1 -eq 0 ]" in preun.partition("nm-killswitch release")[0],
          "a removal does not release, or an upgrade does")


@test
def opensuses_scriptlets_name_every_unit():
    spec = _spec("suse_version 1600")
    for macro in ("service_add_pre", "service_add_post", "service_del_preun", "service_del_postun_without_restart"):
        line = re.search(rf"^# {macro} (.*)$", spec, re.MULTILINE)
        check(line, f"no {macro}")
        equal(set(line[1].split()), UNITS, macro)
    check("systemctl --no-reload preset" not in spec, "Fedora's macros in openSUSE's")
    check("\nGroup:" in spec and "\nGroup:" not in _spec(), "the group is openSUSE's")


def _scriptlet(name):
    """The scriptlet, in a file."""
    tags = {"post": "POSTIN", "preun": "PREUN", "postun": "POSTUN", "pre": "PREIN"}
    path = os.path.join(_directory(), name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(_run("rpm", "-qp", "--queryformat", f"%{{{tags[name]}}}", _only(_rpm(), "nm-killswitch-[0-9]*[!c].rpm")))
    return path


# systemd, and the programs that scripts call, stood in for: what they were told is kept. Somebody is logged in.
_STAND_INS = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/bin
for program in systemctl nm-killswitch; do
    printf '#!/bin/sh\\necho "%s $*" >>/run/told\\n' $program >/run/bin/$program
done
echo 'case "$1" in list-units) echo "user@1000.service loaded active running User Manager for UID 1000" ;; esac' >>/run/bin/systemctl
chmod 755 /run/bin/*
[ "$1" = booted ] || rmdir /run/systemd/system
"""


def _told(command, booted=True):
    """What the shell COMMAND tells the stand-ins, in a mount and a network namespace of its own."""
    inside = f"{_STAND_INS}\nPATH=/run/bin:$PATH\n( {command} ) >&2\ncat /run/told 2>/dev/null || :"
    result = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", inside, "sh", "booted" if booted else "not"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    equal(result.returncode, 0, f"exit status of {command}: {result.stderr}")
    return result.stdout.splitlines()


@test
def the_rpms_scriptlets_arm_on_installation_and_upgrade_and_release_on_removal():
    post, preun, postun = map(_scriptlet, ("post", "preun", "postun"))
    for count in (1, 2):
        told = _told(f"sh {post} {count}")
        check("nm-killswitch sync" in told, f"%post {count} does not arm: {told}")
        check("systemctl start nm-killswitch-heal.socket" in told, f"%post {count} starts nothing: {told}")
        equal(any("preset" in line for line in told), count == 1, f"%post {count} presets")
        equal([line for line in told if "release" in line], [], f"%post {count}")
    told = _told(f"sh {preun} 0")
    check("nm-killswitch release" in told and any("disable --now" in line for line in told), f"%preun of a removal: {told}")
    equal(_told(f"sh {preun} 1") + _told(f"sh {postun} 1"), [], "told on an upgrade")


@test
def the_rpm_starts_the_notifications_of_users_who_are_logged_in():
    start = "systemctl --user --machine=1000@ start nm-killswitch-notify.path"
    post = _scriptlet("post")
    check(start in _told(f"sh {post} 1"), "not started")
    check(start not in _told(f"sh {post} 2"), "started by an upgrade")
    # a stand-in for a preset, or an administrator, that does not want them
    unwanted = "sed -i '1a case \"$*\" in *--global*is-enabled*) exit 1 ;; esac' /run/bin/systemctl"
    check(start not in _told(f"{unwanted}; sh {post} 1"), "started though they are not enabled")


@test
def the_rpms_scriptlets_leave_the_kernel_alone_in_a_change_root():
    for command in (f"sh {_scriptlet('post')} 1", f"sh {_scriptlet('preun')} 0", f"sh {_scriptlet('postun')} 0"):
        told = _told(f"ip rule add to 192.0.2.1 lookup 83 protocol 83 priority 8380; {command}; ip rule >>/run/told", booted=False)
        equal([line for line in told if line.startswith("nm-killswitch")], [], f"told by {command}")
        check(any("192.0.2.1" in line for line in told), f"{command} changes rules: {told}")


def _removed_without_the_program(command, booted=True):
    """The rules after COMMAND, run on a host that is armed and whose program is broken."""
    rule = "ip rule add to 192.0.2.1 lookup 83 protocol 83 priority 8380; ip rule add to 192.0.2.2 lookup 83 priority 100"
    return _told(f"{rule}; printf '#!/bin/sh\\nexit 1\\n' >/run/bin/nm-killswitch; {command}; ip rule >/run/told", booted)


@test
def nobody_is_stuck_when_the_rpm_goes_and_its_program_is_broken():
    rules = _removed_without_the_program(f"sh {_scriptlet('preun')} 0 && sh {_scriptlet('postun')} 0")
    check(not any("192.0.2.1" in rule for rule in rules), f"left: {rules}")
    check(any("192.0.2.2" in rule for rule in rules), f"somebody else's rule is gone: {rules}")
    rules = _removed_without_the_program(f"sh {_scriptlet('postun')} 1")
    check(any("192.0.2.1" in rule for rule in rules), f"an upgrade takes rules away: {rules}")


# Arch Linux

@test
def archs_package_lists_what_it_needs():
    info = _run("tar", "-xOf", _only(_arch(), "*.pkg.tar.zst"), ".PKGINFO")
    depends = set(re.findall(r"^depend = (\S+)$", info, re.MULTILINE))
    equal(depends, {"glib2", "glibc", "iproute2", "libnl", "libnm", "networkmanager", "nftables", "systemd"}, "depends")
    equal(set(re.findall(r"^backup = (\S+)$", info, re.MULTILINE)),
          {"etc/nm-killswitch.conf", "etc/iproute2/rt_protos.d/nm-killswitch.conf", "etc/iproute2/rt_tables.d/nm-killswitch.conf"}, "backup")
    check(f"pkgver = {_version()}-1\n" in info, info)


def _listed(directory):
    """What bsdtar says of each file in Arch's package in DIRECTORY, with its sum, and that package's .BUILDINFO."""
    package = _only(directory, "*.pkg.tar.zst")
    listing = _run("bsdtar", "-cf-", "--format=mtree", "--options=all,sha256", f"@{package}").splitlines()
    return [line for line in listing if not line.startswith(("./.BUILDINFO ", "./.MTREE "))], \
        _run("tar", "-xOf", package, ".BUILDINFO").splitlines()


@test
def archs_package_is_the_same_when_built_elsewhere():
    _needs("makepkg", "bsdtar", "fakeroot")
    again = _built_elsewhere("arch")
    equal(_sums(again, "PKGBUILD", "nm-killswitch.install"), _sums(_arch(), "PKGBUILD", "nm-killswitch.install"), "what it is made from")
    (files, info), (files_again, info_again) = _listed(_arch()), _listed(again)
    check(any("usr/bin/nm-killswitch " in line and "sha256" in line for line in files), f"files: {files}")
    equal(files_again, files, "files")
    # makepkg records where it ran, for anyone who wants to build it again in the same place; .MTREE has the sum of that
    places = ("builddir = ", "startdir = ")
    equal(*([line for line in lines if not line.startswith(places)] for lines in (info_again, info)), ".BUILDINFO")


def _install_function(name):
    return f"bash -c '. {_arch()}/nm-killswitch.install && {name} 1 1'"


@test
def archs_install_file_arms_on_an_upgrade_and_releases_on_removal():
    for name in ("post_install", "post_upgrade"):
        check("nm-killswitch sync" in _told(_install_function(name)), f"{name} does not arm")
        equal([line for line in _told(_install_function(name)) if "release" in line], [], name)
        equal(_told(_install_function(name), booted=False), [], f"{name} in a change root")
    told = _told(_install_function("pre_remove"))
    check("nm-killswitch release" in told and any("disable --now" in line for line in told), f"pre_remove: {told}")
    for unit in ENABLED:
        check(any(unit in line for line in told), f"{unit} is not stopped")
    equal(_told(_install_function("pre_remove"), booted=False), [], "pre_remove in a change root")


@test
def nobody_is_stuck_when_archs_package_goes_and_its_program_is_broken():
    # not the host's own state
    command = "mount -t tmpfs tmpfs /var/lib; " + _install_function("pre_remove") + " && " + _install_function("post_remove")
    rules = _removed_without_the_program(command)
    check(not any("192.0.2.1" in rule for rule in rules), f"left: {rules}")
    check(any("192.0.2.2" in rule for rule in rules), f"somebody else's rule is gone: {rules}")
    rules = _removed_without_the_program(command, booted=False)
    check(any("192.0.2.1" in rule for rule in rules), f"rules taken away in a change root: {rules}")


# All of them

@test
def all_packages_have_the_version_of_the_news():
    version = _version()
    equal(_run("dpkg-deb", "-f", _only(_deb(), "*.deb"), "Version").strip(), f"{version}-1", "Debian")
    equal(_run("rpm", "-qp", "--queryformat", "%{VERSION}", _only(_rpm(), "*.src.rpm")), version, "RPM")
    check(_only(_arch(), "*.pkg.tar.zst").endswith(f"nm-killswitch-{version}-1-x86_64.pkg.tar.zst"), "Arch")


@test
def all_packages_install_the_same():
    # Debian has no presets, and zsh looks for packages' completions in a directory of its own; Arch has no /usr/libexec;
    # Debian 12's debhelper wants units in /lib
    renamed = {"deb": lambda path: re.sub(r"^lib/systemd/system/", "usr/lib/systemd/system/", path)
                                     .replace("/zsh/vendor-completions/", "/zsh/site-functions/"), "rpm": lambda path: path,
               "arch": lambda path: path.replace("usr/lib/nm-killswitch/", "usr/libexec/")}
    found = {kind: {rename(path): link for path, link in _installed(kind).items()} for kind, rename in renamed.items()}
    for kind in ("system", "user"):
        equal(found["rpm"].pop(f"usr/lib/systemd/{kind}-preset/80-nm-killswitch.preset", "none"), None, f"the preset, {kind}")
    equal(found["rpm"], found["deb"], "Fedora's and Debian's")
    equal(found["arch"], found["deb"], "Arch's and Debian's")
    check("usr/share/nm-killswitch/nm-killswitch.cil" in found["deb"], "the module for SELinux is missing")
    equal({os.path.basename(path) for path in found["deb"] if path.startswith("usr/lib/systemd/system/")}, UNITS, "units")
    equal([found["deb"].get(f"{DISPATCHER}/{name}") for name in ("no-wait.d/10-killswitch", "10-killswitch", "pre-up.d/10-killswitch")],
          [None, "no-wait.d/10-killswitch", "../no-wait.d/10-killswitch"], "the dispatcher's program and links")


@test
def each_command_finds_its_self_test():
    for kind, path in (("deb", "/usr/libexec"), ("rpm", "/usr/libexec"), ("arch", "/usr/lib/nm-killswitch")):
        with open(os.path.join(_tree(kind), "usr/bin/nm-killswitch"), "rb") as file:
            check(f"{path}/nm-killswitch-selftest".encode() in file.read(), f"{kind}: not in {path}")


if __name__ == "__main__":
    main()
