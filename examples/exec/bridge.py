"""What all bridges need to speak with danelaw's provider type "exec": one JSON
object on stdin, one on stdout, an exit status, and on stderr a line for people
(danelaw-providers(5)). Lies beside the bridges; Python 3.7, nothing else."""

import configparser
import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
import tempfile


class Refused(Exception):
    """The operator must look."""

    word, status = "refused", 1


class Conflict(Refused):
    """Somebody else changed it: danelaw reads again."""

    word, status = "conflict", 3


class NotFound(Refused):
    """The name is in no zone of this bridge."""

    word, status = "not-found", 4


class Later(Refused):
    """Tried again by itself."""

    word, status = "later", 75


class Denied(Refused):
    """The credentials do not allow it."""

    word, status = "denied", 77


def _last_word(kind, e, trace):
    """danelaw shows the last line: let it be the whole message."""
    sys.__excepthook__(kind, e, trace)
    sys.stderr.write("%s: %s\n" % (kind.__name__, " ".join(str(e).split())))


sys.excepthook = _last_word


def serve(get, replace):
    """get(owner) returns {"zone", "ttl", "records"} or {"cname"}.
    replace(zone, changes) makes all changes; what it returns, {owner: exception},
    says which were not made. Both may raise one of the above."""
    try:
        q = json.load(sys.stdin)
        if q["danelaw"] != 1:
            raise Refused("this bridge speaks version 1 only")
        answer = {"danelaw": 1}
        if q["verb"] == "get":
            answer["rrsets"] = [_one(get, owner) for owner in q["owners"]]
        elif q["verb"] == "replace":
            failed = replace(q["zone"], q["changes"]) or {}
            answer["results"] = [
                _result(c["owner"], failed.get(c["owner"])) for c in q["changes"]
            ]
        else:
            raise Refused("unknown verb " + q["verb"])
        json.dump(answer, sys.stdout)
    except Refused as e:
        sys.stderr.write("%s\n" % e)
        sys.exit(e.status)


def _result(owner, e):
    if e is None:
        return {"owner": owner, "status": "done"}
    return {"owner": owner, "status": e.word, "message": str(e)}


def _one(get, owner):
    try:
        return dict(get(owner), owner=owner)
    except Refused as e:
        return _result(owner, e)


def run(command, timeout=50, data=None, folder=None, env=None):
    """The output of a command: a list, or text that is split like a shell
    does, but that no shell sees."""
    if isinstance(command, str):
        command = shlex.split(command)
    try:
        p = subprocess.run(
            command, input=data, cwd=folder, env=env, timeout=timeout,
            stdin=None if data is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True)
    except subprocess.TimeoutExpired:
        raise Later("%s: no end after %d s" % (command[0], timeout))
    except OSError as e:
        raise Refused("%s: %s" % (command[0], e.strerror))
    if p.returncode != 0:
        said = (p.stderr.strip() or p.stdout.strip() or "no message").split("\n")
        raise Refused("%s: exit status %d: %s"
                      % (command[0], p.returncode, " / ".join(said[-3:])))
    return p.stdout


def config(path, defaults=None):
    if path in ("get", "replace"):
        raise Refused("danelaw.conf: the provider needs an argument: the path "
                      "of the bridge's configuration")
    c = configparser.ConfigParser(interpolation=None, defaults=defaults)
    with open(path, encoding="utf-8") as f:
        c.read_file(f)
    return c


def sections(path, needs, defaults=None):
    """A configuration with a section for each zone: {zone: its options}."""
    c = config(path, defaults)
    for s in c.sections():
        for name in needs:
            if name not in c[s]:
                raise Refused("%s: [%s] has no %s" % (path, s, name))
    return {s.lower().rstrip(".") + ".": c[s] for s in c.sections()}


def zone_of(owner, zones):
    """The longest zone that holds the name."""
    name = owner
    while name:
        if name in zones:
            return name
        name = name.partition(".")[2]
    raise NotFound("no zone in the configuration of this bridge holds " + owner)


@contextlib.contextmanager
def locked(path):
    """One at a time."""
    with open(path, "a", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def write(path, text, mode=None):
    """All of it or nothing, with owner and mode as they were."""
    folder = os.path.dirname(path)
    fd, new = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)
            f.flush()
            if os.path.exists(path):
                was = os.stat(path)
                os.fchown(f.fileno(), was.st_uid, was.st_gid)
                os.fchmod(f.fileno(), was.st_mode & 0o7777)
            elif mode is not None:
                os.fchmod(f.fileno(), mode)
            os.fsync(f.fileno())
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
    d = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(d)
    finally:
        os.close(d)
