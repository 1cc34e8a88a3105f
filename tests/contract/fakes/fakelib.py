"""What all fake DNS APIs have in common: zones and records, serving HTTP, a
seed that tempts, faults, and a guard that looks at every version of an RRset
that was ever served. A vendor is one module X.py with a class Vendor(Fake),
which only knows how its API spells things and what it refuses.

Control, on the port of each fake (JSON both ways):
  POST /_ctl/reset    zones as seeded; no faults, guards, violations or log
  POST /_ctl/seed     {"owner", "records": ["3 1 1 .."], "ttl"}: instead of
                      what is held there; or {"zones": [names]}: more zones
  POST /_ctl/guard    {"owner", "records"}: in every version served from now
                      on; "some": never none; "one_ttl": nor several TTLs
  POST /_ctl/fault    {"at": N, "kind", "count": 1}: the Nth request from now
                      on, and count-1 that follow; says if it is "supported"
  POST /_ctl/settle   what goes on in the background comes to its end now
  POST /_ctl/latency  {"s": seconds} before every answer
  GET  /_ctl/state    zones with what is held and what is served; ?zone=NAME
  GET  /_ctl/log      requests, violations of the guard, errors of the fake,
                      and what must be in no message; ?faulty=1: only requests
                      that met a fault
  POST /_ctl/batch    [[verb, {..}], ...]: those of POST; a list of answers
"""

import collections
import http.server
import json as jsonlib
import os
import re
import socketserver
import ssl
import sys
import threading
import time
import traceback
import urllib.parse

ABCD = "ab" * 32
LONG = "cd" * 64
FOREIGN = [
    "3 1 2 " + LONG,
    "2 0 1 " + ABCD,
    "0 1 1 " + ABCD,
    "3 0 0 3082aabbccddeeff00",
    "9 8 7 00ff",
]
FEATURES = {
    "subzones": True,  # child.example.test. can be a zone of its own
    "cname": False,  # a read shows a CNAME at the owner
    "foreign": FOREIGN,
    "ttls": [3600, 7200, 300, 900],  # accepted
    "ttl": True,  # False: the zone's
}
KINDS = [
    "401", "403", "404", "409", "422", "429", "500", "503", "html", "in200",
    "truncated", "endless", "drip", "close-before", "lost",
]
SECRET_HEADER = re.compile("auth|key|token|cookie|signature", re.I)
# These were done before they went wrong.
DONE = {"lost", "truncated", "endless", "drip"}


def small(n, real):
    """A page of n, so that a few records need several; with the environment
    variable FAKE_PAGES=real (for the benchmark) as large as the vendor's."""
    return real if os.environ.get("FAKE_PAGES") == "real" else n


def canonical(name):
    """Lower case, absolute."""
    return name.lower().rstrip(".") + "."


def within(owner, zone):
    """Is canonical owner at or below canonical zone?"""
    return owner == zone or owner.endswith("." + zone)


def parse_tlsa(text):
    """(usage, selector, mtype, lower-case hex) of presentation format in any
    spelling; ValueError."""
    words = text.replace('"', " ").split()
    if len(words) < 4:
        raise ValueError("too few fields: " + text)
    nums = []
    for word in words[:3]:
        if not (word.isascii() and word.isdigit() and int(word) <= 255):
            raise ValueError("not 0..255: " + word)
        nums.append(int(word))
    hexa = "".join(words[3:]).lower()
    if not hexa or len(hexa) % 2 or set(hexa) - set("0123456789abcdef"):
        raise ValueError("not hex: " + hexa)
    return nums[0], nums[1], nums[2], hexa


def normal(text):
    """ "3 1 1 abcd.." whatever the spelling was."""
    return "%d %d %d %s" % parse_tlsa(text)


def upper(text):
    """With upper-case hex."""
    u, s, m, hexa = parse_tlsa(text)
    return "%d %d %d %s" % (u, s, m, hexa.upper())


def split_hex(text, n):
    """With a blank after each n digits of the hex."""
    u, s, m, hexa = parse_tlsa(text)
    parts = [hexa[i:i + n] for i in range(0, len(hexa), n)]
    return "%d %d %d %s" % (u, s, m, " ".join(parts))


def secret_file(folder, name, text):
    """Writes folder/name with mode 0600; its path."""
    path = os.path.join(folder, name)
    data = text if isinstance(text, bytes) else text.encode()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    return path


