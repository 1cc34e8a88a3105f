"""Porkbun: everything is a POST, errors are in HTTP 400 or, as from older
servers, in 200; names are absolute when read and relative when written; a TTL
is a string, and one below 600 becomes 600. The account has more domains than
one page of the list holds."""

import time

from fakelib import Fake, Reply, normal, parse_tlsa, within
import fakelib

KEY = "pk1_" + "0a1b2c3d" * 8
SECRET = "sk1_" + "f9e8d7c6" * 8
PAGE = 1000
BUDGET = 80  # per 2 s: 20 for each of the programs of a test
FIELDS = {"name", "type", "content", "ttl", "prio", "notes", "dryRun"}
CODES = {
    "401": (400, "INVALID_API_KEYS_001", "Invalid API key. (001)"),
    "403": (403, "DOMAIN_NOT_ALLOWED", "This key is not for this domain."),
    "404": (404, "DOMAIN_NOT_FOUND", "Domain not found."),
    "409": (409, None, "Conflict."),
    "422": (400, "INVALID_TYPE", "Invalid type."),
    "429": (429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded."),
    "500": (500, None, "Something went wrong."),
    "503": (503, None, "Unavailable."),
    "in200": (200, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded."),
}


class Vendor(Fake):
    type = "porkbun"
    path = "/api/json/v3"
    features = {"subzones": False, "cname": True,
                "ttls": [3600, 7200, 600, 900]}

    def setup(self):
        self.recent = []
        self.turn = 0
        if "a00.test." in self.zones:
            self.zones["a00.test."].settings["api"] = "no"
        for zone in self.zone_list():
            for r in zone.records:
                r.extra["notes"] = "of " + r.name

    def options(self, folder):
        return {
            "api_key_file": fakelib.secret_file(folder, "key", KEY),
            "secret_api_key_file": fakelib.secret_file(
                folder, "secret", SECRET + "\n"),
        }

    def fail(self, code, message, status=None):
        """From older servers: HTTP 200, and no code."""
        self.turn += 1
        if status is None:
            status = 200 if self.turn % 2 else 400
        body = {"status": "ERROR", "message": message}
        if code and status != 200:
            body["code"] = code
            body["next_action"] = {"type": "none", "hint": message}
        return Reply(status, body)

    def error(self, kind):
        if kind not in CODES:
            return None
        status, code, message = CODES[kind]
        ret = self.fail(code, message, status)
        if kind == "429":
            ret.headers["Retry-After"] = "1"
        return ret

    def handle(self, req):
        now = time.monotonic()
        self.recent = [t for t in self.recent if t > now - 2] + [now]
        if len(self.recent) > BUDGET:
            raise self.error("429")
        if req.method != "POST" or not req.path.startswith(self.path + "/"):
            raise Reply(404, text="<html>Not Found</html>", type="text/html")
        if not isinstance(req.json, dict):
            raise self.fail("INVALID_REQUEST", "No JSON.", 400)
        if "apikey" in req.json or "secretapikey" in req.json:
            self.broken.append("a secret in a body")
        if req.headers.get("X-API-Key") != KEY or \
           req.headers.get("X-Secret-API-Key") != SECRET:
            raise self.error("401")
        parts = req.path[len(self.path) + 1:].split("/")
        if parts == ["domain", "listAll"]:
            return self.list_all(req)
        if parts[0] != "dns" or len(parts) < 3:
            raise self.fail("NOT_FOUND", "No such call.", 404)
        zone = self.zones.get(parts[2] + ".")
        if not zone or zone.settings.get("api") == "no":
            raise self.fail("INVALID_DOMAIN", "Invalid domain.")
        if parts[1] == "retrieve" and len(parts) == 3:
            return self.retrieve(req, zone)
        if parts[1] == "create" and len(parts) == 3:
            return self.create(req, zone)
        if parts[1] not in ("edit", "delete") or len(parts) != 4:
            raise self.fail("NOT_FOUND", "No such call.", 404)
        record = next((r for r in zone.records if r.id == parts[3]), None)
        if not record:
            raise self.fail("INVALID_RECORD_ID", "Invalid record ID.")
        if parts[1] == "delete":
            if req.json:
                raise self.fail("INVALID_REQUEST", "Unknown field.", 400)
            zone.remove(record)
            return Reply(200, {"status": "SUCCESS"})
        return self.edit(req, zone, record)

    def list_all(self, req):
        if set(req.json) - {"start", "includeLabels"}:
            raise self.fail("INVALID_REQUEST", "Unknown field.", 400)
        start = int(req.json.get("start", "0"))
        names = ["filler%04d.test" % i for i in range(PAGE)]
        names += [z.name[:-1] for z in self.zone_list()]
        domains = []
        for name in names[start:start + PAGE]:
            zone = self.zones.get(name + ".")
            api = zone.settings.get("api", "yes") if zone else "yes"
            domains.append({
                "domain": name, "status": "ACTIVE", "tld": "test",
                "createDate": "2026-01-01 00:00:00", "autoRenew": "1",
                "securityLock": "1", "notLocal": 0, "apiAccess": api})
        return Reply(200, {"status": "SUCCESS", "domains": domains})

    def retrieve(self, req, zone):
        if req.json:
            raise self.fail("INVALID_REQUEST", "Unknown field.", 400)
        return Reply(200, {
            "status": "SUCCESS", "cloudflare": "enabled", "records": [
                {"id": r.id, "name": r.name[:-1], "type": r.type,
                 "content": r.text, "ttl": str(r.ttl), "prio": "0",
                 "notes": r.extra.get("notes", "")} for r in zone.records]})

    def fields(self, req, zone):
        body = req.json
        if set(body) - FIELDS or not {"type", "content"} <= set(body):
            raise self.fail("INVALID_REQUEST", "Fields.", 400)
        if "dryRun" in body:
            self.broken.append("an older server would have written")
        name, ttl = body.get("name", ""), body.get("ttl", "600")
        owner = zone.absolute(name)
        if within(name.lower().rstrip(".") + ".", zone.name):
            self.broken.append("an absolute name in a write")
        if not isinstance(ttl, str) or not ttl.isdigit():
            raise self.fail("INVALID_TTL", "Invalid TTL.", 400)
        try:
            if body["type"] != "TLSA" or len(body["content"].split()) != 4:
                raise ValueError("TLSA")
            parse_tlsa(body["content"])
        except ValueError:
            raise self.fail("INVALID_CONTENT", "Invalid content.",
                            400) from None
        if zone.at(owner, "CNAME"):
            raise self.fail("RECORD_CONFLICT", "A CNAME is there.", 400)
        return owner, max(int(ttl), 600), body["content"]

    def create(self, req, zone):
        owner, ttl, content = self.fields(req, zone)
        for r in zone.at(owner, "TLSA"):
            if normal(r.text) == normal(content):
                raise self.fail("DUPLICATE_RECORD", "It is there.", 400)
        record = zone.add(owner, "TLSA", ttl, content, notes="")
        return Reply(200, {"status": "SUCCESS", "id": int(record.id)})

    def edit(self, req, zone, record):
        owner, ttl, content = self.fields(req, zone)
        if owner != record.name or normal(content) != normal(record.text):
            self.broken.append("an edit changed more than the TTL")
        if "notes" in req.json:
            self.broken.append("an edit changed the notes")
        if record.ttl == ttl and record.text == content:
            raise self.fail("EDIT_ERROR", "We were unable to edit.", 400)
        record.ttl, record.text = ttl, content
        return Reply(200, {"status": "SUCCESS"})
