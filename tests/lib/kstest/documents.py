"""The commands that README.md, docs/ and the manual pages show, as a reader would type them, and the output they show."""

import os
import re

from .netns import ROOT

MARKDOWN = ("README.md", "docs/vpns.md", "docs/migration.md", "docs/build.md", "docs/status-json.md", "docs/graphical.md", "docs/neighbours.md", "docs/performance.md", "HACKING.md", "SECURITY.md")
MANUALS = ("man/nm-killswitch.8", "man/nm-killswitch-notify.8", "man/nm-killswitch.conf.5")
_PROGRAMS = ("sudo", "nmcli", "nm-killswitch", "ip", "nft", "journalctl", "systemctl", "systemd-run", "timedatectl", "tcpdump",
             "echo", "cp", "rm", "make", "wg", "apt", "firewall-cmd", "dnf", "zypper", "pacman")
_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")


def _is_command(text, words=2):
    return len(text.split()) >= words and text.split()[0] in _PROGRAMS


def _read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def _markdown_blocks(text):
    """(start, lines) of each fenced block."""
    return [(match.start(), match[1].splitlines()) for match in re.finditer(r"^```\w*\n(.*?)^```$", text, re.S | re.M)]


def blocks(path):
    """The lines of each block of PATH that is set off from the text."""
    text = _read(path)
    if path.endswith(".md"):
        return [lines for _, lines in _markdown_blocks(text)]
    return [[re.sub(r"\\(.)", lambda m: {"e": "\\", "&": "", "-": "-"}[m[1]], line) for line in match[1].splitlines()]
            for match in re.finditer(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text, re.S | re.M)]


def block_after(path, sentence):
    """The lines of the first block of PATH after SENTENCE."""
    text = _read(path)
    place = text.index(sentence)
    return next(lines for start, lines in _markdown_blocks(text) if start > place)


def commands(path):
    """Every command in PATH, in order: the lines of blocks that begin with one, and those set in typewriter in the text."""
    text = _read(path)
    found = []
    if path.endswith(".md"):
        fenced = _markdown_blocks(text)
        for start, lines in fenced:
            if lines and _is_command(lines[0], 1):
                found += [(start + number, line) for number, line in enumerate(lines)]
        prose = re.sub(r"^```\w*\n(.*?)^```$", lambda match: " " * len(match[0]), text, flags=re.S | re.M)
        found += [(match.start(), " ".join(match[1].split())) for match in _SPAN.finditer(prose) if _is_command(match[1])]
    else:
        found = list(enumerate(line for lines in blocks(path) if lines and _is_command(lines[0], 1) for line in lines))
    stripped = (re.sub(r"\s+#.*", "", command).strip() for _, command in sorted(found))
    return [command for command in stripped if _is_command(command, 1)]
