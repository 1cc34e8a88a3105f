#!/usr/bin/python3
"""SMTP servers that do what Postfix will not do.

  smtpd.py CONFIG.json     [{"addr": .., "how": .., "pem": ..}, ...]

plain, starttls454 and weakkey are aiosmtpd, a real server; the others are
scripts of what goes wrong. All in one process, on port 25.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP

GREETING = b"220 odd.check.test ESMTP\r\n"
EHLO = b"250-odd.check.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
READY = b"220 2.0.0 ready\r\n"


class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 discarded"


class Refuses(SMTP):
    """Offers STARTTLS, and then has a reason not to."""

    async def smtp_STARTTLS(self, arg):
        await self.push("454 4.7.0 TLS not available due to local problem")


def context(pem, weak=False):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if weak:
        ctx.set_ciphers("DEFAULT@SECLEVEL=0")
    ctx.load_cert_chain(pem)
    return ctx


async def until_starttls(reader, writer, more=b""):
    """The polite part. more: sent in one piece with the last reply."""
    writer.write(GREETING)
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError("gone")
        verb = line.strip().upper()
        if verb.startswith(b"EHLO"):
            writer.write(EHLO)
        elif verb == b"STARTTLS":
            writer.write(READY + more)
            return
        elif verb == b"QUIT":
            writer.write(b"221 bye\r\n")
            await writer.drain()
            raise ConnectionError("quit")
        else:
            writer.write(b"502 no\r\n")


async def flood(writer, line, pause=0.0):
    while True:
        writer.write(line)
        await writer.drain()
        if pause:
            await asyncio.sleep(pause)


async def garbage(reader, writer, pem):
    await until_starttls(reader, writer)
    await reader.read(1000)
    writer.write(b"this is not TLS at all\r\n" * 4)
    await writer.drain()
    await reader.read(1000)


async def hangup(reader, writer, pem):
    await until_starttls(reader, writer)
    await writer.drain()


async def alert(reader, writer, pem):
    """A fatal alert: handshake_failure."""
    await until_starttls(reader, writer)
    await reader.read(1000)
    writer.write(bytes([21, 3, 3, 0, 2, 2, 40]))
    await writer.drain()


async def midshake(reader, writer, pem):
    """The first half of a record, and nothing more."""
    await until_starttls(reader, writer)
    await reader.read(1000)
    writer.write(bytes([22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3]) + b"A" * 32)
    await writer.drain()
    await asyncio.sleep(3600)


async def greet554(reader, writer, pem):
    writer.write(b"554 5.7.1 you are not welcome\r\n")
    await reader.read(1000)


async def greet421(reader, writer, pem):
    writer.write(b"421 4.3.2 too busy\r\n")
    await writer.drain()


async def silent(reader, writer, pem):
    await asyncio.sleep(3600)


async def endless(reader, writer, pem):
    await flood(writer, b"220-wait for it, wait for it, wait for it\r\n" * 20)


async def drip(reader, writer, pem):
    """Never silent long enough for an idle timer."""
    await flood(writer, b"220-.\r\n", 0.2)


async def ehlo64k(reader, writer, pem):
    writer.write(GREETING)
    await reader.readline()
    writer.write(b"250-" + b"x" * 65536 + b"\r\n250 STARTTLS\r\n")
    await writer.drain()
    await asyncio.sleep(3600)


async def ehloendless(reader, writer, pem):
    writer.write(GREETING)
    await reader.readline()
    await flood(writer, b"250-SIZE 1\r\n" * 50)


async def nonsense(reader, writer, pem):
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await writer.drain()
    await reader.read(1000)


async def injected(reader, writer, pem):
    """Plain text behind the reply to STARTTLS: must not be used."""
    await until_starttls(reader, writer, b"250 injected\r\n")
    await writer.drain()
    await reader.read(1000)


async def serve(entry):
    loop = asyncio.get_running_loop()
    how, pem = entry["how"], entry["pem"]
    if how in ("plain", "starttls454", "weakkey"):
        kind = Refuses if how == "starttls454" else SMTP
        ctx = context(pem, how == "weakkey")
        return await loop.create_server(
            lambda: kind(Handler(), hostname="odd.check.test",
                         tls_context=ctx, loop=loop),
            entry["addr"], 25, backlog=500)
    script = globals()[how]

    async def run(reader, writer):
        try:
            await script(reader, writer, pem)
        except (ConnectionError, OSError, ValueError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(run, entry["addr"], 25, backlog=500)


async def main():
    with open(sys.argv[1], encoding="ascii") as f:
        entries = json.load(f)
    servers = [await serve(e) for e in entries]
    print("ready", flush=True)
    await asyncio.gather(*(s.serve_forever() for s in servers))


asyncio.run(main())
