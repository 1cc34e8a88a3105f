#!/usr/bin/python3
"""A name server with a fault, in front of one without.

  dnsproxy.py LISTEN UPSTREAM RULES.json

RULES: {"servfail.test.": {"TLSA": "servfail"}, ...}. Keys of a zone's rule are
types, or ENT (a NODATA answer at a name beginning with _tcp becomes NXDOMAIN),
UDP and TCP. Faults: servfail refused notimp nxdomain drop; TCP: refuse closes.
Everything else is passed on, byte for byte. The zone "." stands for all;
{".": {"STRIP": "dnssec"}} is a forwarder from before DNSSEC, {".": {"ALL":
"servfail"}} one that fails.
"""

import asyncio
import json
import struct
import sys

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

RCODES = {"servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}
listen, upstream, path = sys.argv[1:4]
with open(path, encoding="ascii") as f:
    rules = {dns.name.from_text(k): v for k, v in json.load(f).items()}


def rule_of(name):
    while name not in rules:
        if name == dns.name.root:
            return {}
        name = name.parent()
    return rules[name]


def failure(query, what):
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    reply.set_rcode(RCODES[what])
    return reply.to_wire()


class Ask(asyncio.DatagramProtocol):
    def __init__(self, wire, done):
        self.wire, self.done = wire, done

    def connection_made(self, transport):
        transport.sendto(self.wire)

    def datagram_received(self, data, addr):
        if not self.done.done():
            self.done.set_result(data)


async def forward_udp(wire):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Ask(wire, done), remote_addr=(upstream, 53))
    try:
        return await asyncio.wait_for(done, 3)
    finally:
        transport.close()


async def forward_tcp(wire):
    reader, writer = await asyncio.open_connection(upstream, 53)
    try:
        writer.write(struct.pack("!H", len(wire)) + wire)
        n = struct.unpack("!H", await reader.readexactly(2))[0]
        return await reader.readexactly(n)
    finally:
        writer.close()


async def answer(wire, tcp):
    """The reply, or None to say nothing."""
    query = dns.message.from_wire(wire)
    q = query.question[0]
    rule = rule_of(q.name)
    fault = rule.get("TCP" if tcp else "UDP")
    fault = fault or rule.get("ALL") or rule.get(dns.rdatatype.to_text(q.rdtype))
    if fault in ("drop", "refuse"):
        return None
    if fault:
        return failure(query, fault)
    if "STRIP" in rule:
        query.use_edns(False)
        wire = query.to_wire()
    data = await (forward_tcp if tcp else forward_udp)(wire)
    if "ENT" in rule and q.name.labels[0] == b"_tcp":
        reply = dns.message.from_wire(data)
        reply.set_rcode(RCODES[rule["ENT"]])
        data = reply.to_wire()
    return data


class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        asyncio.ensure_future(self.reply(data, addr))

    async def reply(self, data, addr):
        try:
            out = await answer(data, False)
        except Exception as e:  # a test server: say it and go on
            print("udp", repr(e), flush=True)
            return
        if out is not None:
            self.transport.sendto(out, addr)


async def tcp(reader, writer):
    try:
        while True:
            n = struct.unpack("!H", await reader.readexactly(2))[0]
            out = await answer(await reader.readexactly(n), True)
            if out is None:
                break
            writer.write(struct.pack("!H", len(out)) + out)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Udp, local_addr=(listen, 53))
    server = await asyncio.start_server(tcp, listen, 53)
    async with server:
        await server.serve_forever()


asyncio.run(main())
