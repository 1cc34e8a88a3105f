"""PowerDNS Authoritative 4.7, as its server with the SQLite backend answers:
RRsets by REPLACE and DELETE, many of a zone in one PATCH and all of them or
none; a connection for each request; what is disabled is shown by a search and
by a whole zone, but not by a read of one name."""

import re

from fakelib import ABCD, Fake, Reply, canonical, secret_file, within

KEY = "pdns-7d1f4a90c25be836"
SERVER = "/api/v1/servers/localhost"
# Held besides what is served, where others' records are.
OWNER, DISABLED = "_25._tcp.foreign.example.test.", "3 1 0 " + ABCD
TYPES = {"A", "CNAME", "NS", "SOA", "TLSA", "TXT"}
PLAIN = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    500: "Internal Server Error",
}


def plain(status):
    """It says no more than this."""
    headers = {"WWW-Authenticate": 'X-API-Key realm="PowerDNS"'} \
        if status == 401 else {}
    return Reply(status, text=PLAIN[status], headers=headers)


def wrong(text):
    return Reply(422, {"error": text})


def name_of(text):
    if not re.fullmatch(r"[\w.*-]+", text, re.A) or ".." in text:
        raise wrong("Name '%s' contains unsupported characters" % text)
    if not text.endswith("."):
        raise wrong("DNS Name '%s' is not canonical" % text)
    return canonical(text)


def value(held, key, kind, what):
    ret = held.get(key)
    if type(ret) is not kind:
        raise wrong("Key '%s' %s" % (key, what))
    return ret


def word(held, key):
    return value(held, key, str, "not present or not a String")


def tlsa(label, text):
    """Hex in lower case; the rest must be spelled as it would be shown."""
    def bad(what):
        return wrong("Record %s '%s': %s" % (label, text, what))

    parse = "Parsing record content (try 'pdnsutil check-zone'): "
    words = text.split()
    if len(words) < 4:
        raise bad(parse + "missing field at the end of record content '%s'"
                  % text.rstrip())
    if not all(w.isdigit() and w.isascii() for w in words[:3]):
        raise bad(parse + "expected digits")
    if max(map(int, words[:3])) > 255:
        raise bad(parse + "Overflow reading 8 bit integer from record content")
    hexa = "".join(words[3:]).lower()
    odd = re.search("[^0-9a-f]", hexa)
    if odd:
        raise bad(parse + "Unknown hexadecimal character '%d'" % ord(odd[0]))
    shown = "%d %d %d %s" % (*map(int, words[:3]), hexa + "0" * (len(hexa) % 2))
    if shown != text.lower():
        raise bad("Not in expected format (parsed as '%s')" % shown)
    return shown


