"""An SSTP server: TLS, the few messages of the protocol ([MS-SSTP]), and pppd for the rest. Runs in a namespace, for ever:

    python3 -m kstest.sstp 203.0.113.10 443 server.pem OPTION...

OPTIONs are pppd's. That the client is who has authenticated (its cryptographic binding) is not checked.
"""

import binascii
import os
import re
import selectors
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tty

_VERSION, _DATA, _CONTROL = 0x10, 0, 1
_CALL_CONNECT_REQUEST, _CALL_CONNECT_ACK = 1, 2
_CALL_DISCONNECT, _CALL_DISCONNECT_ACK = 6, 7
_ECHO_REQUEST, _ECHO_RESPONSE = 8, 9
_CRYPTO_BINDING_REQUEST = 4
_SHA1_AND_SHA256 = 3

_ANSWER = (b"HTTP/1.1 200\r\nContent-Length: 18446744073709551615\r\nServer: Microsoft-HTTPAPI/2.0\r\n"
           b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n")

# pppd's frames on a terminal (RFC 1662). Both ends agree that no control character needs to be escaped.
_FLAG, _ESCAPE = b"\x7e", b"\x7d"
_ESCAPED = re.compile(rb"\x7d(.)", re.DOTALL)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _frame(data):
    """DATA as a frame: its checksum is a CRC that takes the bits of each byte in the reverse order."""
    crc = binascii.crc_hqx(data.translate(_REVERSED), 0xFFFF)
    check = bytes((_REVERSED[crc >> 8] ^ 0xFF, _REVERSED[crc & 0xFF] ^ 0xFF))
    return _FLAG + (data + check).replace(_ESCAPE, b"\x7d\x5d").replace(_FLAG, b"\x7d\x5e") + _FLAG


def _unframe(text):
    """What a frame between two flags has, without the checksum."""
    return _ESCAPED.sub(lambda match: bytes((match[1][0] ^ 0x20,)), text)[:-2]


def _packet(kind, body):
    return struct.pack("!BBH", _VERSION, kind, 4 + len(body)) + body


def _control(message, *attributes):
    """ATTRIBUTES are (number, value)."""
    body = b"".join(struct.pack("!BBH", 0, number, 4 + len(value)) + value for number, value in attributes)
    return _packet(_CONTROL, struct.pack("!HH", message, len(attributes)) + body)


class _Call:
    """One client's connection, from its request to its end."""

    def __init__(self, connection, options):
        self._connection, self._options = connection, options
        self._selector = selectors.DefaultSelector()
        self._terminal, self._pppd = None, None
        self._received, self._framed = b"", b""

    def run(self):
        self._greet()
        self._selector.register(self._connection, selectors.EVENT_READ, self._from_client)
        while self._pppd is None or self._pppd.poll() is None:
            for key, _ in self._selector.select(1):
                key.data()

    def end(self):
        if self._pppd:
            self._pppd.terminate()
            self._pppd.wait()

    def _greet(self):
        while b"\r\n\r\n" not in self._received:
            self._receive()
        request, _, self._received = self._received.partition(b"\r\n\r\n")
        if not request.startswith(b"SSTP_DUPLEX_POST "):
            raise ValueError(f"not a request for SSTP: {request[:40]}")
        self._connection.sendall(_ANSWER)

    def _receive(self):
        data = self._connection.recv(65536)
        if not data:
            raise EOFError("the client has gone")
        self._received += data

    def _from_client(self):
        self._receive()
        while self._connection.pending():   # decrypted already: select() would not tell
            self._receive()
        while len(self._received) >= 4:
            _, kind, length = struct.unpack("!BBH", self._received[:4])
            length &= 0xFFF
            if len(self._received) < length:
                break
            body, self._received = self._received[4:length], self._received[length:]
            if kind == _CONTROL:
                self._message(struct.unpack("!H", body[:2])[0])
            elif self._terminal is not None:
                os.write(self._terminal, _frame(body))

    def _message(self, message):
        print(f"message {message}", flush=True)
        if message == _CALL_CONNECT_REQUEST:
            nonce = os.urandom(32)
            self._connection.sendall(_control(
                _CALL_CONNECT_ACK, (_CRYPTO_BINDING_REQUEST, bytes(3) + bytes((_SHA1_AND_SHA256,)) + nonce)))
            self._start_pppd()
        elif message == _ECHO_REQUEST:
            self._connection.sendall(_control(_ECHO_RESPONSE))
        elif message == _CALL_DISCONNECT:
            self._connection.sendall(_control(_CALL_DISCONNECT_ACK))
            raise EOFError("the client disconnects")

    def _start_pppd(self):
        # Its other end stays open: until pppd has opened it, there would be an error to read.
        self._terminal, terminal = os.openpty()
        tty.setraw(terminal)
        self._pppd = subprocess.Popen(["pppd", os.ttyname(terminal), "nodetach", "local", "receive-all", *self._options],
                                      stdin=subprocess.DEVNULL)
        self._selector.register(self._terminal, selectors.EVENT_READ, self._from_pppd)

    def _from_pppd(self):
        *frames, self._framed = (self._framed + os.read(self._terminal, 65536)).split(_FLAG)
        self._connection.sendall(b"".join(_packet(_DATA, _unframe(frame)) for frame in frames if len(frame) > 4))


def _serve(connection, context, options):
    """In a process of its own."""
    call = None
    try:
        connection = context.wrap_socket(connection, server_side=True)
        call = _Call(connection, options)
        call.run()
    except (OSError, EOFError, ValueError) as error:
        print(f"ended: {error!r}", flush=True)
    finally:
        if call:
            call.end()


def main(arguments):
    address, port, certificate, *options = arguments
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write("sstpd")     # what it can be ended by
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server((address, int(port))) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                _serve(connection, context, options)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1:])
