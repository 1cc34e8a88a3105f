"""Bunny DNS: types are numbers, PUT makes and POST changes a record (what is
left out of a change is reset), a list of zones has their records in it, a
search finds parts of names, and the same record can be made twice."""

from fakelib import Fake, Reply, page, parse_tlsa, secret_file, upper

KEY = "01234567-89ab-cdef-0123-456789abcdef0123-4567"
TYPES = {"A": 0, "AAAA": 1, "CNAME": 2, "TXT": 3, "MX": 4, "NS": 12,
         "TLSA": 15, "SOA": 99}
FIELDS = {
    "Id", "Type", "Name", "Value", "Ttl", "Disabled", "Comment", "Priority",
    "Weight", "Port", "Flags", "Tag", "Accelerated", "MonitorType",
    "SmartRoutingType", "GeolocationLatitude", "GeolocationLongitude",
    "LatencyZone", "AutoSslIssuance", "PullZoneId", "ScriptId",
    "EnviromentalVariables",
}


def failed(status, key, field, message, headers=None):
    return Reply(status, {"ErrorKey": key, "Field": field,
                          "Message": message}, headers=headers)


class Vendor(Fake):
    type = "bunny"
    features = {"cname": True}

    def zone_id(self, name):
        return super().zone_id(name)[1:]

    def spell(self, text):
        return upper(text)

    def options(self, folder):
        return {"api_key_file": secret_file(folder, "key", KEY + "\n")}

    def setup(self):
        for zone in self.zones.values():
            zone.settings = {"DnsSecEnabled": zone.name[0] != "a"}
            # Held, but switched off: not served.
            zone.add("_25._tcp.off." + zone.name, "TLSA", 7200,
                     "3 1 1 " + "61" * 32, disabled=True)

    def error(self, kind):
        words = {
            "401": ("Unauthorized", "The request authorization failed"),
            "403": ("Forbidden", "The access key may not do this"),
            "404": ("dnszone.not_found", "The DNS zone was not found"),
            "409": ("conflict", "Conflict"),
            "422": ("validation_error", "The request is not valid"),
            "429": ("too_many_requests", "Too many requests"),
            "500": ("server_error", "Internal server error"),
            "503": ("unavailable", "Service unavailable"),
        }
        if kind not in words:
            return None
        wait = {"Retry-After": "1"} if kind == "429" else {}
        return failed(int(kind), words[kind][0], None, words[kind][1], wait)

    def handle(self, req):
        if req.headers.get("AccessKey") != KEY:
            raise self.error("401")
        parts = req.path.strip("/").split("/")
        if parts == ["dnszone"] and req.method == "GET":
            return self.list(req)
        zone = next((z for z in self.zones.values()
                     if parts[0] == "dnszone" and z.id == parts[1]), None)
        if zone is None:
            raise self.error("404")
        if len(parts) == 2 and req.method == "GET":
            return Reply(200, self.show_zone(zone))
        if len(parts) == 3 and parts[2] == "records" and req.method == "PUT":
            fields = self.read(req, zone)
            record = zone.add(*fields[:4], **fields[4])
            return Reply(201, self.show(zone, record))
        if len(parts) == 4 and parts[2] == "records":
            record = next((r for r in zone.records if r.id == parts[3]), None)
            if record is None:
                raise failed(404, "dnszone.record.not_found", "Id",
                             "The DNS record was not found")
            if req.method == "DELETE":
                zone.remove(record)
                return Reply(204)
            if req.method == "POST":
                if (req.json or {}).get("Id") != int(record.id):
                    raise failed(400, "validation_error", "Id",
                                 "The Id is not that of the path")
                record.name, record.type, record.ttl, record.text, \
                    record.extra = self.read(req, zone)
                return Reply(204)
        raise Reply(405)

    def show(self, zone, r):
        return {"Id": int(r.id), "Type": TYPES[r.type], "Ttl": r.ttl,
                "Value": r.text, "Name": zone.relative(r.name), "Weight": 100,
                "Priority": 0, "Port": 0, "Flags": 0, "Tag": None,
                "Accelerated": False, "AcceleratedPullZoneId": 0,
                "LinkName": "", "IPGeoLocationInfo": None,
                "GeolocationInfo": None, "MonitorStatus": 0, "MonitorType": 0,
                "GeolocationLatitude": 0.0, "GeolocationLongitude": 0.0,
                "EnviromentalVariables": [], "LatencyZone": None,
                "SmartRoutingType": 0,
                "Disabled": bool(r.extra.get("disabled")),
                "Comment": r.extra.get("comment"), "AutoSslIssuance": False}

    def show_zone(self, zone):
        return {"Id": int(zone.id), "Domain": zone.name[:-1],
                "NameserversDetected": True, **zone.settings,
                "Records": [self.show(zone, r) for r in zone.records
                            if r.type != "SOA"]}

    def list(self, req):
        number = int(req.query.get("page", 1))
        size = int(req.query.get("perPage", 1000))
        if not 5 <= size <= 1000 or number < 1:
            raise failed(400, "validation_error", "perPage",
                         "PerPage must be between 5 and 1000")
        # In no order that helps: what is looked for is on a later page.
        zones = [z for z in reversed(self.zone_list())
                 if req.query.get("search", "") in z.name[:-1]]
        part, pages = page(zones, number, min(size, 2))
        return Reply(200, {
            "Items": [self.show_zone(z) for z in part],
            "CurrentPage": number, "TotalItems": len(zones),
            "HasMoreItems": number < pages})

    def read(self, req, zone):
        """(owner, type, ttl, text, extra)"""
        body = req.json
        if not isinstance(body, dict) or set(body) - FIELDS or \
                req.headers.get("Content-Type") != "application/json":
            raise failed(400, "validation_error", None, "Not a record")
        # By number; 15 is TLSA. Type 0 when there is none.
        if body.get("Type", 0) != 15 or isinstance(body["Type"], bool):
            raise failed(400, "validation_error", "Type",
                         "Only TLSA records are changed here")
        ttl, name = body.get("Ttl"), body.get("Name", "")
        if not isinstance(ttl, int) or not 15 <= ttl <= 2147483647:
            raise failed(400, "validation_error", "Ttl",
                         "The TTL must be at least 15 seconds")
        if name.endswith(".") or name != name.lower():
            raise failed(400, "validation_error", "Name",
                         "The name is not valid")
        try:
            parse_tlsa(body.get("Value", ""))
        except ValueError:
            raise failed(400, "dnszone.record.invalid_value", "Value",
                         "The value is not a TLSA record")
        owner = zone.absolute(name)
        if zone.at(owner, "CNAME"):
            raise failed(400, "dnszone.record.cname", "Name",
                         "There is a CNAME at this name")
        return owner, "TLSA", ttl, body["Value"], {
            "disabled": body.get("Disabled", False),
            "comment": body.get("Comment")}
