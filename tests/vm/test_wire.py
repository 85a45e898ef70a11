"""Tests the classifier that judges all the others: packets made by hand, and the verdict that each must get.

Every test in this directory rests on the classifier calling a leak a leak.
"""

import ipaddress
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import ESP, ICMP, ICMPV6, TCP, UDP, PcapReader, parse
from kstest.runner import equal, main, test
from kstest.vm_wire import Traffic, Transport, classify

GUEST, ROUTER = bytes.fromhex("525400770002"), bytes.fromhex("0200000000fe")
CLIENT, CLIENT6 = "192.168.77.50", "fd77::50"
TRANSPORTS = [Transport("203.0.113.10", 51820), Transport("203.0.113.10", 1194, TCP)]


def _packed(address):
    return ipaddress.ip_address(address).packed


def _ethernet(ethertype, body, source=GUEST):
    return ROUTER + source + struct.pack("!H", ethertype) + body


def _ipv4(dst, proto, body=bytes(8), fragment=0, src=CLIENT):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, proto, 0)
    return _ethernet(0x0800, header + _packed(src) + _packed(dst) + body)


def _ipv6(dst, proto, body=bytes(8), src=CLIENT6):
    return _ethernet(0x86DD, struct.pack("!IHBB", 6 << 28, len(body), proto, 64) + _packed(src) + _packed(dst) + body)


def _ports(sport, dport):
    return struct.pack("!HHHH", sport, dport, 8, 0)


def _arp(target, operation=1):
    return _ethernet(0x0806, b"\0\1\x08\0\6\4" + struct.pack("!H", operation) + GUEST + _packed(CLIENT)
                     + bytes(6) + _packed(target))


def _solicitation(target):
    return _ipv6("ff02::1:ff00:1", ICMPV6, bytes([135, 0, 0, 0, 0, 0, 0, 0]) + _packed(target))


VERDICTS = [
    ("transport", _ipv4("203.0.113.10", UDP, _ports(40000, 51820))),
    ("transport", _ipv4("203.0.113.10", TCP, _ports(40000, 1194))),
    ("leak", _ipv4("203.0.113.10", TCP, _ports(40000, 51820))),
    ("leak", _ipv4("203.0.113.10", UDP, _ports(51820, 53))),
    ("leak", _ipv4("203.0.113.11", UDP, _ports(51820, 51820))),
    ("leak", _ipv4("203.0.113.10", ICMP, b"\x08" + bytes(7))),
    ("leak", _ipv4("203.0.113.10", UDP, _ports(40000, 51820), fragment=100)),
    ("leak", _ipv4("198.51.100.1", UDP, _ports(68, 67))),
    ("leak", _ipv4("198.51.100.1", ESP)),
    ("leak", _ipv4("224.1.2.3", UDP, _ports(5353, 5353))),
    ("leak", _ipv4("172.32.0.1", UDP, _ports(1, 1))),
    ("lan", _ipv4("172.31.0.1", UDP, _ports(1, 1))),
    ("lan", _ipv4("192.168.77.1", ICMP, b"\x08" + bytes(7))),
    ("dns", _ipv4("192.168.77.1", UDP, _ports(40000, 53))),
    ("dns", _ipv4("192.168.77.1", TCP, _ports(40000, 853))),
    ("dhcp", _ipv4("255.255.255.255", UDP, _ports(68, 67), src="0.0.0.0")),
    ("mdns", _ipv4("224.0.0.251", UDP, _ports(5353, 5353))),
    ("llmnr", _ipv4("224.0.0.252", UDP, _ports(40000, 5355))),
    ("multicast", _ipv4("224.0.0.22", 2)),
    ("arp", _arp("192.168.77.1")),
    ("arp", _arp("169.254.7.7")),
    ("leak", _arp("198.51.100.1")),
    ("leak", _arp("198.51.100.1", operation=2)),
    ("leak", _ipv6("2001:db8:1::1", UDP, _ports(40000, 9))),
    ("leak", _ipv6("2001:db8:1::1", ICMPV6, b"\x80" + bytes(7))),
    ("leak", _ipv6("ff0e::1", UDP, _ports(40000, 9))),
    ("leak", _solicitation("2001:db8:1::1")),
    ("nd", _solicitation("fd77::1")),
    ("nd", _ipv6("ff02::2", ICMPV6, b"\x85" + bytes(7))),
    ("dhcp", _ipv6("ff02::1:2", UDP, _ports(546, 547))),
    ("lan", _ipv6("fe80::1", TCP, _ports(40000, 80))),
    # a header with options must not hide what follows it
    ("multicast", _ipv6("ff02::16", 0, bytes([ICMPV6, 0, 5, 2, 0, 0, 1, 0, 143]) + bytes(7))),
    ("leak", _ipv6("2001:db8:1::1", 0, bytes([UDP, 0]) + bytes(6) + _ports(40000, 9))),
    ("leak", _ipv6("2001:db8:1::1", 44, bytes([UDP, 0, 0, 9]) + bytes(4) + _ports(40000, 9))),
    ("leak", _ethernet(0x88CC, bytes(46))),
    ("leak", _ethernet(0x8100, struct.pack("!HH", 7, 0x0800) + _ipv4("198.51.100.1", UDP, _ports(1, 2))[14:])),
    ("leak", b"short"),
    ("leak", _ethernet(0x0800, b"\x45")),
    ("leak", _ethernet(0x0806, b"\0\1")),
]


def _pcap(frames, order="<"):
    data = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, 1)
    for number, frame in enumerate(frames):
        data += struct.pack(order + "IIII", number, 500000, len(frame), len(frame)) + frame
    return data


def _classify(data, **options):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return classify(file.name, **options)


@test
def every_packet_gets_its_verdict():
    for verdict, frame in VERDICTS:
        traffic = _classify(_pcap([frame]), transports=TRANSPORTS)
        got = [name for name, packets in vars(traffic).items() if packets]
        equal(got, [verdict], str(parse(frame)))


@test
def what_others_sent_is_not_counted():
    frame = _ethernet(0x0800, _ipv4("198.51.100.1", UDP, _ports(1, 2))[14:], source=ROUTER)
    equal(_classify(_pcap([frame]), outside=["02:00:00:00:00:fe"]), Traffic(), "a packet of the router's")


@test
def both_byte_orders_are_read():
    for order in "<>":
        leaks = _classify(_pcap([_arp("198.51.100.1")] * 3, order)).leak
        equal([packet.time for packet in leaks], [0.5, 1.5, 2.5], f"times, order {order}")


@test
def a_growing_file_is_read_without_loss_or_repetition():
    data = _pcap([_arp(f"198.51.100.{n}") for n in range(20)])
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        reader, got = PcapReader(file.name), []
        for start in range(0, len(data), 7):
            file.write(data[start:start + 7])
            got += [parse(frame).arp_target for _, frame in reader.read()]
    equal(got, [f"198.51.100.{n}" for n in range(20)], "targets")


@test
def a_broken_frame_never_stops_the_parser():
    for _, frame in VERDICTS:
        for size in range(len(frame)):
            str(parse(frame[:size]))


if __name__ == "__main__":
    main()
