"""What the attack cases measured, and the table it makes.

A case is one function, run on the same machine protected in several ways (the
columns). Without a kill switch it has to be seen to leak, or it proves
nothing; with nm-killswitch nothing may leak and what must work has to work.
The columns in between are measured, not judged, and only when KS_ATTACKS is in
the environment: the name of a directory that each file of cases leaves its
results in. attack_table.py makes docs/attacks.md of them.
"""

import dataclasses
import functools
import json
import os
import platform
import subprocess
import sys

from . import runner
from .packets import ICMP, ICMPV6, TCP, UDP
from .runner import check

NONE, ARTICLE, WG_QUICK, PRODUCT = "none", "article", "wg-quick", "nm-killswitch"


@dataclasses.dataclass
class Tally:
    """What came of a case in one column."""

    sent: int = 0           # probes, or packets of a flood
    leaked: int = 0         # of them, how many were seen on the wire
    asked: int = 0          # ARP and neighbour requests for addresses outside the LAN
    packets: int = 0        # everything on the wire that may not be there, the two before included
    examples: list = dataclasses.field(default_factory=list)
    missing: list = dataclasses.field(default_factory=list)  # probes that a control should have seen
    note: str = ""          # what did not work, or could not be measured

    def __add__(self, other):
        return Tally(self.sent + other.sent, self.leaked + other.leaked, self.asked + other.asked,
                     self.packets + other.packets, self.examples + other.examples, self.missing + other.missing,
                     "; ".join(filter(None, (self.note, other.note))))

    def cell(self):
        """As the table shows it."""
        if not self.sent and not self.packets and self.note:
            return self.note
        if self.note.startswith("packets of "):  # transfers are no probes
            return f"{self.leaked} {self.note}"
        text = f"{self.leaked}/{self.sent}"
        if self.asked:
            text += f" +{self.asked} ARP"
        return f"{text}, {self.note}" if self.note else text


_PROTOCOLS = {"udp": (UDP,), "tcp": (TCP,), "icmp": (ICMP, ICMPV6), "raw": (ICMP, ICMPV6)}


def attribute(packets, sent, all_seen=True):
    """The Tally of the probes SENT, of which PACKETS were seen that may not be on the wire.

    A UDP or TCP probe is known by its source port. With ALL_SEEN the Tally names those that were not seen.
    """
    seen, asked = set(), []
    for packet in packets:
        target = packet.arp_target if packet.kind == "arp" else packet.nd_target
        if target:
            asked.append(target)
        seen.add((packet.proto, packet.dst, packet.sport if packet.proto in (TCP, UDP) else None))
    leaked, missing = 0, []
    for probe in sent:
        sport = probe.sport if probe.kind in ("udp", "tcp") else None
        if any((proto, probe.to, sport) in seen for proto in _PROTOCOLS[probe.kind]):
            leaked += 1
        elif probe.to not in asked:
            missing.append(str(probe))
    return Tally(sent=len(sent), leaked=leaked, asked=len(asked), packets=len(packets),
                 examples=[str(packet) for packet in packets[:5]], missing=missing if all_seen else [])


class Numbers:
    """Source ports for probes, each another one."""

    def __init__(self, first):
        self._next = self._first = first

    def take(self, probe):
        """The probe with a port, if it has none and is of a kind that has ports."""
        if probe.kind not in ("udp", "tcp") or probe.sport:
            return probe
        self._next = self._next + 1 if self._next < self._first + 11000 else self._first
        return dataclasses.replace(probe, sport=self._next)


def measuring():
    """Whether the whole table is wanted, not only what is asserted."""
    return bool(os.environ.get("KS_ATTACKS"))


_results = []
_facts = {}


def fact(name, value):
    """Something the table's head tells: a version."""
    _facts[name] = value


def attack(columns, control=True, judged=True):
    """Makes a test of a case: FUNCTION(machine) returns a Tally, or None where it does not apply.

    COLUMNS is {name: function that makes the machine}. With CONTROL false the
    case has nothing that could be seen without a kill switch; with JUDGED
    false it is measured only. A control that has not seen every probe is tried again.
    """
    def decorate(function):
        @functools.wraps(function)
        def run():
            for column, machine in columns.items():
                if column in (NONE, PRODUCT) or measuring():
                    _run_column(function, column, machine, control, judged)
        return runner.test(run)
    return decorate


def _run_column(function, column, machine, control, judged):
    judged = judged and column in (NONE, PRODUCT)
    try:
        tally = function(machine())
        for _ in range(2 if judged and control and column == NONE else 0):
            if not tally or not tally.missing:
                break
            tally = function(machine())     # an address may have been in doubt, or an answer of a neighbour due
    except (AssertionError, subprocess.SubprocessError, runner.Skip) as error:
        if judged:
            if isinstance(error, subprocess.TimeoutExpired):
                error = runner.TookTooLong(str(error))
            kinds = (kind for kind in (runner.Skip, runner.TookTooLong) if isinstance(error, kind))
            raise next(kinds, AssertionError)(f"{column}: {error}") from None
        tally = Tally(note="not measured: " + str(error).split("\n", maxsplit=1)[0][:60])
    if tally is None:
        return
    _results.append({"case": function.__name__, "about": (function.__doc__ or "").strip().splitlines()[0],
                     "column": column, "cell": tally.cell(), **dataclasses.asdict(tally)})
    print(f"        {column:14} {tally.cell()}", flush=True)
    if judged and column == NONE and control:
        check(tally.leaked + tally.asked, "the control: nothing was seen without a kill switch")
        check(not tally.missing, f"the control: not seen without a kill switch: {'; '.join(tally.missing[:4])}")
    if judged and column == PRODUCT:
        check(not tally.packets, f"{tally.packets} packets leaked: {'; '.join(tally.examples[:5])}")


def main(group, setup=None):
    """Run the cases of this file; keep what they measured under the name GROUP."""
    runner.at_exit(_save, group)
    runner.main(setup)


def _save(group):
    directory = os.environ.get("KS_ATTACKS")
    if not directory or not _results:
        return
    os.makedirs(directory, exist_ok=True)
    _facts.setdefault("kernel", platform.release())
    with open(os.path.join(directory, os.path.basename(sys.argv[0]) + ".json"), "w", encoding="utf-8") as file:
        json.dump({"group": group, "facts": _facts, "results": _results}, file, indent=1)
