"""Probes: packets that an ordinary program would send, and what became of them.

A probe is data, so that a test can send a whole table of them at once. They
run in one process inside the namespace (probe_send.py), all at the same time, as
root or as the user nobody:

    results = probes.send(lab.host, [Probe("udp", TARGET, 53), ...], uid=probes.NOBODY)

An echo server (echo.py) answers with the address it saw, which says which way
the probe went. A `Flood` sends all the time, for leaks that last a moment.
"""

import dataclasses
import json
from typing import Optional

from .runner import wait_for

NOBODY = 65534


@dataclasses.dataclass(frozen=True)
class Probe:
    """What to send. A device is a name; without one, routing decides."""

    kind: str                           # 'udp', 'tcp', 'icmp' (ping socket), 'raw' (ICMP, needs root)
    to: str
    port: int = 7
    bind_device: Optional[str] = None   # SO_BINDTODEVICE
    unicast_if: Optional[str] = None    # IP_UNICAST_IF, IPV6_UNICAST_IF
    pktinfo: Optional[str] = None       # IP_PKTINFO, IPV6_PKTINFO
    source: Optional[str] = None        # the address to bind to
    sport: int = 0                      # the port to bind to
    reuseport: bool = False             # SO_REUSEPORT and SO_REUSEADDR, to share a busy port
    mark: int = 0                       # SO_MARK, needs root
    size: int = 32                      # of the payload; 3000 makes fragments

    def __str__(self):
        how = [f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self)
               if field.name not in ("kind", "to", "port")
               and getattr(self, field.name) != field.default]
        port = "" if self.kind in ("icmp", "raw") else f" {self.port}"
        return " ".join([f"{self.kind} {self.to}{port}"] + how)


@dataclasses.dataclass
class Result:
    """What became of it."""

    probe: Probe
    answered: bool
    seen_as: Optional[str]      # the address the server saw, if it is an echo server
    error: Optional[str]        # name of the errno, such as 'ENETUNREACH'; None if there was none

    def __str__(self):
        what = f"answered, seen as {self.seen_as}" if self.answered else self.error or "no answer"
        return f"{self.probe}: {what}"


def send(namespace, probes, uid=0, timeout=0.6):
    """Send all PROBES from NAMESPACE as UID; returns their results in the same order."""
    request = json.dumps({"timeout": timeout, "uid": uid,
                          "probes": [dataclasses.asdict(probe) for probe in probes]})
    output = namespace.run_python("probe_send", input=request, timeout=timeout + 20)
    return [Result(probe, **result) for probe, result in zip(probes, json.loads(output.stdout))]


def expect(namespace, probes, uid=0, timeout=0.6, tries=5):
    """As send(), for probes that should be answered: those without an answer are sent again, with twice the time each try.

    On a busy machine, or under a flood, an answer may be lost or late; five times in a row it is not by chance.
    """
    results = send(namespace, probes, uid, timeout)
    for _ in range(tries - 1):
        missing = [number for number, result in enumerate(results) if not result.answered]
        if not missing:
            break
        timeout *= 2
        for number, result in zip(missing, send(namespace, [probes[number] for number in missing], uid, timeout)):
            results[number] = result
    return results


class Flood:
    """UDP datagrams, TCP connections and TCP data to ADDRESSES, without end; a context manager.

    After it, `sent` says how many sends succeeded and how many failed, by kind.
    """

    def __init__(self, namespace, addresses, uid=NOBODY, interval=0.001, patience=5, look=0.005):
        """INTERVAL is the time between packets; PATIENCE, in seconds, how long it may take to start, and LOOK how often that is seen to."""
        self._namespace, self._patience, self._look = namespace, patience, look
        self._request = json.dumps({"addresses": list(addresses), "uid": uid, "interval": interval})
        self._process = None
        self.sent = {}

    def __enter__(self):
        self._process = self._namespace.python("probe_send", self._request)
        # The log continues where an earlier flood's ended.
        wait_for(lambda: self._process.text().rstrip().endswith("ready"), self._patience, "the flood starts", self._look)
        return self

    def __exit__(self, error, *_):
        self._process.stop()
        if error is None:
            self.sent = json.loads(self._process.text().splitlines()[-1])
