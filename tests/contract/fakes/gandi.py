"""Gandi LiveDNS, API v5: RRsets, one PUT or DELETE each, lists with pages
behind a Link header. It keeps data in the spelling that it was given."""

from fakelib import Fake, Reply, page, parse_tlsa, secret_file, upper, small

TOKEN = "pat_5f0a8c3e2b7d4196"
PAGE = small(8, 100)
MIN_TTL, MAX_TTL = 300, 2592000


def said(status, object, cause, message):
    return Reply(status, {"code": status, "message": message,
                          "object": object, "cause": cause})


def not_found():
    return said(404, "HTTPNotFound", "Not Found",
                "The resource could not be found.")


def wrong(name, description):
    return Reply(400, {"status": "error", "errors": [
        {"location": "body", "name": name, "description": description}]})


class Vendor(Fake):
    type = "gandi"
    path = "/v5/livedns"
    features = {"cname": True, "ttls": [3600, 7200, 300, 900]}

    def options(self, folder):
        return {"token_file": secret_file(folder, "token", TOKEN + "\n")}

    def spell(self, text):
        # As somebody typed it in.
        return upper(text)

    def error(self, kind):
        if kind == "401":
            return said(401, "HTTPUnauthorized", "Unauthorized",
                        "The server could not verify that you authorized to"
                        " access the document you requested.")
        if kind == "403":
            return said(403, "HTTPForbidden", "Forbidden",
                        "Access was denied to this resource.")
        if kind == "404":
            return not_found()
        if kind == "409":
            return said(409, "HTTPConflict", "Conflict",
                        "A DNS Record already exists with same value")
        if kind == "422":
            return wrong("rrset_values.0", "could not be parsed")
        if kind == "429":
            return Reply(429, {"code": 429, "message": "Too Many Requests",
                               "object": "HTTPTooManyRequests",
                               "cause": "Too Many Requests"},
                         headers={"Retry-After": "1"})
        return super().error(kind)

    def handle(self, req):
        if req.headers.get("Authorization") != "Bearer " + TOKEN:
            raise self.error("401")
        parts = req.path.split("/")
        if parts[:3] != ["", "v5", "livedns"]:
            raise not_found()
        parts = parts[3:]
        if parts == ["domains"] and req.method == "GET":
            return self.paged(req, [self.domain(z) for z in self.zone_list()])
        zone = None
        if len(parts) > 1 and parts[0] == "domains":
            zone = self.zones.get(parts[1] + ".")
        if not zone:
            raise not_found()
        if parts[2:] == ["records"] and req.method == "GET":
            return self.paged(req, self.rrsets(zone))
        if len(parts) == 5 and parts[2] == "records" and parts[4] == "TLSA":
            # One label would be another name.
            if not parts[3] or parts[3].endswith("."):
                raise wrong("rrset_name", "not a relative name")
            owner = zone.absolute(parts[3])
            if req.method == "PUT":
                return self.put(req, zone, owner)
            if req.method == "DELETE":
                return self.delete(zone, owner)
        raise said(405, "HTTPMethodNotAllowed", "Method Not Allowed",
                   "The method is not allowed for this resource.")

    @staticmethod
    def paged(req, items):
        try:
            number = int(req.query.get("page", "1"))
            size = min(PAGE, int(req.query.get("per_page", "100")))
        except ValueError:
            raise wrong("page", "is no number") from None
        if number < 1 or size < 1:
            raise wrong("page", "is too small")
        rows, pages = page(items, number, size)
        links = []
        base, _, _ = req.url.partition("?")
        for rel, n in (("first", 1), ("last", pages), ("next", number + 1)):
            if n <= pages:
                links.append('<%s?page=%d&per_page=%d>; rel="%s"'
                             % (base, n, size, rel))
        headers = {"Total-Count": len(items)}
        if pages > 1:
            headers["Link"] = ", ".join(links)
        return Reply(200, rows, headers=headers)

    def domain(self, zone):
        href = self.base + self.path + "/domains/" + zone.name[:-1]
        return {"fqdn": zone.name[:-1], "domain_href": href,
                "domain_records_href": href + "/records"}

    def rrsets(self, zone):
        sets = {}
        for r in zone.records:
            if r.type != "SOA":
                sets.setdefault((zone.relative(r.name) or "@", r.type),
                                []).append(r)
        href = self.domain(zone)["domain_records_href"]
        return [{"rrset_name": name, "rrset_type": kind,
                 "rrset_ttl": rows[0].ttl,
                 "rrset_values": [r.text for r in rows],
                 "rrset_href": "%s/%s/%s" % (href, name, kind)}
                for (name, kind), rows in sets.items()]

    def put(self, req, zone, owner):
        kind = (req.headers.get("Content-Type") or "").split(";")[0]
        if kind != "application/json" or not isinstance(req.json, dict):
            raise wrong("", "Invalid JSON")
        for name in set(req.json) - {"rrset_ttl", "rrset_values"}:
            raise wrong(name, "Unrecognized key")
        ttl = req.json.get("rrset_ttl")
        values = req.json.get("rrset_values")
        if type(ttl) is not int or not MIN_TTL <= ttl <= MAX_TTL:
            raise wrong("rrset_ttl", "%r is not between %d and %d"
                        % (ttl, MIN_TTL, MAX_TTL))
        if not isinstance(values, list) or not values:
            raise wrong("rrset_values", "Shorter than minimum length 1")
        seen = []
        for i, value in enumerate(values):
            try:
                seen.append(parse_tlsa(value))
            except (ValueError, AttributeError) as e:
                raise wrong("rrset_values.%d" % i, str(e)) from None
        if len(set(seen)) < len(seen):
            raise wrong("rrset_values", "contains duplicates")
        if zone.at(owner, "CNAME"):
            raise wrong("rrset_type", "A CNAME record already exists")
        for r in zone.at(owner, "TLSA"):
            zone.remove(r)
        for value in values:
            zone.add(owner, "TLSA", ttl, value)
        return Reply(201, {"message": "DNS Record Created"})

    @staticmethod
    def delete(zone, owner):
        rows = zone.at(owner, "TLSA")
        if not rows:
            raise not_found()
        for r in rows:
            zone.remove(r)
        return Reply(204)
