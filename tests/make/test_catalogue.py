#!/usr/bin/env python3
"""The journal's catalogue explains each message id of the programs, and nothing else; journalctl takes it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner
from kstest.runner import at_exit, check, equal, main, test

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CATALOGUE = os.path.join(ROOT, "nm-conf", "nm-killswitch.catalog")


def _read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def _defined():
    """{id: name} of ks-log.h."""
    return {id: name for name, id in re.findall(r'#define (KS_MESSAGE_\w+) "([0-9a-f]{32})"', _read("plugin", "report", "ks-log.h"))}


def _explained():
    """{id: entry} of the catalogue."""
    parts = re.split(r"^-- ([0-9a-f]{32})$", _read(CATALOGUE), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@test
def each_message_id_is_explained_and_no_other():
    defined, explained = _defined(), _explained()
    check(len(defined) >= 10, f"only {len(defined)} ids found in ks-log.h")
    equal(sorted(defined[id] for id in defined if id not in explained), [], "ids without an explanation")
    equal([id for id in explained if id not in defined], [], "explanations of no id")


@test
def each_message_id_is_used():
    text = _read("plugin", "report", "ks-log.c")
    equal([name for name in _defined().values() if not re.search(rf"\b{name}\b", text)], [], "ids that no message has")


@test
def each_entry_has_its_headers_and_only_fields_that_messages_have():
    fields = set(re.findall(r'"(KILLSWITCH_\w+)"', _read("plugin", "report", "ks-log.c")))
    check("KILLSWITCH_PROFILE" in fields, f"fields found: {fields}")
    for entry in _explained().values():
        header, _, body = entry.strip().partition("\n\n")
        equal([line.split(":")[0] for line in header.splitlines()], ["Subject", "Defined-By", "Documentation"], "headers")
        check(len(body) > 80, f"an explanation: {body}")
        for field in re.findall(r"@(\w+)@", body):
            check(field in fields, f"no message has the field {field}")
        equal([line for line in entry.splitlines() if len(line) > 80], [], "lines that are too long for a terminal")


@test
def journalctl_accepts_the_catalogue():
    if not shutil.which("journalctl"):
        raise runner.Skip("no journalctl here")
    root = tempfile.mkdtemp(prefix="ks-catalogue-")
    at_exit(shutil.rmtree, root, True)
    for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        os.makedirs(os.path.join(root, directory))
    shutil.copy(CATALOGUE, os.path.join(root, "usr/lib/systemd/catalog"))

    def journalctl(*arguments):
        result = subprocess.run(["journalctl", f"--root={root}", *arguments], text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
        check(result.returncode == 0, f"journalctl {arguments}: {result.stdout}")
        return result.stdout

    equal(journalctl("--update-catalog"), "", "nothing to complain about")
    listed = journalctl("--list-catalog")
    equal(sorted(re.findall(r"^([0-9a-f]{32}) nm-killswitch: .+", listed, re.MULTILINE)), sorted(_defined()), f"listed: {listed}")


if __name__ == "__main__":
    main()
