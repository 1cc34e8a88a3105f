#!/usr/bin/python3
"""A name server with a fault, in front of one without.

  dnsproxy.py LISTEN UPSTREAM RULES.json

RULES: {"servfail.test.": {"TLSA": "servfail"}, ...}, read again when the file
changes. Keys of a zone's rule are types, or ALL, UDP, TCP, or ENT (a NODATA
answer at a name beginning with _tcp becomes NXDOMAIN). Faults: servfail refused
notimp nxdomain; drop says nothing (and closes TCP), refuse closes; and

  delay:S  the answer, S seconds late
  twice    the answer, two times
  noise    before the answer, forged ones: with another id, from another port,
           to another question, each of them "no such name", authoritative
  forge    the answer with other octets in its data: the signature is bad
  empty    NODATA, authoritative, with no proof
  cut      the answer without its end
  big      the answer and 20000 octets more
  tc       UDP: truncated, nothing in it

Everything else is passed on, byte for byte. The zone "." stands for all;
{".": {"STRIP": "dnssec"}} is a forwarder from before DNSSEC, {".": {"ALL":
"servfail"}} one that fails.
"""

import asyncio
import json
import os
import socket
import struct
import sys

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

RCODES = {"servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}
listen, upstream, path = sys.argv[1:4]
OTHER_PORT = 5300
rules, rules_age = {}, None


def read_rules():
    global rules, rules_age
    age = os.stat(path).st_mtime_ns
    if age != rules_age:
        with open(path, encoding="ascii") as f:
            rules = {dns.name.from_text(k): v for k, v in json.load(f).items()}
        rules_age = age


def rule_of(name):
    read_rules()
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


def flip_data(wire):
    """The last octet of the data of each TLSA record is another one."""
    reply = dns.message.from_wire(wire)
    out = bytearray(wire)
    for rrset in reply.answer:
        for rr in rrset:
            if rr.rdtype == dns.rdatatype.TLSA:
                out[wire.find(rr.cert) + len(rr.cert) - 1] ^= 1
    return bytes(out)


def empty(query):
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    return reply.to_wire()


def forged(query):
    """(wire, from another port), each of them a lie that must be seen."""
    lie = failure(query, "nxdomain")
    other = dns.message.make_query("other.test.", query.question[0].rdtype)
    other.id = query.id
    return [(bytes([lie[0] ^ 0x5a]) + lie[1:], False), (lie, True),
            (failure(other, "nxdomain"), False)]


def changed(query, data, fault, is_tcp):
    if fault == "forge":
        return flip_data(data)
    if fault == "empty":
        return empty(query)
    if fault == "cut":
        return data[:len(data) * 2 // 3]
    if fault == "big":
        return data + bytes(20000)
    if fault == "tc" and not is_tcp:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.TC
        return reply.to_wire()
    return data


async def answer(wire, is_tcp):
    """What to say, in turn: (wire, from another port)."""
    query = dns.message.from_wire(wire)
    q = query.question[0]
    rule = rule_of(q.name)
    fault = rule.get("TCP" if is_tcp else "UDP")
    fault = fault or rule.get("ALL") or rule.get(dns.rdatatype.to_text(q.rdtype))
    fault, _, much = (fault or "").partition(":")
    if fault in ("drop", "refuse"):
        return []
    if fault in RCODES:
        return [(failure(query, fault), False)]
    if "STRIP" in rule:
        query.use_edns(False)
        wire = query.to_wire()
    data = await (forward_tcp if is_tcp else forward_udp)(wire)
    if "ENT" in rule and q.name.labels[0] == b"_tcp":
        reply = dns.message.from_wire(data)
        reply.set_rcode(RCODES[rule["ENT"]])
        data = reply.to_wire()
    if fault == "delay":
        await asyncio.sleep(float(much))
    lies = forged(query) if fault == "noise" and not is_tcp else []
    data = changed(query, data, fault, is_tcp)
    return lies + [(data, False)] * (2 if fault == "twice" else 1)


class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind((listen, OTHER_PORT))

    def datagram_received(self, data, addr):
        asyncio.ensure_future(self.reply(data, addr))

    async def reply(self, data, addr):
        try:
            for out, from_other in await answer(data, False):
                if from_other:
                    self.other.sendto(out, addr)
                else:
                    self.transport.sendto(out, addr)
        except Exception as e:  # a test server: say it and go on
            print("udp", repr(e), flush=True)


async def tcp(reader, writer):
    try:
        while True:
            n = struct.unpack("!H", await reader.readexactly(2))[0]
            said = await answer(await reader.readexactly(n), True)
            if not said:
                break
            for out, _ in said:
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
