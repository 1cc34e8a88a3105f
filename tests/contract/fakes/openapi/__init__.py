"""Checks requests against a vendor's own OpenAPI 3.0 description.

  spec = openapi.load("cloudflare/cloudflare-dns-2024-08-06.json")
  openapi.validate(spec, "POST", "/zones/x/dns_records", {...}) -> [errors]

The descriptions are data of their makers and lie outside of this repository:
$DANELAW_SPECS, or ../shared/specs beside it. Where they are not, load() says so
loudly and returns None, and validate() of None finds nothing wrong.

A schema keyword that is not known here is an error of its own: a check that
looks at half of a schema would pass what the vendor refuses. prove() shows that
a description bites. This is a package because every .py beside it is a fake."""

import json
import os
import re
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
SPECS = os.environ.get("DANELAW_SPECS") or os.path.join(
    os.path.dirname(TOP), "shared", "specs")

# These say nothing about what is valid.
SILENT = {
    "description", "example", "examples", "title", "default", "deprecated",
    "externalDocs", "discriminator", "writeOnly", "xml",
}
TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool,
    "integer": int, "number": (int, float),
}
INT_FORMATS = {"int32": 31, "int64": 63}


class Unknown(Exception):
    """The description says something that is not understood here."""


class Spec:
    def __init__(self, doc):
        self.doc = doc
        self.paths = doc["paths"]

    def resolve(self, o):
        """Follows a $ref in o."""
        for _ in range(20):
            if not isinstance(o, dict) or "$ref" not in o:
                return o
            ref = o["$ref"]
            if not ref.startswith("#/"):
                raise Unknown("$ref " + ref)
            o = self.doc
            for part in ref[2:].split("/"):
                part = urllib.parse.unquote(part)
                o = o[part.replace("~1", "/").replace("~0", "~")]
        raise Unknown("$ref in a circle")

    def find(self, path):
        """The template that fits a path, the most literal one; None."""
        best = None
        for template in self.paths:
            rx = "".join(
                "[^/]+" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{[^}]+\})", template))
            if re.fullmatch(rx, path) and (
                    best is None or
                    template.count("{") < best.count("{")):
                best = template
        return best


def load(name):
    """A Spec, or None (said on stderr) where there is no such file."""
    path = os.path.join(SPECS, name)
    try:
        with open(path, encoding="utf-8") as f:
            return Spec(json.load(f))
    except FileNotFoundError:
        print("=" * 70 + "\nNOT CHECKED against the vendor's description: %s "
              "is missing\n" % path + "=" * 70, file=sys.stderr, flush=True)
        return None


# ---- one schema: each keyword yields errors

def is_type(kind, value):
    if kind not in TYPES:
        raise Unknown("type " + str(kind))
    if isinstance(value, bool) and kind != "boolean":
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind])


