"""Amazon Route 53. Verifies SigV4 by itself; checks every request against the
service model of AWS (parameters, names, order and kinds of elements) when
DANELAW_SPECS, or ../shared/specs beside this repository, has it. A change batch
is a transaction, a DELETE must be exact, and a change is served when it is
INSYNC. Zones are listed by reversed labels; private ones are among them."""

import datetime
import hashlib
import hmac
import json
import os
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import fakelib
from fakelib import Fake, Reply, canonical, small

NS = "https://route53.amazonaws.com/doc/2013-04-01/"
KEYS = {  # id -> (secret, token of the session)
    "AKIAFAKEPERMANENT001": ("perm/secret+Key0123456789abcdefghijklmnop", None),
    "ASIAFAKETEMPORARY001": ("temp/secret+Key0123456789abcdefghijklmnop",
                             "FwoGZXIvYXdzE/token+of/the=session=="),
}
ZONES_A_PAGE = small(10, 100)
SETS_A_PAGE = small(7, 300)
POLLS = 1
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def model():
    here = os.path.dirname(os.path.abspath(__file__))
    specs = os.environ.get("DANELAW_SPECS") or os.path.join(
        here, "../../../../shared/specs")
    path = os.path.join(specs, "route53/service-2.json")
    if not os.path.exists(path):
        print("# SKIPPED: requests to Route 53 are not checked against the "
              "description of AWS: no", os.path.normpath(path),
              file=sys.stderr, flush=True)
        return None
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def escaped(name):
    """As the API writes names."""
    return re.sub(r"[^a-z0-9_.-]", lambda m: "\\%03o" % ord(m.group()), name)


def unescaped(name):
    return canonical(re.sub(r"\\([0-7]{3})",
                            lambda m: chr(int(m.group(1), 8)), name))


def order(name):
    """com.example.www."""
    return ".".join(reversed(escaped(name).rstrip(".").split("."))) + "."


def xml(tag, *inner, **attrs):
    """Text is escaped unless it is of xml() itself."""
    ret = Markup("<%s%s>" % (tag, "".join(
        ' %s="%s"' % a for a in attrs.items())))
    for part in inner:
        ret += part if isinstance(part, Markup) else escape(str(part))
    return Markup(ret + "</%s>" % tag)


class Markup(str):
    def __add__(self, other):
        return Markup(str(self) + str(other))


def answer(tag, *inner, status=200):
    text = '<?xml version="1.0"?>\n' + xml(tag, *inner, xmlns=NS)
    return Reply(status, text=text, type="text/xml",
                 headers={"x-amzn-RequestId": "fa4e-0001"})


def error(status, code, message):
    return answer("ErrorResponse", xml("Error", xml("Type", "Sender"),
                                       xml("Code", code),
                                       xml("Message", message)),
                  xml("RequestId", "fa4e-0001"), status=status)


def bad_batch(*messages):
    return error(400, "InvalidChangeBatch", "[%s]" % ", ".join(messages))


