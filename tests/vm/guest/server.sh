#!/bin/sh
# Makes the VPN provider: a network namespace "server" inside the guest that has
# the second network card to itself. The provider has to be in the guest because
# the host's kernel may lack WireGuard; with a card of its own, what it exchanges
# with the client crosses the wires that are captured outside.
# Runs before the network is up, so that no other program ever sees that card.
set -eu

CARD=eth1
tries=0
until [ -e /sys/class/net/$CARD ]; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || { echo "no $CARD" >&2; exit 1; }
	sleep 0.1
done

ip netns add server
ip link set $CARD netns server
ip netns exec server sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
	net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
# The "internet" as it is behind the VPN: the same addresses as the router's.
ip -netns server -batch - <<END
link set lo up
address add 198.51.100.1/32 dev lo
address add 2001:db8:1::1/128 dev lo
link set $CARD up
address add 203.0.113.10/24 dev $CARD
address add 2001:db8:203::10/64 dev $CARD nodad
route add default via 203.0.113.1
route add default via 2001:db8:203::1
END

# What the tests have put up there; so it is back after a reboot.
for script in /etc/ks-server.d/*.sh; do
	[ ! -e "$script" ] || ip netns exec server /bin/sh "$script" || echo "$script failed" >&2
done
