"""A whole Debian with systemd as its first process, in a container of this machine's kernel.

At this machine's speed: emulated, the same takes ten times as long. Its network is its own and leads nowhere.
"""

import os
import shutil
import subprocess
import tempfile

from . import nm
from .runner import Skip, at_exit
from .vm_image import BUILD, GUEST

PACKAGES = ("systemd-sysv", "dbus", "iproute2", "nftables", "network-manager", "python3", "procps",
            "libnl-3-200", "libnl-route-3-200", "libnftables1", "libnm0", "libglib2.0-bin")
# as the package enables them
UNITS = ("nm-killswitch-boot.service", "nm-killswitch-sync.path", "nm-killswitch-names.path", "nm-killswitch-heal.socket")
UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/bench.sh
StandardOutput=truncate:/root/bench.log
StandardError=truncate:/root/bench.log
[Install]
WantedBy=multi-user.target
"""
VPN = "etc/NetworkManager/system-connections/vpn.nmconnection"
PROFILE = """\
[connection]
id=vpn
uuid=66666666-6666-4666-8666-000000000000
type=wireguard
interface-name=wg0
autoconnect=false
{zone}
[wireguard]
private-key=YAnz5TF+lXXJte14tji3zlMNftF7r6pFYWZqbRsjJl8=
listen-port=51820

[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]
endpoint=203.0.113.10:51820
allowed-ips=0.0.0.0/0;::/0;

[ipv4]
method=disabled

[ipv6]
method=disabled
"""


class Container:
    """A root file system with the kill switch installed, and FILES ({path: text}); gone at the end.

    SCRIPT is run by bash when the container has started; what it prints is kept in a log. It ends with `poweroff -ff`.
    """

    def __init__(self, script, files=()):
        for tool in ("systemd-nspawn", "mmdebstrap"):
            if not shutil.which(tool):
                raise Skip(f"no {tool} here")
        stage = nm.stage()
        os.makedirs(BUILD, exist_ok=True)
        directory = tempfile.mkdtemp(prefix="container-", dir=BUILD)
        at_exit(shutil.rmtree, directory, True)
        self.root = os.path.join(directory, "root")
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", self.root],
                       check=True)
        subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{stage}/.", self.root], check=True)
        subprocess.run(["systemctl", "--quiet", "--root", self.root, "enable", *UNITS], check=True)
        for name in ("life.py", "kernel.py"):
            shutil.copy(os.path.join(GUEST, name), self.path("root", name))
        for path, text in {"root/bench.sh": script, "etc/systemd/system/bench.service": UNIT, **dict(files)}.items():
            os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
            with open(self.path(path), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(self.path(path), 0o600)
        wanted = self.path("etc/systemd/system/multi-user.target.wants")
        os.makedirs(wanted, exist_ok=True)
        os.symlink("../bench.service", os.path.join(wanted, "bench.service"))

    def path(self, *names):
        return os.path.join(self.root, *names)

    def boot(self, timeout):
        """Start it, and wait until it has ended: what the script printed."""
        # it may end with an error on a host that was not booted by systemd; the log says whether it got to the end
        subprocess.run(["systemd-nspawn", "--quiet", "--directory", self.root, "--private-network", "--register=no",
                        "--keep-unit", "--console=pipe", "--boot"], check=False, timeout=timeout,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(self.path("root/bench.log"), encoding="utf-8", errors="replace") as file:
            return file.read()
