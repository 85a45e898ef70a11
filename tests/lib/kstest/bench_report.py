"""The figures of the benchmarks as text, as docs/performance.md, and as plots."""

import json
import os
import shutil
import subprocess
import textwrap

from . import bench_aims, netns
from .bench_packets import BOTH, CHAINS, LINE, NONE, OURS, PORT_RULE, RULE, VENDORS, WG
from .runner import Skip

ARTICLE, NO_GUARD = "the article's rules", "nm-killswitch, Guard=off"


_FLOORS = (RULE, PORT_RULE, CHAINS, BOTH, LINE, WG, OURS.format(1))


# --- as a table on the terminal ---

def _packet_lines(figures):
    for title, row in figures["figures"].items():
        yield title
        for host in figures["hosts"]:
            each = row[host]
            yield f"    {host:<36}{each['ns']:>9.0f} ns   x {each['ratio']:.3f}   {each['more']:+8.0f} ns"
    for title, row in figures["floors"].items():
        yield f"{title}: " + ", ".join(f"{name} {row[name]:+.0f} ns" for name in _FLOORS)


def _gap_lines(figures):
    yield f"{figures['switches']} switches, {figures['leaked']} packets leaked (without a kill switch {figures['control_leaked']})"
    for family in ("IPv4", "IPv6"):
        each = figures[family]
        yield (f"    {family}: {each['packets']} packets, {each['refused']} refused; longest time without one at a switch"
               f" {each['interruption_us']:.0f} us, otherwise {each['otherwise_us'] or 0:.0f} us")


def _idle_lines(figures):
    for state in ("idle", "armed"):
        yield {"idle": "nothing armed", "armed": "armed"}[state]
        for what, each in figures[state].items():
            yield (f"    {what:<56}{each['processes']:>5} processes  {each['cpu_s']:8.3f} s of a processor"
                   f" in {each['seconds']:.1f} s")
    yield f"a rule that somebody deleted is back after {figures['repair_ms']:.0f} ms"


def _event_lines(figures):
    for name, each in sorted(figures["figures"].items()):
        more = f"   {each['netlink']} netlink, {each['bus']} bus" if "netlink" in each else ""
        yield (f"{name:<60}{each['ms']:>8.1f} ms  cpu {each['cpu_ms']:>7.1f} ms  x {each['cpu_ratio']:.2f}"
               f"  {each['mb']:.1f} MB{more}")
    yield f"installed: {figures['installed_kb']} KiB"
    tunnels = figures["tunnels"]
    for what, unit, scale in (("openvpn_s", "s", 1), ("wireguard_s", "s", 1), ("stream IPv4", "us", 1e-3), ("stream IPv6", "us", 1e-3)):
        each = tunnels[what]
        yield (f"{what:<14} without {each['without'] * scale:.2f} {unit}, with {each['with'] * scale:.2f} {unit},"
               f" x {each['ratio']:.2f}" if each else f"{what:<14} this kernel has no such device")


def _system_lines(figures):
    boot = figures["boot"]
    yield (f"boot unit {boot['unit_ms']:.0f} ms, its program {boot['program_ms']:.0f} ms;"
           f" NetworkManager {boot['networkmanager_ms']:.0f} ms")
    for name, each in figures["toggle"].items():
        yield f"{name}: in force {each['after_nmcli']:.0f} ms after nmcli has returned; ms from its start:"
        yield "    " + ", ".join(f"{what} {each[what]:.0f}" for what in _STEPS)


def _machine_lines(figures):
    wireguard = figures["wireguard"]
    yield (f"WireGuard up: without {wireguard['without']:.2f} s, with {wireguard['with']:.2f} s, x {wireguard['ratio']:.2f}"
           f" ({wireguard['times']} times each)")


_STEPS = {"written": "the profile's file is written", "returned": "`nmcli` has returned", "unit": "systemd begins to start the"
          " service", "program": "its program begins", "in_force": "**all is in force**", "ended": "the program has ended"}
