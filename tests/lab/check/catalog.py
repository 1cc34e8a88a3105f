"""What the world of `danelaw check` consists of: certificates, SMTP servers,
zones, mail domains. Data; `world` makes it real. One mail domain per case, by
the name that the table `cases` uses.

Names have one label below check.test, so that one certificate for
*.check.test is right for all of them: domain ok.check.test has the MX
mx-ok.check.test. Addresses of mail servers are 10.53.1.N and fd53:1::N.
"""

TTL = 3600
X3 = "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"
SOON = 2 * 86400  # until a signature of soon.test ends

# ---- certificates ----------------------------------------------------------
# name: (issuer or None for itself, key type, SAN or None for a CA, days from
# now until it begins, until it ends)
WILD = ["*.check.test", "check.test"]
CERTS = {
    "root": (None, "ec", None, -10, 3650),
    "int": ("root", "ec", None, -10, 1800),
    "oldroot": (None, "ec", None, -10, 3650),
    "oldint": ("oldroot", "ec", None, -10, 1800),
    "good": ("int", "ec", WILD, -9, 80),
    "good2": ("int", "ec", WILD, -9, 80),  # another key, for a second host
    "rsa": ("int", "rsa2048", WILD, -9, 80),
    "expired": ("int", "ec", WILD, -99, -2),
    "future": ("int", "ec", WILD, 20, 99),
    "wrong": ("int", "ec", ["mail.example.org"], -9, 80),
    "next": ("int", "ec", WILD, -9, 80),  # never served
    "other": (None, "ec", ["other.example.org"], -9, 80),
    "weak": (None, "rsa1024", WILD, -9, 80),
    # names that are not *.check.test: the next hop, the old way, and too deep
    "nexthop": ("int", "ec", ["tanexthop.check.test"], -9, 80),
    "cnonly": ("int", "ec", ["CN=mx-tacn.check.test"], -9, 80),
    # its expired intermediate makes any usage 2 above it fail
    "deadint": ("root", "ec", None, -99, -2),
    "underdead": ("deadint", "ec", WILD, -9, 80),
}

# ---- servers ---------------------------------------------------------------
FULL = ["int", "root"]
# name: (N, chain of certificates, main.cf settings)
POSTFIX = {
    "good": (10, [["good"] + FULL], {}),
    "noroot": (11, [["good", "int"]], {}),
    "leafonly": (12, [["good"]], {}),
    "rsa": (13, [["rsa"] + FULL], {}),
    "dual": (14, [["good"] + FULL, ["rsa"] + FULL], {}),
    "expired": (15, [["expired"] + FULL], {}),
    "future": (16, [["future"] + FULL], {}),
    "wrong": (17, [["wrong"] + FULL], {}),
    "other": (18, [["other"]], {}),
    "nostarttls": (19, [["good"] + FULL], {"smtpd_tls_security_level": "none"}),
    "tls12": (20, [["good"] + FULL],
              {"smtpd_tls_protocols": ">=TLSv1.2, <=TLSv1.2"}),
    "tls13": (21, [["good"] + FULL], {"smtpd_tls_protocols": ">=TLSv1.3"}),
    # By SNI: the right certificate for those who send the name.
    "sni": (22, [["other"]], {"tls_server_sni_maps": "SNIMAP"}),
    "good2": (23, [["good2"] + FULL], {}),
    "nexthop": (25, [["nexthop"] + FULL], {}),
    "cnonly": (26, [["cnonly"] + FULL], {}),
    "underdead": (24, [["underdead", "deadint", "root"]], {}),
}
# name: (N, behaviour of smtpd.py, certificate)
ODD = {
    "refuse454": (40, "starttls454", "good"),
    "garbage": (41, "garbage", "good"),
    "hangup": (42, "hangup", "good"),
    "alert": (43, "alert", "good"),
    "greet554": (44, "greet554", "good"),
    "greet421": (45, "greet421", "good"),
    "tarpit": (46, "silent", "good"),
    "endless": (47, "endless", "good"),
    "ehlo64k": (48, "ehlo64k", "good"),
    "ehloendless": (49, "ehloendless", "good"),
    "midshake": (50, "midshake", "good"),
    "drip": (51, "drip", "good"),
    "weakkey": (52, "weakkey", "weak"),
    "pysmtp": (53, "plain", "good"),
    "nonsense": (54, "nonsense", "good"),
    "injected": (55, "injected", "good"),
}
CLOSED = 90  # an address where nobody listens
NOROUTE = "192.0.2.25"  # no interface leads there

