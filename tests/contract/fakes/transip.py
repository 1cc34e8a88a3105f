"""TransIP: logins signed with RSA over the exact body (verified), tokens, whole
zones, records by all that they have."""

import base64
import json
import re
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fakelib import Fake, Reply, parse_tlsa, secret_file

ACCOUNT = "nobody"
LOGIN = {"login": str, "nonce": str, "read_only": bool, "expiration_time": str,
         "label": str, "global_key": bool}
ENTRY = {"name": str, "expire": int, "type": str, "content": str}


def fail(status, text):
    return Reply(status, {"error": text})


def part(data):
    text = base64.urlsafe_b64encode(json.dumps(data).encode())
    return text.decode().rstrip("=")


def fits(value, shape):
    return (isinstance(value, dict) and set(value) == set(shape) and
            all(type(value[k]) is t for k, t in shape.items()))


class Vendor(Fake):
    type = "transip"
    path = "/v6"
    features = {"cname": True}
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def setup(self):
        self.tokens = set()
        self.nonces = set()
        self.labels = set()

    def options(self, folder):
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())
        return {"account_name": ACCOUNT,
                "private_key_file": secret_file(folder, "key.pem", pem)}

    def error(self, kind):
        if kind == "429":
            return Reply(429, {"error": "Rate limit exceeded"}, headers={
                "X-Rate-Limit-Limit": "1000", "X-Rate-Limit-Remaining": "0",
                "X-Rate-Limit-Reset": str(int(time.time()) + 2)})
        if kind == "422":
            return fail(406, "The content of the DNS entry is not valid")
        return super().error(kind)

    def handle(self, req):
        if req.path == "/v6/auth" and req.method == "POST":
            ret = self.login(req)
        else:
            self.authenticate(req)
            ret = self.route(req)
        ret.headers.update({"X-Rate-Limit-Limit": "1000",
                            "X-Rate-Limit-Remaining": "990",
                            "X-Rate-Limit-Reset": str(int(time.time()) + 60)})
        return ret

    def login(self, req):
        try:
            self.key.public_key().verify(
                base64.b64decode(req.headers.get("Signature") or "",
                                 validate=True),
                req.body, padding.PKCS1v15(), hashes.SHA512())
        except (InvalidSignature, ValueError):
            return fail(401, "Invalid API signature, signature does not match"
                        " the request.")
        want = req.json
        if not fits(want, LOGIN) or want["read_only"]:
            return fail(406, "The parameters are not valid")
        if want["login"] != ACCOUNT:
            return fail(401, "The account is not known")
        if not want["global_key"]:
            return fail(401, "Remote IP is not authorized for this request;"
                        " called from IP 127.0.0.1")
        if not re.fullmatch(r"\d+ (second|minute|hour|day|week)s?",
                            want["expiration_time"]):
            return fail(406, "expiration_time is not valid")
        if (not 6 <= len(want["nonce"]) <= 32 or
                want["nonce"] in self.nonces):
            return fail(406, "The nonce was used already")
        if want["label"] in self.labels:
            return fail(406, "The label was used already")
        self.nonces.add(want["nonce"])
        self.labels.add(want["label"])
        token = ".".join((part({"typ": "JWT", "alg": "RS512"}),
                          part({"jti": want["nonce"], "exp": time.time()}),
                          part(want["label"])))
        self.tokens.add(token)
        return Reply(201, {"token": token})

    def authenticate(self, req):
        scheme, _, token = (req.headers.get("Authorization") or "").partition(
            " ")
        if scheme != "Bearer" or token not in self.tokens:
            raise fail(401, "Your access token is invalid: " + token)

    def route(self, req):
        if "?" in req.raw_path:
            return fail(406, "no query was expected")
        parts = req.path.split("/")[2:]
        if parts == ["domains"] and req.method == "GET":
            return Reply(200, {"domains": [
                self.describe(z) for z in self.zone_list()]})
        if parts[0] != "domains" or len(parts) < 2:
            return fail(404, "Not found")
        zone = self.zones.get(parts[1] + ".")
        if not zone:
            return fail(404, "Domain with name '%s' not found" % parts[1])
        if len(parts) == 2 and req.method == "GET":
            return Reply(200, {"domain": self.describe(zone)})
        if parts[2:] != ["dns"]:
            return fail(404, "Not found")
        if req.method == "GET":
            return Reply(200, {"dnsEntries": [
                self.show(zone, r) for r in zone.records
                if r.type != "SOA"]})
        if req.method == "POST":
            return self.create(zone, req.json)
        if req.method == "DELETE":
            return self.delete(zone, req.json)
        # PUT and PATCH exist, and can harm other records.
        self.broken.append("the client used " + req.method)
        return fail(405, "Method not allowed")

    @staticmethod
    def describe(zone):
        return {"name": zone.name.rstrip("."), "isTransferLocked": False,
                "registrationDate": "2020-01-01", "isWhitelabel": False,
                "tags": [], "hasAutoDns": True}

    @staticmethod
    def show(zone, r):
        return {"name": zone.relative(r.name) or "@", "expire": r.ttl,
                "type": r.type, "content": r.text}

    def entry(self, body):
        if not fits(body, {"dnsEntry": dict}) or not fits(
                body["dnsEntry"], ENTRY):
            raise fail(406, "The DNS entry is not valid")
        return body["dnsEntry"]

    def create(self, zone, body):
        want = self.entry(body)
        name = want["name"]
        if not name or name.endswith(".") or (
                "." + name).endswith("." + zone.name.rstrip(".")):
            return fail(406, "The name of the DNS entry must be relative")
        if not 60 <= want["expire"] <= 86400:
            return fail(406, "The expire of the DNS entry is not valid")
        try:
            parse_tlsa(want["content"])
        except ValueError as e:
            return fail(406, "The content of the DNS entry is not valid: %s"
                        % e)
        if len(want["content"].split(" ")) != 4 or '"' in want["content"]:
            return fail(406, "The content of the DNS entry is not valid")
        owner = zone.absolute(name)
        if zone.at(owner, "CNAME"):
            return fail(406, "There is a CNAME")
        if want in [self.show(zone, r) for r in zone.at(owner, "TLSA")]:
            return fail(406, "The DNS entry already exists")
        zone.add(owner, want["type"], want["expire"], want["content"])
        return Reply(201)

    def delete(self, zone, body):
        want = self.entry(body)
        for r in zone.records:
            if self.show(zone, r) == want:
                zone.remove(r)
                return Reply(204)
        return fail(404, "The DNS entry does not exist")
