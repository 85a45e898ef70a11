"""What each packet costs: with no kill switch, other people's, and this one with few and many armed profiles."""

from .bench_hosts import (ARTICLE, MARK, SECTION, SERVER, SERVER6, SERVER_PORT, VENDOR, VENDOR_TABLE, WG_PORT, WG_QUICK_LINE,
                          BenchHost, Far, differences, directory, interleave, median, openvpn_profile, ratios)
from .netns import TARGET, TARGET6
from .probes import NOBODY
from .runner import check

NONE, WG = "no kill switch", "wg-quick with iptables"
VENDORS = "nftables, as vendors' clients do"
OURS = "nm-killswitch, {} armed"
# What any kill switch of rules and nftables costs before it decides anything.
RULE, PORT_RULE, CHAINS, BOTH = ("one rule", "one rule with a port", "empty chains at the guard's three hooks",
                                 "a rule with a port, and the chains")
# Of wg-quick's kill switch: only its rules and the line of its man page, without the chains that the program adds by itself.
LINE = "wg-quick's rules and its man page's line alone"
NEVER = {RULE: "fwmark 0x4e4f", PORT_RULE: "ipproto udp dport 7"}      # match nothing that is sent here
EMPTY_CHAINS = "\n".join(["table inet floor {"] + [
    f"chain {hook} {{\n type filter hook {hook} priority {priority}; policy accept;\n }}"
    for hook, priority in (("prerouting", "raw"), ("forward", "filter"), ("postrouting", "filter"))] + ["}", ""])


def _add_floors(add):
    add(LINE).script(WG_QUICK_LINE)
    for name, rule, chains in ((RULE, RULE, False), (PORT_RULE, PORT_RULE, False), (CHAINS, None, True),
                               (BOTH, PORT_RULE, True)):
        host = add(name)
        host.main_by_tunnel()
        for family in ("-4", "-6") if rule else ():
            host.script(f"ip {family} rule add {NEVER[rule]} table 4711 priority 100")
        if chains:
            host.host.run("nft", "-f", "-", input=EMPTY_CHAINS)


def hosts(counts):
    """One for each kill switch; of ours one for each number of armed profiles in COUNTS; and the floors."""
    where = directory()
    far = Far(where)
    made = []

    def add(name):
        made.append(BenchHost(far, where, len(made) + 1, name))
        return made[-1]

    add(NONE).main_by_tunnel()
    add("the article's rules").script(ARTICLE)
    add(WG).wg_quick()
    vendor = add(VENDORS)
    vendor.script(VENDOR)
    vendor.host.run("nft", "-f", "-", input=VENDOR_TABLE)
    without = add("nm-killswitch, Guard=off")
    without.main_by_tunnel()
    without.install("[main]\nGuard=off\n" + SECTION)
    for count in counts:
        host = add(OURS.format(count))
        host.main_by_tunnel()
        host.install(profiles=[(f"vpn-{n}", openvpn_profile(n)) for n in range(count - 1)])
    killswitches = list(made)
    _add_floors(add)
    for host in made:
        _check_carries(host)
    return killswitches, made[len(killswitches):]


def _check_carries(host):
    """What is measured goes by the tunnel, of an ordinary user, and not by the uplink."""
    before = host.far.leaked(host.number)
    for address in (TARGET, TARGET6):
        host.pace("send", address, 1, 10, f"uid={NOBODY}")
        host.pace("send", address, 1, 10, space=host.box)
    check(host.far.leaked(host.number) == before, f"{host.name}: packets left by the uplink")


def _transport_options(host):
    if host.name in (WG, VENDORS):
        return [f"mark={MARK}", f"port={SERVER_PORT}"]
    if "article" in host.name:
        return [f"sport={WG_PORT}", f"port={SERVER_PORT}"]
    return [f"port={SERVER_PORT}"]


def _measures(quick):
    """(title, function of a host) for each figure."""
    batches = 3 if quick else 15
    count = 100 if quick else 1000
    user = f"uid={NOBODY}"

    def send(address):
        return lambda host: host.pace("send", address, batches, count, user, "cpu=1")

    def connected(address):
        return lambda host: host.pace("connected", address, batches, count, user, "cpu=1")

    def stream(address):
        return lambda host: host.pace("stream", address, batches, 1 if quick else 200, user, "cpu=1")

    def forward(address):
        return lambda host: host.pace("send", address, batches, count, "cpu=1", space=host.box)

    def transport(address):
        return lambda host: host.pace("send", address, batches, count, "cpu=1", *_transport_options(host))

    return [("unconnected UDP, IPv4", send(TARGET)), ("unconnected UDP, IPv6", send(TARGET6)),
            ("forwarded, IPv4", forward(TARGET)), ("forwarded, IPv6", forward(TARGET6)),
            ("connected UDP, IPv4", connected(TARGET)), ("connected UDP, IPv6", connected(TARGET6)),
            ("TCP stream, IPv4", stream(TARGET)), ("TCP stream, IPv6", stream(TARGET6)),
            ("the tunnel's own packets, IPv4", transport(SERVER)), ("the tunnel's own packets, IPv6", transport(SERVER6))]


def _floors(compared, measures, rounds):
    """{title: {host: nanoseconds more than without any}}, of rather many rounds: they differ little."""
    return {title: differences(interleave(compared, measure, rounds), NONE)
            for title, measure in measures if title.startswith(("connected", "unconnected", "forwarded"))}


def run(quick):
    """{"hosts": names, "base": name, "figures": {title: {host: {"ns", "ratio" to base, "more" nanoseconds}}}, "floors"}."""
    made, floors = hosts([1, 10] if quick else [1, 10, 100, 1000])
    measures = _measures(quick)
    figures = {}
    for title, measure in measures:
        # a stream costs the same within a few per cent, and a few per cent are what is asked
        taken = interleave(made, measure, 1 if quick else 33 if "stream" in title else 11)
        by_ratio, by_difference = ratios(taken, NONE), differences(taken, NONE)
        figures[title] = {host.name: {"ns": median(taken[host.name]), "ratio": by_ratio[host.name],
                                      "more": by_difference[host.name]} for host in made}
    compared = [host for host in made if host.name in (NONE, WG, OURS.format(1))] + floors
    return {"hosts": [host.name for host in made], "base": NONE, "figures": figures,
            "floors": _floors(compared, measures, 1 if quick else 9)}
