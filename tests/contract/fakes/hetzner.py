"""Hetzner DNS, Cloud API: RRsets, and actions that run on after the answer. An
RRset is locked while an action on it runs. TTL null is the zone's. Neither the
order of records nor that of RRsets means anything."""

import re

from fakelib import Fake, Reply, canonical, parse_tlsa, upper
import fakelib

TOKEN = "hcloud" + "Ab9" * 19
ZONE_TTL = 7200
CODES = {
    "401": (401, "unauthorized", "unable to authenticate"),
    "403": (403, "token_readonly", "the token is read only"),
    "404": (404, "not_found", "not found"),
    "409": (409, "conflict", "the resource has changed, please retry"),
    "422": (422, "invalid_input", "invalid input in field 'records'"),
    "429": (429, "rate_limit_exceeded", "limit of 3600 requests reached"),
    "500": (500, "server_error", "an unknown error occurred"),
    "503": (503, "unavailable", "a service or product is not available"),
}


def fail(status, code, message, headers=None):
    return Reply(status, {"error": {
        "code": code, "message": message, "details": None}}, headers=headers)


def invalid(what):
    return fail(422, "invalid_input", "invalid input in field '%s'" % what)


class Vendor(Fake):
    type = "hetzner"
    path = "/v1"
    features = {"subzones": False, "cname": True}
    auto_publish = False

    def spell(self, text):
        return upper(text)

    def zone_id(self, name):
        self._next_id += 1
        return str(8_000_000_000 + self._next_id)

    def setup(self):
        self.actions = {}
        self.busy = set()
        self.null = set()
        self.turn = 0
        if "a00.test." in self.zones:
            self.zones["a00.test."].settings["mode"] = "secondary"
        self.seeded({})

    def seeded(self, want):
        # What was there before has the zone's TTL, and a comment.
        for zone in self.zone_list():
            for r in zone.records:
                if r.type == "TLSA" and "comment" not in r.extra:
                    r.extra["comment"] = "of " + r.name
                    if r.ttl == ZONE_TTL:
                        self.null.add(r.name)

    def options(self, folder):
        return {"token_file": fakelib.secret_file(folder, "token", TOKEN)}

    def error(self, kind):
        if kind not in CODES:
            return None
        wait = {"Retry-After": "1"} if kind == "429" else {}
        return fail(*CODES[kind], headers=wait)

    # ---- spelling

    def zone_json(self, z):
        return {
            "id": int(z.id), "name": z.name[:-1], "ttl": ZONE_TTL,
            "mode": z.settings.get("mode", "primary"), "status": "ok",
            "record_count": len(z.records), "labels": {},
            "protection": {"delete": False},
        }

    def label(self, zone, owner):
        return zone.relative(owner) or "@"

    def rrset_json(self, zone, owner, type):
        records = zone.at(owner, type)
        label = self.label(zone, owner)
        self.turn += 1
        shown = records[::-1] if self.turn % 2 else records
        null = type == "TLSA" and owner in self.null
        return {
            "id": label + "/" + type, "name": label, "type": type,
            "ttl": None if null else records[0].ttl, "labels": {},
            "protection": {"change": False}, "zone": int(zone.id),
            "records": [{"value": r.text,
                         "comment": r.extra.get("comment", "")}
                        for r in shown],
        }

    def paged(self, req, key, items, most):
        size = min(int(req.query.get("per_page", 25)), most)
        number = int(req.query.get("page", 1))
        part, pages = fakelib.page(items, number, size)
        return Reply(200, {key: part, "meta": {"pagination": {
            "page": number, "per_page": size, "last_page": pages,
            "previous_page": number - 1 if number > 1 else None,
            "next_page": number + 1 if number < pages else None,
            "total_entries": len(items)}}})

    # ---- actions

    def action(self, command, zone, owner, apply, extra=None):
        """apply() at the end of the action; a read sees it at once, as the
        API's own store is changed at once; served is it at the end."""
        key = (zone.name, owner)
        self.busy.add(key)
        apply()
        ident = 5_000_000_000_000 + len(self.actions)
        action = self.actions[ident] = {
            "id": ident, "command": command, "status": "running",
            "progress": 0, "started": "2026-01-01T00:00:00Z",
            "finished": None, "error": None,
            "resources": [{"id": int(zone.id), "type": "zone"}]}

        def done():
            self.busy.discard(key)
            action.update(status="success", progress=100,
                          finished="2026-01-01T00:00:01Z")
            self.publish(zone)

        # Not all of them: who waits, waits half a second.
        slow = len(self.actions) % 4 == 0 or (
            command == "set_records" and len(zone.at(owner, "TLSA")) == 3)
        self.later(1 if slow else 0, done)
        return Reply(201, dict(extra or {}, action=dict(action)))

    # ---- requests

    def handle(self, req):
        if req.headers.get("Authorization") != "Bearer " + TOKEN:
            raise self.error("401")
        if req.body and req.headers.get("Content-Type") != "application/json":
            raise fail(415, "invalid_input", "no JSON")
        parts = req.path[len(self.path):].strip("/").split("/")
        if req.method == "GET" and parts[0] == "actions" and len(parts) == 2:
            action = self.actions.get(int(parts[1]))
            if not action:
                raise self.error("404")
            return Reply(200, {"action": action})
        if parts[0] != "zones":
            raise self.error("404")
        if len(parts) == 1:
            return self.list_zones(req)
        zone = next((z for z in self.zone_list() if parts[1] in
                     (z.id, z.name[:-1])), None)
        if not zone or len(parts) < 3 or parts[2] != "rrsets":
            raise self.error("404")
        if req.method == "GET" and len(parts) == 3:
            return self.list_rrsets(req, zone)
        if zone.settings.get("mode") == "secondary":
            raise fail(422, "incorrect_zone_mode", "not in this mode")
        return self.write(req, zone, parts[3:])

    def list_zones(self, req):
        if req.method != "GET":
            raise fail(405, "method_not_allowed", "GET")
        zones = [self.zone_json(z) for z in self.zone_list()]
        if "name" in req.query:
            zones = [z for z in zones if z["name"] == req.query["name"]]
        return self.paged(req, "zones", zones, 6)

    def list_rrsets(self, req, zone):
        types = [v for k, v in req.query_list if k == "type"]
        seen = []
        for r in zone.records:
            key = (r.name, r.type)
            if key not in seen and (not types or r.type in types) and \
               req.query.get("name", self.label(zone, r.name)) == \
               self.label(zone, r.name):
                seen.append(key)
        return self.paged(req, "rrsets", [
            self.rrset_json(zone, *key) for key in seen], 3)

    def body(self, req, needed):
        body = req.json
        if not isinstance(body, dict):
            raise invalid("body")
        for name in sorted(needed - set(body)):
            raise invalid(name)
        for name in sorted(set(body) - needed):
            raise invalid(name)
        return body

    def owner(self, zone, name):
        if name != name.lower() or name.endswith(".") or name == "" or \
           (name + ".").endswith("." + zone.name) or \
           not re.fullmatch(r"@|[a-z0-9_*.-]+", name):
            raise invalid("name")
        return zone.absolute(name)

    def good_ttl(self, ttl):
        if ttl is not None and (type(ttl) is not int or
                                not 60 <= ttl <= 2147483647):
            raise invalid("ttl")
        return ttl

    def values(self, records):
        if not isinstance(records, list) or not 1 <= len(records) <= 50:
            raise invalid("records")
        for r in records:
            if not isinstance(r, dict) or not isinstance(r.get("value"), str):
                raise invalid("records.value")
            if set(r) - {"value", "comment"}:
                raise invalid("records")
            if len(r["value"].split()) != 4:
                raise invalid("records.value")
            try:
                parse_tlsa(r["value"])
            except ValueError:
                raise invalid("records.value") from None
        if len({fakelib.normal(r["value"]) for r in records}) != len(records):
            raise invalid("records")
        return records

    def fill(self, zone, owner, ttl, records):
        for r in zone.at(owner, "TLSA"):
            zone.remove(r)
        for r in records:
            zone.add(owner, "TLSA", ttl, r["value"],
                     comment=r.get("comment", ""))

    def write(self, req, zone, parts):
        if not parts:
            return self.create(req, zone)
        if len(parts) < 2 or parts[1] != "TLSA":
            raise self.error("404")
        owner = self.owner(zone, parts[0])
        held = zone.at(owner, "TLSA")
        if not held:
            raise self.error("404")
        if (zone.name, owner) in self.busy:
            raise fail(423, "locked", "an action is running")
        if req.method == "DELETE" and len(parts) == 2:
            return self.action("delete_rrset", zone, owner,
                               lambda: self.fill(zone, owner, 0, []))
        if req.method != "POST" or len(parts) != 4 or parts[2] != "actions":
            raise self.error("404")
        if parts[3] == "set_records":
            records = self.values(self.body(req, {"records"})["records"])
            self.same_comments(held, records)
            return self.action(parts[3], zone, owner, lambda: self.fill(
                zone, owner, held[0].ttl, records))
        if parts[3] == "change_ttl":
            return self.change_ttl(req, zone, owner, held)
        raise self.error("404")

    def same_comments(self, held, records):
        now = {r["value"]: r.get("comment", "") for r in records}
        for r in held:
            if r.text in now and now[r.text] != r.extra.get("comment", ""):
                self.broken.append("the comment of %s is lost" % r.text)

    def change_ttl(self, req, zone, owner, held):
        ttl = self.good_ttl(self.body(req, {"ttl"})["ttl"])

        def apply():
            self.null.discard(owner)
            if ttl is None:
                self.null.add(owner)
            for r in held:
                r.ttl = ZONE_TTL if ttl is None else ttl

        return self.action("change_ttl", zone, owner, apply)

    def create(self, req, zone):
        if req.method != "POST":
            raise fail(405, "method_not_allowed", "POST")
        body = self.body(req, {"name", "type", "ttl", "records"})
        owner = self.owner(zone, body["name"])
        ttl = self.good_ttl(body["ttl"])
        records = self.values(body["records"])
        if body["type"] != "TLSA":
            raise invalid("type")
        if zone.at(owner, "CNAME"):
            raise invalid("name")
        if zone.at(owner, "TLSA"):
            raise fail(409, "uniqueness_error", "RRset already exists")
        if (zone.name, owner) in self.busy:
            raise fail(423, "locked", "an action is running")
        self.null.discard(canonical(owner))
        if ttl is None:
            self.null.add(canonical(owner))
        return self.action(
            "create_rrset", zone, owner,
            lambda: self.fill(zone, owner, ttl or ZONE_TTL, records))
