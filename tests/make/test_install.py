#!/usr/bin/env python3
"""`make install` with other directories than the usual ones: what is installed finds what is installed, and can be removed.

It is built in a directory of its own, from copies of the objects that are there already.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import at_exit, check, equal, main, test

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = "build/other-paths"
UNITS = "usr/lib/systemd/system"
USER_UNITS = "usr/lib/systemd/user"
LOCAL = ("PREFIX=/usr/local",)
ALL_OTHER = ("PREFIX=/opt/ks", "SYSCONFDIR=/opt/ks/etc", "LOCALSTATEDIR=/opt/ks/var", "RUNSTATEDIR=/opt/ks/run")
# Made by the program while it runs, or NetworkManager's.
NOT_INSTALLED = re.compile(r"(/\w+)*/(run|lib)/nm-killswitch(/names|/nudge|/status.json)?|/(etc|run|usr/lib)/NetworkManager/[^ ]+|/bin/mkdir")

_trees = {}


def _make(target, *variables):
    result = subprocess.run(["make", "--no-print-directory", f"BUILD={BUILD}", *variables, target], cwd=ROOT, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
                            check=False)
    check(result.returncode == 0, f"make {target} fails: {result.stdout[-2000:]}")
    return result.stdout


def _installed(*variables):
    """The directory in which `make install` with these VARIABLES has put everything."""
    if variables not in _trees:
        if not _trees:
            shutil.rmtree(os.path.join(ROOT, BUILD), True)
            os.makedirs(os.path.join(ROOT, BUILD))
            for name in ("plugin", "dispatcher"):
                subprocess.run(["cp", "-a", f"build/{name}", BUILD], cwd=ROOT, check=True, timeout=60)
        tree = tempfile.mkdtemp(prefix="ks-install-")
        at_exit(shutil.rmtree, tree, True)
        _make("install", f"DESTDIR={tree}", *variables)
        _trees[variables] = tree
    return _trees[variables]


def _files(tree):
    return sorted(os.path.join(directory, name) for directory, _, names in os.walk(tree) for name in names)


def _read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def _naming(tree, text):
    """The installed files that have TEXT in them."""
    return [os.path.relpath(path, tree) for path in _files(tree) if text.encode() in _read(path)]


def _unit_paths(tree):
    """(unit, path) for each path that a unit names."""
    for directory, name in ((each, name) for each in (UNITS, USER_UNITS) for name in os.listdir(os.path.join(tree, each))):
        for line in _read(tree, directory, name).decode().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#") and key not in ("Description", "Documentation", "ReadOnlyPaths"):
                for path in re.findall(r"(?:^|[\s+=-])(/[^\s]+)", value):
                    yield name, path


@test
def by_default_the_units_start_what_is_in_usr_bin():
    tree = _installed()
    equal(sorted(_naming(tree, "=/usr/bin/nm-killswitch")),
          sorted(f"{UNITS}/nm-killswitch-{name}.service" for name in ("boot", "heal", "release", "settle", "sync")), "units")
    equal(sorted(_naming(tree, "=/usr/libexec/nm-killswitch-notify")),
          sorted(f"{USER_UNITS}/nm-killswitch-notify{name}.service" for name in ("", "-settle")), "units of users")
    check("usr/bin/nm-killswitch" in _naming(tree, "/usr/libexec/nm-killswitch-selftest"),
          "the command does not know where the self-test is")
    check(not _naming(tree, "/bin/mkdir"), "a unit makes directories that systemd makes")


@test
def no_template_is_left_unfilled():
    for variables in ((), LOCAL, ALL_OTHER):
        tree = _installed(*variables)
        for name in _files(os.path.join(tree, UNITS)) + _files(os.path.join(tree, USER_UNITS)):
            check(not re.search(rb"@[A-Z]+@", _read(name)), f"{name} has a place without a path")


@test
def with_another_prefix_nothing_names_the_usual_one():
    for variables in (LOCAL, ALL_OTHER):
        tree = _installed(*variables)
        for text in ("/usr/bin/nm-killswitch", "/usr/libexec/nm-killswitch", "/usr/share/nm-killswitch"):
            equal(_naming(tree, text), [], f"files that name {text}, {variables[0]}")


@test
def every_path_in_a_unit_is_installed():
    for variables in ((), LOCAL, ALL_OTHER):
        tree = _installed(*variables)
        found = 0
        for unit, path in _unit_paths(tree):
            if not NOT_INSTALLED.fullmatch(path):
                found += 1
                check(os.path.exists(tree + path), f"{unit} names {path}, which {' '.join(variables)} does not install")
        check(found >= 5, f"only {found} paths found in the units")


@test
def with_other_directories_units_programs_and_manual_agree():
    tree = _installed(*ALL_OTHER)
    check(f"{UNITS}/nm-killswitch-settings.path" in _naming(tree, "=/opt/ks/etc/nm-killswitch.conf"), "the settings are not watched")
    check(f"{UNITS}/nm-killswitch-names.path" in _naming(tree, "=/opt/ks/run/nm-killswitch/names"), "the marker is not watched")
    for text in ("/opt/ks/etc/nm-killswitch.conf", "/opt/ks/var/lib/nm-killswitch/state", "/opt/ks/run/nm-killswitch"):
        for name in ("opt/ks/bin/nm-killswitch", "opt/ks/share/man/man8/nm-killswitch.8"):
            check(name in _naming(tree, text), f"{name} does not name {text}")
    module = "opt/ks/share/nm-killswitch/nm-killswitch.cil"
    check(os.path.exists(os.path.join(tree, module)), f"no {module}")
    for name in ("opt/ks/bin/nm-killswitch", "opt/ks/share/man/man8/nm-killswitch.8"):
        check(name in _naming(tree, f"/{module}"), f"{name} does not name {module}")
    # NetworkManager's directories do not move with ours
    check("opt/ks/bin/nm-killswitch" in _naming(tree, "/etc/NetworkManager/system-connections"), "the profiles are not found")
    equal(_naming(tree, "/opt/ks/etc/NetworkManager"), [], "files that look for profiles where NetworkManager does not")
    for name in ("heal", "rewatch@", "settle", "sync"):
        text = _read(tree, UNITS, f"nm-killswitch-{name}.service").decode()
        for line in ("ExecStartPre=+/bin/mkdir -p /opt/ks/var/lib/nm-killswitch /opt/ks/run/nm-killswitch",
                     "ReadWritePaths=/opt/ks/var/lib/nm-killswitch /opt/ks/run/nm-killswitch"):
            check(line in text.splitlines(), f"the unit {name} may not write: no line {line}")


@test
def uninstall_leaves_nothing():
    for variables in ((), LOCAL, ALL_OTHER):
        tree = _installed(*variables)
        copy = tempfile.mkdtemp(prefix="ks-install-")
        at_exit(shutil.rmtree, copy, True)
        subprocess.run(["cp", "-a", f"{tree}/.", copy], check=True, timeout=60)
        check(len(_files(copy)) > 15, "nothing is installed")
        _make("uninstall", f"DESTDIR={copy}", *variables)
        equal(_files(copy), [], "files left")


if __name__ == "__main__":
    main()
