"""What the system tests share: a runner, namespaces, a capture, NetworkManager, OpenVPN, machines."""
