"""Infomaniak, API v2: {"result", "data"} or {"result": "error", "error"}, the
whole list of a zone's records in pages, records by number, targets in upper
case and split by blanks."""

from fakelib import Fake, Reply, page, parse_tlsa, secret_file, split_hex, \
    within

TOKEN = "infomaniak-token-0123456789"


def good(data, **more):
    return Reply(200, {"result": "success", "data": data, **more})


def failed(status, code, description, errors=None, headers=None):
    error = {"code": code, "description": description}
    if errors:
        error["errors"] = [
            {"code": c, "description": d, "context": {}} for c, d in errors]
    return Reply(status, {"result": "error", "error": error}, headers=headers)


class Vendor(Fake):
    type = "infomaniak"
    path = "/2"
    features = {"cname": True}

    def spell(self, text):
        return split_hex(text, 56).upper()

    def options(self, folder):
        return {"api_token_file": secret_file(folder, "token", TOKEN)}

    def error(self, kind):
        words = {
            "401": ("unauthorized", "Unauthorized"),
            "403": ("forbidden", "You are not allowed to do this"),
            "404": ("object_not_found", "Object not found"),
            "409": ("conflict", "Conflict"),
            "422": ("validation_failed", "Validation failed"),
            "429": ("too_many_requests", "Too many requests"),
            "500": ("internal_error", "Internal error"),
            "503": ("service_unavailable", "Service unavailable"),
            "in200": ("internal_error", "An error occurred"),
        }
        if kind not in words:
            return None
        status = 200 if kind == "in200" else int(kind)
        wait = {"Retry-After": "1"} if kind == "429" else {}
        return failed(status, *words[kind], headers=wait)

    def handle(self, req):
        if req.headers.get("Authorization") != "Bearer " + TOKEN:
            raise self.error("401")
        parts = req.path[len(self.path):].strip("/").split("/")
        if parts[0] == "domains" and parts[2:] == ["zones"] and \
                req.method == "GET":
            return self.zones_of(parts[1] + ".")
        if parts[0] != "zones" or len(parts) < 2:
            raise failed(404, "method_not_found", "No such method")
        zone = self.zones.get(parts[1] + ".")
        if zone is None:
            raise self.error("404")
        if len(parts) == 2 and req.method == "GET":
            return good(self.show_zone(zone))
        if len(parts) == 3 and parts[2] == "records":
            if req.method == "GET":
                return self.list(req, zone)
            if req.method == "POST":
                return self.create(req, zone)
        if len(parts) == 4 and parts[2] == "records":
            record = next((r for r in zone.records if r.id == parts[3]), None)
            if record is None:
                raise self.error("404")
            if req.method == "PUT":
                return self.update(req, zone, record)
            if req.method == "DELETE":
                zone.remove(record)
                return good(True)
        raise failed(405, "method_not_allowed", "Method not allowed")

    def show_zone(self, zone):
        return {"id": len(zone.name), "fqdn": zone.name[:-1],
                "dnssec": {"is_enabled": zone.name[0] != "a"},
                "nameservers": ["ns11.example.net", "ns12.example.net"]}

    def zones_of(self, name):
        """All zones of the domain that a name is in; a domain is a name of
        two labels here."""
        domain = ".".join(name.split(".")[-3:])
        zones = [self.show_zone(z) for z in self.zone_list()
                 if within(z.name, domain)]
        if not zones:
            raise self.error("404")
        return good(zones)

    def show(self, zone, r):
        return {"id": int(r.id), "source": zone.relative(r.name),
                "source_idn": zone.relative(r.name), "type": r.type,
                "ttl": r.ttl, "target": r.text, "updated_at": 1767225600}

    def list(self, req, zone):
        number, size = int(req.query.get("page", 1)), 10
        part, pages = page(zone.records, number, size)
        return good([self.show(zone, r) for r in part], page=number,
                    pages=pages, items_per_page=size,
                    total=len(zone.records))

    def read(self, req, fields):
        """The body, if it is exactly of these fields."""
        body = req.json
        if not isinstance(body, dict) or set(body) != set(fields) or \
                (req.headers.get("Content-Type") != "application/json"):
            raise failed(422, "validation_failed", "Validation failed", [
                ("validation_rule_required", "The fields are not right")])
        for name in fields:
            kind = int if name == "ttl" else str
            if not isinstance(body[name], kind):
                raise failed(422, "validation_failed", "Validation failed", [
                    ("validation_rule_type", name + " is of a wrong type")])
        if not 60 <= body["ttl"] <= 2592000:
            raise failed(422, "validation_failed", "Validation failed", [
                ("validation_rule_min", "The ttl must be at least 60.")])
        return body

    def create(self, req, zone):
        body = self.read(req, ("source", "type", "ttl", "target"))
        if body["type"] != "TLSA":
            raise failed(422, "validation_failed", "Validation failed", [
                ("validation_rule_in", "The type is invalid.")])
        try:
            text = self.spell(body["target"])
        except ValueError:
            raise failed(422, "validation_failed", "Validation failed", [
                ("invalid_tlsa_target", "The target is not valid.")])
        source = body["source"]
        if source.endswith(".") or source != source.lower():
            raise failed(422, "validation_failed", "Validation failed", [
                ("invalid_source", "The source is not valid.")])
        owner = zone.absolute(source)
        if zone.at(owner, "CNAME"):
            raise failed(422, "validation_failed", "Validation failed", [
                ("cname_cannot_coexist", "There is a CNAME at this name.")])
        if owner.startswith("_25._tcp.race."):
            # Somebody else is faster.
            zone.add(owner, "TLSA", body["ttl"], text)
        if any(parse_tlsa(r.text) == parse_tlsa(text)
               for r in zone.at(owner, "TLSA")):
            raise failed(422, "validation_failed", "Validation failed", [
                ("record_already_exists", "The record exists already.")])
        return good(self.show(zone, zone.add(owner, "TLSA", body["ttl"],
                                             text)))

    def update(self, req, zone, record):
        body = self.read(req, ("ttl", "target"))
        try:
            if parse_tlsa(body["target"]) != parse_tlsa(record.text):
                record.text = self.spell(body["target"])
        except ValueError:
            raise failed(422, "validation_failed", "Validation failed", [
                ("invalid_tlsa_target", "The target is not valid.")])
        record.ttl = body["ttl"]
        return good(self.show(zone, record))
