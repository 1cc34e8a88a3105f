#!/usr/bin/python3
"""All caching DANE senders of the world in one process: judge of a rollover.

Independent on purpose of the program under test: other language, other DNS
and TLS code paths, its own matching (RFC 7671, RFC 7672).

Model. Every answer of an authoritative server that holds TLSA records starts
a virtual sender, whose validating resolver asked at that instant: it may use
that RRset until the answer's arrival plus its TTL (less when the RRSIG's own
limits are tighter). Meanwhile every endpoint is connected to without pause. A
connection begun at h0 is made, in effect, by every sender whose RRset is in
use at h0; for each of them the key served must match. Each such pair is one
probe; each that does not match is a message that would not have been
delivered.

A denial starts nothing: such a sender uses opportunistic TLS and any key is
right. An RRset without usable records asks for encryption only. A connection
that is refused or lost is tried again, as mail is (deferred); but a server
that talks and then will not do TLS is a mismatch for every sender that holds
an RRset (refused), and so is one that loses two TLS handshakes in a row.

  senders.py --server 10.53.0.3 --server example2.test=10.53.0.6@53 \\
      --endpoint mx1.example.test,10.53.0.11,25,smtp,rsa+ecdsa \\
      --endpoint mx1.example.test,fd53::11,465 --out result.json

Exit status: 0 no mismatch, 1 mismatches, 2 usage, 3 fewer than --min-probes.
"""

import argparse
import array
import bisect
import datetime
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
DIGEST_SIZE = {1: 32, 2: 64}
PORTS = {25: "smtp", 587: "smtp", 465: "tls", 993: "tls", 995: "tls"}
KEEP = 25  # mismatch records kept from the beginning, and from the end
GRACE = 60  # s that a dead entry is kept for a handshake still under way
LINE_MAX = 2048


def utc(mono=None):
    """ISO time of a monotonic instant (now when None)."""
    wall = time.time()
    if mono is not None:
        wall -= time.monotonic() - mono
    text = datetime.datetime.fromtimestamp(wall, datetime.timezone.utc)
    return text.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# ---- matching (RFC 7671 5.1, 5.2, 9) ---------------------------------------


def usable(record):
    usage, selector, mtype, data = record
    if usage not in (2, 3) or selector not in (0, 1):
        return False
    if mtype == 0:
        return len(data) > 0
    return mtype in DIGEST_SIZE and len(data) == DIGEST_SIZE[mtype]


def agile(records):
    """Of each usage and selector: full data and the strongest digest only."""
    best = {}
    for usage, selector, mtype, _ in records:
        if mtype != 0:
            key = (usage, selector)
            best[key] = max(best.get(key, 0), mtype)
    return [
        r for r in records if r[2] == 0 or r[2] == best[(r[0], r[1])]
    ]


def record_matches(record, certs):
    """certs: [(DER of certificate, DER of its SPKI)], leaf first."""
    usage, selector, mtype, data = record
    for cert in certs[:1] if usage == 3 else certs[1:]:
        value = cert[selector]
        if mtype != 0:
            value = DIGESTS[mtype](value).digest()
        if value == data:
            return True
    return False


def verdict(rrset, certs):
    good = [r for r in rrset if usable(r)]
    if not good:
        return "encrypt-only"
    if any(record_matches(r, certs) for r in agile(good)):
        return "match"
    return "mismatch"


def show(rrset):
    return sorted("%d %d %d %s" % (*r[:3], r[3].hex()) for r in rrset)


# ---- what senders hold -----------------------------------------------------


