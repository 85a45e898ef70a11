"""A proxy for TCP connections, HTTP's CONNECT and SOCKS5 on one port. Runs in a namespace, for ever:

    proxy.main(["203.0.113.30", "3128"])
"""

import asyncio
import ipaddress
import struct
import sys


async def _http(reader, writer, first):
    """Read a CONNECT request; where to, and the answer for success."""
    request = first + await reader.readuntil(b"\r\n\r\n")
    host, _, port = request.split()[1].decode("ascii").rpartition(":")
    return host.strip("[]"), int(port), b"HTTP/1.0 200 Connection established\r\n\r\n"


async def _socks(reader, writer, _first):
    """Negotiate as RFC 1928 has it, without authentication."""
    await reader.readexactly((await reader.readexactly(1))[0])
    writer.write(b"\x05\x00")
    _, command, _, kind = await reader.readexactly(4)
    if command != 1:
        raise ValueError(f"SOCKS command {command}")
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
    else:
        host = str(ipaddress.ip_address(await reader.readexactly({1: 4, 4: 16}[kind])))
    port, = struct.unpack("!H", await reader.readexactly(2))
    return host, port, b"\x05\x00\x00\x01" + bytes(6)


async def _copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _serve(reader, writer):
    try:
        first = await reader.readexactly(1)
        host, port, granted = await (_socks if first == b"\x05" else _http)(reader, writer, first)
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except (OSError, ValueError, EOFError) as error:
        print(f"refused: {error!r}", flush=True)
        writer.close()
        return
    print(f"connected to {host} {port}", flush=True)
    writer.write(granted)
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _main(address, port):
    server = await asyncio.start_server(_serve, address, port)
    print("ready", flush=True)
    await server.serve_forever()


def main(arguments):
    asyncio.run(_main(*arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