_LINES = {"packets": _packet_lines, "gap": _gap_lines, "idle": _idle_lines, "events": _event_lines, "system": _system_lines,
          "machine": _machine_lines}


def lines(part, figures):
    return list(_LINES[part](figures))


# --- as a document ---

_TITLES = [f"{what}, {family}" for what in ("connected UDP", "TCP stream", "unconnected UDP", "forwarded",
                                            "the tunnel's own packets") for family in ("IPv4", "IPv6")]

_HEAD = """# Performance

Measured by `sudo make bench` (some 20 minutes), which writes this page, the plots and [the figures](performance.json).
It runs in network namespaces, a container and a virtual machine of its own; nothing else is touched.

- Every figure is compared with another one measured alternately in the same run: `x 1.10` takes 10 % more. Figures are
  medians. Packets are sent with a real-time priority, since the machine does other things meanwhile. Differences of one or
  two per cent are noise. The two ends of a TCP stream share one processor, so what both cost is measured; its congestion control
  is Reno, as BBR waits for timers.
- "Processor" means processor time rather than elapsed time: other programs that run meanwhile do not count.
- Machine: {machine}

"""

_PACKETS = """## Each packet

A 64-byte packet to a veth pair whose other end drops it at once. This measures next to nothing else, so the ratios are the
worst case. Packets of *unconnected* sockets (DNS, QUIC servers) and forwarded packets are routed anew each time, through all
rules until one decides; *connected* sockets (all of TCP) keep their route, and only the guard costs them anything.

![Nanoseconds that each kill switch adds to a packet](performance-packets.svg)

{table}

- More profiles mean larger trees and hash tables to look up, but not more rules to walk: servers are routes in one table and
  elements of one set.
- A connected socket pays only for the guard.
- An unconnected send pays for the existence of any rules, for those that it passes, of which there are five if it goes into the
  tunnel, and for the guard. {shares}

![One armed profile to a thousand](performance-profiles.svg)

What any kill switch made of rules and nftables costs before it decides anything: rules that match no packet and chains that
are empty, in nanoseconds above no kill switch. However its rules and lines are ordered, a design cannot cost less than the
parts it needs.

{floors}

- A packet that the host itself sends passes one of the three hooks. Rules alone do not stop a program that binds a device, so
  an unconnected packet pays at least for one rule and for one chain.
- A forwarded packet passes all three hooks, its route is looked up twice (to its destination, and back to its source), and as
  soon as any rule has a port or protocol the kernel dissects it before each lookup.
- wg-quick by itself adds chains at prerouting and postrouting, which save and restore marks of connections, so every packet
  passes connection tracking; where a firewall or containers need that anyway, the difference to the column before is smaller.
  The line of its man page is about packets that the host itself sends: it does not stop a container or a virtual machine when
  the tunnel is lost, and needs no hook and no port for them.

"""


def _table(head, rows):
    text = "| " + " | ".join(head) + " |\n|" + " --- |" * len(head) + "\n"
    return text + "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in rows)


def _short(name):
    return name.replace("nm-killswitch, ", "").replace("1000", "1,000")


def _short_column(name):
    return name if "armed" not in name else f"nm-killswitch, {_short(name)}"


def _shares(figures, family):
    """What an unconnected send pays; a connected socket stands for the guard's share."""
    row = figures[f"unconnected UDP, {family}"]
    total, wg_quick = (row[host]["more"] for host in (OURS.format(1), WG))
    guard = figures[f"connected UDP, {family}"][OURS.format(1)]["more"]
    return f"{family}: {total:.0f} ns, of which the guard {guard:.0f}; wg-quick's kill switch {wg_quick:.0f} ns."