def page(items, number, size):
    """(items of page `number` counted from 1, number of pages)"""
    pages = max(1, -(-len(items) // size))
    return items[(number - 1) * size:number * size], pages


class Headers:
    """In any case; each name once, unless one asks for all."""

    def __init__(self):
        self._held = {}

    def add(self, name, value):
        self._held.setdefault(name.lower(), []).append(value)

    def get(self, name, default=None):
        return self._held.get(name.lower(), [default])[-1]

    def get_all(self, name, default=None):
        return self._held.get(name.lower(), default)

    def __getitem__(self, name):
        return self.get(name)

    def __contains__(self, name):
        return name.lower() in self._held

    def keys(self):
        """In lower case."""
        return list(self._held)

    def items(self):
        return [(name, values[-1]) for name, values in self._held.items()]


class Req:
    """A request. headers.get() knows no case; query and form have the last
    value of each name, query_list and form_list all as pairs."""

    def __init__(self, method, raw_path, headers, body, base):
        self.method = method
        self.raw_path = raw_path
        self.headers = headers
        self.body = body
        host = headers.get("Host")
        scheme = base.split(":")[0]
        self.url = (scheme + "://" + host if host else base) + raw_path
        path, _, query = raw_path.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query_list = urllib.parse.parse_qsl(
            query, keep_blank_values=True)
        self.query = dict(self.query_list)
        self.form_list = []
        kind = (headers.get("Content-Type") or "").split(";")[0]
        if kind == "application/x-www-form-urlencoded":
            self.form_list = urllib.parse.parse_qsl(
                body.decode("latin-1"), keep_blank_values=True)
        self.form = dict(self.form_list)
        try:
            self.json = jsonlib.loads(body) if body else None
        except ValueError:
            self.json = None


class Reply(Exception):
    """An answer; can be raised, too."""

    def __init__(self, status=200, json=None, text=None, type=None,
                 headers=None):
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})
        if json is not None:
            self.body = jsonlib.dumps(json).encode()
            self.type = type or "application/json"
        else:
            text = text or ""
            self.body = text if isinstance(text, bytes) else text.encode()
            self.type = type or "text/plain; charset=utf-8"


class Record:
    def __init__(self, id, name, type, ttl, text, extra):
        self.id = id
        self.name = name
        self.type = type
        self.ttl = ttl
        self.text = text
        self.extra = extra


class Zone:
    def __init__(self, fake, name, id):
        self.fake = fake
        self.name = canonical(name)
        self.id = id
        self.records = []
        self.settings = {}
        self.served = {}  # owner -> sorted [(ttl, text)] of TLSA

    def absolute(self, label):
        """Of a name relative to the zone; "" and "@" are the apex."""
        label = label.lower().rstrip(".")
        return self.name if label in ("", "@") else label + "." + self.name

    def relative(self, owner):
        owner = canonical(owner)
        if not within(owner, self.name):
            raise ValueError(owner + " is not in " + self.name)
        return owner[:-len(self.name)].rstrip(".")

    def at(self, owner, type):
        owner = canonical(owner)
        return [r for r in self.records
                if r.name == owner and r.type == type]

    def add(self, owner, type, ttl, text, **extra):
        """A record, at the end. Says nothing about what may be there."""
        owner = canonical(owner)
        if not within(owner, self.name):
            raise ValueError(owner + " is not in " + self.name)
        record = Record(self.fake.record_id(), owner, type, ttl, text, extra)
        self.records.append(record)
        return record

    def remove(self, record):
        self.records.remove(record)

    def held(self):
        ret = {}
        for r in self.records:
            if r.type == "TLSA" and not r.extra.get("disabled"):
                ret.setdefault(r.name, []).append((r.ttl, r.text))
        for rrset in ret.values():
            rrset.sort()
        return ret