class Cache:
    """Per owner name: RRset, server and TTL -> arrival times, ascending."""

    def __init__(self):
        self.lock = threading.Lock()
        self.owners = {}

    def add(self, owner, server, rrset, ttl, when):
        with self.lock:
            groups = self.owners.setdefault(owner, {})
            times = groups.setdefault((rrset, server, ttl), array.array("d"))
            times.append(when)
            dead = bisect.bisect_left(times, when - ttl - GRACE)
            if dead > 1000:
                del times[:dead]

    def alive(self, owner, at):
        """[(rrset, server, ttl, how many, age of oldest, of newest)]"""
        found = []
        with self.lock:
            groups = self.owners.get(owner, {})
            for key in list(groups):
                rrset, server, ttl = key
                times = groups[key]
                if times[-1] + ttl + GRACE < at:
                    del groups[key]
                    continue
                low = bisect.bisect_left(times, at - ttl)
                high = bisect.bisect_right(times, at)
                if low < high:
                    found.append(
                        (rrset, server, ttl, high - low,
                         at - times[low], at - times[high - 1])
                    )
        return found


class Book:
    """Everything counted and seen; one lock."""

    COUNTS = (
        "probes", "mismatches", "encrypt_only", "deferred", "refused",
        "connections", "lookups", "answers", "denials", "lookup_failures",
    )

    def __init__(self):
        self.lock = threading.Lock()
        self.count = dict.fromkeys(self.COUNTS, 0)
        self.first, self.last = [], []
        self.served, self.published = [], []
        self.now_served, self.now_published = {}, {}
        self.started = time.monotonic()

    def add(self, what, n=1):
        with self.lock:
            self.count[what] += n

    def mismatch(self, n, record):
        with self.lock:
            self.count["mismatches"] += n
            if len(self.first) < KEEP:
                self.first.append(record)
            else:
                self.last = self.last[1 - KEEP:] + [record]

    def saw_served(self, endpoint, spki, when):
        with self.lock:
            if self.now_served.get(endpoint) != spki:
                self.now_served[endpoint] = spki
                self.served.append(
                    {"time": utc(when), "endpoint": endpoint, "spki": spki}
                )

    def saw_published(self, owner, server, rrset, ttl, when):
        key = (owner, server)
        now = (rrset, ttl)
        with self.lock:
            if self.now_published.get(key) != now:
                self.now_published[key] = now
                self.published.append(
                    {"time": utc(when), "owner": owner, "server": server,
                     "ttl": ttl, "set": show(rrset)}
                )

    def summary(self, full):
        with self.lock:
            out = dict(self.count)
            out["seconds"] = round(time.monotonic() - self.started, 1)
            out["cpu_seconds"] = round(time.process_time(), 2)
            out["time"] = utc()
            out["serving"] = dict(self.now_served)
            if full:
                details = self.first + self.last
                out["details"] = details
                out["first_mismatch"] = details[0] if details else None
                out["last_mismatch"] = details[-1] if details else None
                out["served"] = list(self.served)
                out["published"] = list(self.published)
        return out


class Pace:
    """Stretches all intervals so that we stay below a share of one core."""

    def __init__(self, share):
        self.share = share
        self.factor = 1.0
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def adjust(self):
        wall, cpu = time.monotonic(), time.process_time()
        used = (cpu - self.cpu) / max(wall - self.wall, 0.001)
        self.wall, self.cpu = wall, cpu
        if used > self.share:
            self.factor = min(self.factor * used / self.share, 50.0)
        elif used < 0.8 * self.share:
            self.factor = max(self.factor * 0.9, 1.0)


# ---- looking up ------------------------------------------------------------


def lifetime(rrset, sigs, chain_ttl, wall):
    """Longest time that a validating cache may hold this (RFC 4035 5.3.3)."""
    ttl = min(rrset.ttl, chain_ttl)
    if sigs is not None:
        ends = [min(s.original_ttl, s.expiration - wall) for s in sigs]
        ttl = min(ttl, sigs.ttl, max(ends))
    return max(ttl, 0)


def tlsa_of(reply, wall):
    """(frozenset of records, its TTL, how long it may be cached) of an answer;
    an empty set is a denial."""
    records, life, ttl, chain_ttl = frozenset(), 0, 0, 1 << 31
    for rr in reply.answer:
        if rr.rdtype == dns.rdatatype.CNAME:
            chain_ttl = min(chain_ttl, rr.ttl)
    for rr in reply.answer:
        if rr.rdtype != dns.rdatatype.TLSA:
            continue
        sigs = reply.get_rrset(
            reply.answer, rr.name, rr.rdclass, dns.rdatatype.RRSIG,
            dns.rdatatype.TLSA,
        )
        ttl, life = rr.ttl, lifetime(rr, sigs, chain_ttl, wall)
        records = frozenset(
            (r.usage, r.selector, r.mtype, bytes(r.cert)) for r in rr
        )
    return records, ttl, life


