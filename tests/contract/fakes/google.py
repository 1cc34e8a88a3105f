"""Google Cloud DNS v1 with Google's token endpoint: service accounts sign JWTs
(verified), changes are whole or not at all and name exactly what they delete,
are pending for a while, lists have pages, and a private zone has the name of
the public one. Bodies are checked against Google's own description where it is
at hand (DANELAW_SPECS)."""

import base64
import json
import re
import secrets
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import openapi
from fakelib import Fake, Reply, canonical, parse_tlsa, secret_file, within

PROJECT = "mail-project-1"
EMAIL = "danelaw@%s.iam.gserviceaccount.com" % PROJECT
SCOPE = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
KEY_ID = "0123456789abcdef0123456789abcdef01234567"
ZONES_PAGE = 5
RRSETS_PAGE = 3
SPEC = "google-cloud-dns/dns-v1.openapi.json"


def failure(http, reason, message, **more):
    return Reply(http, {"error": dict({
        "code": http, "message": message,
        "errors": [{"domain": "global", "reason": reason,
                    "message": message}]}, **more)})


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Vendor(Fake):
    type = "google"
    path = "/dns/v1"
    auto_publish = False
    features = {"cname": True, "retry_after": False}
    key = None
    spec = None

    def __init__(self):
        if Vendor.key is None:
            Vendor.key = rsa.generate_private_key(65537, 2048)
            Vendor.spec = openapi.load(SPEC)
        super().__init__()

    def setup(self):
        self.tokens = {}
        self.changes = {}

    def zone_id(self, name):
        self._next_id += 1
        return "zone-%d" % self._next_id

    def options(self, folder):
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()
        # With slashes as some writers of JSON have them.
        text = json.dumps({
            "type": "service_account", "project_id": PROJECT,
            "private_key_id": KEY_ID, "private_key": pem,
            "client_email": EMAIL, "client_id": "1234567890",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self.base + "/token",
            "universe_domain": "googleapis.com"}, indent=2)
        return {"credentials_file": secret_file(
            folder, "key.json", text.replace("/", "\\/"))}

    def error(self, kind):
        if kind == "401":
            return failure(401, "authError", "Request had invalid"
                           " authentication credentials.",
                           status="UNAUTHENTICATED")
        if kind == "403":
            return failure(403, "forbidden", "Forbidden")
        if kind == "404":
            return failure(404, "notFound", "The 'parameters.managedZone'"
                           " resource named 'gone' does not exist.")
        if kind == "409":
            return failure(409, "alreadyExists", "The resource"
                           " 'entity.change.additions[0]' already exists")
        if kind == "422":
            return failure(400, "invalid", "Invalid value for"
                           " 'entity.change.additions[0].rrdata[0]'")
        if kind == "429":
            return failure(403, "rateLimitExceeded", "Rate Limit Exceeded")
        if kind in ("500", "503"):
            return failure(int(kind), "backendError", "Backend Error")
        return None

    # ---- the token endpoint

    def token(self, req):
        def no(why):
            raise Reply(400, {"error": "invalid_grant",
                              "error_description": why})

        kind = req.headers.get("Content-Type") or ""
        if req.method != "POST" or \
                kind != "application/x-www-form-urlencoded":
            raise Reply(400, {"error": "invalid_request"})
        if sorted(req.form) != ["assertion", "grant_type"] or \
                req.form["grant_type"] != GRANT:
            raise Reply(400, {"error": "unsupported_grant_type"})
        parts = req.form["assertion"].split(".")
        if len(parts) != 3 or "=" in req.form["assertion"]:
            no("Invalid JWT: Token must be three base64url parts")
        try:
            head, claims = (json.loads(decode(p)) for p in parts[:2])
            signature = decode(parts[2])
        except ValueError:
            no("Invalid JWT: not base64url of JSON")
        if head != {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}:
            no("Invalid JWT: header")
        try:
            self.key.public_key().verify(
                signature, ".".join(parts[:2]).encode(), padding.PKCS1v15(),
                hashes.SHA256())
        except InvalidSignature:
            no("Invalid JWT Signature.")
        now = time.time()
        if claims.get("iss") != EMAIL:
            no("Invalid grant: account not found")
        if claims.get("aud") != self.base + "/token":
            no("Invalid JWT: Failed audience check.")
        if claims.get("scope") != SCOPE:
            raise Reply(400, {"error": "invalid_scope"})
        iat, exp = claims.get("iat"), claims.get("exp")
        if not isinstance(iat, int) or not isinstance(exp, int) or \
                abs(iat - now) > 300 or not now < exp <= iat + 3600:
            no("Invalid JWT: Token must be a short-lived token (60 minutes)"
               " and in a reasonable timeframe.")
        token = "ya29.c." + secrets.token_urlsafe(48)
        self.tokens[token] = now + 3599
        return Reply(200, {"access_token": token, "expires_in": 3599,
                           "token_type": "Bearer"})

    # ---- zones

    def zone_json(self, zone):
        return {
            "kind": "dns#managedZone", "name": zone.id,
            "id": str(abs(hash(zone.id))), "dnsName": zone.name,
            "description": "", "visibility": "public",
            "creationTime": "2026-01-01T00:00:00.000Z",
            "nameServers": ["ns-cloud-a1.googledomains.com."],
            "dnssecConfig": {"kind": "dns#managedZoneDnsSecConfig",
                             "state": "on", "nonExistence": "nsec3"},
        }

    def zone_page(self, req):
        want = req.query.get("dnsName")
        if want and not want.endswith("."):
            return failure(400, "invalid", "Invalid value for 'dnsName'")
        found = []
        for zone in self.zone_list():
            private = dict(self.zone_json(zone), visibility="private",
                           name="private-" + zone.id)
            del private["dnssecConfig"]
            if zone.name == "example.test.":
                found.append(private)
            found.append(self.zone_json(zone))
        if want:
            found = [z for z in found if z["dnsName"] == want]
        return self.list_page(req, "managedZones", found, ZONES_PAGE)

    def list_page(self, req, member, items, size):
        if "maxResults" in req.query:
            size = min(size, int(req.query["maxResults"]))
        start = 0
        if "pageToken" in req.query:
            try:
                start = int(decode(req.query["pageToken"]).decode()[5:])
            except ValueError:
                return failure(400, "invalid", "Invalid page token")
        ret = {"kind": "dns#%sListResponse" % member,
               member: items[start:start + size]}
        if start + size < len(items):
            # With characters that must be escaped in a query.
            raw = "page/%d" % (start + size)
            ret["nextPageToken"] = base64.b64encode(raw.encode()).decode()
        return Reply(200, ret)

    # ---- records

    def rrsets(self, zone):
        sets = {}
        for r in zone.records:
            sets.setdefault((r.name, r.type), []).append(r)
        return [{"kind": "dns#resourceRecordSet", "name": name, "type": type,
                 "ttl": rs[0].ttl, "rrdatas": [r.text for r in rs],
                 "signatureRrdatas": []}
                for (name, type), rs in sorted(sets.items())]

    def rrset_page(self, zone, req):
        name, type = req.query.get("name"), req.query.get("type")
        if type and not name:
            return failure(400, "required",
                           "Required parameter is missing: 'name'")
        if name and not name.endswith("."):
            return failure(400, "invalid", "Invalid value for 'name'")
        found = [s for s in self.rrsets(zone)
                 if name in (None, s["name"]) and type in (None, s["type"])]
        return self.list_page(req, "rrsets", found, RRSETS_PAGE)

    def check_set(self, zone, s, where):
        if s.get("type") != "TLSA":
            raise failure(400, "invalid", "Invalid value for '%s.type'" % where)
        name = s.get("name")
        if not isinstance(name, str) or canonical(name) != name or \
                not within(name, zone.name):
            raise failure(400, "invalidZoneApex" if name == "" else "invalid",
                          "Invalid value for '%s.name': '%s'" % (where, name))
        ttl = s.get("ttl")
        if type(ttl) is not int or not 0 <= ttl <= 2147483647:
            raise failure(400, "invalid", "Invalid value for '%s.ttl'" % where)
        data = s.get("rrdatas")
        if not data or len(set(data)) != len(data):
            raise failure(400, "invalid",
                          "Invalid value for '%s.rrdatas'" % where)

    def make_change(self, zone, body):
        gone, come = body.get("deletions", []), body.get("additions", [])
        if not gone and not come:
            raise failure(400, "required", "The change is empty")
        if max(len(gone), len(come)) > 1000 or \
                sum(len(t) for s in gone + come for t in s["rrdatas"]) > 100000:
            raise failure(403, "quotaExceeded", "Quota exceeded")
        for member, sets in (("deletions", gone), ("additions", come)):
            for i, s in enumerate(sets):
                self.check_set(zone, s, "entity.change.%s[%d]" % (member, i))
        for i, s in enumerate(gone):
            there = zone.at(s["name"], "TLSA")
            where = "entity.change.deletions[%d]" % i
            if not there:
                raise failure(404, "notFound", "The '%s' resource named '%s"
                              " (TLSA)' does not exist." % (where, s["name"]))
            if there[0].ttl != s["ttl"] or \
                    sorted(r.text for r in there) != sorted(s["rrdatas"]):
                raise failure(412, "conditionNotMet",
                              "Precondition not met for '%s'" % where)
        deleted = {s["name"] for s in gone}
        for i, s in enumerate(come):
            where = "entity.change.additions[%d]" % i
            if zone.at(s["name"], "TLSA") and s["name"] not in deleted:
                raise failure(409, "alreadyExists", "The resource '%s' named"
                              " '%s (TLSA)' already exists"
                              % (where, s["name"]))
            if zone.at(s["name"], "CNAME"):
                raise failure(400, "cnameResourceRecordSetConflict",
                              "The resource record set '%s' is invalid because"
                              " of a CNAME" % where)
            for text in s["rrdatas"]:
                try:
                    parse_tlsa(text)
                except ValueError:
                    raise failure(400, "invalid", "Invalid value for"
                                  " '%s.rrdata': '%s'" % (where, text))
        for s in gone:
            for r in zone.at(s["name"], "TLSA"):
                zone.remove(r)
        for s in come:
            for text in s["rrdatas"]:
                zone.add(s["name"], "TLSA", s["ttl"], text)

    def post_change(self, zone, req):
        if not isinstance(req.json, dict):
            return failure(400, "parseError", "Parse Error")
        self.make_change(zone, req.json)
        ident = str(len(self.changes) + 1)
        change = self.changes[zone.id, ident] = dict(
            req.json, kind="dns#change", id=ident, status="pending",
            startTime="2026-01-01T00:00:00.000Z")

        def done():
            change["status"] = "done"
            self.publish(zone)

        self.later(2, done)
        return Reply(200, change)

    # ---- what goes where

    def handle(self, req):
        if req.path == "/token":
            return self.token(req)
        auth = req.headers.get("Authorization") or ""
        if not auth.startswith("Bearer ") or \
                self.tokens.get(auth[7:], 0) < time.time():
            return self.error("401")
        m = re.fullmatch(r"/dns/v1/projects/([^/]+)/managedZones(/.*)?",
                         req.path)
        if not m:
            return Reply(404, text="<!DOCTYPE html><html><title>Error 404 (Not"
                         " Found)!!1</title></html>", type="text/html")
        # The description is older than this verb.
        if not req.path.endswith(":testIamPermissions"):
            wrong = openapi.validate(
                self.spec, req.method, req.path, req.json, req.query)
            if wrong:
                self.broken.append("not as Google describes it: %s" % wrong)
                return failure(400, "invalid", "; ".join(wrong))
        if m[1] != PROJECT:
            return self.error("403")
        if not m[2]:
            return self.zone_page(req) if req.method == "GET" else \
                failure(403, "forbidden", "Forbidden")
        ident, _, rest = m[2][1:].partition("/")
        ident, _, verb = ident.partition(":")
        zone = next((z for z in self.zone_list() if z.id == ident), None)
        if not zone:
            return failure(404, "notFound", "The 'parameters.managedZone'"
                           " resource named '%s' does not exist." % ident)
        if verb == "testIamPermissions" and req.method == "POST":
            return Reply(200, {"permissions": req.json["permissions"]})
        if verb:
            return self.error("404")
        if (req.method, rest) == ("GET", "rrsets"):
            return self.rrset_page(zone, req)
        if (req.method, rest) == ("POST", "changes"):
            return self.post_change(zone, req)
        if req.method == "GET" and rest.startswith("changes/"):
            change = self.changes.get((zone.id, rest[8:]))
            return Reply(200, change) if change else self.error("404")
        return self.error("404")