def _packets_section(figures):
    hosts = [host for host in figures["hosts"] if host not in (NONE, OURS.format(10), OURS.format(100))]
    head = ["", NONE] + [_short(host) if "armed" not in host else f"nm-killswitch, {_short(host)}" for host in hosts]
    rows = []
    for title in _TITLES:
        row = figures["figures"][title]
        unit = f"{row[NONE]['ns']:.0f} ns" if "TCP" not in title else f"{65536 * 8 / row[NONE]['ns']:.0f} Gbit/s"
        rows.append([title, unit] + [f"x {row[host]['ratio']:.2f}" for host in hosts])
    floors = [[title] + [f"{row[name]:+.0f}" for name in _FLOORS] for title, row in
              ((title, figures["floors"][title]) for title in _TITLES if title in figures["floors"])]
    return _PACKETS.format(table=_table(head, rows), floors=_table(["", *map(_short_column, _FLOORS)], floors), shares=" ".join(_shares(figures["figures"], family) for family in ("IPv4", "IPv6")))


def _gap_section(figures):
    both = [figures[family] for family in ("IPv4", "IPv6")]
    return ("## When a tunnel is lost\n\n"
            f"Two tunnels are up; the preferred one is lost and comes back, {figures['switches'] // 2} times, under a flood of"
            " both families that uses all available processor time.\n\n"
            + _table(["", "IPv4", "IPv6"], [
                ["packets sent"] + [f"{each['packets']:,}" for each in both],
                ["**leaked**"] + [f"**{figures['leaked']}** (both; without a kill switch, one loss:"
                                  f" {figures['control_leaked']:,})", ""],
                ["refused by the kernel, for lack of a route"] + [f"{each['refused']:,}" for each in both],
                ["longest time without a packet at a loss, median (and worst)"]
                + [f"{each['interruption_us']:.0f} us ({each['worst_us']:.0f})" for each in both],
                ["the same in 5 ms without a loss"] + [f"{each['otherwise_us']:.0f} us" for each in both]])
            + "\nThe kernel removes the route of a lost device and finds the next one in the same table: every packet in"
            " between has a route. The times are those of one sender with a real-time priority, over"
            f" {figures['losses']} losses for each family; without the priority, they would show the scheduler.\n\n")


def _idle_section(figures):
    rows = [[what] + [cell for state in ("idle", "armed")
                      for cell in (figures[state][what]["processes"], f"{figures[state][what]['cpu_s']:.2f} s")]
            + [f"{figures['armed'][what]['seconds']:.1f} s"]
            for what in figures["idle"]]
    storm = next(each for each in figures["armed"].values() if "share" in each)
    return ("## A host that does not use it, and a storm\n\n"
            "Changes by other programs start `nm-killswitch heal` only if they can matter: a filter in the kernel, on the"
            " sockets that systemd holds, drops all other notifications.\n\n"
            + _table(["", "nothing armed: processes", "processor", "armed: processes", "processor", "took"], rows)
            + f"\nWhile armed, changes to table main have to be followed. A storm of them costs {100 * storm['share']:.0f} %"
            f" of one processor. A deleted rule is back after {figures['repair_ms']:.0f} ms (median, without systemd's"
            " share). No process keeps running, so no memory stays in use.\n\n")


def _event_section(figures):
    rows = []
    for name, each in figures["figures"].items():
        rows.append([name, f"{each['cpu_ms']:.1f} ms", f"x {each['cpu_ratio']:.2f}", f"{each['mb']:.1f} MB",
                     f"{each['instructions'] / 1e6:.1f} M" if each.get("instructions") else "",
                     f"{each['netlink']}, {each['bus']}" if "netlink" in each else ""])
    tunnels = figures["tunnels"]
    return ("## One event\n\n"
            f"From exec to exit of the program that NetworkManager's dispatcher runs, and of other programs; ratios are to {figures['base']}."
            " Nearly every event has *nothing to do*.\n\n![Events](performance-events.svg)\n\n"
            + _table(["", "processor", "ratio", "most memory", "instructions", "netlink and bus messages sent"], rows)
            + f"\nThe installed files take {figures['installed_kb']} KiB.\n\n"
            "## A tunnel\n\nThe same VPN, alternately without the package and armed; for a stream, on one host whose VPN stays up while the"
            "\nkill switch is turned off and on.\n\n"
            + _table(["", "without", "with", "ratio"], [_tunnel_row(*each, tunnels) for each in _TUNNEL_ROWS]) + "\n")


