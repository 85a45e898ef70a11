"""An OpenVPN server in the Lab's internet, and NetworkManager profiles that connect to it.

The keys are made on the spot and are worth nothing. The client is
NetworkManager's openvpn plugin, never openvpn by hand: what the plugin does
is what is tested.
"""

import os
import shutil
import subprocess
import uuid

from . import netns, runner

NETWORK, NETWORK6 = "10.8.0.0", "fd08::/64"


class Keys:
    """A certificate authority, a server's and a client's certificate, in DIRECTORY."""

    def __init__(self, directory):
        if not shutil.which("openssl"):
            raise runner.Skip("no openssl here")
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self._make("ca")
        self._make("server", "serverAuth")
        self._make("client", "clientAuth")

    def _make(self, name, usage=None):
        issuer = [] if usage is None else [
            "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
            "-addext", f"extendedKeyUsage={usage}", "-addext", "keyUsage=digitalSignature",
            "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                        "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.crt")] + issuer,
                       stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30)

    def path(self, name):
        return os.path.join(self.directory, name)


class Server:
    """openvpn --server; the tunnel is TUN in the namespace `internet`."""

    def __init__(self, lab, keys, proto="udp", port=1194, address=netns.SERVER, ipv6=False,
                 push=(), tun="tun0", network=NETWORK, network6=NETWORK6, keepalive=(2, 8), hosts=(), options=()):
        """HOSTS are (name, address) that a DNS server at the tunnel's end resolves; OPTIONS are further ones of openvpn."""
        self.lab = lab
        self.proto, self.port, self.address, self.network = proto, port, address, network
        family = "6" if ":" in address else "4"
        self.command = [
            "openvpn", "--dev", tun, "--dev-type", "tun", "--topology", "subnet",
            "--proto", proto + family + ("-server" if proto == "tcp" else ""),
            "--local", address, "--port", str(port),
            "--ca", keys.path("ca.crt"), "--cert", keys.path("server.crt"),
            "--key", keys.path("server.key"), "--dh", "none",
            # A client gets the address it had, also of a server that was restarted.
            "--ifconfig-pool-persist", os.path.join(lab.directory, f"pool-{tun}"), "1",
            "--keepalive", *map(str, keepalive), "--verb", "3", *options]
        if ipv6:
            self.command += ["--server-ipv6", network6]
        for option in push:
            self.command += ["--push", option]
        self._process = None
        self.start()
        # Bound as the tunnel's addresses come and go, which they do when the server restarts.
        lab.internet.start(f"dnsmasq-{tun}", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                           "--no-resolv", "--no-hosts", "--log-facility=-", "--user=root", "--pid-file",
                           "--bind-dynamic", f"--interface={tun}", "--except-interface=lo",
                           *(f"--host-record={name},{address}" for name, address in hosts))

    @property
    def transport(self):
        """What the wire may carry for it."""
        return (self.proto, self.address, self.port)

    def start(self):
        """Start it; NETWORK may have been changed since it was stopped."""
        complete = "Initialization Sequence Completed"
        before = self._process.text().count(complete) if self._process else 0   # the log goes on
        self._process = self.lab.internet.start(f"openvpn-{self.proto}{self.port}", *self.command,
                                                "--server", self.network, "255.255.255.0")
        runner.wait_for(lambda: self._process.text().count(complete) > before, 20, "the OpenVPN server is up", 0.02)

    def stop(self):
        self._process.stop()

    def connections(self):
        """How many clients it has told their addresses so far."""
        return self._process.text().count("SENT CONTROL [client]: 'PUSH_REPLY")

    def log(self):
        return self._process.text()


def profile(keys, name="my-vpn", remote=netns.SERVER, port=1194, tcp=False, dev=None, zone=None,
            user_data=None, extra="", never_default=False):
    """The keyfile of an OpenVPN profile; REMOTE may be several (host:port:proto, ...), or a host name.

    EXTRA are further lines of its [vpn] section.
    """
    lines = ["[connection]", f"id={name}", f"uuid={uuid.uuid5(uuid.NAMESPACE_DNS, name)}", "type=vpn",
             "autoconnect=false"]
    if zone:
        lines.append(f"zone={zone}")
    lines += ["[vpn]", "service-type=org.freedesktop.NetworkManager.openvpn", "connection-type=tls",
              f"remote={remote}", f"port={port}", f"ca={keys.path('ca.crt')}",
              f"cert={keys.path('client.crt')}", f"key={keys.path('client.key')}",
              "cert-pass-flags=4", "remote-cert-tls=server"]
    if tcp:
        lines.append("proto-tcp=yes")
    if dev:
        lines += [f"dev={dev}", "dev-type=tun"]
    if extra:
        lines.append(extra)
    for family in ("ipv4", "ipv6"):
        lines += [f"[{family}]", "method=auto"]
        if never_default:
            lines.append("never-default=true")
    if user_data:
        lines += ["[user]"] + [f"{key}={value}" for key, value in user_data.items()]
    return "\n".join(lines) + "\n"
