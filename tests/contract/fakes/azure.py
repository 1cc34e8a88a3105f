"""Azure DNS, 2023-07-01-preview, with Microsoft's token endpoint: client
secrets buy tokens, record sets have ETags (If-Match, If-None-Match: *), hex is
upper case, lists have pages with links, a set takes 20 records at most, and a
PUT replaces metadata, too."""

import re
import secrets
import time
import uuid

from fakelib import Fake, Reply, parse_tlsa, secret_file, upper

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-aaaaaaaaaaaa"
SECRET = "s3cret~with&odd=chars%+.;"
SUBSCRIPTION = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
GROUP = "rg-dns_(mail)"
SCOPE = "https://management.azure.com/.default"
VERSION = "2023-07-01-preview"
ZONES_PAGE = 20
SETS_PAGE = 4
ZONES = "/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Network/" \
    "dnsZones/" % (SUBSCRIPTION, GROUP)


def failure(status, code, message):
    return Reply(status, {"error": {"code": code, "message": message,
                                    "details": []}})


def bad(message):
    return failure(400, "BadRequest", message)


class Vendor(Fake):
    type = "azure"
    path = ""
    features = {}

    def setup(self):
        self.tokens = {}
        self.etags = {}
        self.meta = {}
        foreign = "_25._tcp.foreign.example.test."
        self.meta[foreign] = {"owner": "somebody else"}

    def seeded(self, want):
        if "owner" in want:
            self.etags[want["owner"].lower().rstrip(".") + "."] = \
                str(uuid.uuid4())

    def spell(self, text):
        return upper(text)

    def options(self, folder):
        return {
            "login_url": self.base, "tenant_id": TENANT, "client_id": CLIENT,
            "subscription_id": SUBSCRIPTION,
            "client_secret_file": secret_file(
                folder, "secret", SECRET + "\n"),
        }

    def error(self, kind):
        words = {
            "401": ("InvalidAuthenticationToken",
                    "The access token is invalid."),
            "403": ("AuthorizationFailed",
                    "The client '%s' with object id '%s' does not have"
                    " authorization to perform action" % (CLIENT, CLIENT)),
            "404": ("ResourceGroupNotFound",
                    "Resource group '%s' could not be found." % GROUP),
            "409": ("Conflict", "The request conflicts with another."),
            "422": ("UnprocessableEntity", "The request cannot be processed."),
            "429": ("TooManyRequests", "The request was throttled."),
            "500": ("InternalServerError", "An error has occurred."),
            "503": ("ServiceUnavailable", "Try again later."),
        }
        if kind not in words:
            return None
        ret = failure(int(kind), *words[kind])
        if kind == "429":
            ret.headers["Retry-After"] = "1"
        return ret

    # ---- the token endpoint

    def token(self, tenant, req):
        def no(status, code, why):
            return Reply(status, {"error": code, "error_description": why,
                                  "error_codes": [0]})

        kind = req.headers.get("Content-Type") or ""
        if req.method != "POST" or \
                kind != "application/x-www-form-urlencoded":
            return no(400, "invalid_request", "AADSTS900144: body")
        if tenant != TENANT:
            return no(400, "invalid_request", "AADSTS90002: Tenant '%s' not"
                      " found." % tenant)
        form = req.form
        if sorted(form) != ["client_id", "client_secret", "grant_type",
                            "scope"] or \
                form["grant_type"] != "client_credentials":
            return no(400, "unsupported_grant_type", "AADSTS70003")
        if form["client_id"] != CLIENT:
            return no(400, "unauthorized_client", "AADSTS700016: Application"
                      " was not found in the directory")
        if form["client_secret"] != SECRET:
            return no(401, "invalid_client", "AADSTS7000215: Invalid client"
                      " secret provided.")
        if form["scope"] != SCOPE:
            return no(400, "invalid_scope", "AADSTS70011")
        token = "eyJ0eXAiOiJKV1Qi." + secrets.token_urlsafe(1500)
        self.tokens[token] = time.time() + 3599
        return Reply(200, {"token_type": "Bearer", "expires_in": 3599,
                           "ext_expires_in": 3599, "access_token": token})

    # ---- lists

    def page(self, req, items, size):
        skip = int(req.query.get("$skipToken", "0"))
        ret = {"value": items[skip:skip + size]}
        if skip + size < len(items):
            ret["nextLink"] = "%s%s?api-version=%s&$skipToken=%d" % (
                self.base, req.raw_path.split("?")[0], VERSION, skip + size)
        return Reply(200, ret)

    def zone_json(self, zone, type="Public"):
        name = zone.name.rstrip(".")
        # The resource group is spelled as it comes.
        return {
            "id": (ZONES + name).replace("dnsZones", "dnszones"),
            "name": name, "type": "Microsoft.Network/dnszones",
            "etag": "00000002-0000-0000-0000-" + "0" * 12,
            "location": "global", "tags": {},
            "properties": {"zoneType": type, "maxNumberOfRecordSets": 10000,
                           "numberOfRecordSets": 3,
                           "nameServers": ["ns1-01.azure-dns.com."]},
        }

    def set_json(self, zone, owner):
        records = zone.at(owner, "TLSA")
        label = zone.relative(owner) or "@"
        self.etags.setdefault(owner, str(uuid.uuid4()))
        data = []
        for r in records:
            u, s, m, hexa = parse_tlsa(r.text)
            data.append({"usage": u, "selector": s, "matchingType": m,
                         "certAssociationData": hexa.upper()})
        props = {"TTL": records[0].ttl, "fqdn": owner,
                 "provisioningState": "Succeeded", "targetResource": {},
                 "TLSARecords": data}
        if owner in self.meta:
            props["metadata"] = self.meta[owner]
        return {
            "id": "%s%s/TLSA/%s" % (ZONES, zone.name.rstrip("."), label),
            "name": label, "type": "Microsoft.Network/dnszones/TLSA",
            "etag": self.etags[owner], "properties": props,
        }

    # ---- record sets

    def check_condition(self, req, there, owner):
        match = req.headers.get("If-Match")
        none = req.headers.get("If-None-Match")
        if (match is None) == (none is None):
            self.broken.append("a write without a condition at " + owner)
            raise bad("a write without a condition")
        if none is not None and (none != "*" or there):
            raise failure(412, "PreconditionFailed", "The condition '%s' in"
                          " the If-None-Match header was satisfied." % none)
        if match is not None and (
                not there or match != self.etags.get(owner)):
            raise failure(412, "PreconditionFailed", "The condition '%s' in"
                          " the If-Match header was not satisfied." % match)

    def check_body(self, body):
        if not isinstance(body, dict) or set(body) != {"properties"}:
            raise bad("The body is not a record set")
        props = body["properties"]
        if not {"TTL", "TLSARecords"} <= set(props) or \
                set(props) - {"TTL", "TLSARecords", "metadata"}:
            raise bad("Unknown or missing properties")
        if type(props["TTL"]) is not int or \
                not 1 <= props["TTL"] <= 2147483647:
            raise bad("The TTL is out of range")
        if not isinstance(props.get("metadata", {}), dict):
            raise bad("metadata")
        seen = set()
        if not 1 <= len(props["TLSARecords"]) <= 20:
            raise bad("A record set may have 1 to 20 records")
        for r in props["TLSARecords"]:
            if set(r) != {"usage", "selector", "matchingType",
                          "certAssociationData"}:
                raise bad("A TLSA record has other fields")
            nums = [r["usage"], r["selector"], r["matchingType"]]
            hexa = r["certAssociationData"]
            if any(type(x) is not int or not 0 <= x <= 255 for x in nums) or \
                    not re.fullmatch("([0-9A-F]{2})+", hexa):
                raise bad("A TLSA record is not well-formed: %s" % r)
            seen.add("%d %d %d %s" % (*nums, hexa))
        if len(seen) != len(props["TLSARecords"]):
            raise bad("Duplicate records")
        return props

    def put(self, zone, owner, req):
        there = zone.at(owner, "TLSA")
        self.check_condition(req, there, owner)
        props = self.check_body(req.json)
        if zone.at(owner, "CNAME"):
            raise bad("The record could not be created because a CNAME record"
                      " with the same name already exists in this zone.")
        if props.get("metadata", {}) != self.meta.get(owner, {}):
            self.broken.append("metadata of %s was lost" % owner)
        for r in there:
            zone.remove(r)
        for r in props["TLSARecords"]:
            zone.add(owner, "TLSA", props["TTL"], "%d %d %d %s" % (
                r["usage"], r["selector"], r["matchingType"],
                r["certAssociationData"]))
        self.etags[owner] = str(uuid.uuid4())
        return Reply(200 if there else 201, self.set_json(zone, owner))

    def delete(self, zone, owner, req):
        there = zone.at(owner, "TLSA")
        if not there:
            return Reply(204)
        self.check_condition(req, there, owner)
        for r in there:
            zone.remove(r)
        self.etags.pop(owner, None)
        self.meta.pop(owner, None)
        return Reply(200)

    def record_set(self, zone, label, req):
        owner = zone.absolute(label)
        if not label or label.endswith("."):
            return bad("The relative record set name is not valid")
        if req.method == "PUT":
            return self.put(zone, owner, req)
        if req.method == "DELETE":
            return self.delete(zone, owner, req)
        if req.method != "GET":
            return failure(405, "MethodNotAllowed", "not that verb")
        if not zone.at(owner, "TLSA"):
            return failure(404, "NotFound", "The resource record '%s' does not"
                           " exist in resource group '%s' of subscription '%s'."
                           % (label, GROUP, SUBSCRIPTION))
        return Reply(200, self.set_json(zone, owner))

    # ---- what goes where

    def handle(self, req):
        m = re.fullmatch("/([^/]+)/oauth2/v2.0/token", req.path)
        if m:
            return self.token(m[1], req)
        auth = req.headers.get("Authorization") or ""
        if not auth.startswith("Bearer ") or \
                self.tokens.get(auth[7:], 0) < time.time():
            return self.error("401")
        if "api-version" not in req.query:
            return failure(400, "MissingApiVersionParameter", "api-version")
        sub = "/subscriptions/" + SUBSCRIPTION + "/"
        path = req.path
        if not path.startswith(sub):
            return failure(404, "SubscriptionNotFound", "The subscription"
                           " could not be found.")
        if path.lower() == (sub + "providers/Microsoft.Network/dnszones") \
                .lower() and req.method == "GET":
            zones = []
            for zone in self.zone_list():
                zones.append(self.zone_json(zone))
                if zone.name == "tcp.test.":
                    private = self.zone_json(zone, "Private")
                    private["name"] = "mx.example.test"
                    zones.append(private)
            return self.page(req, zones, ZONES_PAGE)
        if not path.lower().startswith(ZONES.lower()):
            return self.error("404")
        name, _, rest = path[len(ZONES):].partition("/")
        zone = self.zones.get(name + ".")
        if rest == "providers/Microsoft.Authorization/permissions":
            return self.page(req, [{
                "actions": ["Microsoft.Network/dnsZones/*",
                            "Microsoft.Authorization/*/read"],
                "notActions": [], "dataActions": [], "notDataActions": []}],
                SETS_PAGE)
        if req.query["api-version"] != VERSION:
            return failure(400, "NoRegisteredProviderFound",
                           "no such api-version")
        if not rest:
            return Reply(200, self.zone_json(zone)) if zone else failure(
                404, "ResourceNotFound", "The Resource '%s' under resource"
                " group '%s' was not found." % (name, GROUP))
        if not zone:
            return failure(404, "ParentResourceNotFound", "Can not perform"
                           " requested operation on nested resource. Parent"
                           " resource '%s' not found." % name)
        if rest == "TLSA" and req.method == "GET":
            owners = sorted({r.name for r in zone.records
                             if r.type == "TLSA"})
            return self.page(
                req, [self.set_json(zone, o) for o in owners], SETS_PAGE)
        if rest.startswith("TLSA/"):
            return self.record_set(zone, rest[5:], req)
        return failure(400, "BadRequest", "no such record type")
