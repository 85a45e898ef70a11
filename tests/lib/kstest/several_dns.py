"""Asks a DNS server for a name's address and prints it: several_dns SERVER NAME."""

import socket
import struct
import sys


def main(arguments):
    server, name = arguments
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + question, (server, 53))
        answer = sock.recv(512)
    print(socket.inet_ntoa(answer[-4:]))


if __name__ == "__main__":
    main(sys.argv[1:])
