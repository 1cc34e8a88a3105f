"""netcup: one path, errors inside HTTP 200 with responsedata "", a session id
in the body, one TTL for the zone, many changes in one call. What one call
changes is served in several steps here, removals first, because nothing says
that it is not."""

import os
import re

from fakelib import Fake, Reply, parse_tlsa, secret_file

CUSTOMER = "123456"
KEY = "QXBpS2V5T2ZOb2JvZHk"
PASSWORD = "pass/of\"nobody"
TTL = 7200
FIELDS = {"id", "hostname", "type", "priority", "destination", "deleterecord",
          "state"}
DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


def answer(action, code, text, data=None):
    good = 2000 <= code < 3000
    return Reply(200, {
        "serverrequestid": "fake", "clientrequestid": "",
        "action": action if good else "",
        "status": "success" if good else "error", "statuscode": code,
        "shortmessage": "OK" if good else "Validation Error.",
        "longmessage": text, "responsedata": "" if data is None else data})


def invalid(text):
    return answer("", 4013, text)


class Vendor(Fake):
    type = "netcup"
    path = "/run/webservice/servers"
    features = {"cname": True, "ttl": False, "ttls": [TTL]}

    def setup(self):
        self.sessions = []
        for zone in self.zone_list():
            zone.settings["dnssec"] = True

    def options(self, folder):
        return {
            "customer_number": CUSTOMER,
            "api_key_file": secret_file(folder, "key", KEY + "\n"),
            "api_password_file": secret_file(
                folder, "password", PASSWORD + "\n"),
        }

    def error(self, kind):
        own = {
            "404": (5028, "The zone could not be found."),
            "422": (4013, "Value in field destination is not valid; session "
                    + (self.sessions or ["-"])[-1]),
            "429": (4013, "More than 180 requests per minute. Please wait and"
                    " retry later."),
            "in200": (5000, "Internal error."),
        }
        if kind in own:
            return answer("", *own[kind])
        if kind == "503":
            return Reply(503, text="<html>Wartung</html>", type="text/html")
        return super().error(kind)

    def handle(self, req):
        if (req.method != "POST" or
                req.raw_path != self.path + "/endpoint.php?JSON"):
            return Reply(404, text="<html>Not found</html>", type="text/html")
        if not isinstance(req.json, dict) or set(req.json) != {
                "action", "param"}:
            return invalid("JSON decode failed while validating request.")
        action, p = req.json["action"], dict(req.json["param"])
        if (p.pop("customernumber", None) != CUSTOMER or
                p.pop("apikey", None) != KEY):
            return invalid("Api key missing or wrong.")
        if action == "login":
            return self.login(p)
        session = p.pop("apisessionid", None)
        if session not in self.sessions:
            return answer("", 4001,
                          "The session id is not in a valid format.")
        if action == "logout":
            self.sessions.remove(session)
            return answer(action, 2000, "Logout successful")
        verb = getattr(self, "do_" + action, None)
        if not verb:
            return invalid("Action is not known.")
        return verb(p, self.find(p))

    def login(self, p):
        if p != {"apipassword": PASSWORD}:
            return invalid("The login failed for password %s."
                           % p.get("apipassword"))
        session = os.urandom(24).hex()
        self.sessions.append(session)
        self.secrets.add(session)
        return answer("login", 2000, "Session has been created successful.",
                      {"apisessionid": session})

    def find(self, p):
        name = p.pop("domainname", "")
        if not DOMAIN.fullmatch(name):
            raise invalid("Value in field domainname does not match"
                          " requirements of type: domainname.")
        zone = self.zones.get(name + ".")
        if not zone:
            raise answer("", 5029, "The zone could not be found.")
        return zone

    def do_infoDnsZone(self, p, zone):
        if p:
            return invalid("Unknown field.")
        return answer("infoDnsZone", 2000, "Zone was read.", {
            "name": zone.name.rstrip("."), "ttl": str(TTL),
            "serial": "2026112200", "refresh": "28800", "retry": "7200",
            "expire": "1209600", "dnssecstatus": zone.settings["dnssec"]})

    @staticmethod
    def show(zone, r):
        return {"id": r.id, "hostname": zone.relative(r.name) or "@",
                "type": r.type, "priority": "0", "destination": r.text,
                "deleterecord": False, "state": "yes"}

    def listed(self, zone):
        return {"dnsrecords": [self.show(zone, r) for r in zone.records
                               if r.type != "SOA"]}

    def do_infoDnsRecords(self, p, zone):
        if p:
            return invalid("Unknown field.")
        if not self.listed(zone)["dnsrecords"]:
            return answer("", 5029, "Can not get DNS records for zone.")
        return answer("infoDnsRecords", 2000, "Records were read.",
                      self.listed(zone))

    # ---- changes

    def to_delete(self, zone, want):
        for r in zone.records:
            is_ = self.show(zone, r)
            if r.id == want.get("id") and all(
                    want.get(k) == is_[k]
                    for k in ("hostname", "type", "destination")):
                return r
        raise answer("", 5028, "Can not update (all) DNS records for zone.")

    def to_add(self, zone, want):
        if "id" in want or want.get("type") != "TLSA":
            raise invalid("The fake only adds TLSA records.")
        name, text = want.get("hostname", ""), want.get("destination", "")
        if not name or name.endswith(".") or name.endswith(zone.name[:-1]):
            raise invalid("der Host darf nicht leer sein")
        try:
            parse_tlsa(text)
        except ValueError as e:
            raise invalid("Value in field destination: %s" % e) from e
        if len(text.split(" ")) != 4 or '"' in text:
            raise invalid("Value in field destination has blanks.")
        owner = zone.absolute(name)
        if zone.at(owner, "CNAME"):
            raise invalid("There is a CNAME.")
        if text in [r.text for r in zone.at(owner, "TLSA")]:
            raise invalid("The record is there twice.")
        return owner, text

    def do_updateDnsRecords(self, p, zone):
        wants = p["dnsrecordset"]["dnsrecords"]
        if set(p) != {"dnsrecordset"} or not wants:
            return invalid("dnsrecordset is not valid.")
        for want in wants:
            if set(want) - FIELDS or not isinstance(
                    want.get("deleterecord"), bool):
                return invalid("A record has unknown fields.")
        gone = [self.to_delete(zone, w) for w in wants if w["deleterecord"]]
        new = [self.to_add(zone, w) for w in wants if not w["deleterecord"]]
        for r in gone:
            zone.remove(r)
            self.publish(zone)
        for owner, text in new:
            zone.add(owner, "TLSA", TTL, text)
            self.publish(zone)
        return answer("updateDnsRecords", 2000, "Records were updated.",
                      self.listed(zone))