class Vendor(Fake):
    type = "route53"
    features = {"cname": True}
    auto_publish = False

    def setup(self):
        if not hasattr(self, "model"):
            self.model = model()
        self.changes = {}  # id -> zone name, "PENDING" or "INSYNC"
        self.listed = sorted(
            [(order(z.name), z.name, z.id, False) for z in
             self.zones.values()] +
            # Of VPCs: not what the world sees.
            [(order(n), n, "Z0PRIVATE%03d" % i, True) for i, n in enumerate(
                ["example.test.", "mx.example.test.",
                 "_tcp.mx.child.example.test."])],
            key=lambda e: (e[0], e[2]))

    def options(self, folder):
        key = "ASIAFAKETEMPORARY001"
        secret, token = KEYS[key]
        return {
            "access_key_id": key,
            "calls_per_second": 1000,
            "secret_access_key_file": fakelib.secret_file(
                folder, "secret", secret + "\n"),
            "session_token_file": fakelib.secret_file(
                folder, "token", token + "\n"),
        }

    def spell(self, text):
        return fakelib.upper(text)

    def zone_id(self, name):
        n = int(hashlib.sha1(name.encode()).hexdigest(), 16)
        ret = "Z"
        for _ in range(19):
            n, i = divmod(n, len(DIGITS))
            ret += DIGITS[i]
        return ret

    def seeded(self, want):
        self.listed = sorted(
            [e for e in self.listed if e[3]] +
            [(order(z.name), z.name, z.id, False)
             for z in self.zones.values()], key=lambda e: (e[0], e[2]))

    def error(self, kind):
        words = {
            "401": (403, "InvalidClientTokenId",
                    "The security token included in the request is invalid."),
            "403": (403, "AccessDenied", "User: arn:aws:iam::1:user/dane is "
                    "not authorized to perform: "
                    "route53:ChangeResourceRecordSets on resource: "
                    "arn:aws:route53:::hostedzone/Z1"),
            "404": (404, "NoSuchHostedZone",
                    "No hosted zone found with ID: Z1"),
            "409": (400, "PriorRequestNotComplete", "The request was rejected "
                    "because Route 53 was still processing a prior request."),
            "422": (400, "InvalidChangeBatch", "[Invalid Resource Record: "
                    "FATAL problem: InvalidTlsa (Value is not valid)]"),
            "429": (400, "Throttling", "Rate exceeded"),
            "500": (500, "InternalFailure", "We encountered an error."),
            "503": (503, "ServiceUnavailable", "Service unavailable."),
        }
        return error(*words[kind]) if kind in words else None

    # ---- who asks

    def authenticate(self, req):
        head = req.headers.get("Authorization") or ""
        m = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/us-east-1/"
            r"route53/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
            r"Signature=([0-9a-f]{64})", head)
        if not m:
            raise error(403, "MissingAuthenticationToken"
                        if not head else "IncompleteSignature",
                        "Authorization: " + head)
        key, day, signed, signature = m.groups()
        names = signed.split(";")
        if key not in KEYS:
            raise error(403, "InvalidClientTokenId", "The security token "
                        "included in the request is invalid.")
        secret, token = KEYS[key]
        sent_token = req.headers.get("X-Amz-Security-Token")
        if sent_token != token:
            raise error(403, "InvalidClientTokenId", "The security token "
                        "included in the request is invalid")
        stamp = req.headers.get("X-Amz-Date") or ""
        try:
            sent = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
        except ValueError:
            raise error(403, "IncompleteSignature", "X-Amz-Date") from None
        age = abs((datetime.datetime.utcnow() - sent).total_seconds())
        if age > 300 or stamp[:8] != day:
            raise error(403, "SignatureDoesNotMatch", "Signature expired: "
                        "%s is now earlier than ..." % stamp)
        need = {"host", "x-amz-date"}
        need |= {n.lower() for n in req.headers.keys()
                 if n.lower().startswith("x-amz-")}
        if names != sorted(names) or not need <= set(names):
            raise error(403, "SignatureDoesNotMatch",
                        "these must be signed, in order: %s" % sorted(need))
        self.verify(req, secret, day, stamp, names, signature)

    def verify(self, req, secret, day, stamp, names, signature):
        quote = lambda s: urllib.parse.quote(s, safe="-_.~")
        path, _, query = req.raw_path.partition("?")
        pairs = [p.partition("=")[::2] for p in query.split("&") if p]
        text = "\n".join([
            req.method,
            "/".join(quote(s) for s in path.split("/")),
            "&".join("%s=%s" % p for p in sorted(
                (quote(urllib.parse.unquote(k)),
                 quote(urllib.parse.unquote(v))) for k, v in pairs)),
            "".join("%s:%s\n" % (n, " ".join(
                ",".join(req.headers.get_all(n) or [""]).split()))
                for n in names),
            ";".join(names),
            hashlib.sha256(req.body).hexdigest()])
        scope = day + "/us-east-1/route53/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                             hashlib.sha256(text.encode()).hexdigest()])
        key = ("AWS4" + secret).encode()
        for part in (day, "us-east-1", "route53", "aws4_request", to_sign):
            key = hmac.new(key, part.encode(), "sha256").digest()
        if not hmac.compare_digest(key.hex(), signature):
            raise error(403, "SignatureDoesNotMatch", "The request signature "
                        "we calculated does not match the signature you "
                        "provided. Canonical request: %r" % text)

    # ---- what the description of AWS says

    def check(self, operation, req):
        """Parameters and body against the service model."""
        if self.model is None:
            return
        shapes = self.model["shapes"]
        op = self.model["operations"][operation]
        members = shapes[op["input"]["shape"]]["members"]
        known = {m["locationName"]: m["shape"] for m in members.values()
                 if m.get("location") == "querystring"}
        for name, value in req.query_list:
            if name not in known:
                raise error(400, "InvalidInput", "no parameter " + name)
            self.check_text(shapes[known[name]], name, value)
        if op["http"]["method"] != "POST":
            return
        root = ET.fromstring(req.body)
        if root.tag != "{%s}%s" % (op["input"]["xmlNamespace"]["uri"],
                                   op["input"]["locationName"]):
            raise error(400, "InvalidInput", "root is " + root.tag)
        rest = {n: m for n, m in members.items() if "location" not in m}
        self.check_structure(
            {"members": rest, "required": [
                r for r in shapes[op["input"]["shape"]].get("required", [])
                if r in rest]}, root)

    def check_element(self, name, node):
        shape = self.model["shapes"][name]
        if shape["type"] == "structure":
            self.check_structure(shape, node)
        elif shape["type"] == "list":
            tag = "{%s}%s" % (NS, shape["member"]["locationName"])
            if len(node) < shape.get("min", 0):
                raise error(400, "InvalidInput", "empty " + node.tag)
            for child in node:
                if child.tag != tag:
                    raise error(400, "InvalidInput", child.tag)
                self.check_element(shape["member"]["shape"], child)
        else:
            if len(node):
                raise error(400, "InvalidInput", "elements in " + node.tag)
            self.check_text(shape, node.tag, node.text or "")

    def check_structure(self, shape, node):
        tags = [m.get("locationName", n) for n, m in shape["members"].items()]
        kinds = {m.get("locationName", n): m["shape"]
                 for n, m in shape["members"].items()}
        at = -1
        for child in node:
            tag = child.tag.replace("{%s}" % NS, "")
            if tag not in tags or tags.index(tag) <= at:
                raise error(400, "InvalidInput",
                            "%s in %s: unknown, twice or out of order"
                            % (child.tag, node.tag))
            at = tags.index(tag)
            self.check_element(kinds[tag], child)
        for need in shape.get("required", []):
            if node.find("{%s}%s" % (NS, need)) is None:
                raise error(400, "InvalidInput", "%s lacks %s"
                            % (node.tag, need))

    def check_text(self, shape, what, text):
        size = len(text)
        if shape["type"] in ("long", "integer"):
            if not re.fullmatch(r"-?\d+", text):
                raise error(400, "InvalidInput", what + " is no number")
            size = int(text)
        if "enum" in shape and text not in shape["enum"]:
            raise error(400, "InvalidInput", "%s: %s" % (what, text))
        if not shape.get("min", size) <= size <= shape.get("max", size):
            raise error(400, "InvalidInput", "%s: %s is out of range"
                        % (what, text))

    # ---- the calls

    def handle(self, req):
        self.authenticate(req)
        if not req.path.startswith("/2013-04-01/"):
            raise Reply(404, text="UnknownOperationException")
        path = req.path[len("/2013-04-01/"):]
        if req.method == "GET" and path == "hostedzonesbyname":
            self.check("ListHostedZonesByName", req)
            return self.list_zones(req)
        m = re.fullmatch(r"change/([A-Z0-9]+)", path)
        if req.method == "GET" and m:
            self.check("GetChange", req)
            return self.get_change(m.group(1))
        m = re.fullmatch(r"hostedzone/([A-Z0-9]+)/rrset(/?)", path)
        if not m or (req.method, m.group(2)) not in (("GET", ""),
                                                     ("POST", "/")):
            raise Reply(404, text="UnknownOperationException")
        zone = next((z for z in self.zones.values() if z.id == m.group(1)),
                    None)
        if zone is None:
            if m.group(1).startswith("Z0PRIVATE"):
                self._violation(m.group(1), "a private zone was used")
            raise error(404, "NoSuchHostedZone",
                        "No hosted zone found with ID: " + m.group(1))
        if req.method == "GET":
            self.check("ListResourceRecordSets", req)
            return self.list_sets(zone, req)
        self.check("ChangeResourceRecordSets", req)
        return self.change(zone, req)

    def limit(self, req, most):
        text = req.query.get("maxitems", "100")
        if not text.isdigit() or int(text) < 1:
            raise error(400, "InvalidInput", "maxitems: " + text)
        return min(int(text), most)

    def list_zones(self, req):
        if "hostedzoneid" in req.query and "dnsname" not in req.query:
            raise error(400, "InvalidInput", "hostedzoneid without dnsname")
        first = (order(unescaped(req.query["dnsname"]))
                 if "dnsname" in req.query else "",
                 req.query.get("hostedzoneid", ""))
        size = self.limit(req, ZONES_A_PAGE)
        left = [e for e in self.listed if (e[0], e[2]) >= first]
        more = xml("IsTruncated", "false")
        if len(left) > size:
            more = (xml("IsTruncated", "true") +
                    xml("NextDNSName", escaped(left[size][1])) +
                    xml("NextHostedZoneId", left[size][2]))
        return answer(
            "ListHostedZonesByNameResponse",
            xml("HostedZones", *[
                xml("HostedZone", xml("Id", "/hostedzone/" + id),
                    xml("Name", escaped(name)),
                    xml("CallerReference", "ref-" + id),
                    xml("Config", xml("PrivateZone",
                                      "true" if private else "false")),
                    xml("ResourceRecordSetCount", 2))
                for _, name, id, private in left[:size]]),
            more, xml("MaxItems", size))

    def sets(self, zone):
        """[(order, type), records], sorted"""
        ret = {}
        for r in zone.records:
            ret.setdefault((order(r.name), r.type, r.extra.get("id", "")),
                           []).append(r)
        return sorted(ret.items())

    def list_sets(self, zone, req):
        if "type" in req.query and "name" not in req.query or \
                "identifier" in req.query and "type" not in req.query:
            raise error(400, "InvalidInput", "type without name")
        first = (order(unescaped(req.query["name"]))
                 if "name" in req.query else "",
                 req.query.get("type", ""), req.query.get("identifier", ""))
        size = self.limit(req, SETS_A_PAGE)
        left = [e for e in self.sets(zone) if e[0] >= first]
        more = xml("IsTruncated", "false")
        if len(left) > size:
            nxt = left[size][1][0]
            more = (xml("IsTruncated", "true") +
                    xml("NextRecordName", escaped(nxt.name)) +
                    xml("NextRecordType", nxt.type) +
                    (xml("NextRecordIdentifier", nxt.extra["id"])
                     if "id" in nxt.extra else ""))
        return answer(
            "ListResourceRecordSetsResponse",
            xml("ResourceRecordSets", *[
                xml("ResourceRecordSet", xml("Name", escaped(rs[0].name)),
                    xml("Type", rs[0].type),
                    *([xml("SetIdentifier", rs[0].extra["id"]),
                       xml("Weight", 1)] if "id" in rs[0].extra else []),
                    xml("TTL", rs[0].ttl),
                    xml("ResourceRecords", *[
                        xml("ResourceRecord", xml("Value", r.text))
                        for r in rs]))
                for _, rs in left[:size]]),
            more, xml("MaxItems", size))

    def get_change(self, id):
        if id not in self.changes:
            raise error(404, "NoSuchChange",
                        "Could not find resource with ID: " + id)
        return answer("GetChangeResponse", self.change_info(id))

    def change_info(self, id):
        return xml("ChangeInfo", xml("Id", "/change/" + id),
                   xml("Status", self.changes[id]),
                   xml("SubmittedAt", "2026-11-22T00:00:00.000Z"))

    # ---- change batches

    def change(self, zone, req):
        changes, total, chars = [], 0, 0
        for c in ET.fromstring(req.body).iter("{%s}Change" % NS):
            at = lambda tag: (c.findtext(".//{%s}%s" % (NS, tag)) or "")
            values = [v.text or "" for v in c.iter("{%s}Value" % NS)]
            action = at("Action")
            times = 2 if action == "UPSERT" else 1
            total += times * len(values)
            chars += times * sum(map(len, values))
            changes.append((action, unescaped(at("Name")), at("Type"),
                            int(at("TTL")), values))
        if not changes:
            raise error(400, "InvalidInput", "no changes")
        if total > 1000 or chars > 32000:
            raise bad_batch("Number of records limit of 1000 or of 32000 "
                            "characters exceeded")
        before = list(zone.records)
        wrong = []
        for c in changes:
            wrong += self.apply(zone, *c)
        if wrong:
            zone.records[:] = before
            raise bad_batch(*wrong)
        id = "C%019d" % (len(self.changes) + 1)
        self.changes[id] = "PENDING"
        self.later(POLLS, lambda: self.in_sync(zone, id))
        return answer("ChangeResourceRecordSetsResponse",
                      self.change_info(id))

    def in_sync(self, zone, id):
        self.changes[id] = "INSYNC"
        self.publish(zone)

    def apply(self, zone, action, name, kind, ttl, values):
        """What is wrong with a change."""
        what = "resource record set [name='%s', type='%s']" % (name, kind)
        there = zone.at(name, kind)
        if not fakelib.within(name, zone.name):
            return ["RRSet with DNS name %s is not permitted in zone %s"
                    % (name, zone.name)]
        if not values:
            return ["Expected exactly one of [AliasTarget, all of [TTL, and "
                    "ResourceRecords]]"]
        if action == "DELETE":
            if not there:
                return ["Tried to delete %s but it was not found" % what]
            if sorted(values) != sorted(r.text for r in there) or \
                    {ttl} != {r.ttl for r in there} or \
                    any("id" in r.extra for r in there):
                return ["Tried to delete %s but the values provided do not "
                        "match the current values" % what]
        elif action == "CREATE" and there:
            return ["Tried to create %s but it already exists" % what]
        for r in there:
            zone.remove(r)
        if action == "DELETE":
            return []
        if kind != "TLSA":
            return ["this test changes TLSA records only"]
        if zone.at(name, "CNAME"):
            return ["RRSet of type TLSA with DNS name %s is not permitted "
                    "because a conflicting RRSet of type CNAME with the same "
                    "DNS name already exists in zone %s" % (name, zone.name)]
        if len(set(values)) < len(values):
            return ["Duplicate Resource Record: '%s'" % values[0]]
        for text in values:
            try:
                fakelib.parse_tlsa(text)
            except ValueError as e:
                return ["Invalid Resource Record: FATAL problem: %s" % e]
            zone.add(name, kind, ttl, text)
        return []
