#!/usr/bin/env bash
# The provider fails in every way: the current key goes on being served, the
# message says what is wrong, where and what to do, no secret is told to
# anybody, and all goes on by itself when it is mended.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
LAB_PDNS=$LAB_PDNS_API
MX2=mx1.example2.test
tree() { "$ROOT/tests/lab/dns-tree" "$W" "$@"; }

configure() { # with whatever LAB_* says
	{
		conf_head
		conf_lineage "$MX" home
		conf_lineage "$MX2" pdns
	} >"$CONF"
	chmod 600 "$CONF"
}
configure
check "first set-up with DNS UPDATE" adopt "$MX" home "$IP" fd53::25
check "first set-up with the API" adopt "$MX2" pdns 10.53.0.26 -
hook_install
senders_start "$MX,10.53.0.25,25,smtp" "$MX,fd53::25,25,smtp" \
	"$MX2,10.53.0.26,25,smtp"

# fails NAME RC TEXT PATTERN: the message, the exit status, and nothing else
# happens. More than one run, because an attempt may have to wait its turn.
fails() {
	local name=$1 rc=$2 text=$3 pattern=$4 before published
	before=$(live_spki "$name")
	published=$(tlsa_at "$NS" "$name")
	said() { runs "$rc" danelaw run "$name" && says "$pattern"; }
	check "$text: exit status $rc and a message" poll 10 said
	danelaw status "$name" >"$W/last" 2>&1
	check "$text: status tells it" says "$pattern"
	check "$text: the key stays" [ "$(live_spki "$name")" = "$before" ]
	[ -z "$published" ] || check "$text: the records stay" \
		[ "$(tlsa_at "$NS" "$name")" = "$published" ]
}

# ---- DNS UPDATE ----
NS=10.53.0.3
LAB_SERVER=10.53.0.3@5353
configure
renew "$MX"
new=$(certbot_spki "$MX")
check "certbot is content though the hook cannot publish" [ $? = 0 ]
where="$MX.*DNS server 10.53.0.3@"
fails "$MX" 4 "nobody at that port" "$where""5353: .*[Cc]onnection refused"
LAB_SERVER=10.53.0.99@53
configure
fails "$MX" 4 "no such address" "10.53.0.99@53: .*([Uu]nreachable|time|route)"
LAB_SERVER=
configure

tree stop bind
# It is an authoritative server too: that is what weighs more.
fails "$MX" 1 "the primary is down" \
	"$MX.*ns1.example.test. 10.53.0.3 .*[Cc]onnection refused"
alerted() { # the attempt has its turn
	danelaw run "$MX" >>"$W/run.log" 2>&1
	grep -q "event=publish-failed .*DNS server 10.53.0.3@53: .*refused" \
		"$W/run.log"
}
check "the primary is down: the publisher's alert is given" poll 15 alerted
tree start bind

sed 's/secret ".*"/secret "c29tZXRoaW5nIGVsc2UgYWx0b2dldGhlciBoZXJlMDA="/' \
	"$W/home.key" >"$W/badsig.key"
sed 's/danelaw-key/stranger-key/' "$W/home.key" >"$W/badkey.key"
chmod 600 "$W"/bad*.key
LAB_TSIG=$W/badsig.key
configure
fails "$MX" 1 "another secret" \
	"$where.*BADSIG.*danelaw-key.*$W/badsig.key"
LAB_TSIG=$W/badkey.key
configure
fails "$MX" 1 "another key name" "$where.*BADKEY.*stranger-key.*badkey.key"
LAB_TSIG=
configure

# This host's clock is wrong; a build without sanitisers, which cannot be
# given another clock.
danelaw() {
	LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME=+20m \
		FAKETIME_DONT_FAKE_MONOTONIC=1 \
		"${FAULT_DANELAW:-$DANELAW}" -c "$CONF" "$@"
}
fails "$MX" 1 "clocks 20 minutes apart" \
	"$where.*BADTIME.*(119[0-9]|120[0-9]) s apart.*NTP"
. "$(dirname "$0")/../lib.sh" # the right danelaw
check "mended: it goes live" run_until 60 "$MX" went_live "$MX" "$new"
check "and is steady" run_until 60 "$MX" is_ripe "$MX"

# ---- the API ----
NS=10.53.0.6
echo pass >"$W/fake.mode"
"$ROOT/tests/lab/fake-api" 8082 "$LAB_PDNS_API" "$W/fake.mode" \
	>"$W/fake.log" 2>&1 &
API=$!
poll 10 sh -c 'exec 3<>/dev/tcp/127.0.0.1/8082' || poll 10 \
	bash -c 'exec 3<>/dev/tcp/127.0.0.1/8082'
LAB_PDNS=http://127.0.0.1:8082
LAB_PDNS_KEY=$W/wrong-api.key
echo this-is-another-key >"$LAB_PDNS_KEY"
chmod 600 "$LAB_PDNS_KEY"
configure
renew "$MX2"
new=$(certbot_spki "$MX2")
where="$MX2.*http://127.0.0.1:8082/api"
fails "$MX2" 1 "another API key" "$where.*HTTP 401.*$LAB_PDNS_KEY"
LAB_PDNS_KEY=
configure

fake_fails() { # MODE RC PATTERN
	echo "$1" >"$W/fake.mode"
	fails "$MX2" "$2" "API: $1" "$where$3"
	check "API: $1: it was asked" grep -q "^$1 GET" "$W/fake.log"
}
fake_fails 401 1 ".*HTTP 401: .*$W/pdns.key.*wrong key: \*\*\*"
fake_fails 500 4 ".*HTTP 500: .*it broke"
fake_fails 429 4 ".*HTTP 429, .*wait 7 s: slow down"
fake_fails garbage 4 ".*HTTP 200, but the answer is not JSON"
fake_fails redirect 1 ".*HTTP 302: redirects are not followed.*127.0.0.2"
fake_fails endless 4 ".*larger than [0-9]+ bytes"
fake_fails drip 4 ".*time"
kill "$API" # and the listener is gone
fails "$MX2" 4 "API: nobody there" "$where.*([Cc]onnect|refused)"
"$ROOT/tests/lab/fake-api" 8082 "$LAB_PDNS_API" "$W/fake.mode" \
	>>"$W/fake.log" 2>&1 &

# Two that only looking at the servers can tell.
echo lie >"$W/fake.mode"
poll 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8082'
IP=10.53.0.26
check "API: says 204 and does nothing: no switch" no_switch 8 "$MX2"
check "API: says 204 and does nothing: it was told to" \
	grep -q '^lie PATCH' "$W/fake.log"
check "and the message says what is missing" \
	says "ns1.example2.test. 10.53.0.6 does not serve the record yet"
echo lost >"$W/fake.mode"
check "API: does it and loses the answer: it goes live" \
	run_until 40 "$MX2" went_live "$MX2" "$new"
echo pass >"$W/fake.mode"
check "and is steady" run_until 60 "$MX2" is_ripe "$MX2"

for f in "$W/home.key" "$W/badsig.key"; do
	secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' "$f")
	check "the secret of $(basename "$f") is known" [ -n "$secret" ]
	check "and is in no output and no state file" \
		not grep -rqF "$secret" "$W/run.log" "$W/last" "$STATE"
done
check "nor are the API keys" not grep -rqF -e "$(cat "$W/pdns.key")" \
	-e this-is-another-key "$W/run.log" "$W/last" "$STATE"
check "no mismatch in all of this" no_mismatch 200
scenario_end
