"""Makes docs/attacks.md, and a table for the terminal, of what the attack cases measured.

    attack_table.main([DIRECTORY, FILE])    # DIRECTORY is what KS_ATTACKS was
"""

import datetime
import glob
import json
import os
import re
import sys

from .attack_record import ARTICLE, NONE, PRODUCT, WG_QUICK

_COLUMNS = {"OpenVPN": (NONE, ARTICLE, PRODUCT), "WireGuard": (NONE, ARTICLE, WG_QUICK, PRODUCT)}

_TITLES = {NONE: "no kill switch", ARTICLE: "article", WG_QUICK: "wg-quick", PRODUCT: "nm-killswitch"}

_WHERE = {
    "OpenVPN": "NetworkManager with OpenVPN, in network namespaces. wg-quick does not apply.",
    "WireGuard": "WireGuard, in a virtual machine whose network card is captured from outside. The VPN is lost by "
                 "deleting its device. All cases of a round are sent at once, so each shows the round's requests to the "
                 "neighbours.",
}

_HEAD = """\
# Attacks, measured

What left the host in each known attack, seen from the other end of its cable: with no kill switch, with the `ip rule`
commands of the article that the idea comes from, with wg-quick and the kill switch in its manual, and with
nm-killswitch. `make attacks` writes this file; `make check-attacks` and `make check-vm` run the same cases, and fail
if one packet leaks with nm-killswitch, or if none leaks without it.

Measured on {date} with {facts}.

A cell is *leaked / sent*: how many probes were seen on the wire, and how many were sent, as the unprivileged user
nobody and as root, with the VPN up and with the VPN lost. For a flood or a transfer, packets are counted. `+N ARP` are
ARP or neighbour discovery requests for addresses outside the LAN, which reveal the destination. A probe inside a
tunnel that is up is no leak, so without a kill switch about half of the probes leak, except in cases about evading the
tunnel.

The article's commands are run unchanged: for IPv4, for one source port (with NetworkManager, OpenVPN has no fixed one,
so the server's is used), while the VPN is up, and again each time it comes up. wg-quick's kill switch is the PostUp
line in wg-quick(8), and the same with ip6tables. It blocks the LAN as well, as the manual says.

Boot and shutdown need a whole machine from its first moment and are tested in `tests/vm`, hostile values in
`tests/fuzz`, and failed or killed steps in `tests/kernel`.
"""


def _load(directory):
    """({group: {case: {"about", column: cell}}}, facts)"""
    groups, facts = {}, {}
    for path in sorted(glob.glob(os.path.join(directory, "*.json"))):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        facts.update(data["facts"])
        cases = groups.setdefault(data["group"], {})
        for result in data["results"]:
            case = cases.setdefault(result["case"], {"about": result["about"]})
            case[result["column"]] = result
    return groups, facts


def _row(name):
    found = re.match(r"row(\d+)_", name)
    return int(found.group(1)) if found else 99


def _markdown(groups, facts):
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    measured = ", ".join(f"{name} {version}" for name, version in sorted(facts.items()))
    lines = [_HEAD.format(date=date, facts=measured)]
    for group, cases in groups.items():
        columns = _COLUMNS[group]
        lines += [f"## {group}", "", _WHERE[group], "",
                  "| row | case | " + " | ".join(_TITLES[column] for column in columns) + " |",
                  "| --- | --- |" + " --- |" * len(columns)]
        for name in sorted(cases, key=lambda name: (_row(name), list(cases).index(name))):
            case = cases[name]
            row = _row(name)
            cells = [case[column]["cell"] if column in case else "" for column in columns]
            lines.append(f"| {row if row < 99 else ''} | {case['about']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _terminal(groups):
    lines = []
    for group, cases in groups.items():
        columns = _COLUMNS[group]
        width = max(map(len, cases), default=0)
        widths = [max([len(_TITLES[column])] + [len(case[column]["cell"]) for case in cases.values() if column in case])
                  for column in columns]
        lines += ["", f"{group}, leaked / sent", "", " " * width + "".join(
            f"  {_TITLES[column]:{size}}" for column, size in zip(columns, widths))]
        for name in sorted(cases, key=lambda name: (_row(name), list(cases).index(name))):
            lines.append(f"{name:{width}}" + "".join(
                f"  {cases[name][column]['cell'] if column in cases[name] else '':{size}}"
                for column, size in zip(columns, widths)))
    return "\n".join(line.rstrip() for line in lines)


def main(arguments):
    directory, path = arguments
    groups, facts = _load(directory)
    if not groups:
        sys.exit(f"{directory}: nothing was measured")
    print(_terminal(groups))
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(_markdown(groups, facts))
    print(f"\n{path} is written")


if __name__ == "__main__":
    main(sys.argv[1:])
