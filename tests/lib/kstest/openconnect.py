"""OpenConnect: an ocserv in the Lab's internet, and a host with a profile of NetworkManager's plugin."""

import contextlib
import os
import pty
import re
import select
import signal
import time
import uuid

from . import openvpn, wire
from .machine import VPN, Host
from .netns import ENVIRONMENT
from .runner import check, wait_for

GATEWAY = "203.0.113.11"    # an address of its own: at the others something answers on port 443
_USER, _PASSWORD = "somebody", "worth-nothing"

_CONFIG = """\
auth = "plain[passwd={directory}/passwd]"
listen-host = {gateway}
tcp-port = 443
udp-port = 443
run-as-user = nobody
run-as-group = nogroup
socket-file = {directory}/socket
pid-file = {directory}/pid
server-cert = {certificate}
server-key = {key}
isolate-workers = false
max-clients = 16
max-same-clients = 16
max-ban-score = 0
rate-limit-ms = 0
keepalive = 60
dpd = 5
cookie-timeout = 300
try-mtu-discovery = false
use-occtl = false
log-level = 3
device = ocs
predictable-ips = true
ipv4-network = 10.9.0.0
ipv4-netmask = 255.255.255.0
ipv6-network = fd09::/64
dns = 10.9.0.1
ping-leases = false
route = default
cisco-client-compat = false
dtls-legacy = true
"""

_PROFILE = """\
[connection]
id={name}
uuid={uuid}
type=vpn
autoconnect=false
[vpn]
service-type=org.freedesktop.NetworkManager.openconnect
protocol=anyconnect
gateway={gateway}
cookie-flags=2
gateway-flags=2
gwcert-flags=2
{extra}
[ipv4]
method=auto
[ipv6]
method=auto
"""


class OpenConnect(Host):
    """A host whose VPN is OpenConnect's, with data over DTLS or over TCP only."""

    needs = ("/usr/sbin/ocserv", "/usr/sbin/openconnect", "/usr/lib/NetworkManager/VPN/nm-openconnect-service.name")
    device = "vpn0"
    program = "openconnect"
    inside = ("10.9.", "fd09::")

    def __init__(self, killswitch, dtls, **options):
        super().__init__(killswitch, **options)
        self.dtls = dtls
        self._directory = os.path.join(self.lab.directory, "ocserv")
        self._keys = openvpn.Keys(self._directory)
        self._config = os.path.join(self._directory, "ocserv.conf")
        with open(self._config, "w", encoding="ascii") as file:
            file.write(_CONFIG.format(directory=self._directory, gateway=GATEWAY,
                                      certificate=self._keys.path("server.crt"), key=self._keys.path("server.key")))
        internet = self.lab.internet
        internet.run("ip", "address", "add", f"{GATEWAY}/24", "dev", "eth0")
        internet.run("ocpasswd", "-c", os.path.join(self._directory, "passwd"), _USER,
                     input=f"{_PASSWORD}\n{_PASSWORD}\n")
        self._server = None
        self._serve()
        self.start(_PROFILE.format(name=VPN, uuid=uuid.uuid5(uuid.NAMESPACE_DNS, VPN), gateway=GATEWAY,
                                   extra="" if dtls else "disable_udp=yes"),
                   [("tcp", GATEWAY, 443)] + [("udp", GATEWAY, 443)] * dtls)

    def _serve(self):
        self._server = self.lab.internet.start("ocserv", "ocserv", "--foreground", "--config", self._config)
        wait_for(lambda: self.lab.internet.run("ss", "-Htln", f"src {GATEWAY}:443").stdout, 10, "ocserv listens", 0.05)

    # Logging in

    def log_in(self, uid=None, check=True):
        """What the login dialog does: `openconnect --authenticate`; the CompletedProcess."""
        return self.host.run("openconnect", "--authenticate", "--non-inter", f"--user={_USER}", "--passwd-on-stdin",
                             "--servercert", self._pin(), f"https://{GATEWAY}/", input=_PASSWORD + "\n", uid=uid,
                             check=check, timeout=10)

    def _pin(self):
        """The server's certificate as openconnect spells it."""
        digest = self.lab.internet.run("sh", "-c", f"openssl x509 -in {self._keys.path('server.crt')} -noout -pubkey | "
                                       "openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64").stdout
        return f"pin-sha256:{digest.strip()}"

    def up(self):
        """Log in as root and connect with what that yields, as `sudo nmcli --ask connection up` does."""
        self.down()
        answer = dict(re.findall(r"^(\w+)='(.*)'$", self.log_in().stdout, re.MULTILINE))
        self.host.write("/run/secrets", f"vpn.secrets.cookie:{answer['COOKIE']}\n"
                        f"vpn.secrets.gateway:{answer.get('CONNECT_URL', GATEWAY)}\nvpn.secrets.gwcert:{answer['FINGERPRINT']}\n",
                        0o600)
        self.nm.nmcli("--wait", "20", "connection", "up", VPN, "passwd-file", "/run/secrets")
        if self.dtls:
            mark = self.mark()
            wait_for(lambda: self._ping() and self._data(mark, wire.UDP), 10, "data goes by DTLS", 0.05)

    def ask(self, timeout=30):
        """`sudo nmcli --ask connection up`, as a person types it; what was on the terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp("nsenter", [*self.host.enter(), "env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items()),
                                  "nmcli", "--ask", "connection", "up", VPN])
        answers = [("Enter 'yes'", "yes"), ("Username:", _USER), ("Password:", _PASSWORD)]
        seen, answered, end = "", 0, time.monotonic() + timeout
        with contextlib.suppress(OSError):  # the terminal ends with the program
            while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")
                if answers and answers[0][0] in seen[answered:]:
                    answered = len(seen)
                    os.write(terminal, answers.pop(0)[1].encode() + b"\n")
        os.close(terminal)  # which ends the program, if it has not
        os.waitpid(pid, 0)
        return seen

    def _ping(self):
        self.probe(chosen=self.carried[:1])
        return True

    def _data(self, mark, proto):
        """How many packets of TLS's or DTLS's application data were sent since MARK."""
        return sum(record.packet.proto == proto and record.packet.payload[:1] == b"\x17"
                   for record in self.since(mark, 0) if record.kind == "transport")

    def check_tunnel_carries(self):
        mark = self.mark()
        super().check_tunnel_carries()
        proto = wire.UDP if self.dtls else wire.TCP
        check(self._data(mark, proto) >= len(self.carried), "data is carried by " + ("DTLS" if self.dtls else "TLS"))

    def wait_down(self):
        """The plugin keeps its device, without addresses or carrier, until it ends some time later."""

    def routing(self):
        """Without what the kernel adds for the device that the plugin keeps."""
        state = super().routing()
        for family in ("routes -4", "routes -6"):
            state[family] = [route for route in state[family]
                             if route.get("dev") != self.device or route.get("protocol") != "kernel"]
        return state

    # Losses

    def server_gone(self):
        """ocserv is started anew and knows no cookie any more; openconnect tries again after 10 seconds, and ends."""
        self._server.stop()
        self._serve()
        self.nm.wait_state(VPN, "")

    def reconnect(self):
        """The process that served the client is killed; openconnect comes back with its cookie and keeps its device."""
        before = self.host.processes(self.program)
        check(self.lab.internet.kill_all("ocserv-worker", signal.SIGKILL), "the client's server process was killed")
        mark = self.mark()
        wait_for(lambda: self._ping() and self._data(mark, wire.UDP if self.dtls else wire.TCP) > 3, 20, "openconnect is back")
        check(self.host.processes(self.program) == before, "it is the same openconnect")
