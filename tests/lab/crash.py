#!/usr/bin/python3
"""Breaks one step of danelaw at every call that changes a file or talks to the
provider or the mail server, and looks at what is left.

  crash.py WORKDIR NAME SERVER TEXT KIND[,KIND ...] STEP ... [-- AGAIN ...]

STEP and AGAIN (the same if not given) are danelaw's arguments. The step is
done once without a fault, to count its calls and to learn where it ends. Then
for each KIND and each call, from the same beginning: the state directory,
certbot's folder and the record set at SERVER (PowerDNS, by its API).

  kill        SIGKILL at the call; right after it, when it sent something
  ENOSPC EROFS   the call and all later ones fail
  EIO EINTR   the call fails once
  short       the call writes half of what it should
  error       each call in one of these four ways, in turn for each kind of call
  nomem       there is no memory, at 100 places spread over all (NOMEM_ALL=1: at
              each) where danelaw's own code or libjansson asks for some

Right after the fault: the state can be read, there is one next key at most,
the live link leads to a whole generation whose record is published, the live
key is one that may be live, no published record's key is missing, nothing is
half written. An error is said, and exit status 0 comes only with the whole
step done. Then AGAIN runs, and the end must be as without the fault. What was
left by an earlier call in just the same shape is not tried twice.

strace, where there is one, counts too: no call that writes may be missed.

KEY_MAY in the environment (SPKI): the key that this step may make live.
Prints TAP lines.
"""

import collections
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request

import dns.message
import dns.query
import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives import serialization

ERRORS = {"ENOSPC": "No space left", "EROFS": "Read-only file",
          "EIO": "Input/output", "EINTR": "Interrupted system call",
          "short": "", "nomem": "memory"}
ONCE = ("EIO", "EINTR", "short")
PORTS = "8081,25"  # of the API, and of the mail server
IN_TURN = ("EIO", "ENOSPC", "EINTR", "short")

W, NAME, SERVER, TEXT, kinds, *args = sys.argv[1:]
STEP = args[:args.index("--")] if "--" in args else args
AGAIN = args[args.index("--") + 1:] if "--" in args else STEP
STATE = W + "/state"
LE = W + "/le"
HERE = STATE + "/lineages/" + NAME
OWNER = "_25._tcp." + NAME + "."
ZONE = NAME.split(".", 1)[1] + "."
# Each call, or one of so many.
STRIDE = int(os.environ.get("CALL_STRIDE", "1"))
ENV = dict(os.environ, RENEWED_LINEAGE=LE + "/live/" + NAME,
           RENEWED_DOMAINS=NAME)


class Bad(Exception):
    pass


def must(what, text):
    if not what:
        raise Bad(text)


# ---- what there is ---------------------------------------------------------

digests = {}  # of a PEM's text; the same few files are read again and again


def spki_of(path):
    """SPKI of the certificate, and of the key, in a PEM file; None: neither."""
    with open(path, "rb") as f:
        text = f.read()
    if text not in digests:
        digests[text] = tuple(map(digest, pem_keys(text)))
    return digests[text]


def pem_keys(text):
    yield (x509.load_pem_x509_certificate(text).public_key()
           if b"BEGIN CERT" in text else None)
    yield (serialization.load_pem_private_key(text, None).public_key()
           if b"PRIVATE" in text else None)


