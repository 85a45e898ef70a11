"""Asks a DNS server for a name's address, some times if need be, and prints it: several_dns SERVER NAME."""

import socket
import struct
import sys


def main(arguments):
    server, name = arguments
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        for _ in range(8):
            try:
                sock.sendto(struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + question, (server, 53))
                print(socket.inet_ntoa(sock.recv(512)[-4:]))
                return
            except TimeoutError:
                pass
    sys.exit("no answer")


if __name__ == "__main__":
    main(sys.argv[1:])
