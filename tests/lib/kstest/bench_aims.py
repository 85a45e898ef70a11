"""What the figures should be, and whether they are: computed, so that the page claims nothing that was not measured."""

from .bench_packets import NONE, OURS, WG

FAMILIES = ("IPv4", "IPv6")
NOISE = 0.05    # between hosts that should cost the same: see the head of the page
CONNECTED = 1.03
ONE, MANY = OURS.format(1), OURS.format(1000)


def _percent(ratio):
    return f"{100 * (ratio - 1):+.0f} %"


def _both(texts):
    return "; ".join(f"{family}: {text}" for family, text in zip(FAMILIES, texts))


def _nothing_armed(parts):
    started = sum(each["processes"] for each in parts["idle"]["idle"].values())
    return started == 0, f"{started} processes started"


def _storm(parts):
    storm = next(each for each in parts["idle"]["armed"].values() if "share" in each)
    return storm["share"] <= 0.1, f"{100 * storm['share']:.0f} %; a rule is back after {parts['idle']['repair_ms']:.0f} ms"


def _leaked(parts):
    gap = parts["gap"]
    return gap["leaked"] == 0 and gap["switches"] >= 1000, f"{gap['leaked']} in {gap['switches']:,}"


def _interruption(parts):
    times = [parts["gap"][family]["interruption_us"] for family in FAMILIES]
    return max(times) < 1000, _both(f"{each:.0f} us" for each in times)


def _flat(parts):
    rows = {title: row[MANY]["ns"] / row[ONE]["ns"] for title, row in parts["packets"]["figures"].items() if "TCP" not in title}
    worst = max(rows, key=rows.get)
    return rows[worst] <= 1 + NOISE, f"at most {_percent(rows[worst])} ({worst}); up to {100 * NOISE:.0f} % is noise"


def _connected(what):
    def judge(parts):
        ratios = [parts["packets"]["figures"][f"{what}, {family}"][ONE]["ratio"] for family in FAMILIES]
        return max(ratios) <= CONNECTED, _both(_percent(ratio) for ratio in ratios)
    return judge


def _tunnel(parts):
    ratios = [parts["events"]["tunnels"][f"stream {family}"]["ratio"] for family in FAMILIES]
    return max(ratios) <= CONNECTED, _both(f"{_percent(each)} of a processor's time" for each in ratios)


def _below_wg_quick(what):
    def judge(parts):
        rows = [parts["packets"]["figures"][f"{what}, {family}"] for family in FAMILIES]
        return (all(row[ONE]["more"] < row[WG]["more"] for row in rows),
                _both(f"{row[ONE]['more']:+.0f} ns, wg-quick {row[WG]['more']:+.0f} ns of {row[NONE]['ns']:.0f}" for row in rows))
    return judge


def _event(title, limit):
    def judge(parts):
        ratio = parts["events"]["figures"][f"nothing to do, {title}"]["cpu_ratio"]
        return ratio <= limit, f"x {ratio:.2f}"
    return judge


def _memory(parts):
    ours = {name: each["mb"] for name, each in parts["events"]["figures"].items()
            if name.startswith(("nothing to do", "puts a rule back"))}
    most = max(ours, key=ours.get)
    return ours[most] <= 16, f"at most {ours[most]:.1f} MB ({most})"


def _toggle(parts):
    times = parts["system"]["toggle"]
    return (max(each["after_nmcli"] for each in times.values()) <= 50,
            "; ".join(f"{name} {each['after_nmcli']:.0f} ms" for name, each in times.items()))


AIMS = (
    ("nothing armed: what other programs change starts no process", _nothing_armed),
    ("armed: a storm of foreign changes costs at most a tenth of a processor", _storm),
    ("no packet leaks in 1,000 switches under a flood", _leaked),
    ("a lost tunnel with another one behind it interrupts traffic for less than 1 ms", _interruption),
    ("a packet costs the same with 1 and with 1,000 armed profiles", _flat),
    ("a TCP stream costs at most 3 % more than with no kill switch", _connected("TCP stream")),
    ("a packet of 64 bytes from a connected UDP socket costs at most 3 % more", _connected("connected UDP")),
    ("a stream through OpenVPN's tunnel takes at most 3 % more than with no kill switch", _tunnel),
    ("an unconnected send costs less than with wg-quick's iptables kill switch", _below_wg_quick("unconnected UDP")),
    ("a forwarded packet costs less than with wg-quick's iptables kill switch", _below_wg_quick("forwarded")),
    ("an event with nothing to do, 10 armed profiles: half of five `ip` processes", _event("10 profiles, 10 armed", 0.5)),
    ("1,000 profiles, 10 of them armed: as much as five", _event("1,000 profiles, 10 armed", 1.0)),
    ("1,000 armed: at most one and a half times as much as five", _event("1,000 profiles, 1,000 armed", 1.5)),
    ("an event takes at most 16 MB of memory", _memory),
    ("a toggle is in force within 50 ms of `nmcli` returning", _toggle),
)


def rows(parts):
    """(aim, "yes" or "no", the figures) for each."""
    judged = [(aim, *judge(parts)) for aim, judge in AIMS]
    return [(aim, "yes" if is_reached else "no", text) for aim, is_reached, text in judged]