_TUNNEL_ROWS = (("`nmcli connection up`, OpenVPN", "openvpn_s", 1, "{:.2f} s"),
                ("`nmcli connection up`, WireGuard (below: in the virtual machine)", "wireguard_s", 1, "{:.2f} s"),
                ("64 KiB of a TCP stream through OpenVPN, IPv4 (processor)", "stream IPv4", 1e-3, "{:.0f} us"),
                ("64 KiB of a TCP stream through OpenVPN, IPv6 (processor)", "stream IPv6", 1e-3, "{:.0f} us"))


def _tunnel_row(title, what, scale, form, tunnels):
    each = tunnels[what]
    if not each:
        return [title, "this kernel has none", "", ""]
    return [title] + [form.format(each[name] * scale) for name in ("without", "with")] + [f"x {each['ratio']:.2f}"]


def _system_section(figures):
    toggle, boot = figures["toggle"], figures["boot"]
    rows = [[text] + [f"{toggle[name][what]:.0f} ms" for name in toggle] for what, text in _STEPS.items()]
    return ("## A toggle, and the boot\n\nA whole Debian 12 with systemd, in a container; medians of elapsed time, so a busy"
            f" machine affects them. `nmcli connection modify` arms and disarms, {figures['rounds']} times each; from its start until:\n\n"
            + _table(["", *toggle], rows)
            + f"\nnm-killswitch-boot.service delays the network by {boot['unit_ms']:.0f} ms (its program:"
            f" {boot['program_ms']:.0f} ms; NetworkManager's own service then takes {boot['networkmanager_ms']:.0f} ms; medians of"
            f" {figures['boots']} boots).\n\n")


def _machine_section(figures):
    each = figures["wireguard"]
    return ("## WireGuard, in a virtual machine\n\nA whole Debian 12 with a kernel of its own, emulated (TCG). Everything takes several"
            " times as long as on a real processor, and not evenly so: only the ratio means anything.\n\n"
            + _table(["", "without", "with", "ratio"], [[f"`nmcli connection up`, WireGuard ({each['times']} times each)",
                                                        f"{each['without']:.1f} s", f"{each['with']:.1f} s", f"x {each['ratio']:.2f}"]])
            + "\n")


def _aims_section(parts):
    return ("## Against the aims\n\nComputed from the figures above.\n\n"
            + _table(["aim", "reached?", "measured"], bench_aims.rows(parts)) + "\n")


# --- plots ---

_STYLE = """set terminal svg size 860,{height} font 'sans-serif,13' background '#ffffff'
set output '{output}'
set border 3 lc '#777777'
set tics nomirror
set grid ytics lc '#dddddd'
set key top left
"""


def _plot(path, height, script, data):
    """Run gnuplot over DATA ({name: rows})."""
    text = _STYLE.format(height=height, output=path)
    for name, rows in data.items():
        text += f"${name} << EOD\n" + "\n".join(" ".join(str(cell) for cell in row) for row in rows) + "\nEOD\n"
    subprocess.run(["gnuplot"], input=text + script, text=True, check=True, timeout=60)


def _plot_packets(figures, docs):
    titles = [title for title in _TITLES if "TCP" not in title]
    hosts = [ARTICLE, WG, VENDORS, NO_GUARD, OURS.format(1)]
    rows = [[f'"{title.replace(", ", chr(92) + "n").replace("the tunnel", "tunnel").replace(" own packets", " own").replace("connected UDP", "connected")}"'] + [f"{figures['figures'][title][host]['more']:.0f}" for host in hosts]
            for title in titles]
    colours = ["#b0b0b0", "#8fa8c8", "#d8b070", "#a6d5a6", "#2e8b57"]
    series = ", ".join(f"$d using {i + 2}{':xtic(1)' if i == 0 else ''} title \"{host}\" lc '{colours[i]}'"
                       for i, host in enumerate(hosts))
    _plot(os.path.join(docs, "performance-packets.svg"), 420,
          "set key outside top center horizontal width -2\nset style data histogram\nset style fill solid border -1\nset boxwidth 0.9\nset xtics font ',10'\n"
          f"set ylabel 'ns above no kill switch'\nplot {series}\n", {"d": rows})


