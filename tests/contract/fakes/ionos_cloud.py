"""IONOS Cloud DNS: a record is PROVISIONING after a change and DESTROYING
after its deletion, and is served as it was until that has ended. Filters match
parts of names; pages are smaller than asked for, and say so."""

import uuid

from fakelib import Fake, Reply, canonical, normal, parse_tlsa
import fakelib

TOKEN = "eyJ0eXAi" + "Zz4" * 40 + ".sig"
PAGE = 7
FIELDS = {"name", "type", "content", "ttl", "priority", "enabled"}
WORDS = {
    "401": ("paas-auth-1", "Unauthorized, wrong or no api key provided to "
            "process this request"),
    "403": ("paas-auth-2", "Forbidden"),
    "404": ("paas-request-4", "Not found"),
    "409": ("paas-request-9", "Conflict"),
    "422": ("paas-validation-1", "validation failed: content"),
    "429": ("paas-rate-1", "Too many requests"),
    "500": ("paas-internal-1", "Internal error"),
    "503": ("paas-internal-2", "Service unavailable"),
}


class Vendor(Fake):
    type = "ionos_cloud"
    features = {"cname": True}
    auto_publish = False

    def uuid(self):
        self._next_id += 1
        return str(uuid.UUID(int=0x5ca1ab1e << 96 | self._next_id))

    def record_id(self):
        return self.uuid()

    def zone_id(self, name):
        return self.uuid()

    def setup(self):
        if "a00.test." in self.zones:
            self.zones["a00.test."].settings["enabled"] = False
        self.changes = 0

    def options(self, folder):
        return {"token_file": fakelib.secret_file(folder, "token", TOKEN)}

    def fail(self, kind, what=None):
        code, message = WORDS[kind]
        wait = {"Retry-After": "1"} if kind == "429" else {}
        return Reply(int(kind), {"httpStatus": int(kind), "messages": [
            {"errorCode": code, "message": what or message}]}, headers=wait)

    def error(self, kind):
        return self.fail(kind) if kind in WORDS else None

    # ---- spelling

    def zone_json(self, z):
        return {
            "id": z.id, "type": "zone", "href": "/zones/" + z.id,
            "metadata": {"state": "AVAILABLE", "nameservers": ["ns.test"],
                         "createdDate": "2026-01-01T00:00:00Z"},
            "properties": {"zoneName": z.name[:-1], "description": "",
                           "enabled": z.settings.get("enabled", True)},
        }

    def record_json(self, zone, r):
        return {
            "id": r.id, "type": "record", "href": "/records/" + r.id,
            "metadata": {"state": r.extra.get("state", "AVAILABLE"),
                         "fqdn": r.name[:-1], "zoneId": zone.id,
                         "createdDate": "2026-01-01T00:00:00Z"},
            "properties": {
                "name": zone.relative(r.name) or "@", "type": r.type,
                "content": r.text, "ttl": r.extra.get("ttl", r.ttl),
                "enabled": r.extra.get("enabled", True), "priority": None},
        }

    def listed(self, req, items):
        limit = int(req.query.get("limit", 100))
        offset = int(req.query.get("offset", 0))
        if not 1 <= limit <= 1000 or offset < 0:
            raise self.fail("422", "limit or offset")
        limit = min(limit, PAGE)
        part = items[offset:offset + limit]
        links = {"self": req.url}
        if offset + limit < len(items):
            links["next"] = req.url
        return Reply(200, {
            "id": str(uuid.UUID(int=1)), "type": "collection", "href": "/",
            "items": part, "offset": offset, "limit": limit, "_links": links})

    # ---- changes that take time

    def pending(self, zone, record, state, done):
        self.changes += 1
        turn = record.extra["turn"] = self.changes
        record.extra["state"] = state

        def end():
            if record.extra["turn"] != turn:
                return  # a later change of it is under way
            done()
            self.publish(zone)

        self.later(3 if self.changes % 5 == 0 else 0, end)

    # ---- requests

    def handle(self, req):
        if req.headers.get("Authorization") != "Bearer " + TOKEN:
            raise self.fail("401")
        if req.body and req.headers.get("Content-Type") != "application/json":
            raise self.fail("422", "content type")
        parts = req.path.strip("/").split("/")
        if parts == ["zones"] and req.method == "GET":
            part = req.query.get("filter.zoneName", "")
            return self.listed(req, [
                self.zone_json(z) for z in self.zone_list()
                if part in z.name[:-1]])
        if parts == ["records"] and req.method == "GET":
            return self.list_records(req)
        if len(parts) < 3 or parts[0] != "zones" or parts[2] != "records":
            raise self.fail("404")
        zone = next((z for z in self.zone_list() if z.id == parts[1]), None)
        if not zone:
            raise self.fail("404", "zone not found")
        if len(parts) == 3 and req.method == "POST":
            return self.create(req, zone)
        record = next((r for r in zone.records if len(parts) == 4 and
                       r.id == parts[3] and
                       r.extra.get("state") != "DESTROYING"), None)
        if not record:
            raise self.fail("404", "record not found")
        if req.method == "PUT":
            return self.update(req, zone, record)
        if req.method == "DELETE":
            if any(r.extra.get("state") == "PROVISIONING"
                   for r in zone.at(record.name, "TLSA")):
                self.broken.append("a removal before what is new is served")
            self.pending(zone, record, "DESTROYING",
                         lambda: zone.remove(record))
            return Reply(202)
        raise self.fail("404")

    def list_records(self, req):
        found = []
        for z in self.zone_list():
            if req.query.get("filter.zoneId", z.id) != z.id:
                continue
            for r in z.records:
                state = r.extra.get("state", "AVAILABLE")
                if req.query.get("filter.state", state) == state and \
                   req.query.get("filter.name", "") in z.relative(r.name):
                    found.append(self.record_json(z, r))
        return self.listed(req, found)

    def properties(self, req, zone):
        if not isinstance(req.json, dict) or set(req.json) != {"properties"}:
            raise self.fail("422", "body")
        p = req.json["properties"]
        if set(p) - FIELDS or not {"name", "type", "content"} <= set(p):
            raise self.fail("422", "properties")
        name, ttl = p["name"], p.get("ttl", 3600)
        if name != name.lower() or name.endswith(".") or name == "" or \
           (name + ".").endswith(zone.name):
            raise self.fail("422", "name")
        if type(ttl) is not int or not 60 <= ttl <= 604800:
            raise self.fail("422", "ttl")
        if not isinstance(p.get("enabled", True), bool):
            raise self.fail("422", "enabled")
        try:
            if p["type"] != "TLSA" or len(p["content"].split()) != 4:
                raise ValueError("TLSA")
            parse_tlsa(p["content"])
        except ValueError:
            raise self.fail("422", "content") from None
        return zone.absolute(name), ttl, p["content"]

    def available(self, record, ttl):
        record.extra.update(state="AVAILABLE", disabled=False)
        record.extra.pop("ttl", None)
        record.ttl = ttl

    def create(self, req, zone):
        owner, ttl, content = self.properties(req, zone)
        if zone.at(owner, "CNAME"):
            raise self.fail("422", "a CNAME is there")
        for r in zone.at(owner, "TLSA"):
            if normal(r.text) == normal(content) and \
               r.extra.get("state") != "DESTROYING":
                raise self.fail("409", "record already exists")
        record = zone.add(owner, "TLSA", ttl, content, disabled=True)
        self.pending(zone, record, "PROVISIONING",
                     lambda: self.available(record, ttl))
        return Reply(202, self.record_json(zone, record))

    def update(self, req, zone, record):
        owner, ttl, content = self.properties(req, zone)
        if canonical(owner) != record.name or content != record.text:
            self.broken.append("a PUT changed more than the TTL")
        record.extra["ttl"] = ttl
        self.pending(zone, record, "PROVISIONING",
                     lambda: self.available(record, ttl))
        return Reply(202, self.record_json(zone, record))