class Poller(threading.Thread):
    """One owner name at one address of one authoritative server."""

    def __init__(self, owner, server, lab):
        super().__init__(daemon=True)
        self.owner, self.lab = owner, lab
        self.qname = dns.name.from_text(owner)
        self.address, _, port = server.partition("@")
        self.port = int(port or 53)
        self.server = server

    def ask(self):
        query = dns.message.make_query(
            self.qname, dns.rdatatype.TLSA, want_dnssec=True, payload=1232
        )
        query.flags &= ~dns.flags.RD
        reply, _ = dns.query.udp_with_fallback(
            query, self.address, timeout=2, port=self.port
        )
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return None
        return reply if reply.flags & dns.flags.AA else None

    def once(self):
        book = self.lab.book
        book.add("lookups")
        try:
            reply = self.ask()
        except (OSError, dns.exception.DNSException):
            reply = None
        got = time.monotonic()
        if reply is None:  # no resolver would use it: it starts nothing
            book.add("lookup_failures")
            return
        rrset, ttl, life = tlsa_of(reply, time.time())
        book.saw_published(self.owner, self.server, rrset, ttl, got)
        if not rrset:
            book.add("denials")
            return
        book.add("answers")
        self.lab.cache.add(self.owner, self.server, rrset, life, got)

    def run(self):
        while not self.lab.stop.is_set():
            self.once()
            self.lab.wait()


# ---- connecting ------------------------------------------------------------


class Deferred(Exception):
    """Connection refused or lost: mail waits and is tried again."""


class Refused(Exception):
    """The server talks, but does not do TLS."""


class Lost(Exception):
    """The connection was lost inside the TLS handshake."""


def tls_context(alg):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.minimum_version = ssl.TLSVersion.TLSv1_2
    ctx.set_ciphers("ALL:!aNULL:!eNULL:@SECLEVEL=0")
    if alg != "any":
        # Here the cipher suite decides which certificate is served.
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
        ctx.set_ciphers(
            {"rsa": "aRSA", "ecdsa": "aECDSA"}[alg] + ":!eNULL:@SECLEVEL=0"
        )
    return ctx