def _plot_profiles(figures, docs):
    rows = [[count] + [figures["figures"][f"unconnected UDP, {family}"][OURS.format(count)]["ns"] for family in ("IPv4", "IPv6")]
            for count in (1, 10, 100, 1000)]
    none = [figures["figures"][f"unconnected UDP, {family}"][NONE]["ns"] for family in ("IPv4", "IPv6")]
    _plot(os.path.join(docs, "performance-profiles.svg"), 320,
          "set logscale x\nset yrange [0:*]\nset xlabel 'armed profiles'\nset ylabel 'ns for an unconnected send'\n"
          "set key bottom right\n"
          "plot $d using 1:2 with linespoints lw 2 lc '#2e8b57' title 'IPv4', $d using 1:3 with linespoints lw 2 lc '#8fa8c8'"
          f" title 'IPv6', {none[0]} with lines dt 2 lc '#2e8b57' title 'IPv4, no kill switch', {none[1]} with lines dt 2"
          " lc '#8fa8c8' title 'IPv6, no kill switch'\n", {"d": rows})


def _plot_events(figures, docs):
    rows = [[f'"{name.replace("`", "")}"', f"{each['cpu_ms']:.2f}"]
            for name, each in sorted(figures["figures"].items(), key=lambda item: item[1]["cpu_ms"])]
    _plot(os.path.join(docs, "performance-events.svg"), 40 + 22 * len(rows),
          f"set style fill solid\nunset key\nset logscale x\nset xrange [1:*]\nset xlabel 'ms of a processor'\nset yrange [-0.7:{len(rows) - 0.3}]\n"
          "set grid xtics lc '#dddddd'\nset lmargin 48\n"
          "plot $d using (0.5*$2):0:(0.5*$2):(0.4):ytic(1) with boxxyerror lc '#2e8b57'\n", {"d": rows})


def write(store, docs):
    """docs/performance.md, .json and the plots, from what the parts left in STORE."""
    parts = {}
    for name in _LINES:
        path = os.path.join(store, name + ".json")
        if not os.path.exists(path):
            raise Skip(f"no figures of {name}: run all parts")
        with open(path, encoding="utf-8") as file:
            parts[name] = json.load(file)
    if not shutil.which("gnuplot"):
        raise Skip("no gnuplot")
    machine = parts["packets"]["machine"]
    text = _HEAD.format(machine=f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, load"
                                f" {machine['load']:.0f}, {machine['date']}.")
    text += _packets_section(parts["packets"]) + _gap_section(parts["gap"]) + _idle_section(parts["idle"])
    text += _event_section(parts["events"]) + _system_section(parts["system"]) + _machine_section(parts["machine"])
    text += _aims_section(parts)
    with open(os.path.join(netns.ROOT, "tests", "bench", "notes.md"), encoding="utf-8") as file:
        text += file.read()
    text = "\n".join(textwrap.fill(line, 127) if line[:1].isalpha() else line for line in text.split("\n"))
    with open(os.path.join(docs, "performance.md"), "w", encoding="utf-8") as file:
        file.write(text.replace("\n\n\n", "\n\n"))
    with open(os.path.join(docs, "performance.json"), "w", encoding="utf-8") as file:
        json.dump(parts, file, indent=1, sort_keys=True)
        file.write("\n")
    _plot_packets(parts["packets"], docs)
    _plot_profiles(parts["packets"], docs)
    _plot_events(parts["events"], docs)
