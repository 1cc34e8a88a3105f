"""INWX: JSON-RPC in one path, errors inside HTTP 200, a session in a cookie,
a second factor, lists in pages, hex in blanks, ids that are now a number and
now a string."""

import base64
import hashlib
import hmac
import os
import struct
import time

from fakelib import Fake, Reply, canonical, parse_tlsa, secret_file, split_hex

USER = "danelaw-dns"
PASSWORD = "c0rrect horse/\"staple\""
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PAGE_MAX = 10
TTL = range(300, 864001)
TEXTS = {
    1000: "Command completed successfully",
    1500: "Command completed successfully; ending session",
    2000: "Unknown command",
    2003: "Required parameter missing",
    2004: "Parameter value range error",
    2005: "Parameter value syntax error",
    2200: "Authentication error",
    2201: "Authorization error",
    2302: "Object exists",
    2303: "Object does not exist",
    2304: "Object status prohibits operation",
    2308: "Data management policy violation",
    2400: "Command failed",
}


def answer(code, data=None, reason=None, headers=None):
    body = {"code": code, "msg": TEXTS[code], "svTRID": "1-ote", "runtime": 0.1}
    if reason:
        body["reasonCode"] = "FAKE"
        body["reason"] = reason
    if data is not None:
        body["resData"] = data
    return Reply(200, body, headers=headers)


def code_at(counter):
    """RFC 4226, six digits."""
    mac = hmac.new(base64.b32decode(TOTP), struct.pack(">Q", counter),
                   hashlib.sha1).digest()
    at = mac[-1] & 15
    number = struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff
    return "%06d" % (number % 1000000)


def need(params, required, optional=()):
    for name in required:
        if name not in params:
            raise answer(2003, reason="Missing " + name)
    for name in params:
        if name not in required and name not in optional:
            raise answer(2005, reason="Unknown parameter " + name)


