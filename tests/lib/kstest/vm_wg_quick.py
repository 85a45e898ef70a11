"""A tunnel of wg-quick in the virtual machine, with a mark, a table and rules of its own."""

from .vm_vpn import PROFILES, SERVER

DEVICE = "wgq0"


def configure(machine, vpn, keepalive):
    """Write its file, with the keys and the server of VPN's profile; KEEPALIVE in seconds. All traffic goes through it."""
    private = machine.run(f"sed -n 's/^private-key=//p' {PROFILES}/{vpn.name}.nmconnection").stdout.strip()
    peer = machine.run(["wg", "pubkey"], stdin=vpn.server_key).stdout.strip()
    machine.push(f"/etc/wireguard/{DEVICE}.conf", f"""[Interface]
PrivateKey = {private}
Address = {vpn.client_address}/24, fd{vpn.net}::2/64
[Peer]
PublicKey = {peer}
Endpoint = {SERVER}:{vpn.port}
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = {keepalive}
""", 0o600)


def run(machine, what):
    """wg-quick `up` or `down`."""
    machine.run(["wg-quick", what, DEVICE], timeout=60)
