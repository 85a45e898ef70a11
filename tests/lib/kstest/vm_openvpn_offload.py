"""OpenVPN with data channel offload (DCO), in the virtual machine: from the handshake on, the kernel sends what openvpn would.

The kernel's module is ovpn-dco, in the image of plugins. openvpn uses it where it may keep CAP_NET_ADMIN when it gives up
being root, for which it needs CAP_SETPCAP: NetworkManager's own unit does not have it in Debian 12, so it is added here.
"""

from .runner import check, wait_for
from .vm import PATIENCE
from .vm_openvpn import MAKE_KEYS, profile_text, server_text
from .vm_plugin import Plugin, log_of, start
from .vm_vpn import SERVER

_PORT, _NUMBER = 1194, 0
_CONFIG = "/etc/ks-openvpn/offload.conf"
_NAME = "offload"
_MAY_OFFLOAD = "[Service]\nCapabilityBoundingSet=CAP_SETPCAP\n"


class Offload(Plugin):
    """Over UDP, with both families inside."""

    name = "offload"
    profile = profile_text(name, _NUMBER, _PORT)
    transport = [("udp", SERVER, _PORT)]
    inside = ("10.80.", "fd80:")
    program = "openvpn"

    @classmethod
    def prepare(cls, machine):
        machine.run(["modprobe", "ovpn-dco-v2"])
        machine.push("/etc/systemd/system/NetworkManager.service.d/50-ks-offload.conf", _MAY_OFFLOAD)
        machine.run("systemctl daemon-reload && systemctl restart NetworkManager", timeout=60)
        machine.wait_booted()
        machine.run(MAKE_KEYS)
        machine.push(_CONFIG, server_text(_PORT, "udp", _NUMBER))
        super().prepare(machine)

    @staticmethod
    def serve(machine):
        start(machine, _NAME, f"exec openvpn --config {_CONFIG} --verb 3", "Initialization Sequence Completed")

    def check_tunnel_carries(self):
        super().check_tunnel_carries()
        check("ovpn-dco" in self.machine.run(["ip", "-d", "link", "show", self.device]).stdout, "the kernel carries the data")

    def wait_down(self):
        """An openvpn that is killed leaves its device; the next one uses it, and leaves it as well."""
        self.machine.run(["ip", "link", "delete", self.device], check=False)
        super().wait_down()

    def reconnect(self):
        """openvpn connects again by itself and keeps its device; its socket is a new one, by another port."""
        before = self._connections()
        self.machine.run(["pkill", "-USR1", "--ns", "1", "--nslist", "net", "-x", self.program])
        wait_for(lambda: self._connections() > before, 30 * PATIENCE, "openvpn connects again", 0.3)

    def _connections(self):
        return int(self.machine.run(["grep", "-c", "Peer Connection Initiated", log_of(_NAME)], check=False).stdout)