def digest(key):
    return key and hashlib.sha256(key.public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def published():
    query = dns.message.make_query(OWNER, "TLSA")
    for _ in range(5):
        try:
            reply = dns.query.udp(query, SERVER, timeout=2)
            break
        except dns.exception.Timeout:
            continue
    return sorted(str(rr) for rrset in reply.answer for rr in rrset
                  if rrset.rdtype == dns.rdatatype.TLSA)


def keys_published():
    return [r[6:] for r in published() if r.startswith("3 1 1 ")]


def publish(records):
    with open(W + "/pdns.key", encoding="ascii") as f:
        secret = f.read().strip()
    change = {"name": OWNER, "type": "TLSA", "ttl": int(ENV["LAB_TTL"]),
              "changetype": "REPLACE",
              "records": [{"content": r, "disabled": False} for r in records]}
    urllib.request.urlopen(urllib.request.Request(
        "http://127.0.0.1:8081/api/v1/servers/localhost/zones/" + ZONE,
        json.dumps({"rrsets": [change]}).encode(), method="PATCH",
        headers={"X-API-Key": secret, "Content-Type": "application/json"}))


def state_file():
    with open(HERE + "/state.json", "rb") as f:
        return json.load(f)


def live():
    return spki_of(STATE + "/live/" + NAME + "/combined.pem")[0]


# ---- the same beginning, again and again -----------------------------------


def copy_links(src, dst):
    shutil.copytree(src, dst, symlinks=True, copy_function=os.link)


class Snapshot:
    def __init__(self):
        self.n = 0
        shutil.rmtree(W + "/snap", ignore_errors=True)
        os.mkdir(W + "/snap")
        shutil.copytree(STATE + "/", W + "/snap/state", symlinks=True)
        copy_links(LE, W + "/snap/le")
        self.records = published()

    def back(self):
        """At once, for whoever reads live/: another folder takes its place."""
        self.n += 1
        old, new = os.readlink(STATE), f"state-{os.getpid()}-{self.n}"
        shutil.copytree(W + "/snap/state", W + "/" + new, symlinks=True)
        os.symlink(new, W + "/state.new")
        if published() != self.records:
            publish(self.records)
        os.rename(W + "/state.new", STATE)
        shutil.rmtree(W + "/" + old)
        shutil.rmtree(LE)
        copy_links(W + "/snap/le", LE)


# ---- a shape: what is there, without what differs by chance ----------------

HEX = re.compile(r"\b[0-9a-f]{64}\b")
# What has no name yet is never read: that it is there is all that matters.
TMP = re.compile(r"(\.tmp-|scratch-)[-0-9A-Za-z]+[^\n]*")
CHANCE = re.compile(r"\d{4}-\d\d-\d\dT[0-9:]+Z|\d{6,}(\.\d+)*")
ANYHOW = ("fingerprint", "serials")
LOOSE = ("tries", "served", "bad", "publish_tries", "lineage_seen", "clock",
         "why", "at_ms", "publish", "boot_ms", "rollbacks", "retry_ms",
         "verified_first_ms", "verified_ms",
         "gone_ms")  # starts a TTL after the last publication: 0 or a time


def plain(x, loose):
    if isinstance(x, dict):
        return {k: plain(v, loose) for k, v in x.items()
                if not (loose and k in LOOSE or k in ANYHOW)}
    if isinstance(x, list):
        return [plain(v, loose) for v in x]
    if isinstance(x, int) and x > 10 ** 6:
        return "T"
    if isinstance(x, str) and not HEX.fullmatch(x):
        return CHANCE.sub("T", x)
    return x


def tree(top):
    for folder, dirs, files in os.walk(top):
        for f in sorted(files + [d for d in dirs
                                 if os.path.islink(folder + "/" + d)]):
            if f == ".certbot.lock":  # free or not, it may stay
                continue
            path = folder + "/" + f
            short = os.path.relpath(path, top)
            if os.path.islink(path):
                yield f"{short} -> {os.readlink(path)}"
                continue
            st = os.stat(path)
            yield f"{short} {st.st_mode:o} {'some' if st.st_size else 'none'}"
        for d in dirs:
            yield os.path.relpath(folder + "/" + d, top) + "/"


def shape(loose):
    """Digest and text. loose: only what must be the same at the end."""
    lines = []
    try:
        lines += json.dumps(plain(state_file(), loose), indent=1,
                            sort_keys=True).splitlines()
    except FileNotFoundError:
        lines.append("no state")
    files = sorted(tree(STATE + "/")) + sorted(tree(LE))
    if loose:
        files = [f for f in files if "history.jsonl" not in f
                 and not re.match(r"(lineages/)?\.tmp-.*/$", f)]
    text = "\n".join(lines + files + published())
    names = {}
    text = HEX.sub(lambda m: names.setdefault(
        m[0], m[0][:8] if m[0] in known else f"new{len(names)}"), text)
    return "\n".join(sorted_files(TMP.sub(r"\1*", text)))


def without_scratch(text):
    return "\n".join(x for x in text.splitlines() if "/scratch-" not in x)


def sorted_files(text):
    """Lines of one shape in one order, whatever chance the names had."""
    lines = text.splitlines()
    cut = lines.index("}") + 1 if "}" in lines else 1
    return lines[:cut] + sorted(set(lines[cut:]))


# ---- what must hold --------------------------------------------------------


def whole(may_be_live):
    """Right after a fault, whatever it was."""
    if os.path.exists(HERE + "/state.json"):
        state = state_file()
        must(sum(k["role"] == "next" for k in state["keys"]) <= 1,
             "two next keys")
        out = subprocess.run([DANELAW, "-c", CONF, "status", "--json", NAME],
                             capture_output=True, check=False)
        must(out.returncode in (0, 1) and json.loads(out.stdout),
             f"status: {out.returncode} {out.stderr}")
    for g in sorted(os.listdir(HERE + "/generations")
                    if os.path.isdir(HERE + "/generations") else ()):
        if g.startswith(".tmp-"):
            continue
        leaf, key = spki_of(f"{HERE}/generations/{g}/combined.pem")
        must(leaf and leaf == key, f"generation {g} does not fit together")
    have = os.listdir(HERE + "/keys") if os.path.isdir(HERE + "/keys") else ()
    for key in have:
        if not key.startswith(".tmp-"):
            must(spki_of(HERE + "/keys/" + key)[1] + ".pem" == key,
                 "keys/" + key + " is not that key")
    out = keys_published()
    for key in out:
        must(key + ".pem" in have, "the key of a published record is lost")
    if os.path.islink(STATE + "/live/" + NAME):
        must(live() in may_be_live, "an early switch")
        must(not out or live() in out, "the live key's record is not there")
    else:
        must(None in may_be_live, "the live link is gone")


def certbots():
    """When danelaw has had its run; four links cannot change at once."""
    folder = LE + "/live/" + NAME + "/"
    key = spki_of(folder + "privkey.pem")[1]
    versions = {re.sub(r"\D", "", os.path.basename(os.readlink(folder + f)))
                for f in os.listdir(folder) if f.endswith(".pem")}
    must(key == spki_of(folder + "cert.pem")[0] and len(versions) == 1,
         "certbot's lineage is torn")


def history():
    path = HERE + "/history.jsonl"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                must(json.loads(line)["event"], "a line of the history")


def put_off():
    """What failed is tried again in minutes (an import into certbot's lineage)
    or seconds (a publication, for which our own disk may be to blame): let them
    pass."""
    state = state_file()
    if state["issue"]["retry_ms"] == 0 and state["publish_why"] == "":
        return False
    state["issue"]["retry_ms"] = 0
    for owner in state["owners"]:
        if owner["publish_ms"] > 3600000:
            owner["publish_ms"] -= 3600000
    with open(HERE + "/state.json", "w", encoding="ascii") as f:
        json.dump(state, f)
    return True


def cpu():
    return sum(r.ru_utime + r.ru_stime for r in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def danelaw(argv, before=(), **more):
    # Bounded, and never with a terminal.
    out = subprocess.run([*before, DANELAW, "-c", CONF, *argv],
                         env=dict(ENV, **more), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=120, check=False)
    with open(W + "/run.log", "ab") as f:
        f.write(out.stdout)
    return out.returncode, out.stdout.decode(errors="replace")


def faulty(kind, n, argv):
    if kind == "nomem":
        return danelaw(argv, NOMEM_AT=str(n), NOMEM_FROM="libjansson",
                       LD_PRELOAD=ENV["NOMEM_SO"])
    more = {"FAULT_ONCE": "1"} if kind in ONCE else {}
    return danelaw(argv, FAULT=kind, FAULT_AT=str(n), FAULT_NET=PORTS,
                   LD_PRELOAD=SO, **more)


# ---- every call ------------------------------------------------------------


class Step:
    def __init__(self):
        self.snapshot = Snapshot()
        self.before = self.live_or_none()
        self.calls = self.count()
        self.once = shape(True)
        rc, text = danelaw(AGAIN)
        must(rc in (0, 1), f"without a fault, again: {rc} {text}")
        self.end = shape(True)
        self.may = {self.before, self.live_or_none(), ENV.get("KEY_MAY")}
        if self.before is not None:
            self.may.discard(None)
        self.tried = set()
        self.runs = 0

    @staticmethod
    def live_or_none():
        return live() if os.path.islink(STATE + "/live/" + NAME) else None

    def count(self):
        to, log = W + "/changes", W + "/strace"
        for path in (to, log):
            if os.path.exists(path):
                os.remove(path)
        watch = []
        if STRACE:
            watch = [STRACE, "-f", "-y", "-qq", "-o", log, "-E",
                     "LD_PRELOAD=" + SO, "-e", "trace=" + WRITES]
        self.rc, text = danelaw(STEP, watch, FAULT_COUNT=to, FAULT_NET=PORTS,
                                **({} if watch else {"LD_PRELOAD": SO}))
        must(self.rc in (0, 1), f"without a fault: {self.rc} {text}")
        with open(to, encoding="ascii") as f:
            return [line.rstrip("\n").split(" ", 1)[1] for line in f]

    def after(self, kind, rc, text):
        if kind == "kill":
            must(rc == -9, f"not killed: {rc}")
            return
        must(0 <= rc <= 4, f"exit status {rc}")
        if ERRORS[kind] and ERRORS[kind] in text:
            must("/" in text or NAME in text or kind == "nomem",
                 "it does not say where")
            return
        # libjansson does not always tell that it was memory.
        if kind == "nomem" and "nothing was changed" in text:
            return
        # Nothing that mattered failed: then all is done. A scratch folder
        # that was in nobody's way goes with the next run.
        must(without_scratch(shape(True)) in (self.once, self.end),
             f"exit status {rc}, no word, and not all is done")

    def try_one(self, kind, n):
        """False when danelaw ends before call n."""
        self.snapshot.back()
        rc, text = faulty(kind, n, STEP)
        if kind == "kill" and rc != -9 and n > len(self.calls) - 12:
            return False
        self.runs += 1
        try:
            self.after(kind, rc, text)
            left = shape(False)
            if left in self.tried:
                return True
            self.tried.add(left)
            whole(self.may)
            again, text = danelaw(AGAIN)
            must(again in (0, 1), f"again: exit status {again}")
            if put_off():
                again, text = danelaw(["run", NAME])
            whole(self.may)
            certbots()
            history()
            must(shape(True) == self.end, "another end")
        except Bad as e:
            self.complain(kind, n, f"{e}\n{text}")
        except (OSError, ValueError, TypeError) as e:
            self.complain(kind, n, f"{e!r}\n{text}")
        return True

    def in_turn(self, n):
        if n > len(self.calls):
            return "EIO"
        call = self.calls[n - 1].split(" ")[0]
        ways = IN_TURN if call.startswith("write") else IN_TURN[:3]
        return ways[sum(c.split(" ")[0] == call
                        for c in self.calls[:n]) % len(ways)]

    def complain(self, kind, n, text):
        self.bad += 1
        at = ("memory" if kind == "nomem" else
              "".join(self.calls[n - 1:n]))
        print(f"  # {TEXT}: {kind} at call {n} ({at}): {text}", flush=True)
        if self.bad == 1:
            for name, now in (("end", self.end), ("now", shape(True))):
                with open(f"{W}/shape.{name}", "w", encoding="ascii") as f:
                    f.write(now + "\n")
            os.system(f"diff {W}/shape.end {W}/shape.now | sed 's/^/  #   /'")

    def places(self, kind):
        """Which calls."""
        if kind != "nomem":
            all_of_them = [n for n in range(1, len(self.calls) + 2)
                           if kind == "kill" or
                           self.calls[n - 1:n] != ["send "]]
            return all_of_them[0 if kind == "kill" else STRIDE // 2::STRIDE]
        self.snapshot.back()
        to = W + "/allocations"
        danelaw(STEP, NOMEM_COUNT=to, NOMEM_FROM="libjansson",
                LD_PRELOAD=ENV["NOMEM_SO"])
        with open(to, encoding="ascii") as f:
            many = int(f.read())
        return range(1, many,
                     1 if ENV.get("NOMEM_ALL") else STRIDE * many // 100)

    def every(self, kind):
        start = time.monotonic()
        self.bad, self.runs, before = 0, 0, len(self.tried)
        for n in self.places(kind):
            how = self.in_turn(n) if kind == "error" else kind
            if self.bad > 5 or not self.try_one(how, n):
                break
        new = len(self.tried) - before
        least = min((len(self.calls) - 12) // STRIDE, 10)
        good = self.bad == 0 and self.runs >= least
        print(f"{'ok' if good else 'not ok'} - {TEXT}: {kind} at "
              f"{self.runs} calls of {len(self.calls)}, run again from {new} "
              f"new states")
        print(f"  # {time.monotonic() - start:.1f} s, {cpu():.1f} s of CPU",
              flush=True)


def counted(calls):
    """How often each kind of change."""
    kinds = collections.Counter(c.split(" ")[0] for c in calls)
    kinds["mkdirat"] += kinds.pop("mkdtemp", 0)
    kinds["openat"] += kinds.pop("open", 0)
    kinds.pop("send", 0)
    return +kinds


SAME = {"mkdir": "mkdirat", "rmdir": "unlinkat", "unlink": "unlinkat",
        "open": "openat", "pwrite64": "pwrite", "rename": "renameat"}


def traced():
    """The same, as strace saw it. What danelaw executes is not danelaw."""
    kinds, there = collections.Counter(), set()
    with open(W + "/strace", encoding="utf-8", errors="replace") as f:
        for line in f:
            born = re.match(r"(\d+) .*(?:fork|clone3?)\b.* = (\d+)$", line)
            if born and born[1] in there:
                there.add(born[2])
            m = re.match(r"(\d+) +(\w+)\((.*)\) += (\d+)", line)
            if not m or W + "/changes" in line or m[1] in there:
                continue
            call, args = SAME.get(m[2], m[2]), m[3]
            if call == "execve":
                if "danelaw" not in args.split(",")[0]:
                    there.add(m[1])
            elif "clone" in call or "fork" in call:
                pass
            elif call == "openat":
                # A file that is there is only opened.
                kinds[call] += "O_CREAT|O_EXCL" in args
            elif not call.startswith(("write", "pwrite")) or \
                    re.match(r"\d+</(?!dev/)", args):
                kinds[call] += 1
    return kinds


def nothing_missed(calls):
    if not STRACE:
        print(f"ok - {TEXT}: no other call writes # SKIP no strace")
        return
    known_too, seen = counted(calls), traced()
    # A lock file that is new is opened without O_EXCL.
    good = all(seen[c] <= known_too[c] for c in seen) and seen["write"] > 0
    print(f"{'ok' if good else 'not ok'} - {TEXT}: no other call writes")
    if not good:
        print(f"  # counted {known_too}\n  # strace  {seen}")


STRACE = shutil.which("strace")
WRITES = """execve fork vfork clone clone3 open openat creat write writev
pwrite64 pwritev pwritev2 rename renameat renameat2 link linkat symlink
symlinkat unlink unlinkat mkdir mkdirat rmdir truncate ftruncate fsync fdatasync chmod fchmod fchmodat chown lchown
fchown fchownat utimensat fallocate copy_file_range sendfile setxattr fsetxattr
sync_file_range""".replace("\n", " ").replace(" ", ",")
DANELAW = ENV["FAULT_DANELAW"]
SO = ENV["FAULT_SO"]
CONF = W + "/danelaw.conf"
known = set()
if os.path.isdir(HERE + "/keys"):
    known |= {f[:64] for f in os.listdir(HERE + "/keys")}
known.add(spki_of(LE + "/live/" + NAME + "/cert.pem")[0])
step = Step()
nothing_missed(step.calls)
for k in kinds.split(",") if kinds != "none" else ():
    step.every(k)
# The last time there is no fault.
step.snapshot.back()
danelaw(STEP)
