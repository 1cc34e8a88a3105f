"""Scaleway Domains and DNS, v2beta1: records, changed by kinds of change in a
PATCH, many at once; a zone is pending until its changes are served."""

from fakelib import Fake, Reply, normal, page, parse_tlsa, secret_file, within, small

KEY = "6cf1b2ea-3bd6-4b1e-9a0b-6f4f8f0c5a11"
PAGE = small(6, 100)
MIN_TTL = 60
EXTRA = ("priority", "comment", "geo_ip_config", "http_service_config",
         "weighted_config", "view_config")


def wrong(argument, help):
    return Reply(400, {"type": "invalid_arguments",
                       "message": "invalid argument(s)",
                       "details": [{"argument_name": argument,
                                    "reason": "constraint",
                                    "help_message": help}]})


def not_found(resource, id):
    return Reply(404, {"type": "not_found", "resource": resource,
                       "resource_id": id, "message": "resource is not found"})


class Vendor(Fake):
    type = "scaleway"
    path = "/domain/v2beta1"
    features = {"cname": True, "ttls": [3600, 7200, 300, 900]}
    auto_publish = False

    def setup(self):
        # They sort first, so that others are not on the first page.
        zone = self.zones.get("example.test.")
        for i in range(PAGE if zone else 0):
            zone.add("_24._tcp.early%d.example.test." % i, "TLSA", 3600,
                     "3 1 1 " + "ef" * 32)
        for zone in self.zones.values():
            self.new_zone(zone)

    def seeded(self, want):
        for zone in self.zones.values():
            self.new_zone(zone)

    @staticmethod
    def new_zone(zone):
        for name in ("waiting", "unasked", "read", "missed"):
            zone.settings.setdefault(name, 0)
        for r in zone.records:
            if r.type == "TLSA" and r.name.startswith("_25._tcp.foreign."):
                r.extra.setdefault("comment", "by hand")

    def options(self, folder):
        return {"secret_key_file": secret_file(folder, "key", KEY + "\n")}

    def error(self, kind):
        words = {
            "401": (401, {"type": "denied_authentication",
                          "method": "api_key", "reason": "invalid_argument",
                          "message": "authentication is denied"}),
            "403": (403, {"type": "permissions_denied",
                          "details": [{"resource": "domain",
                                       "action": "write"}],
                          "message": "insufficient permissions"}),
            "409": (409, {"type": "transient_state",
                          "resource": "dns_zone", "resource_id": "x",
                          "current_state": "pending",
                          "message": "resource is in a transient state"}),
        }
        if kind in words:
            return Reply(*words[kind])
        if kind == "404":
            return not_found("dns_zone", "x")
        if kind == "422":
            return wrong("changes", "could not be parsed")
        if kind == "429":
            return Reply(429, {"type": "too_many_requests",
                               "message": "too many requests"},
                         headers={"Retry-After": "1"})
        return super().error(kind)

    def handle(self, req):
        if req.headers.get("X-Auth-Token") != KEY:
            raise self.error("401")
        parts = req.path.split("/")
        if parts[:4] != ["", "domain", "v2beta1", "dns-zones"]:
            raise not_found("path", req.path)
        parts = parts[4:]
        if not parts and req.method == "GET":
            return self.list_zones(req)
        if len(parts) != 2 or parts[1] != "records":
            raise not_found("path", req.path)
        zone = self.zones.get(parts[0] + ".")
        if not zone:
            if req.method == "PATCH" and isinstance(req.json, dict) and \
                    req.json.get("disallow_new_zone_creation") is not True:
                self.broken.append("a zone would be made: %s\n" % parts[0])
            raise not_found("dns_zone", parts[0])
        if req.method == "GET":
            return self.list_records(req, zone)
        if req.method == "PATCH":
            return self.patch(req, zone)
        raise Reply(405, {"message": "method not allowed"})

    @staticmethod
    def paged(req, key, items):
        try:
            number = int(req.query.get("page", "1"))
            size = min(PAGE, int(req.query.get("page_size", "20")))
        except ValueError:
            raise wrong("page", "must be a number") from None
        if number < 1 or size < 1:
            raise wrong("page", "must be positive")
        rows, _ = page(items, number, size)
        return Reply(200, {"total_count": len(items), key: rows})

    def list_zones(self, req):
        want = req.query.get("dns_zone")
        if want and want + "." in self.zones:
            settings = self.zones[want + "."].settings
            settings["unasked"] = settings["read"] = settings["missed"] = 0
        rows = []
        for zone in self.zone_list():
            if want and not within(zone.name, want + "."):
                continue
            name, sub = zone.name[:-1], ""
            for other in self.zones:
                if other != zone.name and within(zone.name, other):
                    name, sub = other[:-1], zone.name[:-len(other) - 1]
            rows.append({
                "domain": name, "subdomain": sub, "ns": ["ns0.dom.test"],
                "ns_default": ["ns0.dom.test"], "ns_master": [],
                "status": "pending" if zone.settings["waiting"] else "active",
                "message": None, "updated_at": "2026-01-01T00:00:00Z",
                "project_id": "p", "linked_products": []})
        return self.paged(req, "dns_zones", rows)

    @staticmethod
    def show(zone, r):
        ret = {"id": r.id, "name": zone.relative(r.name), "type": r.type,
               "data": r.text, "ttl": r.ttl, "priority": 0, "comment": None}
        ret.update(r.extra)
        return ret

    def list_records(self, req, zone):
        zone.settings["read"] = zone.settings["unasked"]
        rows = [self.show(zone, r) for r in zone.records if r.type != "SOA"]
        rows.sort(key=lambda r: r["name"])
        for key in ("name", "type"):
            if req.query.get(key):  # an empty one is none
                rows = [r for r in rows if r[key] == req.query[key]]
        return self.paged(req, "records", rows)

    @staticmethod
    def check_record(i, r):
        where = "changes.%d.records" % i
        for key in set(r) - {"name", "type", "data", "ttl"} - set(EXTRA):
            raise wrong(where + "." + key, "unknown field")
        if not isinstance(r.get("name"), str) or r["name"].endswith("."):
            raise wrong(where + ".name", "must be a short name")
        if r.get("type") != "TLSA":
            raise wrong(where + ".type", "this fake is about TLSA only")
        if type(r.get("ttl")) is not int or r["ttl"] < MIN_TTL:
            raise wrong(where + ".ttl", "must be at least %d" % MIN_TTL)
        try:
            parse_tlsa(r.get("data"))
        except (ValueError, AttributeError) as e:
            raise wrong(where + ".data", str(e)) from None

    def check_set(self, i, zone, change):
        """(owner, records) of a "set" or a "delete"."""
        kind = next(iter(change)) if len(change) == 1 else ""
        what = change.get(kind)
        need = {"set": {"id_fields", "records"}, "delete": {"id_fields"}}
        if kind not in need or set(what) != need[kind]:
            raise wrong("changes.%d" % i, "must be one set or delete")
        fields = what["id_fields"]
        if set(fields) != {"name", "type"} or fields["type"] != "TLSA":
            raise wrong("changes.%d.id_fields" % i, "must be name and type")
        owner = zone.absolute(fields["name"])
        records = what.get("records", [])
        if kind == "set" and not records:
            raise wrong("changes.%d.records" % i, "must not be empty")
        for r in records:
            self.check_record(i, r)
            if r["name"] != fields["name"]:
                raise wrong("changes.%d.records.name" % i, "another name")
        if len({normal(r["data"]) for r in records}) < len(records):
            raise wrong("changes.%d.records" % i, "has duplicates")
        if len({r["ttl"] for r in records}) > 1:
            raise wrong("changes.%d.records" % i, "has several TTLs")
        if records and zone.at(owner, "CNAME"):
            raise wrong("changes.%d" % i, "there is a CNAME")
        if kind == "delete" and not zone.at(owner, "TLSA"):
            raise not_found("record", fields["name"])
        return owner, records

    def patch(self, req, zone):
        body = req.json
        if not isinstance(body, dict) or \
                set(body) != {"return_all_records", "changes",
                              "disallow_new_zone_creation"} or \
                body["disallow_new_zone_creation"] is not True or \
                not isinstance(body["changes"], list) or not body["changes"]:
            raise wrong("body", "is not as it should be")
        plan = [self.check_set(i, zone, change)
                for i, change in enumerate(body["changes"])]
        changed = []
        for owner, records in plan:
            old = {r.text: r.extra for r in zone.at(owner, "TLSA")}
            for r in zone.at(owner, "TLSA"):
                zone.remove(r)
            for r in records:
                extra = {k: r[k] for k in EXTRA if k in r and k != "priority"}
                if old.get(r["data"], extra) != extra:
                    self.broken.append(
                        "%s: a record lost its comment\n" % owner)
                changed.append(zone.add(
                    owner, "TLSA", r["ttl"], r["data"], **extra))
        zone.settings["waiting"] += 1
        # Asking can fail, but not each time that more is changed after a look.
        zone.settings["missed"] += zone.settings["read"]
        zone.settings["unasked"], zone.settings["read"] = 1, 0
        if zone.settings["missed"] > 3:
            self.broken.append("%s: nobody asks what becomes of the changes\n"
                               % zone.name)
        self.later(2, lambda: self.settle(zone))
        return Reply(200, {"records": [self.show(zone, r) for r in changed]})

    def settle(self, zone):
        zone.settings["waiting"] -= 1
        self.publish(zone)
