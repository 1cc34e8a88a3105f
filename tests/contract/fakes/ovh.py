"""OVHcloud. Verifies signatures and their time against its own clock, which is
far from ours; looks at the rules of the consumer key; changes are staged until
POST refresh, whose task takes a while, and nothing else is taken meanwhile."""

import fnmatch
import hashlib
import re
import time

import fakelib
from fakelib import Fake, Reply

APPLICATION = ("7kbG7Bk7S9Nt7ZSV", "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF")
AHEAD = 4321  # s
ALL = [(m, "/domain/zone*") for m in ("GET", "POST", "PUT", "DELETE")]
ONE = [("GET", "/domain/zone/example.test"),
       ("GET", "/domain/zone/example.test/*"),
       ("POST", "/domain/zone/example.test/record"),
       ("PUT", "/domain/zone/example.test/record/*"),
       ("DELETE", "/domain/zone/example.test/record/*"),
       ("POST", "/domain/zone/example.test/refresh")]
CONSUMERS = {  # key -> status, rules
    "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1": ("validated", ALL),
    "oneZone0oneZone0oneZone0oneZone0": ("validated", ONE),
    "readOnly0readOnly0readOnly0readO": ("validated", ALL[:1]),
    "noRefresh0noRefresh0noRefresh0no": ("validated", ONE[:-1]),
    "expired00expired00expired00expir": ("expired", ALL),
}
FIELDS = {"POST": {"fieldType": str, "subDomain": str, "target": str,
                   "ttl": int},
          "PUT": {"subDomain": str, "target": str, "ttl": int}}


def error(status, code, message, words=None):
    body = {"message": message}
    if words:
        body.update(errorCode=words, httpCode="%d %s" % (status, code))
    else:
        body["class"] = "Client::" + code
    return Reply(status, body, headers={"X-OVH-QUERYID": "FR.fake-1.1"})


def void():
    return Reply(200, text="null", type="application/json; charset=utf-8")