SERVER_N = {k: v[0] for k, v in POSTFIX.items()}
SERVER_N.update({k: v[0] for k, v in ODD.items()})
SERVER_N["closed"] = CLOSED
SERVER_N["exim"] = 60
SERVER_N["eximbad"] = 61
SERVER_N["dovecot"] = 70
SERVER_N["dovecotbad"] = 71
SERVER_N["slapd"] = 72
SERVER_N["slapdbad"] = 73
SERVER_N["prosody"] = 74


def v4(server):
    return "10.53.1.%d" % SERVER_N[server]


def v6(server):
    return "fd53:1::%d" % SERVER_N[server]


# ---- TLSA ------------------------------------------------------------------
# A record is (usage, selector, matching type, certificate) or with a hex
# string of its own as "=HEX".
def ee(cert, s=1, m=1):
    return (3, s, m, cert)


def ta(cert, s=1, m=1):
    return (2, s, m, cert)


CUR_NEXT = [ee("good"), ee("next")]
MANY = [ee("good")] + [(3, 1, 1, "=%064x" % (i + 1)) for i in range(12)]


# ---- mail domains of check.test -------------------------------------------
class Host:
    """An MX: name, server of its A, TLSA records, and what is special."""

    def __init__(self, name, server="good", tlsa=(), aaaa=None, ttl=TTL,
                 port=25, addr=None):
        self.name, self.server, self.tlsa = name, server, list(tlsa)
        self.aaaa, self.ttl, self.port, self.addr = aaaa, ttl, port, addr


def one(server, tlsa, **kw):
    return [Host("mx-%s", server, tlsa, **kw)]