class Vendor(Fake):
    type = "powerdns"
    features = {"cname": True, "ttls": [3600, 7200, 300, 900]}

    def options(self, folder):
        return {"api_key_file": secret_file(folder, "key", KEY + "\n")}

    def zone_id(self, name):
        return name

    def seeded(self, want):
        if canonical(want.get("owner", ".")) == OWNER:
            self.zone_of(OWNER).add(OWNER, "TLSA", self._seed_ttl, DISABLED,
                                    disabled=True)

    def error(self, kind):
        if kind == "422":
            return wrong("RRset x.example.test. IN TLSA: Conflicts with "
                         "pre-existing RRset")
        if kind.isdigit() and int(kind) in PLAIN:
            return plain(int(kind))
        return super().error(kind)  # a proxy in front of it

    def handle(self, req):
        try:
            ret = self.route(req)
        except Reply as e:
            ret = e
        ret.headers["Connection"] = "close"
        return ret

    def route(self, req):
        if req.headers.get("X-API-Key") != KEY:
            raise plain(401)
        path = req.path[len(SERVER):]
        if not req.path.startswith(SERVER + "/"):
            raise plain(404)
        if path in ("/zones", "/search-data"):
            if req.method != "GET":
                raise plain(405)
            return self.zone_rows(req) if path == "/zones" else \
                self.search(req)
        if not re.fullmatch("/zones/[^/]+", path):
            raise plain(404)
        if req.method not in ("GET", "PATCH"):
            raise plain(405)
        zone = self.zones.get(canonical(path.split("/")[2]))
        if not zone:
            raise plain(404)
        if req.method == "PATCH":
            return self.patch(req, zone)
        return self.read(req, zone)

    @staticmethod
    def row(zone, **more):
        return {
            "account": "", "catalog": "", "dnssec": False,
            "edited_serial": 1, "id": zone.id, "kind": "Native",
            "last_check": 0, "masters": [], "name": zone.name,
            "notified_serial": 0, "serial": 1,
            "url": SERVER + "/zones/" + zone.name, **more}

    def zone_rows(self, req):
        zones = self.zone_list()
        if req.query.get("zone"):
            name = name_of(req.query["zone"])
            zones = [z for z in zones if z.name == name]
        return Reply(200, [self.row(z) for z in zones])

    def read(self, req, zone):
        only = req.query.get("rrset_name")
        sets = {}
        for r in zone.records:
            if only and (r.name != canonical(only) or
                         r.extra.get("disabled") or
                         req.query.get("rrset_type", r.type) != r.type):
                continue
            sets.setdefault((r.name, r.type), []).append(r)
        # The names are those of the question.
        rows = [{
            "comments": [], "name": only or name, "ttl": rrset[0].ttl,
            "type": kind, "records": [
                {"content": r.text, "disabled": r.extra.get("disabled", False)}
                for r in rrset],
        } for (name, kind), rrset in sets.items()]
        for row in rows:
            row["name"] = row["name"].rstrip(".") + "."
        return Reply(200, self.row(
            zone, api_rectify=False, master_tsig_key_ids=[],
            nsec3narrow=False, nsec3param="", rrsets=rows,
            slave_tsig_key_ids=[], soa_edit="", soa_edit_api=""))

    def search(self, req):
        """Of all zones: names, which have no final dot in there, and
        contents; * and ? stand for others."""
        q = req.query.get("q")
        if not q:
            raise wrong("Query q can't be blank")
        if not req.query.get("max", "100").isdigit():
            raise plain(500)
        most = int(req.query.get("max", "100"))
        if most < 1:
            raise wrong("Maximum entries must be larger than 0")
        q = re.compile(re.escape(q).replace(r"\*", ".*").replace(r"\?", "."),
                       re.I)
        found = [{"name": z.name, "object_type": "zone", "zone_id": z.id}
                 for z in self.zone_list() if q.fullmatch(z.name[:-1])]
        for z in self.zone_list():
            found += [{
                "content": r.text, "disabled": r.extra.get("disabled", False),
                "name": r.name, "object_type": "record", "ttl": r.ttl,
                "type": r.type, "zone": z.name, "zone_id": z.id,
            } for r in z.records if q.fullmatch(r.name[:-1]) or
                q.fullmatch(r.text) or q.fullmatch(r.text.rstrip("."))]
        return Reply(200, found[:most])

    def patch(self, req, zone):
        if req.json is None:
            raise plain(400)
        sets = req.json.get("rrsets") if isinstance(req.json, dict) else None
        if not isinstance(sets, list):
            raise wrong("No rrsets given in update request")
        seen, todo = set(), []
        for rrset in sets:
            todo.append(self.change(zone, rrset))
            what = todo[-1][:3]
            if what in seen:
                raise wrong("Duplicate RRset %s IN %s with changetype: %s"
                            % what)
            seen.add(what)
        for name, kind, _, rows in todo:
            self.put(zone, name, kind, rows)
        return Reply(204)

    @staticmethod
    def change(zone, rrset):
        """(name, type, verb, [(TTL, content, disabled)]) as it is asked
        for."""
        name = name_of(word(rrset, "name"))
        kind = word(rrset, "type")
        verb = word(rrset, "changetype").upper()
        label = "%s IN %s" % (name, kind)
        if kind not in TYPES:
            raise wrong("RRset %s: unknown type given" % label)
        if verb == "DELETE":
            return name, kind, verb, []
        if verb != "REPLACE":
            raise wrong("Changetype not understood")
        if not within(name, zone.name):
            raise wrong("RRset %s: Name is out of zone" % label)
        if "records" not in rrset:
            raise wrong("No change for RRset " + label)
        rows = []
        for r in value(rrset, "records", list, "is not an array"):
            # Any number would do there, and none of the others makes sense.
            ttl = value(rrset, "ttl", int, "not an Integer or not present")
            if not 0 <= ttl < 1 << 31:
                raise wrong("Key 'ttl' is out of range")
            off = value({"disabled": False, **r}, "disabled", bool,
                        "not present or not a Bool")
            text = word(r, "content")
            if kind == "TLSA":
                text = tlsa("%s/%s" % (name, kind), text)
            if text in [row[1] for row in rows]:
                raise wrong('Duplicate record in RRset %s with content "%s"'
                            % (label, text))
            rows.append((ttl, text, off))
        if any(r.name == name and (r.type == "CNAME") != (kind == "CNAME")
               for r in zone.records):
            raise wrong("RRset %s: Conflicts with pre-existing RRset" % label)
        return name, kind, verb, rows

    def put(self, zone, name, kind, rows):
        for r in zone.at(name, kind):
            zone.remove(r)
            # The real one says nothing, and that is the danger.
            if r.extra.get("disabled") and \
                    (r.text, True) not in [row[1:] for row in rows]:
                self._violation(name, "disabled %.20s.. is gone" % r.text)
        for ttl, text, off in rows:
            zone.add(name, kind, ttl, text, disabled=off)