class Vendor(Fake):
    type = "ovh"
    path = "/1.0"
    auto_publish = False

    def setup(self):
        self.tasks = {}  # id -> [zone name, status]

    def options(self, folder):
        files = {"application_key": APPLICATION[0],
                 "application_secret": APPLICATION[1],
                 "consumer_key": list(CONSUMERS)[0]}
        return {name + "_file": fakelib.secret_file(folder, name, text + "\n")
                for name, text in files.items()}

    def spell(self, text):
        return fakelib.upper(text)

    def error(self, kind):
        words = {
            "401": (401, "Unauthorized", "You must login first",
                    "INVALID_CREDENTIAL"),
            # NOT_GRANTED_CALL, at the list of zones, is no trouble.
            "403": (403, "Forbidden", "This credential is not valid",
                    "INVALID_CREDENTIAL"),
            "404": (404, "NotFound", "The requested object (zone) does not "
                    "exist"),
            "409": (409, "Conflict", "A task is already running on this zone"),
            "422": (400, "BadRequest", "Invalid target for this TLSA record"),
            "429": (429, "TooManyRequests", "Too many requests"),
            "500": (500, "InternalServerError", "Internal server error"),
            "503": (503, "ServiceUnavailable", "Service unavailable"),
        }
        if kind not in words:
            return None
        ret = error(*words[kind])
        if kind == "429":
            ret.headers["Retry-After"] = "1"
        return ret

    # ---- who asks

    def rules(self, req):
        """Those of the consumer key, when all is signed as it must be."""
        head = lambda n: req.headers.get("X-Ovh-" + n) or ""
        if head("Application") != APPLICATION[0]:
            raise error(403, "Forbidden", "This application key is invalid",
                        "INVALID_KEY")
        key = head("Consumer")
        if key not in CONSUMERS:
            raise error(403, "Forbidden", "This credential does not exist",
                        "NOT_CREDENTIAL")
        text = "+".join([APPLICATION[1], key, req.method, req.url,
                         req.body.decode(), head("Timestamp")])
        want = "$1$" + hashlib.sha1(text.encode()).hexdigest()
        if head("Signature") != want:
            raise error(400, "Bad Request", "Invalid signature",
                        "INVALID_SIGNATURE")
        if abs(int(head("Timestamp")) - time.time() - AHEAD) > 30:
            raise error(400, "Bad Request", "Query out of time",
                        "QUERY_TIME_OUT")
        status, rules = CONSUMERS[key]
        path = req.path[len(self.path):]
        if path == "/auth/currentCredential":
            return status, rules
        if status != "validated":
            raise error(403, "Forbidden", "This credential is not valid",
                        "INVALID_CREDENTIAL")
        if not any(m == req.method and fnmatch.fnmatchcase(path, p)
                   for m, p in rules):
            raise error(403, "Forbidden", "This call has not been granted",
                        "NOT_GRANTED_CALL")
        return status, rules

    # ---- the calls

    def handle(self, req):
        path = req.path[len(self.path):]
        if (req.method, path) == ("GET", "/auth/time"):
            return Reply(200, text=str(int(time.time()) + AHEAD),
                         type="application/json; charset=utf-8")
        status, rules = self.rules(req)
        if (req.method, path) == ("GET", "/auth/currentCredential"):
            return Reply(200, {
                "credentialId": 1, "applicationId": 1, "status": status,
                "ovhSupport": False, "expiration": None,
                "rules": [{"method": m, "path": p} for m, p in rules]})
        if (req.method, path) == ("GET", "/domain/zone"):
            return Reply(200, [z.name.rstrip(".") for z in self.zone_list()])
        m = re.fullmatch(r"/domain/zone/([^/]+)(?:/([a-z]+)(?:/(\d+))?)?",
                         path)
        if not m:
            raise error(404, "NotFound",
                        "Got an invalid (or empty) URL")
        zone = self.zones.get(m.group(1) + ".")
        if zone is None:
            raise error(404, "NotFound", "This service does not exist")
        verb = (req.method, m.group(2), m.group(3) is not None)
        calls = {
            ("GET", None, False): self.about,
            ("GET", "task", False): self.list_tasks,
            ("POST", "refresh", False): self.refresh,
            ("GET", "record", False): self.list_records,
            ("POST", "record", False): self.add,
            ("GET", "record", True): self.show,
            ("PUT", "record", True): self.put,
            ("DELETE", "record", True): self.delete,
        }
        if verb not in calls:
            raise error(405, "MethodNotAllowed", "%s %s" % (req.method, path))
        if req.method != "GET" and m.group(2) == "record":
            self.idle(zone)
        if m.group(3) is None:
            return calls[verb](zone, req)
        record = next((r for r in zone.records if r.id == m.group(3)), None)
        if record is None:
            raise error(404, "NotFound",
                        "The requested object (id = %s) does not exist"
                        % m.group(3))
        return calls[verb](zone, req, record)

    def about(self, zone, _req):
        return Reply(200, {"name": zone.name.rstrip("."), "hasDnsAnycast":
                           False, "dnssecSupported": True, "nameServers":
                           ["dns1.fake.test", "ns1.fake.test"],
                           "lastUpdate": "2026-11-22T00:00:00+00:00"})

    def parameters(self, req, names):
        for name in req.query:
            if name not in names:
                raise error(400, "BadRequest", "unknown parameter " + name)

    # ---- records

    def list_records(self, zone, req):
        self.parameters(req, ("fieldType", "subDomain"))
        kind, label = (req.query.get(n) for n in ("fieldType", "subDomain"))
        ids = [int(r.id) for r in zone.records
               if r.type not in ("SOA",) and kind in (None, "", r.type) and
               label in (None, "", zone.relative(r.name))]
        return Reply(200, ids)

    def as_json(self, zone, record):
        return {"id": int(record.id), "zone": zone.name.rstrip("."),
                "subDomain": zone.relative(record.name),
                "fieldType": record.type, "target": record.text,
                "ttl": record.extra.get("ttl", record.ttl)}

    def show(self, zone, _req, record):
        return Reply(200, self.as_json(zone, record))

    def fields(self, req):
        fields = FIELDS[req.method]
        if not isinstance(req.json, dict):
            raise error(400, "BadRequest", "no body")
        for name, value in req.json.items():
            if name not in fields or not isinstance(value, fields[name]) or \
                    isinstance(value, bool):
                raise error(400, "BadRequest",
                            "[%s] Given data is not valid" % name)
        label = req.json.get("subDomain", "")
        if label != label.lower() or label.endswith(".") or \
                not re.fullmatch(r"[a-z0-9_.*-]*", label):
            raise error(400, "BadRequest", "Invalid subdomain")
        if "target" in req.json:
            try:
                fakelib.parse_tlsa(req.json["target"])
            except ValueError as e:
                raise error(400, "BadRequest",
                            "Invalid target: %s" % e) from None
        ttl = req.json.get("ttl", 0)
        return max(60, ttl) if ttl else 3600

    def add(self, zone, req):
        ttl = self.fields(req)
        if req.json.get("fieldType") != "TLSA" or "target" not in req.json:
            raise error(400, "BadRequest", "Missing fieldType or target")
        name = zone.absolute(req.json.get("subDomain", ""))
        if zone.at(name, "CNAME"):
            raise error(400, "BadRequest", "A CNAME is there")
        if any(fakelib.normal(r.text) == fakelib.normal(req.json["target"])
               for r in zone.at(name, "TLSA")):
            raise error(409, "Conflict", "This record already exists")
        record = zone.add(name, "TLSA", ttl, req.json["target"])
        return Reply(200, self.as_json(zone, record))

    def put(self, zone, req, record):
        ttl = self.fields(req)
        if "subDomain" in req.json and \
                zone.absolute(req.json["subDomain"]) != record.name:
            raise error(400, "BadRequest", "this test moves no records")
        record.text = req.json.get("target", record.text)
        record.ttl = ttl
        return void()

    def delete(self, zone, _req, record):
        zone.remove(record)
        return void()

    # ---- publishing

    def busy(self, zone):
        return [i for i, (name, status) in self.tasks.items()
                if name == zone.name and status in ("todo", "doing")]

    def idle(self, zone):
        if self.busy(zone):
            raise error(409, "Conflict",
                        "A task is already running on this zone")

    def refresh(self, zone, req):
        if req.body:
            raise error(400, "BadRequest", "refresh has no body")
        i = 100 + len(self.tasks)
        task = self.tasks[i] = [zone.name, "todo"]

        def begin():
            task[1] = "doing"
            self.later(1, end)

        def end():
            task[1] = "done"
            self.publish(zone)

        self.later(1, begin)
        return void()

    def list_tasks(self, zone, req):
        self.parameters(req, ("status", "function"))
        want = req.query.get("status")
        if want not in (None, "cancelled", "doing", "done", "error", "todo"):
            raise error(400, "BadRequest", "status: " + want)
        return Reply(200, [i for i, (name, status) in self.tasks.items()
                           if name == zone.name and want in (None, status)])