# name: [Host ...]: preference 10, 20, ...
DOMAINS = {
    # verdicts
    "ok": one("good", CUR_NEXT, aaaa="good"),
    "single": one("good", [ee("good")]),
    "weak": one("good", CUR_NEXT) + [Host("mx2-%s", "good2")],
    "degraded": one("good", CUR_NEXT) + [Host("mx2-%s", "other", CUR_NEXT)],
    "blocked": one("other", CUR_NEXT),
    "blocked2": one("other", CUR_NEXT) + [Host("mx2-%s", "wrong", CUR_NEXT)],
    "enconly": one("good", [(0, 1, 1, "root"), (1, 1, 1, "good"),
                            (3, 1, 1, "=" + "ab" * 31)]),
    "nodane": one("good", []),
    "closed": one("closed", CUR_NEXT),
    "mx2dead": one("good", CUR_NEXT) + [Host("mx2-%s", "closed", CUR_NEXT)],
    "noroute": one("good", CUR_NEXT, addr=NOROUTE),
    "v6bad": one("good", CUR_NEXT, aaaa="other"),
    "v6nostarttls": one("good", CUR_NEXT, aaaa="nostarttls"),
    "shared": one("good", CUR_NEXT) + [Host("mx2-%s", "noroot", CUR_NEXT)],
    # parameters
    "ta201": one("good", [ta("int", 0)]),
    "ta211": one("good", [ta("int")]),
    "ta212": one("good", [ta("int", 1, 2)]),
    "ee311": one("good", [ee("good")]),
    "ee312": one("good", [ee("good", 1, 2)]),
    "ee301": one("good", [ee("good", 0)]),
    "ee310": one("good", [ee("good", 1, 0)]),
    "ee300": one("good", [ee("good", 0, 0)]),
    "rsa311": one("rsa", [ee("rsa")]),
    "hidden": one("good", [ee("good"), ee("next", 1, 2)]),
    "bothdigests": one("good", [ee("good"), ee("good", 1, 2)]),
    "fullhidden": one("good", [ee("good", 1, 0), ee("next", 1, 2)]),
    "stale211": one("good", [ee("good"), ta("oldint")]),
    "stale301": one("good", [ee("good"), ee("next", 0)]),
    "mixed": one("good", [ee("next"), ta("int")]),
    "short31": one("good", [ee("good"), (3, 1, 1, "=" + "ab" * 31)]),
    "short31only": one("good", [(3, 1, 1, "=" + "ab" * 31)]),
    "pkixonly": one("good", [(0, 0, 1, "root"), (1, 1, 1, "good")]),
    "pkixbeside": one("good", [ee("good"), (1, 1, 1, "next")]),
    "unknownonly": one("good", [(4, 1, 1, "good"), (255, 1, 1, "good")]),
    "unknownbeside": one("good", [ee("good"), (4, 1, 1, "good"),
                                  (255, 255, 255, "good")]),
    "unknownsel": one("good", [ee("good"), (3, 2, 1, "=" + "ab" * 32),
                               (3, 1, 3, "=" + "ab" * 32)]),
    "onebyte": one("good", [ee("good"), (3, 1, 1, "=00"), (3, 0, 0, "=30")]),
    "many": one("good", MANY),
    "ttllong": one("good", CUR_NEXT, ttl=86400),
    "ttlshort": one("good", CUR_NEXT, ttl=60),
    "retired": one("good", [ee("good"), (2, 1, 1, "=" + X3)]),
    "issuer": one("good", [ee("good"), ta("int")]),
    # names, dates, chains
    "eename": one("wrong", [ee("wrong"), ee("next")]),
    "taname": one("wrong", [ta("int")]),
    "tadeep": [Host("mx.%s", "good", [ta("int")])],
    "eedeep": [Host("mx.%s", "good", CUR_NEXT)],
    "tanexthop": one("nexthop", [ta("int")]),
    "tacn": one("cnonly", [ta("int")]),
    "expired": one("expired", [ee("expired"), ee("next")]),
    "expiredta": one("expired", [ta("int")]),
    "expiredint": one("underdead", [ta("root")]),
    "future": one("future", [ee("future"), ee("next")]),
    "futureta": one("future", [ta("int")]),
    "taoff": one("noroot", [ta("root")]),
    "taon": one("good", [ta("root")]),
    "taoff201": one("leafonly", [ta("int", 0)]),
    "tawrong": one("good", [ta("oldint")]),
    "issuernotsent": one("leafonly", [ee("good"), ta("int")]),
    "dualec": one("dual", CUR_NEXT),
    "dualok": one("dual", CUR_NEXT + [ee("rsa"), (3, 1, 1, "=" + "cd" * 32)]),
    "dualta": one("dual", [ta("int")]),
    "nosni": one("sni", CUR_NEXT),
    # the dialogue and the handshake
    "nostarttls": one("nostarttls", CUR_NEXT),
    "nostarttlsplain": one("nostarttls", []),
    "refused": one("refuse454", CUR_NEXT),
    "garbage": one("garbage", CUR_NEXT),
    "hangup": one("hangup", CUR_NEXT),
    "alert": one("alert", CUR_NEXT),
    "injected": one("injected", CUR_NEXT),
    "tls12": one("tls12", CUR_NEXT),
    "tls13": one("tls13", CUR_NEXT),
    "weakkey": one("weakkey", [ee("weak"), ee("next")]),
    "pysmtp": one("pysmtp", CUR_NEXT),
    "greet554": one("greet554", CUR_NEXT),
    "greet421": one("greet421", CUR_NEXT),
    "nonsense": one("nonsense", CUR_NEXT),
    "exim": one("exim", CUR_NEXT),
    "eximbad": one("eximbad", CUR_NEXT),
    # hostile
    "tarpit": one("tarpit", CUR_NEXT),
    "endless": one("endless", CUR_NEXT),
    "ehlo64k": one("ehlo64k", CUR_NEXT),
    "ehloendless": one("ehloendless", CUR_NEXT),
    "midshake": one("midshake", CUR_NEXT),
    "drip": one("drip", CUR_NEXT),
}
# Many at once, each tarpit at an address of its own.
SLOW = ["10.53.2.%d" % i for i in range(1, 41)]
for _i, _a in enumerate(SLOW):
    DOMAINS["slow%d" % _i] = one("tarpit", CUR_NEXT, addr=_a)

