"""What the kernel has of ours, asked directly: a process for each look would take longer than what is looked for.

Rules and routes are known by their protocol, the guard by the name of its table, a service by its control group.
"""

import socket
import struct

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETROUTE, RTM_GETRULE = 26, 34
NFT_GETTABLE, NFT_GETCHAIN, NFT_GETRULE = (10 << 8) | 1, (10 << 8) | 4, (10 << 8) | 7
FAMILIES = (socket.AF_INET, socket.AF_INET6)
OURS = 83
RTA_CACHEINFO, FRA_PRIORITY, FRA_PROTOCOL = 12, 6, 21
FR_ACT_GOTO = 2
SERVICES = "/sys/fs/cgroup/system.slice"


def dump(protocol, kind, body):
    """The bodies of all messages that answer a dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        bodies = []
        while True:
            data = link.recv(1 << 18)
            while len(data) >= 16:
                length, what = struct.unpack_from("=IH", data)
                if what in (NLMSG_DONE, NLMSG_ERROR):
                    return bodies
                bodies.append(data[16:length])
                data = data[(length + 3) & ~3:]


def attributes(data):
    """(type, value) of each attribute."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


def priorities(family):
    """The priorities in our range that have a rule of this FAMILY, whoever made it."""
    found = (dict(attributes(body[12:])).get(FRA_PRIORITY, b"\0\0\0\0")
             for body in dump(NETLINK_ROUTE, RTM_GETRULE, struct.pack("B11x", family)))
    return {priority for priority, in map(struct.Struct("=I").unpack, found) if 8300 <= priority < 8400}


def our_rules():
    rules = set()
    for family in FAMILIES:
        for body in dump(NETLINK_ROUTE, RTM_GETRULE, struct.pack("B11x", family)):
            if dict(attributes(body[12:])).get(FRA_PROTOCOL) == bytes([OURS]):
                rules.add(body)
    return rules


def our_routes():
    routes = set()
    for family in FAMILIES:
        for body in dump(NETLINK_ROUTE, RTM_GETROUTE, struct.pack("B11x", family)):
            if body[5] == OURS:
                routes.add((body[:8], *((kind, value) for kind, value in attributes(body[12:])
                                        if kind != RTA_CACHEINFO)))
    return routes


def guard(kinds=(NFT_GETTABLE, NFT_GETCHAIN, NFT_GETRULE)):
    """How many tables, chains and rules the guard has: it comes and goes as a whole."""
    name = b"nm_killswitch\0"
    return tuple(sum(any(value == name for _, value in attributes(body[4:]))
                     for body in dump(NETLINK_NETFILTER, kind, struct.pack("BBH", 1, 0, 0)))
                 for kind in kinds)


def look():
    """All of ours, comparable."""
    return our_rules(), our_routes(), guard()


def has_jump():
    """Whether there is a jump of ours before somebody else's rule."""
    return any(body[7] == FR_ACT_GOTO for body in our_rules())


def has_rules():
    return any(map(priorities, FAMILIES))


def is_armed():
    """The last rule of both families, and the guard."""
    return all(8390 in priorities(family) for family in FAMILIES) and guard((NFT_GETTABLE,)) == (1,)


def is_released():
    return not has_rules() and guard((NFT_GETTABLE,)) == (0,)


def members(unit):
    """The processes of a service: quicker to read here than systemd is to ask."""
    try:
        with open(f"{SERVICES}/{unit}/cgroup.procs", encoding="ascii") as file:
            return [int(line) for line in file]
    except OSError:
        return []
