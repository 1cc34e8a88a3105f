#!/usr/bin/env bash
# danelaw chain of files and of real servers; and explain and report from end to
# end: what they name is what is checked.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"
good=10.53.1.10
ch() { timeout -k 2 30 "$DANELAW" chain "$@" </dev/null; }
ex() { timeout -k 2 60 "$DANELAW" -c "$CONF" explain "$@" </dev/null; }
rp() { timeout -k 2 60 "$DANELAW" -c "$CONF" report "$@" </dev/null; }
J() { jq -r "$1" "$W/last" 2>/dev/null; }
spki() { # FILE: of its first certificate
	openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform der |
		sha256sum | cut -d' ' -f1
}

# ---- a server
check "a server: exit 0" runs 0 ch "$good:25"
check "all that it sends is on the wire" says ': 3 certificates on the wire'
check "its key is the one that openssl sees" \
	says "TLSA +3 1 1 $(spki "$W/cert/good.crt")"
check "its issuer's, as a 2 1 1" says "2 1 1 $(spki "$W/cert/int.crt")"
check "by name" runs 0 ch mx-ok.check.test:25
check "IPv6" runs 0 ch "[fd53:1::10]:25"
check "--json" runs 0 ch --json "$good:25"
check "--json: all there is" [ "$(J '[.version, .chain[0].sound,
	(.chain[0].element | length), .chain[0].element[0].on_wire] | @csv')" \
	= '1,true,3,true' ]
check "two servers are a usage error" runs 2 ch "$good:25" 10.53.1.12:25
check "only the leaf is sent: exit 0" runs 0 ch 10.53.1.12:25
check "and its issuer is said not to be on the wire" \
	says 'is not on the wire'
check "an expired certificate: exit 1" runs 1 ch 10.53.1.15:25
check "it says EXPIRED" says 'EXPIRED'
check "by SNI: another certificate" runs 0 ch --servername mx-sni.check.test \
	10.53.1.22:25
check "the one for that name" says "3 1 1 $(spki "$W/cert/good.crt")"
check "no STARTTLS: exit 4" runs 4 ch 10.53.1.19:25
check "a server that hangs up: exit 4" runs 4 ch 10.53.1.42:25
check "one that stops in the handshake: exit 4" timeout 60 bash -c "
	'$DANELAW' chain 10.53.1.50:25 >'$W/last' 2>&1 </dev/null; [ \$? = 4 ]"
check "nobody listens: exit 4" runs 4 ch mx-closed.check.test:25
check "no such name: exit 4" runs 4 ch nosuch.check.test:25
check "a port without a protocol: exit 2" runs 2 ch "$good:2525"

# ---- files
check "a file: exit 0" runs 0 ch "$W/cert/good-chain.pem"
check "a file and a server: exit 0" \
	runs 0 ch "$W/cert/good-chain.pem" "$good:25"
check "all of the file is on the wire" [ "$(grep -c 'on the wire: yes' \
	"$W/last")" -ge 2 ]
check "the file's issuer is not sent" \
	runs 0 ch "$W/cert/good-chain.pem" 10.53.1.12:25
check "a 2 x x record of it cannot match" \
	says 'on the wire: NO: a TLSA record 2 x x of it cannot match'
check "a file with a key in it" runs 0 ch "$W/cert/good.pem"
check "the key is not shown" not grep -q "$(grep -v -e - "$W/cert/good.pem" |
	head -n 1 | cut -c1-40)" "$W/last"
openssl ec -in "$W/cert/good.pem" -aes128 -passout pass:lab -out "$W/enc.key" \
	2>/dev/null
cat "$W/enc.key" "$W/cert/good.crt" >"$W/enc.pem"
check "a key with a passphrase: nobody is asked" runs 0 ch "$W/enc.pem"
check "a key alone: exit 1" runs 1 ch "$W/enc.key"
head -c 300 "$W/cert/good.crt" >"$W/cut.pem"
check "a file that is cut off: exit 1" runs 1 ch "$W/cut.pem"
check "an endless file: exit 1" runs 1 ch /dev/zero
check "no such file: exit 2" runs 2 ch "$W/nosuch"
full() { "$DANELAW" "$@" >/dev/full 2>"$W/last" </dev/null; }
check "a full disk: exit 4" eval 'full chain "$W/cert/good.pem"; [ $? = 4 ]'
check "a full disk, JSON" \
	eval 'full chain --json "$W/cert/good.pem"; [ $? = 4 ]'