# Lines of check.test that no rule makes. @X@ is an address, #cert# a digest.
EXTRA = """
@ TXT "world of danelaw check"
ns1 A 10.53.0.3
ns1 AAAA fd53::3
ns2 A 10.53.0.4
dead A 10.53.0.99
implicit A @good@
_25._tcp.implicit TLSA 3 1 1 #good#
_25._tcp.implicit TLSA 3 1 1 #next#
nullmx MX 0 .
noaddr MX 10 mx-noaddr
mx-noaddr TXT "no address"
mxgone MX 10 mx-mxgone
; an inert record at the bare domain
bare MX 10 mx-ok
_25._tcp.bare TLSA 3 1 1 #good#
; MX insecure / bogus hosts
hostinsec MX 10 mx1.insecure.test.
hostbogus MX 10 mx1.bada.test.
tlsabogus MX 10 mx1.badtlsa.test.
hostinsecno MX 10 mx2.insecure.test.
onedefer MX 10 mx-ok
onedefer MX 20 mx1.servfail.test.
twodefer MX 10 mx1.servfail.test.
twodefer MX 20 mx1.notimp.test.
twoaddr MX 10 mx-twoaddr
mx-twoaddr A @good@
mx-twoaddr A @other@
_25._tcp.mx-twoaddr TLSA 3 1 1 #good#
_25._tcp.mx-twoaddr TLSA 3 1 1 #next#
; the domain is an alias
domaliasnh CNAME tanexthop
domalias CNAME ok
domaliasta CNAME ta211
; the MX is an alias: RFC 7672 2.2.2
cnameexp MX 10 mx-cnameexp
mx-cnameexp CNAME mx-ok
cnameorig MX 10 mx-cnameorig
mx-cnameorig CNAME t-cnameorig
t-cnameorig A @good@
_25._tcp.mx-cnameorig TLSA 3 1 1 #good#
_25._tcp.mx-cnameorig TLSA 3 1 1 #next#
cnameboth MX 10 mx-cnameboth
mx-cnameboth CNAME mx-ok
_25._tcp.mx-cnameboth TLSA 3 1 1 #other#
cnamemid MX 10 mx-cnamemid
mx-cnamemid CNAME m-cnamemid
m-cnamemid CNAME t-cnamemid
t-cnamemid A @good@
_25._tcp.m-cnamemid TLSA 3 1 1 #other#
cnamenone MX 10 mx-cnamenone
mx-cnamenone CNAME t-cnamenone
t-cnamenone A @good@
cnameinsec MX 10 mx-cnameinsec
mx-cnameinsec CNAME mx1.insecure.test.
_25._tcp.mx-cnameinsec TLSA 3 1 1 #good#
_25._tcp.mx-cnameinsec TLSA 3 1 1 #next#
cnameinsecnone MX 10 mx-cnameinsecnone
mx-cnameinsecnone CNAME mx1.insecure.test.
cnameinsecbad MX 10 mx-cnameinsecbad
mx-cnameinsecbad CNAME mx1.insecure.test.
_25._tcp.mx-cnameinsecbad TLSA 3 1 1 #other#
cnamebogus MX 10 mx-cnamebogus
mx-cnamebogus CNAME mx1.bada.test.
_25._tcp.mx-cnamebogus TLSA 3 1 1 #good#
cnamefrominsec MX 10 alias.insecure.test.
badalias MX 10 alias.bada.test.
; the TLSA owner is an alias, as internet.nl has it
tlsaalias MX 10 mx-tlsaalias
mx-tlsaalias A @good@
_25._tcp.mx-tlsaalias CNAME 3.1.1._dane
3.1.1._dane TLSA 3 1 1 #good#
3.1.1._dane TLSA 3 1 1 #next#
tlsaaliasinsec MX 10 mx-tlsaaliasinsec
mx-tlsaaliasinsec A @good@
_25._tcp.mx-tlsaaliasinsec CNAME _dane.insecure.test.
tlsaaliasgone MX 10 mx-tlsaaliasgone
mx-tlsaaliasgone A @good@
_25._tcp.mx-tlsaaliasgone CNAME nowhere
tlsaaliasbogus MX 10 mx-tlsaaliasbogus
mx-tlsaaliasbogus A @good@
_25._tcp.mx-tlsaaliasbogus CNAME _25._tcp.mx1.badtlsa.test.
; a wildcard TLSA
wildcard MX 10 mx-wildcard
mx-wildcard A @good@
*._tcp.mx-wildcard TLSA 3 1 1 #good#
; TLS-RPT
_smtp._tls.ok TXT "v=TLSRPTv1; rua=mailto:tlsrpt@check.test"
_smtp._tls.single TXT "v=TLSRPTv1; ruf=mailto:tlsrpt@check.test"
; other ports and protocols: good and bad
sub A @good@
_465._tcp.sub TLSA 3 1 1 #good#
_587._tcp.sub TLSA 3 1 1 #other#
imap A @dovecot@
imapbad A @dovecotbad@
ldap A @slapd@
ldapbad A @slapdbad@
xmpp A @prosody@
xmppbad A @prosody@
"""
for _name, _ports in (("imap", (143, 993, 110, 995, 4190)), ("ldap", (389,)),
                      ("xmpp", (5222, 5269))):
    for _p in _ports:
        for _bad in ("", "bad"):
            EXTRA += "_%d._tcp.%s%s TLSA 3 1 1 #good#\n" % (_p, _name, _bad)

