"""Cloudflare, API v4, as documented: envelopes, pages, ids of 32 hex digits,
TLSA as {usage, selector, matching_type, certificate} in upper case, TTL 1 for
"automatic" (served as 300), batches that are one transaction in the order
deletes, patches, puts, posts, but are served change by change. Every request
is checked against Cloudflare's own description, where there is one."""

import copy
import hashlib

import openapi
from fakelib import Fake, Reply, canonical, parse_tlsa, upper, within, \
    secret_file, page

TOKEN = "cf-Token_0123456789abcdefghijklmnopqrstuv"
PERMISSIONS = ["#dns_records:edit", "#dns_records:read", "#zone:read"]
RECORD = {
    "type": "TLSA", "name": "_25._tcp.mx.example.com", "ttl": 3600,
    "data": {"usage": 3, "selector": 1, "matching_type": 1,
             "certificate": "ab" * 32}}
BATCH_MAX = 200
SPEC = openapi.load("cloudflare/cloudflare-dns-2024-08-06.json")


def without(d, *names):
    return {k: v for k, v in d.items() if k not in names}


def prove():
    """The description bites: it takes what is right, and nothing else."""
    zone = "/zones/" + "0" * 32
    records, batch = zone + "/dns_records", zone + "/dns_records/batch"
    data = RECORD["data"]
    wrong = [
        without(RECORD, "type"), without(RECORD, "name"),
        without(RECORD, "data"), dict(RECORD, ttl=0), dict(RECORD, ttl="60"),
        dict(RECORD, ttl=86401), dict(RECORD, type="tlsa"),
        dict(RECORD, name=""), dict(RECORD, name=7),
        dict(RECORD, content="3 1 1 ab"), dict(RECORD, id="0" * 32),
        dict(RECORD, data="3 1 1 ab"), dict(RECORD, data=None),
        dict(RECORD, data=without(data, "usage")),
        dict(RECORD, data=dict(data, usage="3")),
        dict(RECORD, data=dict(data, usage=256)),
        dict(RECORD, data=dict(data, usage=True)),
        dict(RECORD, data=dict(data, certificate="ab cd")),
        dict(RECORD, data=dict(data, certificate="")),
        dict(RECORD, data=dict(data, matchingType=1)),
        [RECORD], None,
    ]
    good = [("POST", records, RECORD), ("POST", records, dict(RECORD, ttl=1)),
            ("POST", batch, {"posts": [RECORD]}),
            ("POST", batch, {"deletes": [{"id": "0" * 32}], "patches": [
                {"id": "0" * 32, "ttl": 60}]}),
            ("GET", "/zones", None, {"name": "example.com", "page": "1"}),
            ("GET", records, None, {"type": "TLSA", "per_page": "1000"})]
    bad = [("POST", records, body) for body in wrong]
    bad += [("POST", batch, {"posts": [body]}) for body in wrong]
    bad += [
        ("POST", batch, {"deletes": ["0" * 32]}),
        ("POST", batch, {"deletes": [{"id": "0" * 31}]}),
        ("POST", batch, {"patches": [{"ttl": 60}]}),
        ("POST", batch, {"remove": []}), ("POST", batch, []),
        ("POST", records + "/x/y", RECORD), ("PUT", records, RECORD),
        ("GET", "/zones", None, {"per_page": "51"}),
        ("GET", "/zones", None, {"per_page": "many"}),
        ("GET", records, None, {"zone": "example.com"}),
        ("GET", "/zones/" + "0" * 33 + "/dns_records", None, {}),
    ]
    openapi.prove(SPEC, good, bad)


prove()


def envelope(result, info=None):
    ret = {"success": True, "errors": [], "messages": [], "result": result}
    if info:
        ret["result_info"] = info
    return Reply(200, ret)


def failed(status, code, message, chain=None, headers=None):
    error = {"code": code, "message": message}
    if chain:
        error["error_chain"] = chain
    return Reply(status, {"success": False, "errors": [error], "messages": [],
                          "result": None}, headers=headers)


