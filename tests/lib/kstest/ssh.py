"""NetworkManager-ssh: an sshd in the Lab's internet that makes tun devices, and a host with a profile of the plugin."""

import os
import uuid

from .machine import VPN, Host
from .netns import SERVER
from .runner import wait_for

_LOCAL, _REMOTE = "10.10.0.2", "10.10.0.1"
_LOCAL6, _REMOTE6 = "fd10::2", "fd10::1"

_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {directory}/host
AuthorizedKeysFile {directory}/client.pub
PidFile none
PermitRootLogin yes
PermitTunnel yes
StrictModes no
UsePAM no
UseDNS no
"""

_PROFILE = """\
[connection]
id={name}
uuid={uuid}
type=vpn
autoconnect=false
[vpn]
service-type=org.freedesktop.NetworkManager.ssh
remote={address}
auth-type=key
key-file={key}
local-ip={local}
remote-ip={remote}
netmask=255.255.255.252
ip-6=yes
local-ip-6={local6}
remote-ip-6={remote6}
netmask-6=64
[ipv4]
method=auto
[ipv6]
method=auto
"""


class Ssh(Host):
    """A host whose VPN is a tun device over ssh."""

    needs = ("/usr/sbin/sshd", "/sbin/ifconfig", "/usr/lib/NetworkManager/VPN/nm-ssh-service.name")
    program = "ssh"
    inside = (_LOCAL, _LOCAL6)

    def __init__(self, killswitch, **options):
        super().__init__(killswitch, **options)
        directory = os.path.join(self.lab.directory, "sshd")
        os.makedirs(directory)
        internet = self.lab.internet
        for name in ("host", "client"):
            internet.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", os.path.join(directory, name))
        self._config = os.path.join(directory, "sshd_config")
        with open(self._config, "w", encoding="ascii") as file:
            file.write(_CONFIG.format(address=SERVER, directory=directory))
        # The directory that sshd gives up its privileges in.
        internet.run("sh", "-c", "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd")
        with open(os.path.join(directory, "host.pub"), encoding="ascii") as file:
            self.host.write("/etc/ssh/ssh_known_hosts", f"{SERVER} {file.read()}")
        self._server = None
        self._serve()
        self.start(_PROFILE.format(name=VPN, uuid=uuid.uuid5(uuid.NAMESPACE_DNS, VPN), address=SERVER,
                                   key=os.path.join(directory, "client"), local=_LOCAL, remote=_REMOTE,
                                   local6=_LOCAL6, remote6=_REMOTE6),
                   [("tcp", SERVER, 22)])

    def _serve(self):
        self._server = self.lab.internet.start("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", self._config)
        wait_for(lambda: self.lab.internet.run("ss", "-Htln", f"src {SERVER}:22").stdout, 10, "sshd listens", 0.05)

    def connections(self):
        """How many processes of sshd serve a connection."""
        return len(self.lab.internet.processes("sshd")) - 1

    def down(self):
        """Also at the server: until sshd has ended the connection its tun device is taken, and no other one can be made."""
        super().down()
        wait_for(lambda: self.connections() == 0, 10, "sshd has ended the connection")

    def server_gone(self):
        """sshd ends with all its connections; another one is there for the next."""
        self._server.stop()
        self.lab.internet.kill_all("sshd")
        self.nm.wait_state(VPN, "")
        self._serve()