# ---- zones of their own, below test. --------------------------------------
PLAIN_HOST = """
@ MX 10 mx1
mx1 A @good@
_25._tcp.mx1 TLSA 3 1 1 #good#
_25._tcp.mx1 TLSA 3 1 1 #next#
"""


class Zone:
    """A zone below test. ns: addresses of its servers. how:
    signed, unsigned, baddsds (the DS of another key), expired, soon;
    tamper: type of the record whose data is changed after signing.
    second: how the second server's copy differs. odd: rules of dnsproxy.py,
    at 10.53.0.7, in front of the first server."""

    def __init__(self, name, body=PLAIN_HOST, ns=(3,), how="signed",
                 tamper=None, second=None, refresh=1800, odd=None):
        self.name, self.body, self.ns, self.how = name, body, ns, how
        self.tamper, self.second, self.refresh = tamper, second, refresh
        self.odd = odd


ZONES = [
    Zone("insecure", PLAIN_HOST + """
alias CNAME mx-ok.check.test.
_dane TLSA 3 1 1 #good#
mx2 A @good@
tosecure MX 10 mx-ok.check.test.
tobad MX 10 mx-blocked.check.test.
tonone MX 10 mx-nodane.check.test.
""", how="unsigned"),
    Zone("wrongds", how="wrongds"),
    Zone("expiredsig", how="expired"),
    Zone("badmx", tamper="MX"),
    Zone("bada", PLAIN_HOST + "alias CNAME mx-ok.check.test.\n",
         tamper="A,CNAME"),
    Zone("badtlsa", tamper="TLSA"),
    Zone("soon", how="soon"),
    Zone("lag", ns=(3, 4), second="older"),
    Zone("onesig", ns=(3, 4), second="expired"),
    Zone("lame", ns=(3, 4), second="none"),
    Zone("deadns", ns=(3, 99)),
    Zone("refresh", refresh=86400),
    # behind the proxy
    Zone("servfail", ns=(7,), odd={"TLSA": "servfail"}),
    Zone("servfailplain", PLAIN_HOST.split("_25")[0], ns=(7,),
         odd={"TLSA": "servfail"}),
    # The name exists, so that nothing but an answer about TLSA will do.
    Zone("servfailtxt", PLAIN_HOST.split("_25")[0] + "_25._tcp.mx1 TXT x\n",
         ns=(7,), odd={"TLSA": "servfail"}),
    Zone("refusetlsa", ns=(7,), odd={"TLSA": "refused"}),
    Zone("notimp", ns=(7,), odd={"TLSA": "notimp"}),
    Zone("droptlsa", ns=(7,), odd={"TLSA": "drop"}),
    Zone("onedrop", ns=(3, 7), odd={"TLSA": "drop"}),
    Zone("oneservfail", ns=(3, 7), odd={"TLSA": "servfail"}),
    Zone("ent", ns=(3, 7), odd={"ENT": "nxdomain"}),
    Zone("entonly", ns=(7,), odd={"ENT": "nxdomain"}),
    Zone("notcp", ns=(7,), odd={"TCP": "refuse"}),
    Zone("noudp", ns=(3, 7), odd={"UDP": "drop"}),
    Zone("mxservfail", ns=(7,), odd={"MX": "servfail"}),
    Zone("aservfail", ns=(7,), odd={"A": "servfail"}),
    Zone("aaaaservfail", ns=(7,), odd={"AAAA": "servfail"}),
]
