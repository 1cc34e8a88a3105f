"""Technitium DNS Server: forms in, JSON out, errors in HTTP 200; words for
usages; upper-case hex; the TTL of a new record becomes that of the RRset."""

from fakelib import Fake, Reply, canonical, parse_tlsa, within
import fakelib

TOKEN = "932b2a3495852c15af01598f62563ae534460388b6a370bfbbb8bb6094b698e9"
USAGES = ["PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE"]
SELECTORS = ["Cert", "SPKI"]
MTYPES = ["Full", "SHA2-256", "SHA2-512"]
KEYS = ("tlsaCertificateUsage", "tlsaSelector", "tlsaMatchingType",
        "tlsaCertificateAssociationData")
COMMON = {"token", "domain", "zone", "type"}
FIELDS = {
    "list": {"token"},
    "get": COMMON,
    "add": COMMON | {"ttl", "overwrite", "comments"} | set(KEYS),
    "delete": COMMON | set(KEYS),
    "update": COMMON | {"ttl", "comments", "expiryTtl"} | set(KEYS) | {
        "new" + k[0].upper() + k[1:] for k in KEYS},
}


def word(words, number):
    return words[number] if number < len(words) else str(number)


def number(words, text):
    return [w.lower() for w in words].index(text.lower())


class Vendor(Fake):
    type = "technitium"
    features = {"cname": True}

    def setup(self):
        if "a00.test." in self.zones:
            self.zones["a00.test."].settings["type"] = "Secondary"
        if "a01.test." in self.zones:
            self.zones["a01.test."].settings["type"] = "Forwarder"
        self.zones["example.test."].settings["dnssec"] = "SignedWithNSEC"
        for zone in self.zone_list():
            for r in zone.records:
                r.extra["comments"] = "of " + r.name

    def options(self, folder):
        return {"token_file": fakelib.secret_file(folder, "token",
                                                  TOKEN + "\n")}

    def spell(self, text):
        return fakelib.upper(text)

    def fail(self, message):
        return Reply(200, {
            "status": "error", "errorMessage": message,
            "stackTrace": "   at DnsServerCore.WebService()",
            "innerErrorMessage": None})

    def error(self, kind):
        if kind in ("500", "503"):
            return Reply(int(kind), text="<html>", type="text/html")
        return {
            "401": Reply(200, {"status": "invalid-token", "errorMessage":
                               "Invalid token or session expired."}),
            "403": self.fail("Access was denied."),
            "404": self.fail("No such zone was found."),
            "422": self.fail("Parameter 'ttl' is not right."),
            "in200": self.fail("Object reference not set."),
        }.get(kind)

    def handle(self, req):
        if not req.path.startswith("/api/zones/"):
            raise Reply(404, text="")
        if req.method != "POST" or req.query or not req.form:
            self.broken.append("not a form: %s" % req.raw_path)
        if req.headers.get("Authorization") != "Bearer " + TOKEN:
            raise self.error("401")
        if req.form.get("token") != TOKEN:
            self.broken.append("an older server wants the token in the form")
        verb = req.path.split("/")[-1]
        if set(req.form) - FIELDS.get(verb, set()):
            self.broken.append("unknown fields: %s" % sorted(req.form))
        if req.path == "/api/zones/list":
            return self.ok({"zones": [self.zone_json(z)
                                      for z in self.zone_list()]})
        if req.path != "/api/zones/records/" + verb or verb not in FIELDS:
            raise Reply(404, text="")
        for k in ("domain", "zone"):
            if req.form[k].endswith("."):
                raise self.fail("Invalid domain name: " + req.form[k])
        zone = self.zones.get(canonical(req.form["zone"]))
        owner = canonical(req.form["domain"])
        if not zone or not within(owner, zone.name):
            raise self.fail("No such zone was found: " + req.form["zone"])
        if verb == "get":
            return self.ok({
                "zone": self.zone_json(zone),
                "records": [self.record_json(r) for r in zone.records
                            if r.name == owner]})
        return getattr(self, "do_" + verb)(req.form, zone, owner)

    def ok(self, response):
        return Reply(200, {"response": response, "status": "ok"})

    def zone_json(self, zone):
        return {"name": zone.name[:-1],
                "type": zone.settings.get("type", "Primary"),
                "internal": False, "disabled": False,
                "dnssecStatus": zone.settings.get("dnssec", "Unsigned")}

    def record_json(self, r):
        data = {"value": r.text}
        if r.type == "TLSA":
            u, s, m, digits = parse_tlsa(r.text)
            data = {"certificateUsage": word(USAGES, u),
                    "selector": word(SELECTORS, s),
                    "matchingType": word(MTYPES, m),
                    "certificateAssociationData": digits.upper()}
        ret = {"disabled": False, "name": r.name[:-1], "type": r.type,
               "ttl": r.ttl, "rData": data, "dnssecStatus": "Unknown",
               "lastUsedOn": "0001-01-01T00:00:00"}
        if r.extra.get("comments"):
            ret["comments"] = r.extra["comments"]
        return ret

    def text(self, form, new=False):
        """RDATA out of a form; words only."""
        keys = ["new" + k[0].upper() + k[1:] for k in KEYS] if new else KEYS
        missing = [k for k in keys if not form.get(k)]
        if form.get("type") != "TLSA" or missing:
            raise self.fail("Parameter '%s' missing." % missing)
        try:
            nums = [number(w, form[k]) for w, k in
                    zip((USAGES, SELECTORS, MTYPES), keys)]
            bytes.fromhex(form[keys[3]])
        except ValueError:
            raise self.fail("Requested value was not found.") from None
        return fakelib.upper("%d %d %d %s" % (*nums, form[keys[3]]))

    def find(self, zone, owner, text):
        for r in zone.at(owner, "TLSA"):
            if fakelib.normal(r.text) == fakelib.normal(text):
                return r
        return None

    def ttl(self, form, zone, owner):
        if not form.get("ttl", "3600").isdigit():
            raise self.fail("Parameter 'ttl' is not right.")
        for r in zone.at(owner, "TLSA"):
            r.ttl = int(form.get("ttl", "3600"))
        return int(form.get("ttl", "3600"))

    def do_add(self, form, zone, owner):
        if form.get("overwrite", "false") != "false":
            self.broken.append("overwrite")
        text = self.text(form)
        if zone.at(owner, "CNAME"):
            raise self.fail("Cannot add record: a CNAME record exists for "
                            "the same name.")
        if self.find(zone, owner, text):
            raise self.fail("Cannot add record: record already exists.")
        r = zone.add(owner, "TLSA", self.ttl(form, zone, owner), text)
        return self.ok({"zone": self.zone_json(zone),
                        "addedRecord": self.record_json(r)})

    def do_delete(self, form, zone, owner):
        r = self.find(zone, owner, self.text(form))
        if not r:
            raise self.fail("Cannot delete record: no such record exists.")
        zone.remove(r)
        return self.ok({})

    def do_update(self, form, zone, owner):
        text = self.text(form)
        r = self.find(zone, owner, text)
        if not r:
            raise self.fail("Cannot update record: the record does not "
                            "exists to be updated.")
        if self.text(form, new=True) != text:
            self.broken.append("an update changed more than the TTL")
        if form.get("comments", "") != r.extra.get("comments", ""):
            self.broken.append("a comment is lost")
        self.ttl(form, zone, owner)
        return self.ok({"zone": self.zone_json(zone),
                        "updatedRecord": self.record_json(r)})