def same(a, b):
    """JSON knows 1 from true, Python does not."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def check_format(kind, value, at):
    if kind in INT_FORMATS and not isinstance(value, bool):
        # int64 is text in Google's JSON; the type is checked elsewhere.
        try:
            number = int(value)
        except (TypeError, ValueError):
            return ["%s: not %s" % (at, kind)]
        if not -(1 << INT_FORMATS[kind]) <= number < 1 << INT_FORMATS[kind]:
            return ["%s: out of %s" % (at, kind)]
    if kind in ("uint32", "uint64"):
        try:
            number = int(value)
        except (TypeError, ValueError):
            return ["%s: not %s" % (at, kind)]
        if not 0 <= number < 1 << int(kind[4:]):
            return ["%s: out of %s" % (at, kind)]
    return []


def check_object(spec, s, value, at):
    errors = []
    properties = s.get("properties", {})
    for name in s.get("required", []):
        if name not in value:
            errors.append("%s: lacks \"%s\"" % (at, name))
    more = s.get("additionalProperties", True)
    for name, v in value.items():
        where = "%s.%s" % (at, name)
        if name in properties:
            if spec.resolve(properties[name]).get("readOnly"):
                errors.append(where + ": is read-only")
            errors += check(spec, properties[name], v, where)
        elif more is False:
            errors.append(where + ": is not known")
        elif isinstance(more, dict):
            errors += check(spec, more, v, where)
    if len(value) < s.get("minProperties", 0):
        errors.append(at + ": too few members")
    return errors


def check_array(spec, s, value, at):
    errors = []
    if len(value) > s.get("maxItems", len(value)):
        errors.append(at + ": too many items")
    if len(value) < s.get("minItems", 0):
        errors.append(at + ": too few items")
    if s.get("uniqueItems") and any(
            same(a, b) for i, a in enumerate(value) for b in value[:i]):
        errors.append(at + ": the same item twice")
    for i, v in enumerate(value):
        errors += check(spec, s.get("items", {}), v, "%s[%d]" % (at, i))
    return errors


def check_scalar(s, value, at):
    errors = []
    if isinstance(value, str):
        if len(value) > s.get("maxLength", len(value)):
            errors.append(at + ": too long")
        if len(value) < s.get("minLength", 0):
            errors.append(at + ": too short")
        if "pattern" in s and not re.search(s["pattern"], value, re.ASCII):
            errors.append("%s: not like %s" % (at, s["pattern"]))
    elif not isinstance(value, bool):
        low, high = s.get("minimum", value), s.get("maximum", value)
        if value < low or (value == low and s.get("exclusiveMinimum")):
            errors.append("%s: less than %s" % (at, low))
        if value > high or (value == high and s.get("exclusiveMaximum")):
            errors.append("%s: more than %s" % (at, high))
        if value % s.get("multipleOf", 1) and "multipleOf" in s:
            errors.append("%s: no multiple" % at)
    return errors


def check_combined(spec, s, value, at):
    errors = []
    for part in s.get("allOf", []):
        errors += check(spec, part, value, at)
    for kind in ("oneOf", "anyOf"):
        if kind not in s:
            continue
        tries = [check(spec, part, value, at) for part in s[kind]]
        good = tries.count([])
        if good == 0:
            errors.append("%s: fits none of %s (%s)" % (
                at, kind, " | ".join("; ".join(t) for t in tries)))
        elif good > 1 and kind == "oneOf":
            errors.append("%s: fits %d of oneOf" % (at, good))
    if "not" in s and not check(spec, s["not"], value, at):
        errors.append(at + ": fits what it must not")
    return errors


KNOWN = SILENT | {
    "type", "enum", "nullable", "readOnly", "format", "properties", "required",
    "additionalProperties", "minProperties", "items", "minItems", "maxItems",
    "uniqueItems", "minLength", "maxLength", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "allOf", "oneOf",
    "anyOf", "not",
}


def check(spec, schema, value, at="body"):
    """What is wrong with value."""
    s = spec.resolve(schema)
    for name in s:
        if name not in KNOWN and not name.startswith("x-"):
            raise Unknown("%s: keyword \"%s\"" % (at, name))
    if value is None:
        # A null where it is not said to be allowed, by any part.
        if s.get("nullable") or ("type" not in s and "enum" not in s and
                                 not {"allOf", "oneOf", "anyOf"} & set(s)):
            return []
        if "type" in s or "enum" in s:
            return [at + ": is null"]
        return check_combined(spec, s, value, at)
    if "type" in s and not is_type(s["type"], value):
        return ["%s: is no %s" % (at, s["type"])]
    errors = []
    if "enum" in s and not any(same(value, v) for v in s["enum"]):
        errors.append("%s: %r is not in %s" % (at, value, s["enum"]))
    if isinstance(value, dict):
        errors += check_object(spec, s, value, at)
    elif isinstance(value, list):
        errors += check_array(spec, s, value, at)
    else:
        errors += check_scalar(s, value, at)
    if "format" in s:
        errors += check_format(s["format"], value, at)
    return errors + check_combined(spec, s, value, at)


# ---- requests

def from_text(spec, schema, text):
    """A parameter's value, of the type that is asked for."""
    kind = spec.resolve(schema).get("type")
    if kind in ("integer", "number") and re.fullmatch(
            r"-?\d+(\.\d+)?", text, re.ASCII):
        return float(text) if "." in text else int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def check_parameters(spec, item, operation, template, path, query):
    values = re.fullmatch("".join(
        "(?P<%s>[^/]+)" % re.sub(r"\W", "_", part[1:-1])
        if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", template)), path).groupdict()
    errors, known = [], set()
    for p in item.get("parameters", []) + operation.get("parameters", []):
        p = spec.resolve(p)
        name, text = p["name"], None
        at = "%s %s" % (p["in"], name)
        if p["in"] == "query":
            known.add(name)
            text = (query or {}).get(name)
        elif p["in"] == "path":
            text = urllib.parse.unquote(
                values.get(re.sub(r"\W", "_", name), ""))
        else:
            continue
        if text is not None:
            errors += check(spec, p.get("schema", {}),
                            from_text(spec, p.get("schema", {}), text), at)
        elif p.get("required") and query is not None:
            errors.append("lacks " + at)
    for name in sorted(set(query or {}) - known):
        errors.append("query %s: is not known" % name)
    return errors


def validate(spec, method, path, body=None, query=None):
    """What is wrong with a request; path without the server's part and without
    its query, body as parsed JSON (None: no body), query a dict (None: not to
    be checked)."""
    if spec is None:
        return []
    template = spec.find(path)
    if template is None:
        return ["no such path: " + path]
    item = spec.paths[template]
    operation = item.get(method.lower())
    if operation is None:
        return ["no %s of %s" % (method, template)]
    errors = check_parameters(spec, item, operation, template, path, query)
    wanted = spec.resolve(operation.get("requestBody"))
    if wanted is None:
        if body is not None:
            errors.append("a body where there is none")
        return errors
    schema = wanted.get("content", {}).get("application/json", {})
    if "schema" not in schema:
        return errors
    if body is None:
        return errors + (["lacks a body"] if wanted.get("required") else [])
    return errors + check(spec, schema["schema"], body)


def prove(spec, good, bad):
    """Each of good must pass and each of bad must not; both are lists of
    arguments of validate(). Raises AssertionError: a description that refuses
    nothing checks nothing."""
    if spec is None:
        return
    for args in good:
        errors = validate(spec, *args)
        if errors:
            raise AssertionError("refused: %r: %s" % (args, errors))
    for args in bad:
        if not validate(spec, *args):
            raise AssertionError("not refused: %r" % (args,))