class Vendor(Fake):
    type = "inwx"
    features = {"cname": True}
    # INWX takes each code once; the tests begin more sessions than there are.
    code_once = bool(os.environ.get("FAKE_INWX_CODE_ONCE"))

    def setup(self):
        self.sessions = {}
        self.used = set()

    def options(self, folder):
        return {
            "user": USER,
            "password_file": secret_file(folder, "password", PASSWORD + "\n"),
            "totp_secret_file": secret_file(
                folder, "totp", "jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp\n"),
        }

    def spell(self, text):
        return split_hex(text, 32)

    def error(self, kind):
        own = {"401": (2201, None), "403": (2201, None), "404": (2303, None),
               "422": (2005, "content is not valid"),
               "429": (2400, "Too many requests"), "in200": (2400, None)}
        if kind in own:
            return answer(own[kind][0], reason=own[kind][1])
        if kind == "503":
            return Reply(503, text="<html>Maintenance</html>",
                         type="text/html")
        return super().error(kind)

    def session(self, req):
        for part in (req.headers.get("Cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "domrobot" and value in self.sessions:
                return self.sessions[value]
        return None

    def handle(self, req):
        if req.method != "POST" or req.path != "/jsonrpc/":
            return Reply(404, text="<html>Not found</html>", type="text/html")
        if not isinstance(req.json, dict) or set(req.json) != {
                "method", "params"} or not isinstance(
                    req.json["params"], dict):
            return answer(2000)
        method, params = req.json["method"], req.json["params"]
        verb = getattr(self, "do_" + method.replace(".", "_"), None)
        if not verb:
            return answer(2000)
        if method == "account.login":
            return verb(params)
        session = self.session(req)
        if not session:
            return answer(2200)
        if method == "account.unlock":
            return verb(params, session)
        if session["locked"]:
            return answer(2200, reason="The account is locked")
        return verb(params)

    def do_account_login(self, p):
        need(p, ("user", "pass"), ("lang",))
        if p["user"] != USER or p["pass"] != PASSWORD:
            return answer(2200)
        key = hashlib.sha256(str(time.time_ns()).encode()).hexdigest()
        self.sessions[key] = {"locked": True}
        return answer(
            1000, {"customerId": 1, "accountId": 2, "tfa": "GOOGLE-AUTH"},
            headers={"Set-Cookie":
                     "domrobot=%s; path=/jsonrpc; HttpOnly" % key})

    def do_account_unlock(self, p, session):
        need(p, ("tan",))
        now = int(time.time() // 30)
        good = {code_at(now), code_at(now - 1)}
        if p["tan"] not in good or p["tan"] in self.used:
            return answer(2200, reason="The confirmation code is invalid.")
        if self.code_once:
            self.used.add(p["tan"])
        session["locked"] = False
        return answer(1000)

    def do_account_logout(self, p):
        need(p, ())
        return answer(1500)

    # ---- zones

    def describe(self, zone):
        return {"roId": int(zone.id[1:]), "domain": zone.name.rstrip("."),
                "type": zone.settings.get("type", "MASTER")}

    def do_nameserver_list(self, p):
        need(p, (), ("domain", "wide", "page", "pagelimit"))
        zones = self.zone_list()
        if "domain" in p:
            zones = [z for z in zones
                     if z.name == canonical(p["domain"])]
        size = min(p.get("pagelimit", 20), PAGE_MAX)
        first = (p.get("page", 1) - 1) * size
        return answer(1000, {
            "count": len(zones),
            "domains": [self.describe(z) for z in zones[first:first + size]]})

    def zone(self, p):
        zone = self.zones.get(canonical(p["domain"]))
        if not zone or p["domain"].endswith("."):
            raise answer(2303)
        return zone

    def show(self, r):
        number = int(r.id)
        return {"id": number if number % 2 else r.id,
                "name": r.name.rstrip("."), "type": r.type,
                "content": r.text, "ttl": r.ttl, "prio": 0}

    def do_nameserver_info(self, p):
        need(p, ("domain",), ("name", "type"))
        zone = self.zone(p)
        records = zone.records
        if "type" in p:
            records = [r for r in records if r.type == p["type"]]
        if "name" in p:
            whole = canonical(p["name"])
            names = {whole, zone.absolute(p["name"])}
            records = [r for r in records if r.name in names]
        data = dict(self.describe(zone), count=len(records))
        if records:
            data["record"] = [self.show(r) for r in records]
        return answer(1000, data)

    # ---- records

    def content(self, type_, text):
        if type_ != "TLSA":
            return text
        try:
            parse_tlsa(text)
        except ValueError as e:
            raise answer(2005, reason=str(e)) from e
        if '"' in text:
            raise answer(2005, reason="quotes")
        return self.spell(text)

    @staticmethod
    def ttl(p):
        ttl = p.get("ttl", 3600)
        if not isinstance(ttl, int) or ttl not in TTL:
            raise answer(2004, reason="ttl must be 300 to 864000")
        return ttl

    def record(self, p):
        for zone in self.zone_list():
            for r in zone.records:
                if int(r.id) == int(p["id"]):
                    if self.show(r)["id"] != p["id"]:
                        raise answer(2005, reason="id is of another type")
                    return zone, r
        raise answer(2303)

    def do_nameserver_createRecord(self, p):
        need(p, ("domain", "type", "content"), ("name", "ttl", "prio"))
        zone = self.zone(p)
        name = p.get("name", "")
        if name.endswith(".") or canonical(name).endswith("." + zone.name):
            return answer(2005, reason="name must be relative")
        owner = zone.absolute(name)
        text, ttl = self.content(p["type"], p["content"]), self.ttl(p)
        if zone.at(owner, "CNAME"):
            return answer(2308, reason="there is a CNAME")
        if text in [r.text for r in zone.at(owner, p["type"])]:
            return answer(2302)
        return answer(1000, {"id": int(
            zone.add(owner, p["type"], ttl, text).id)})

    def do_nameserver_updateRecord(self, p):
        need(p, ("id",), ("content", "ttl", "name", "type", "prio"))
        _, r = self.record(p)
        if "content" in p:
            r.text = self.content(r.type, p["content"])
        if "ttl" in p:
            r.ttl = self.ttl(p)
        return answer(1000)

    def do_nameserver_deleteRecord(self, p):
        need(p, ("id",))
        zone, r = self.record(p)
        zone.remove(r)
        return answer(1000)