class Vendor(Fake):
    type = "cloudflare"
    path = "/client/v4"
    features = {"cname": True}

    def zone_id(self, name):
        return hashlib.md5(name.encode()).hexdigest()

    def record_id(self):
        return hashlib.md5(super().record_id().encode()).hexdigest()

    def spell(self, text):
        return upper(text)

    def options(self, folder):
        return {"api_token_file": secret_file(folder, "token", TOKEN + "\n")}

    def setup(self):
        self.raced = False
        for zone in self.zones.values():
            zone.settings = {"status": "active", "type": "full",
                             "permissions": PERMISSIONS}
            zone.add("_25._tcp.auto." + zone.name, "TLSA", 300,
                     upper("3 1 1 " + "ef" * 32), auto=True)
        if "a03.test." in self.zones:
            self.zones["a03.test."].settings["status"] = "pending"
            self.zones["a04.test."].settings["type"] = "secondary"
            self.zones["a05.test."].settings["permissions"] = [
                "#dns_records:read", "#zone:read"]

    def error(self, kind):
        words = {
            "401": lambda: failed(401, 10000, "Authentication error"),
            "403": lambda: failed(
                403, 9109, "Unauthorized to access requested resource"),
            "404": lambda: failed(
                404, 7003, "Could not route to /zones/x, perhaps your object "
                "identifier is invalid?"),
            "409": lambda: failed(409, 10009, "Conflict"),
            "422": lambda: failed(422, 9020, "Invalid DNS record type."),
            "429": lambda: failed(
                429, 971, "Please wait and consider throttling your request "
                "speed", headers={
                    "Retry-After": "1", "Ratelimit": '"default";r=0;t=1'}),
            "500": lambda: failed(500, 10001, "Internal server error"),
            "503": lambda: failed(503, 10001, "Service temporarily "
                                  "unavailable"),
            "in200": lambda: failed(
                200, 10013, "An unknown error has occurred"),
        }
        return words[kind]() if kind in words else None

    # ---- requests

    def handle(self, req):
        path = req.path[len(self.path):]
        auth = req.headers.get("Authorization") or ""
        if not auth.startswith("Bearer "):
            raise failed(400, 9106, "Missing X-Auth-Key, X-Auth-Email or "
                         "Authorization headers")
        if " " in auth[7:] or len(auth[7:]) != len(TOKEN):
            raise failed(400, 6003, "Invalid request headers", [
                {"code": 6111, "message": "Invalid format for Authorization "
                 "header"}])
        if auth[7:] != TOKEN:
            raise failed(403, 9109, "Invalid access token")
        if not req.path.startswith(self.path):
            raise failed(404, 7000, "No route for that URI")
        if req.body and (req.headers.get("Content-Type") !=
                         "application/json" or req.json is None):
            raise failed(400, 6007, "Malformed JSON in request body")
        wrong = openapi.validate(SPEC, req.method, path, req.json, req.query)
        if wrong:
            self.violations.append("request %d, %s %s: %s" % (
                len(self.log), req.method, path, "; ".join(wrong)))
            raise failed(400, 9207, "Request body is invalid.")
        parts = path.strip("/").split("/")
        if parts == ["zones"] and req.method == "GET":
            return self.list_zones(req)
        zone = next((z for z in self.zones.values() if z.id == parts[1]),
                    None) if len(parts) > 1 and parts[0] == "zones" else None
        if zone is None:
            raise failed(404, 7003, "Could not route to %s, perhaps your "
                         "object identifier is invalid?" % path)
        if len(parts) == 2 and req.method == "GET":
            return envelope(self.show_zone(zone))
        if parts[2] == "dnssec" and req.method == "GET":
            return envelope({"status": "active"})
        if parts[2] != "dns_records":
            raise failed(404, 7000, "No route for that URI")
        if req.method == "GET" and len(parts) == 3:
            return self.list_records(req, zone)
        return self.change(req, zone, parts[3] if len(parts) > 3 else None)

    def paged(self, req, items, small):
        number = int(req.query.get("page", 1))
        size = min(int(req.query.get("per_page", 20)), small)
        part, pages = page(items, number, size)
        return envelope(part, {
            "page": number, "per_page": size, "count": len(part),
            "total_count": len(items), "total_pages": pages})

    def show_zone(self, zone):
        return {"id": zone.id, "name": zone.name[:-1], "paused": False,
                **zone.settings}

    def list_zones(self, req):
        zones = [self.show_zone(z) for z in self.zone_list()]
        # Somebody else's account, that the token may see, too.
        for z in list(zones):
            if z["name"] == "example.test":
                zones.insert(0, dict(z, id="f" * 32, status="moved"))
        name = req.query.get("name")
        if name:
            zones = [z for z in zones if z["name"] == name.lower()]
        if req.query.get("order") == "status":
            zones.sort(key=lambda z: z["status"],
                       reverse=req.query.get("direction") == "desc")
        return self.paged(req, zones, 10)

    # ---- records

    def show(self, r):
        ret = {"id": r.id, "type": r.type, "name": r.name[:-1],
               "ttl": 1 if r.extra.get("auto") else r.ttl, "proxied": False,
               "proxiable": False, "comment": None, "tags": [],
               "created_on": "2026-01-01T00:00:00Z",
               "modified_on": "2026-01-01T00:00:00Z"}
        ret["content"] = r.text.rstrip(".")
        if r.type == "TLSA":
            u, s, m, hexa = parse_tlsa(r.text)
            ret["data"] = {"usage": u, "selector": s, "matching_type": m,
                           "certificate": hexa.upper()}
        return ret

    def list_records(self, req, zone):
        items = zone.records
        if "type" in req.query:
            items = [r for r in items if r.type == req.query["type"]]
        if "name" in req.query:
            items = [r for r in items
                     if r.name == canonical(req.query["name"])]
        return self.paged(req, [self.show(r) for r in items], 7)

    def change(self, req, zone, rid):
        """All changes are batches, of one if need be."""
        verb = (req.method, rid is None, rid == "batch")
        if verb == ("POST", False, True):
            ops = req.json
        elif verb == ("POST", True, False):
            ops = {"posts": [req.json]}
        elif verb == ("PATCH", False, False):
            ops = {"patches": [dict(req.json, id=rid)]}
        elif verb == ("DELETE", False, False):
            ops = {"deletes": [{"id": rid}]}
        else:
            raise failed(405, 10405, "Method not allowed")
        if zone.settings["type"] == "secondary" or \
                "#dns_records:edit" not in zone.settings["permissions"]:
            raise failed(403, 10000, "Authentication error")
        if sum(len(v) for v in ops.values()) > BATCH_MAX:
            raise failed(400, 9300, "Too many operations in a batch")
        before = list(zone.records)
        steps, results = [], {}
        try:
            for kind, one in (("deletes", self.delete),
                              ("patches", self.patch), ("posts", self.post)):
                for op in ops.get(kind, []):
                    results.setdefault(kind, []).append(one(zone, op))
                    steps.append(list(zone.records))
        except Reply:
            zone.records = before
            race = zone.settings.pop("race", None)
            if isinstance(race, tuple):
                zone.add(race[0], "TLSA", 3600, race[1])
            elif race:
                zone.remove(race)
            raise
        # One transaction, but each change finds its own way to the edge.
        for records in steps:
            zone.records = records
            self.publish(zone)
        if rid == "batch":
            return envelope(results)
        return envelope(next(iter(results.values()))[0])

    def held(self, zone, rid):
        for r in zone.records:
            if r.id == rid:
                return r
        raise failed(404, 81044, "Record does not exist.")

    def race(self, zone, owner, text):
        """At _25._tcp.race somebody else is faster, once."""
        if owner.startswith("_25._tcp.race.") and not self.raced:
            self.raced = True
            zone.settings["race"] = (owner, text)
            raise failed(400, 81058, "An identical record already exists.")

    def delete(self, zone, op):
        record = self.held(zone, op["id"])
        if record.name.startswith("_25._tcp.gone.") and not self.raced:
            self.raced = True
            zone.settings["race"] = record
            raise failed(404, 81044, "Record does not exist.")
        zone.remove(record)
        return {"id": op["id"]}

    def ttl_of(self, op):
        ttl = op.get("ttl", 1)
        if ttl != 1 and not 60 <= ttl <= 86400:
            raise failed(400, 9021, "Invalid TTL. Must be between 60 and "
                         "86400 seconds, or 1 for Automatic.")
        return {"ttl": 300 if ttl == 1 else ttl, "auto": ttl == 1}

    def patch(self, zone, op):
        old = self.held(zone, op["id"])
        if set(op) - {"id", "ttl"}:
            raise failed(400, 9207, "Only TTLs are changed here.")
        new = copy.copy(old)
        made = self.ttl_of(op)
        new.ttl, new.extra = made["ttl"], dict(old.extra, auto=made["auto"])
        zone.records[zone.records.index(old)] = new
        return self.show(new)

    def post(self, zone, op):
        if op["type"] != "TLSA":
            raise failed(400, 9020, "Invalid DNS record type.")
        # What is not below the zone is taken for relative to it.
        owner = canonical(op["name"])
        if not within(owner, zone.name):
            owner = zone.absolute(op["name"])
        data = op["data"]
        try:
            text = upper("%d %d %d %s" % (
                data["usage"], data["selector"], data["matching_type"],
                data["certificate"]))
        except ValueError:
            raise failed(400, 9101, "certificate is not a valid hex string.")
        if zone.at(owner, "CNAME"):
            raise failed(400, 81054, "A CNAME record with that host already "
                         "exists.")
        if any(upper(r.text) == text for r in zone.at(owner, "TLSA")):
            raise failed(400, 81058, "An identical record already exists.")
        made = self.ttl_of(op)
        self.race(zone, owner, text)
        return self.show(zone.add(
            owner, "TLSA", made["ttl"], text, auto=made["auto"]))
