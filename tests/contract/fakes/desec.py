"""deSEC, API v1, as its documentation says: RRsets, bulk PUT, cursors behind a
Link header, rationed writes, data in canonical form."""

import base64
import re
import time

from fakelib import Fake, Reply, canonical, normal, secret_file, small

TOKEN = "i-T3b1h_OI-H9ab8tRS98stGtURe"
PAGE = small(2, 500)
MIN_TTL, MAX_TTL = 3600, 86400
# 15 a minute there; tests are in a hurry.
WRITES, WINDOW = 600, 60
SUBNAME = re.compile(r"(\*|(\*\.)?([a-z0-9_-]+\.)*[a-z0-9_-]+)?")
STAMP = "2026-01-01T00:00:00.000000Z"


def detail(status, text, headers=None):
    return Reply(status, {"detail": text}, headers=headers)


class Vendor(Fake):
    type = "desec"
    path = "/api/v1"
    features = {"cname": True, "ttls": [3600, 7200, 14400, 86400]}

    def setup(self):
        self.writes = {}
        self.created = {}
        # Newer, so that others are not on the first page.
        zone = self.zones.get("example.test.")
        for i in range(PAGE if zone else 0):
            zone.add("_25._tcp.later%d.example.test." % i, "TLSA", 3600,
                     "3 1 1 " + "ef" * 32)

    def options(self, folder):
        return {"token_file": secret_file(folder, "token", TOKEN + "\n")}

    def error(self, kind):
        words = {
            "401": (401, "Invalid token."),
            "403": (403, "You do not have permission to perform this"
                    " action."),
            "404": (404, "Not found."),
        }
        if kind in words:
            return detail(*words[kind])
        if kind == "422":
            return Reply(400, {"non_field_errors": [
                "Cannot parse record contents: bad escape"]})
        if kind == "429":
            return self.throttled(1)
        return super().error(kind)

    def throttled(self, seconds):
        return detail(
            429, "Request was throttled. Expected available in %d second%s."
            % (seconds, "" if seconds == 1 else "s"),
            {"Retry-After": seconds})

    def handle(self, req):
        if req.headers.get("Authorization") != "Token " + TOKEN:
            raise detail(401, "Invalid token.")
        parts = req.path.split("/")
        # Without the last slash it is another place.
        if parts[:3] != ["", "api", "v1"] or parts[-1] != "":
            raise detail(404, "Not found.")
        parts = parts[3:-1]
        if parts == ["domains"]:
            return self.domains(req)
        zone = None
        if len(parts) > 1 and parts[0] == "domains":
            zone = self.zones.get(parts[1] + ".")
        if not zone:
            raise detail(404, "Not found.")
        if len(parts) == 2 and req.method == "GET":
            return Reply(200, self.domain(zone))
        if parts[2:] != ["rrsets"]:
            raise detail(404, "Not found.")
        if req.method == "GET":
            return self.rrsets(req, zone)
        if req.method == "PUT":
            return self.bulk(req, zone)
        raise detail(405, 'Method "%s" not allowed.' % req.method)

    def paged(self, req, items):
        """As soon as there is more than one page, a cursor is a must."""
        if len(items) <= PAGE:
            return Reply(200, items)
        base, _, _ = req.url.partition("?")

        def link(start, rel):
            cursor = ""
            if start is not None:
                cursor = base64.b64encode(b"p=%d" % start).decode()
            query = [(k, v) for k, v in req.query_list if k != "cursor"]
            query.append(("cursor", cursor.replace("=", "%3D")))
            return '<%s?%s>; rel="%s"' % (
                base, "&".join("%s=%s" % pair for pair in query), rel)

        if "cursor" not in req.query:
            raise detail(
                400, "Pagination required. You can query up to %d items at a"
                " time (%d total). Please use the `first` page link (see Link"
                " header)." % (PAGE, len(items)),
                {"Link": link(None, "first")})
        start = 0
        if req.query["cursor"]:
            try:
                text = base64.b64decode(req.query["cursor"], validate=True)
                start = int(re.fullmatch(rb"p=(\d+)", text)[1])
            except (ValueError, TypeError):
                raise detail(404, "Invalid cursor") from None
        links = [link(None, "first")]
        if start:
            links.append(link(max(0, start - PAGE), "prev"))
        if start + PAGE < len(items):
            links.append(link(start + PAGE, "next"))
        return Reply(200, items[start:start + PAGE],
                     headers={"Link": ", ".join(links)})

    @staticmethod
    def domain(zone):
        return {"created": STAMP, "minimum_ttl": MIN_TTL,
                "name": zone.name[:-1], "published": STAMP, "touched": STAMP}

    def domains(self, req):
        if req.method != "GET":
            raise detail(405, 'Method "%s" not allowed.' % req.method)
        zones = self.zone_list()[::-1]
        if "owns_qname" in req.query:
            name = req.query["owns_qname"]
            if not SUBNAME.fullmatch(name):
                raise detail(400, "Invalid query")
            owner = self.zone_of(canonical(name))
            zones = [owner] if owner else []
        return self.paged(req, [self.domain(z) for z in zones])

    def rrset(self, zone, records):
        first = records[0]
        return {"created": STAMP, "domain": zone.name[:-1],
                "subname": zone.relative(first.name), "name": first.name,
                "type": first.type, "records": [r.text for r in records],
                "ttl": first.ttl, "touched": STAMP}

    def rrsets(self, req, zone):
        sets = {}
        for r in zone.records:
            if r.type != "SOA":
                sets.setdefault((r.name, r.type), []).append(r)
        for key in sets:
            self.created.setdefault(key, len(self.created))
        # Newest first; an RRset that is changed stays as old as it is.
        rows = [self.rrset(zone, sets[key]) for key in
                sorted(sets, key=self.created.get, reverse=True)]
        for key in ("subname", "type"):
            if key in req.query:
                rows = [r for r in rows if r[key] == req.query[key]]
        return self.paged(req, rows)

    def ration(self, zone):
        now = time.monotonic()
        past = [t for t in self.writes.get(zone.name, [])
                if t > now - WINDOW]
        if len(past) >= WRITES:
            raise self.throttled(int(past[0] + WINDOW - now) + 1)
        self.writes[zone.name] = past + [now]

    @staticmethod
    def wrong(part, n, seen):
        """What stage one says of a part of a bulk, {} when nothing."""
        if not isinstance(part, dict):
            return {"non_field_errors": ["Invalid data. Expected a "
                                         "dictionary."]}
        need = {"subname", "type", "ttl", "records"}
        ret = {k: ["This field is required."] for k in need - set(part)}
        ret.update({k: ["Unknown."] for k in set(part) - need})
        if ret:
            return ret
        if not (isinstance(part["subname"], str) and
                SUBNAME.fullmatch(part["subname"])):
            ret["subname"] = ["Subname can only use (lowercase) a-z, 0-9, ., "
                              "-, and _, may start with a '*.', or just be "
                              "'*'."]
        if part["type"] != "TLSA":
            ret["type"] = ["This fake is about TLSA only."]
        if type(part["ttl"]) is not int:
            ret["ttl"] = ["A valid integer is required."]
        elif part["ttl"] < MIN_TTL:
            ret["ttl"] = ["Ensure this value is greater than or equal to %d."
                          % MIN_TTL]
        elif part["ttl"] > MAX_TTL:
            ret["ttl"] = ["Ensure this value is less than or equal to %d."
                          % MAX_TTL]
        records = part["records"]
        if not isinstance(records, list):
            ret["records"] = ["Expected a list of items."]
        elif not all(isinstance(r, str) and r for r in records):
            ret["records"] = {"0": ["Not a valid string."]}
        key = (part["subname"], part["type"])
        if key in seen:
            ret["non_field_errors"] = [
                "Same subname and type as in position(s) %d, but must be "
                "unique." % seen[key]]
        seen[key] = n
        return ret

    def bulk(self, req, zone):
        kind = (req.headers.get("Content-Type") or "").split(";")[0]
        if kind != "application/json":
            raise detail(415, "Unsupported media type.")
        self.ration(zone)
        if req.json is None:
            raise detail(400, "JSON parse error")
        if not isinstance(req.json, list):
            raise Reply(400, {"non_field_errors": [
                'Expected a list of items but got type "dict".']})
        seen = {}
        errors = [self.wrong(p, n, seen) for n, p in enumerate(req.json)]
        if any(errors):
            raise Reply(400, errors)
        plan = []
        for part in req.json:
            owner = zone.absolute(part["subname"])
            try:
                texts = [normal(t) for t in part["records"]]
            except ValueError as e:
                raise Reply(400, {"non_field_errors": [
                    "Record content of TLSA malformed: %s" % e]}) from None
            if len(set(texts)) < len(texts):
                raise Reply(400, {"records": [
                    "Duplicate record content for TLSA."]})
            if texts and zone.at(owner, "CNAME"):
                raise Reply(400, {"non_field_errors": [
                    "RRset with conflicting type present: CNAME. (No other "
                    "RRsets are allowed alongside CNAME.)"]})
            plan.append((owner, part["ttl"], texts))
        answer = []
        for owner, ttl, texts in plan:
            for r in zone.at(owner, "TLSA"):
                zone.remove(r)
            new = [zone.add(owner, "TLSA", ttl, t) for t in texts]
            if new:
                answer.append(self.rrset(zone, new))
        return Reply(200, answer)