# ---- explain: exactly what the text names is checked
line='Nov 21 20:00:00 mail postfix/smtp[1]: A1B2: to=<u@%s.check.test>,'
line+=' relay=mx-%s.check.test[%s]:%s, delay=1, delays=0/0/1/0, dsn=4.7.5,'
line+=' status=deferred (Server certificate not trusted)'
# shellcheck disable=SC2059 # it is a format
bounce() { printf "$line" "$@"; }
check "explain, the server fails: exit 3" \
	runs 3 ex "$(bounce blocked blocked 10.53.1.18 25)"
check "it says who speaks" says 'Said by: +Postfix'
check "it checks: BLOCKED" says 'BLOCKED'
check "explain, it was mended since: exit 0" \
	runs 0 ex "$(bounce ok ok "$good" 25)"
check "it checks: OK" says '\bOK\b'
check "explain --no-check: exit 0" \
	runs 0 ex --no-check "$(bounce blocked blocked 10.53.1.18 25)"
check "and no check" not says 'BLOCKED'
# Both addresses of a host that is good by IPv4 only: the one that is named.
check "the address of the text is checked: IPv4" \
	runs 0 ex "$(bounce v6bad v6bad "$good" 25)"
six=$(dig +short @10.53.0.3 mx-v6bad.check.test AAAA)
check "the address of the text is checked: IPv6, $six" \
	runs 3 ex "$(bounce v6bad v6bad "$six" 25)"
check "a port that only the sender knows is SMTP" \
	runs 1 ex "$(bounce ok ok "$good" 2525)"
check "and was tried" says ':2525'
check "a bounce of Exchange is checked by its rules" runs 3 ex \
	"450 4.7.322 certificate-expired: Destination mail server's certificate is
expired. [LastAttemptedServerName=mx-expired.check.test] [LastAttemptedIP=\
10.53.1.15:25]"
check "it says why" says 'FAIL.*cert-expired|cert-expired mx-expired'
check "Postfix ignores the dates" \
	runs 0 ex "$(bounce expired expired 10.53.1.15 25)"
printf '%s\n' "$(bounce blocked blocked 10.53.1.18 25)" >"$W/log.txt"
check "from a file" runs 3 ex "$W/log.txt"
check "from standard input" eval '"$DANELAW" -c "$CONF" explain <"$W/log.txt" \
	>"$W/last" 2>&1; [ $? = 3 ]'
check "no such thing in it: exit 1" runs 1 ex 'the cat sat on the mat'
check "explain, a full disk: exit 4" \
	eval 'full explain --no-check "550 5.7.323 tlsa-invalid"; [ $? = 4 ]'

# ---- report: its command reproduces what it counts
name=$W/$'r\xe4port.json' # a name that is no UTF-8
cat >"$name" <<-'END'
	{"organization-name": "Lab", "report-id": "1", "contact-info": "a@b",
	 "date-range": {"start-datetime": "2026-11-20T00:00:00Z",
	  "end-datetime": "2026-11-20T23:59:59Z"},
	 "policies": [{"policy": {"policy-type": "tlsa",
	   "policy-domain": "blocked.check.test"},
	  "summary": {"total-successful-session-count": 1,
	   "total-failure-session-count": 2},
	  "failure-details": [{"result-type": "validation-failure",
	   "receiving-mx-hostname": "mx-blocked.check.test",
	   "failed-session-count": 2}]}]}
END
check "report: failures, exit 1" runs 1 rp "$name"
check "report --json" runs 1 rp --json "$name"
check "report --json is JSON, whatever the file's name" \
	[ "$(J .sessions_failed)" = 2 ]
cmd=$(J '.result_types[0].command')
check "its command: $cmd" [ "$cmd" = \
	"danelaw check --host mx-blocked.check.test" ]
check "finds the failure: exit 3" runs 3 eval "danelaw ${cmd#danelaw }"
check "report, a full disk: exit 4" eval 'full report "$name"; [ $? = 4 ]'

# ---- check: what a stranger does wrong
ck() { timeout -k 2 60 "$DANELAW" -c "$CONF" check "$@" </dev/null; }
for a in 192.0.2.1 192.0.2.1:25 '[192.0.2.1]' '[192.0.2.1]:25' '[fd53::1]:25'; do
	check "an address is no name: $a" runs 2 ck "$a"
	check "an address is no name: --host $a" runs 2 ck --host "$a"
done
check "--nagios, wrong usage: UNKNOWN, not CRITICAL" runs 3 ck --nagios
check "and a line for it" says '^DANE UNKNOWN'
CONF=$W/nosuch.conf
check "--nagios, no configuration: UNKNOWN" runs 3 ck --nagios ok.check.test
CONF=$W/danelaw.conf
scenario_end