def spki_der(cert_der):
    key = x509.load_der_x509_certificate(cert_der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Endpoint(threading.Thread):
    """One host, address, port and forced algorithm."""

    def __init__(self, spec, alg, lab):
        super().__init__(daemon=True)
        self.host, self.address, self.port, self.proto, self.owner = spec
        self.alg, self.lab = alg, lab
        self.name = "%s:%s:%d:%s:%s" % (
            self.host, self.address, self.port, self.proto, alg,
        )
        self.ctx = tls_context(alg)
        self.lost = 0
        self.parsed = {}

    def reply(self, f, what):
        """One SMTP reply: (code, lines). Lost before its end: Deferred."""
        lines = []
        while True:
            line = f.readline(LINE_MAX)
            if not line.endswith(b"\n"):
                raise Deferred("connection lost at " + what)
            text = line.decode("ascii", "replace").rstrip()
            lines.append(text)
            if len(lines) > 100 or not text[:3].isdigit():
                raise Refused("no SMTP at " + what)
            if text[3:4] != "-":
                return int(text[:3]), lines

    def starttls(self, sock):
        with sock.makefile("rwb", buffering=0) as raw:
            code, lines = self.reply(raw, "greeting")
            if code != 220:
                raise Deferred("greeting " + lines[-1])
            raw.write(b"EHLO sender.example\r\n")
            code, lines = self.reply(raw, "EHLO")
            words = [text[4:].upper().split(" ")[0] for text in lines[1:]]
            if code // 100 == 4:
                raise Deferred("EHLO " + lines[-1])
            if code != 250 or "STARTTLS" not in words:
                raise Refused("STARTTLS is not offered")
            raw.write(b"STARTTLS\r\n")
            code, lines = self.reply(raw, "STARTTLS")
            if code != 220:
                raise Refused("STARTTLS: " + lines[-1])

    def chain(self, tls):
        ders = [tls.getpeercert(True)]
        whole = getattr(tls._sslobj, "get_unverified_chain", None)
        if whole is not None:  # not public before Python 3.13
            ders = [c.public_bytes(2) for c in whole()] or ders
        for der in ders:
            if der not in self.parsed:
                self.parsed[der] = spki_der(der)
        return tuple((der, self.parsed[der]) for der in ders)

    def connect(self):
        """The chain served, [(certificate, SPKI)], leaf first."""
        try:
            sock = socket.create_connection((self.address, self.port), 5)
        except OSError as e:
            raise Deferred("connect: %s" % e) from e
        with sock:
            sock.settimeout(10)
            try:
                if self.proto == "smtp":
                    self.starttls(sock)
            except OSError as e:
                raise Deferred("before TLS: %s" % e) from e
            try:
                with self.ctx.wrap_socket(
                    sock, server_hostname=self.host
                ) as tls:
                    return self.chain(tls)
            except (ssl.SSLEOFError, ConnectionError, TimeoutError) as e:
                raise Lost("in the TLS handshake: %s" % e) from e
            except (OSError, ValueError) as e:
                raise Refused("TLS: %s" % e) from e

    def record(self, kind, entry, h0, h1, served):
        rrset, server, ttl, n, oldest, newest = entry
        return {
            "kind": kind, "time": utc(h0), "handshake_end": utc(h1),
            "endpoint": self.name, "owner": self.owner, "server": server,
            "cached": show(rrset), "ttl": ttl, "senders": n,
            "age": round(oldest, 3), "youngest_age": round(newest, 3),
            "served": served,
        }

    def judge(self, h0, h1, certs):
        book = self.lab.book
        served = hashlib.sha256(certs[0][1]).hexdigest()
        book.saw_served(self.name, served, h1)
        for entry in self.lab.cache.alive(self.owner, h0):
            said = verdict(entry[0], certs)
            book.add("probes", entry[3])
            if said == "encrypt-only":
                book.add("encrypt_only", entry[3])
            elif said == "mismatch":
                book.mismatch(
                    entry[3], self.record(said, entry, h0, h1, served)
                )

    def refuse(self, h0, why):
        book = self.lab.book
        book.add("refused")
        for entry in self.lab.cache.alive(self.owner, h0):
            book.add("probes", entry[3])
            book.mismatch(
                entry[3],
                self.record("refused", entry, h0, time.monotonic(), why),
            )

    def once(self):
        book = self.lab.book
        book.add("connections")
        h0 = time.monotonic()
        try:
            certs = self.connect()
        except Deferred:
            book.add("deferred")
        except Lost as e:
            self.lost += 1
            if self.lost == 1:
                book.add("deferred")
            else:
                self.refuse(h0, str(e))
        except Refused as e:
            self.refuse(h0, str(e))
        else:
            self.lost = 0
            self.judge(h0, time.monotonic(), certs)

    def run(self):
        while not self.lab.stop.is_set():
            self.once()
            self.lab.wait()


# ---- running ---------------------------------------------------------------


class Lab:
    def __init__(self, args):
        self.stop = threading.Event()
        self.cache, self.book = Cache(), Book()
        self.pace, self.interval = Pace(args.cpu), args.interval
        self.threads = [
            Endpoint(spec, alg, self)
            for spec, algs in args.endpoint for alg in algs
        ]
        for owner in sorted({spec[4] for spec, _ in args.endpoint}):
            for zone, server in args.server:
                if owner.endswith("." + zone):
                    self.threads.append(Poller(owner, server, self))

    def wait(self):
        self.stop.wait(self.interval * self.pace.factor)


def write_json(path, data):
    """Whole or not at all: others read it while we run."""
    temp = "%s.%d.tmp" % (path, os.getpid())
    with open(temp, "w", encoding="ascii") as f:
        json.dump(data, f, indent=1)
        f.write("\n")
    os.replace(temp, path)


def report(s):
    yield "%(seconds)s s: %(connections)d connections, %(lookups)d lookups" % s
    yield ("%(answers)d answers with TLSA records, %(denials)d denials, "
           "%(lookup_failures)d without an answer" % s)
    yield ("%(probes)d probes (a connection x a sender's cache), "
           "%(mismatches)d mismatches" % s)
    yield "%(deferred)d deferred, %(refused)d TLS refused" % s
    for change in s["served"]:
        yield "%(time)s %(endpoint)s serves %(spki).16s" % change
    for m in (s["details"][:1] + s["details"][-1:])[:len(s["details"])]:
        yield ("MISMATCH %(time)s %(endpoint)s: %(served)s; %(senders)d "
               "senders hold for up to %(age)s s (TTL %(ttl)s, from "
               "%(server)s): " % m + ", ".join(m["cached"]))


def endpoint(text):
    part = text.split(",")
    if not 3 <= len(part) <= 6:
        raise argparse.ArgumentTypeError(
            "want HOST,ADDR,PORT[,smtp|tls[,any|rsa|ecdsa[+...][,OWNER]]]"
        )
    host, port = part[0].rstrip(".").lower(), int(part[2])
    proto = part[3] if len(part) > 3 and part[3] else PORTS.get(port)
    algs = (part[4] if len(part) > 4 and part[4] else "any").split("+")
    if proto not in ("smtp", "tls"):
        raise argparse.ArgumentTypeError("port %d: smtp or tls?" % port)
    if not set(algs) <= {"any", "rsa", "ecdsa"}:
        raise argparse.ArgumentTypeError("algorithms: any, rsa, ecdsa")
    owner = part[5] if len(part) > 5 else "_%d._tcp.%s." % (port, host)
    owner = owner.rstrip(".").lower() + "."
    return (host, part[1], port, proto, owner), algs


def server(text):
    zone, sep, address = text.rpartition("=")
    zone = zone.strip(".").lower()
    return (zone + "." if sep and zone else "", address)


def arguments():
    p = argparse.ArgumentParser(
        description="caching DANE senders that connect without pause",
    )
    p.add_argument("--server", action="append", required=True, type=server,
                   metavar="[ZONE=]ADDR[@PORT]")
    p.add_argument("--endpoint", action="append", required=True,
                   type=endpoint,
                   metavar="HOST,ADDR,PORT[,PROTO[,ALG[+ALG][,OWNER]]]")
    p.add_argument("--seconds", type=float, help="default: until SIGTERM")
    p.add_argument("--interval", type=float, default=0.2)
    p.add_argument("--cpu", type=float, default=0.12,
                   help="share of a core to stay below")
    p.add_argument("--min-probes", type=int, default=0)
    p.add_argument("--out", help="summary, JSON")
    p.add_argument("--status", help="counters, rewritten each second, JSON")
    p.add_argument("--report", action="store_true",
                   help="a summary for people on stdout at the end")
    return p.parse_args()


def main():
    args = arguments()
    lab = Lab(args)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: lab.stop.set())
    end = time.monotonic() + args.seconds if args.seconds else None
    for t in lab.threads:
        t.start()
    while not lab.stop.wait(1.0):
        lab.pace.adjust()
        if args.status:
            write_json(args.status, lab.book.summary(False))
        if end is not None and time.monotonic() >= end:
            lab.stop.set()
    for t in lab.threads:
        t.join(12)
    summary = lab.book.summary(True)
    if args.status:
        write_json(args.status, lab.book.summary(False))
    if args.out:
        write_json(args.out, summary)
    if args.report:
        print("\n".join(report(summary)))
    if summary["mismatches"]:
        return 1
    return 3 if summary["probes"] < args.min_probes else 0


if __name__ == "__main__":
    sys.exit(main())