class Fake:
    """One vendor. Subclass it as Vendor."""

    type = ""
    path = ""  # of the url option, after http://127.0.0.1:PORT
    features = {}
    auto_publish = True

    # ---- what a vendor overrides

    def setup(self):
        """After the zones were seeded, at the start and at each reset."""

    def options(self, folder):
        """Option name -> value; url is set already. self.base is
        "http://127.0.0.1:PORT"."""
        return {}

    def handle(self, req):
        """Reply to one request; nobody else is in here meanwhile."""
        raise NotImplementedError

    def spell(self, text):
        """As this vendor holds what was seeded as "3 1 1 abcd"."""
        return text

    def parting(self, req):
        """A call whose failure is nobody's trouble: a log-out."""
        return "logout" in req.path.lower() or b"logout" in req.body.lower()

    def error(self, kind):
        """The vendor's own words; None: it has no such thing."""
        words = {
            "401": "Unauthorized", "403": "Forbidden", "404": "Not Found",
            "409": "Conflict", "422": "Unprocessable Entity",
            "429": "Too Many Requests", "500": "Internal Server Error",
            "503": "Service Unavailable",
        }
        if kind not in words:
            return None
        wait = {"Retry-After": "1"} if kind == "429" else {}
        return Reply(int(kind), {"error": words[kind]}, headers=wait)

    def record_id(self):
        self._next_id += 1
        return str(self._next_id)

    def zone_id(self, name):
        self._next_id += 1
        return "z%d" % self._next_id

    # ---- what a vendor uses

    def zone_list(self):
        """As they were made: not sorted."""
        return list(self.zones.values())

    def zone_of(self, owner):
        """Longest match; None."""
        labels = canonical(owner).rstrip(".").split(".")
        for i in range(len(labels)):
            zone = self.zones.get(".".join(labels[i:]) + ".")
            if zone:
                return zone
        return None

    def publish(self, zone):
        """What is held is served from now on."""
        now = zone.held()
        if now == zone.served:
            return
        old, zone.served = zone.served, now
        for owner in sorted(old.keys() | now.keys()):
            rrset = now.get(owner, [])
            if old.get(owner, []) != rrset:
                self._look(owner, rrset)
                for callback in self.on_served:
                    callback(self, zone, owner, rrset)

    def later(self, polls, fn):
        """fn() after so many further requests, or 1.5 s."""
        entry = [polls + 1, fn, self._generation]
        self._later.append(entry)
        timer = threading.Timer(1.5, self._timer, [entry])
        timer.daemon = True
        timer.start()

    # ---- the rest is fakelib's own

    def __init__(self):
        self.features = {**FEATURES, **type(self).features}
        self.lock = threading.RLock()
        self.on_served = []
        self.base = ""
        self.fixed_zones = None  # names instead of the seed
        self.latency = 0.0
        self._generation = 0
        # Of what is seeded; the first of ttls is what the suite adds with.
        ttls = self.features["ttls"]
        self._seed_ttl = ttls[1] if len(ttls) > 1 else ttls[0]
        self.reset()

    def reset(self):
        self._generation += 1
        self._next_id = 1000
        self._later = []
        self.zones = {}
        self.log = []
        self.violations = []
        self.broken = []
        self.secrets = set()  # tokens given out, and what was in headers
        self.guards = {}
        self.fault = None
        callbacks, self.on_served = self.on_served, []
        if self.fixed_zones is not None:
            for name in self.fixed_zones:
                self.add_zone(name)
        else:
            self._seed()
        self.setup()
        self.foreign = {}
        for zone in self.zones.values():
            self.publish(zone)
        if self.fixed_zones is None:
            owner = "_25._tcp.foreign.example.test."
            self.foreign[owner] = [
                r.text
                for r in self.zones["example.test."].at(owner, "TLSA")]
        self.on_served = callbacks

    def add_zone(self, name):
        zone = Zone(self, name, self.zone_id(canonical(name)))
        self.zones[zone.name] = zone
        zone.add(zone.name, "SOA", 3600,
                 "ns.%s hostmaster.%s 1 3600 600 86400 60"
                 % (zone.name, zone.name))
        zone.add(zone.name, "NS", 7200, "ns." + zone.name)
        zone.add("ns." + zone.name, "A", 7200, "127.0.0.1")
        return zone

    def _seed(self):
        """Two zones that matter among many; names that end like theirs, or
        begin like the owners' that are asked for."""
        for i in range(13):
            self.add_zone("a%02d.test." % i)
        self._fill(self.add_zone("evilexample.test."), False)
        self._fill(self.add_zone("example.test."), True)
        if self.features["subzones"]:
            parent = self.zones["example.test."]
            parent.add("child.example.test.", "NS", 7200, "ns.example.test.")
            self._fill(self.add_zone("child.example.test."), False)
        self.add_zone("example.test.evil.test.")
        self.add_zone("tcp.test.")
        for i in range(13):
            self.add_zone("z%02d.test." % i)

    def _fill(self, zone, with_foreign):
        z, ttl = zone.name, self._seed_ttl
        for i in range(12):
            zone.add("a%02d.%s" % (i, z), "A", ttl, "192.0.2.%d" % i)
        for name in ("_25._tcp.mx2.", "a._25._tcp.mx.", "x_25._tcp.mx.",
                     "_25._tcp.m.", "_2._tcp.mx.", "_25._tcp.mx.mx."):
            zone.add(name + z, "TLSA", ttl, self.spell("3 1 1 " + ABCD))
        zone.add("_25._tcp.mx." + z, "TXT", ttl, '"not a TLSA record"')
        zone.add("mx." + z, "A", ttl, "127.0.0.1")
        zone.add("_25._tcp.alias." + z, "CNAME", ttl, "_25._tcp.target." + z)
        zone.add("*._tcp.wild." + z, "TLSA", ttl,
                 self.spell("3 1 1 " + ABCD))
        zone.add("away." + z, "NS", ttl, "ns.away." + z)
        zone.add("ns.away." + z, "A", ttl, "192.0.2.1")
        if with_foreign:
            for text in self.features["foreign"]:
                zone.add("_25._tcp.foreign." + z, "TLSA", ttl,
                         self.spell(text))
        for i in range(12):
            zone.add("z%02d.%s" % (i, z), "TXT", ttl, '"filler %d"' % i)

    def _timer(self, entry):
        with self.lock:
            if entry in self._later and entry[2] == self._generation:
                self._later.remove(entry)
                self._run(entry[1])
                self._publish_all()

    def _run(self, fn):
        try:
            fn()
        except Exception:
            self.broken.append(traceback.format_exc())
            traceback.print_exc()

    def _tick(self):
        """A request is over: those who waited for it."""
        for entry in list(self._later):
            entry[0] -= 1
            if entry[0] <= 0 and entry in self._later:
                self._later.remove(entry)
                self._run(entry[1])

    def _settle(self):
        for _ in range(100):  # they may begin others
            for entry in self._later:
                entry[0] = 0
            self._tick()
            if not self._later:
                break
        self._publish_all()

    def _publish_all(self):
        if self.auto_publish:
            for zone in self.zones.values():
                self.publish(zone)

    def _look(self, owner, rrset):
        """The guard, at every version of an RRset that is served."""
        guard = self.guards.get(owner)
        if not guard:
            return
        texts = [text for _, text in rrset]
        try:
            there = {normal(text) for text in texts}
        except ValueError as e:
            self._violation(owner, "serves nonsense: %s" % e)
            return
        if guard["some"] and not texts:
            self._violation(owner, "has no record at all")
        for want in guard["records"]:
            if want not in there:
                self._violation(owner, "lacks %.20s.. (has %d records)"
                                % (want, len(texts)))
        for text in guard["foreign"]:
            if text not in texts:
                self._violation(owner, "foreign %.20s.. is gone" % text)
        if len({ttl for ttl, _ in rrset}) > 1 and guard["one_ttl"]:
            self._violation(owner, "has records of several TTLs")

    def _violation(self, owner, what):
        self.violations.append(
            "%s after request %d: %s" % (owner, len(self.log), what))

    def seed(self, want):
        for name in want.get("zones", []):
            self.add_zone(name)
        if "owner" in want:
            owner = canonical(want["owner"])
            zone = self.zone_of(owner)
            keep = self.foreign.get(owner, [])
            for r in zone.at(owner, "TLSA"):
                if r.text not in keep:
                    zone.remove(r)
            for text in want["records"]:
                zone.add(owner, "TLSA", want.get("ttl", self._seed_ttl),
                         self.spell(text))
        self.seeded(want)
        for zone in self.zones.values():
            self.publish(zone)

    def seeded(self, want):
        """More was seeded: for a vendor that keeps books of its own."""

    def guard(self, want):
        """Of one owner, instead of what was guarded there."""
        owner = canonical(want["owner"])
        self.guards[owner] = {
            "records": [normal(t) for t in want["records"]],
            "foreign": self.foreign.get(owner, []),
            "one_ttl": want.get("one_ttl", False),
            "some": want.get("some", False),
        }
        zone = self.zone_of(owner)
        self._look(owner, zone.served.get(owner, []))

    def state(self, only=None):
        return {
            name: {"id": zone.id, "held": zone.held(), "served": zone.served}
            for name, zone in self.zones.items() if only in (None, name)
        }

    def control(self, req):
        verb = req.path[len("/_ctl/"):]
        if req.method == "GET" and verb == "state":
            return {"zones": self.state(req.query.get("zone"))}
        if req.method == "GET" and verb == "log":
            return {
                "count": len(self.log),
                "requests": [r for r in self.log
                             if r["fault"] or "faulty" not in req.query],
                "violations": self.violations, "broken": self.broken,
                "secrets": sorted(self.secrets)}
        if req.method == "POST" and verb == "batch":
            return [self.command(*command) for command in req.json]
        if req.method == "POST":
            return self.command(verb, req.json or {})
        raise ValueError("no such control")

    def command(self, verb, want):
        if verb == "reset":
            self.reset()
        elif verb == "seed":
            self.seed(want)
        elif verb == "guard":
            self.guard(want)
        elif verb == "settle":
            self._settle()
        elif verb == "latency":
            self.latency = float(want["s"])
        elif verb == "fault":
            return self.inject(want)
        else:
            raise ValueError("no such control")
        return {"ok": True}

    def inject(self, want):
        kind = want["kind"]
        if kind not in KINDS:
            raise ValueError("no such kind")
        first = len(self.log) + int(want["at"])
        self.fault = (first, first + int(want.get("count", 1)), kind)
        reply = self._error(kind)
        return {
            "supported": kind != "in200" or reply is not None,
            "retry_after": bool(reply) and "retry-after" in
            {name.lower() for name in reply.headers}}

    def _error(self, kind):
        try:
            return self.error(kind) or Fake.error(self, kind)
        except Reply as e:
            return e
        except Exception:
            self.broken.append(traceback.format_exc())
            traceback.print_exc()
            return Reply(500, {"error": "the fake is broken"})

    def _due(self):
        n = len(self.log)
        if self.fault and self.fault[0] <= n < self.fault[1]:
            return self.fault[2]
        return None

    def _handle(self, req):
        try:
            ret = self.handle(req)
            if not isinstance(ret, Reply):
                raise TypeError("handle() gave %r" % (ret,))
        except Reply as e:
            ret = e
        except Exception:
            self.broken.append(traceback.format_exc())
            traceback.print_exc()
            ret = Reply(500, {"error": "the fake is broken"})
        self._tick()
        self._publish_all()
        return ret

    def serve(self, req):
        """(reply, kind of fault or None) for one request."""
        with self.lock:
            if req.path.startswith("/_ctl/"):
                try:
                    return Reply(200, self.control(req)), None
                except Exception as e:
                    traceback.print_exc()
                    return Reply(400, {"error": repr(e)}), None
            for name, value in req.headers.items():
                if SECRET_HEADER.search(name):
                    self.secrets.add(value.split(" ")[-1])
            entry = {"n": len(self.log) + 1, "method": req.method,
                     "path": req.raw_path, "t": time.time(),
                     "parting": self.parting(req)}
            self.log.append(entry)
            kind = entry["fault"] = self._due()
            if kind is None or kind in DONE:
                ret = self._handle(req)
            elif kind == "html":
                ret = Reply(200, text="<!DOCTYPE html><html><body>Please log"
                            " in</body></html>", type="text/html")
            elif kind == "close-before":
                ret = Reply(500)
            else:
                ret = self._error(kind)
                if ret is None:  # no error inside 200 here
                    kind = entry["fault"] = None
                    ret = self._handle(req)
            entry["status"] = ret.status
            return ret, kind


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 600

    def log_message(self, *args):
        pass

    def parse_request(self):
        """Instead of that of the library, which parses as if it were mail and
        takes longer than all the rest."""
        self.command = self.path = ""
        self.request_version = "HTTP/1.1"
        self.requestline = self.raw_requestline.decode("latin-1").strip()
        words = self.requestline.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            self.send_error(400)
            return False
        self.command, self.path, self.request_version = words
        self.headers = Headers()
        for _ in range(100):
            line = self.rfile.readline(65537).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            self.headers.add(name, value.strip())
        self.close_connection = words[2] == "HTTP/1.0" or \
            self.headers.get("Connection", "").lower() == "close"
        if self.headers.get("Expect", "").lower() == "100-continue":
            return self.handle_expect_100()
        return True

    def send(self, reply, declared=None):
        self.send_response(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            self.send_header(name, str(value))
        if "content-type" not in names and (reply.body or declared):
            self.send_header("Content-Type", reply.type)
        if declared != -1 and reply.status != 204:
            size = len(reply.body) if declared is None else declared
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def misbehave(self, reply, kind):
        """The faults that are not in what is said but in how."""
        self.close_connection = True
        if kind == "truncated":
            size = len(reply.body)
            if reply.status == 204:  # that cannot have a body
                reply.status = 200
            reply.body = reply.body[:size // 2]
            self.send(reply, size if size else 10)
        elif kind == "endless":
            reply = Reply(200, text="[", type="application/json",
                          headers={"Transfer-Encoding": "chunked"})
            reply.body = b"1\r\n[\r\n"
            self.send(reply, -1)
            more = b"40000\r\n" + b"[" * 0x40000 + b"\r\n"
            while True:
                self.wfile.write(more)
        elif kind == "drip":
            self.send(Reply(200, text=" ", type="application/json"), 1000000)
            while True:
                time.sleep(0.2)
                self.wfile.write(b" ")
                self.wfile.flush()
        # close-before, lost: nothing at all

    def answer(self):
        fake = self.server.fake
        size = int(self.headers.get("Content-Length") or 0)
        if size > 1 << 22 or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send(Reply(413))
            return
        body = self.rfile.read(size)
        req = Req(self.command, self.path, self.headers, body, fake.base)
        reply, kind = fake.serve(req)
        if fake.latency and not req.path.startswith("/_ctl/"):
            time.sleep(fake.latency)
        if kind in DONE or kind == "close-before":
            self.misbehave(reply, kind)
        else:
            self.send(reply)

    def do(self):
        try:
            self.answer()
        except (OSError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake, tls=None):
        self.fake = fake
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        super().__init__(("127.0.0.1", 0), Handler)
        fake.base = "http%s://127.0.0.1:%d" % (
            "s" if tls else "", self.server_address[1])

    def server_bind(self):
        # That of HTTPServer asks the DNS for the name of this machine.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request, client_address):
        # In the thread of the connection: nobody waits for a handshake.
        if self.tls:
            try:
                request.settimeout(10)
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()

    def start(self):
        threading.Thread(target=self.serve_forever, args=(0.05,),
                         daemon=True).start()


class Pusher:
    """Sends every change of a served TLSA RRset to a DNS server (RFC 2136),
    in order, one at a time."""

    def __init__(self, host, port, key_file, ttl=None):
        self.host, self.port, self.ttl = host, port, ttl
        self.name, self.algorithm, self.secret = self.read_key(key_file)
        self.queue = collections.deque()
        self.ready = threading.Condition()
        threading.Thread(target=self.work, daemon=True).start()

    @staticmethod
    def read_key(path):
        """Of the format that tsig-keygen writes."""
        words = open(path, encoding="ascii").read()
        for c in '"{};':
            words = words.replace(c, " ")
        words = words.split()

        def after(word):
            return words[words.index(word) + 1]

        return after("key"), after("algorithm"), after("secret")

    def __call__(self, fake, zone, owner, rrset):
        with self.ready:
            self.queue.append((fake, zone.name, owner, rrset))
            self.ready.notify()

    def work(self):
        while True:
            with self.ready:
                while not self.queue:
                    self.ready.wait()
                job = self.queue.popleft()
            for attempt in range(20):
                try:
                    self.push(*job[1:])
                    break
                except Exception as e:
                    print("push of %s: %r" % (job[2], e), file=sys.stderr,
                          flush=True)
                    time.sleep(0.2)
            else:
                with job[0].lock:
                    job[0].broken.append("could not be pushed: " + job[2])

    def push(self, zone, owner, rrset):
        import dns.name
        import dns.query
        import dns.rcode
        import dns.tsigkeyring
        import dns.update

        update = dns.update.UpdateMessage(
            zone,
            keyring=dns.tsigkeyring.from_text(
                {self.name: (self.algorithm, self.secret)}),
            keyname=dns.name.from_text(self.name))
        update.delete(owner, "TLSA")
        for ttl, text in rrset:
            update.add(owner, self.ttl or ttl, "TLSA", normal(text))
        answer = dns.query.tcp(update, self.host, port=self.port, timeout=3)
        if answer.rcode() != dns.rcode.NOERROR:
            raise OSError(dns.rcode.to_text(answer.rcode()))
