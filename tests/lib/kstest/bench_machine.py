"""What needs a kernel of its own: activating WireGuard without and with the package, in the virtual machine.

It is emulated, several times slower than this machine, and not evenly so: only ratios mean anything.
"""

from .bench_hosts import median
from .vm_stages import Stages

ACTIVATE = """\
for i in $(seq {count}); do
    nmcli connection down {name} >/dev/null 2>&1
    sleep 1
    begin=$(date +%s%N)
    nmcli --wait 60 connection up {name} >/dev/null || exit 1
    echo $(($(date +%s%N) - begin))
done
"""


def _activations(machine, vpn, count):
    """Seconds that `nmcli connection up` takes, by the machine's clock; the first, which warms up, is left out."""
    out = machine.run(ACTIVATE.format(name=vpn.name, count=count + 1), timeout=60 * (count + 1)).stdout
    return [int(line) / 1e9 for line in out.split()][1:]


def run(quick):
    """{"wireguard": seconds without and with, their ratio, and how many times each}, taken in turn."""
    stages = Stages("bench")
    stages.set_up()
    rounds, count = (1, 1) if quick else (2, 5)
    taken = {"without": [], "with": []}
    for _ in range(rounds):
        for name, state in (("without", stages.clean), ("with", stages.armed)):
            taken[name] += _activations(state(), stages.vpns.vpn, count)
    figures = {name: median(values) for name, values in taken.items()}
    return {"wireguard": {**figures, "ratio": figures["with"] / figures["without"], "times": rounds * count}}
