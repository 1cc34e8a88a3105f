#!/usr/bin/env bash
# One of the name servers is behind a network that loses, delays, doubles,
# forges, cuts and swells its answers (check/dnsproxy.py). What can be seen
# through costs nothing; what cannot is not knowing: the key that is live stays,
# the message names the server, and its clock starts when the answers are good.
LAB_POLL=1
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
senders_stop >/dev/null

# The senders know the servers that nobody tampers with: their validators would
# not believe the other one either.
/usr/bin/python3 "$ROOT/tests/lab/senders.py" \
	--server example.test=10.53.0.3 --server example.test=10.53.0.5 \
	--endpoint "$MX,10.53.0.25,25,smtp" --endpoint "$MX,fd53::25,25,smtp" \
	--interval 0.2 --out "$W/senders.json" --status "$W/senders.status" \
	>"$W/senders.log" 2>&1 &
SENDERS=$!

# network FAULT [ON]: from now on, for TLSA or what else ON says.
network() {
	echo "{\"example.test.\": {\"${2:-TLSA}\": \"$1\"}}" >"$W/rules.new"
	mv "$W/rules.new" "$W/rules"
}
network none
"$ROOT/tests/lab/dns-tree" "$W" stop knot
setsid "$ROOT/tests/lab/check/dnsproxy.py" 10.53.0.4 10.53.0.3 "$W/rules" \
	>"$W/dnsproxy.log" 2>&1 </dev/null &
proxied() { tlsa_at 10.53.0.4 "$MX" | grep -q '^3 1 1'; }
check "the server is behind the proxy" poll 5 proxied
check "and danelaw is content" runs 0 danelaw run "$MX"

# lied PATTERN: no switch, and danelaw says so and names server and address.
lied() {
	danelaw run "$MX" >"$W/last" 2>&1
	[ "$(live_spki "$MX")" = "$old" ] &&
		says "ns2\.example\.test\. 10\.53\.0\.4.*($1)" &&
		[ "$(state "$MX" \
			"[.keys[] | select(.spki == \"$new\") | .role][0]")" = \
			candidate ]
}
old=$(live_spki "$MX")

network drop ALL
renew "$MX"
new=$(certbot_spki "$MX")
everywhere() {
	has_tlsa 10.53.0.3 "$MX" "$new" && has_tlsa 10.53.0.5 "$MX" "$new"
}
check "the others have the record" poll 10 everywhere
lost=$(date +%s)
check "lost: not knowing" lied 'no answer|timeout|not answer'
network servfail
check "SERVFAIL: not knowing" lied SERVFAIL
network forge
check "other octets, authoritative, its signature bad: not believed" \
	lied 'signature|bogus|RRSIG'
network empty
check "no record, authoritative, no proof: not believed" \
	lied 'denies without the zone'
network cut
check "cut in the middle: not knowing" lied '.'
network delay:30
check "late: not knowing" lied 'no answer|timeout|not answer'
check "all that time was longer than the wait" \
	[ $(($(date +%s) - lost)) -gt $((2 * LAB_TTL)) ]
check "and the old key is served" went_live "$MX" "$old"

# From here on there is a true answer to be found.
since() { jq -r ".keys[] | select(.spki == \"$new\") | .records[0].since_ms" \
	"$STATE/lineages/$MX/state.json"; }
# through FAULT: danelaw sees the truth behind it, and the clock runs on.
through() {
	network "$@"
	runs 0 danelaw run "$MX" && [ "$(since)" = "$began" ]
}
network none
check "good answers again: the clock begins" runs 0 danelaw run "$MX"
began=$(since)
check "it begins after all that was lost" \
	[ $((began / 1000)) -gt $((lost + 2 * LAB_TTL)) ]
check "forged ones before the true one: it runs on" through noise
check "twice: it runs on" through twice
check "truncated by UDP: it runs on, by TCP" through tc
check "20000 octets more: it runs on" through big
check "somewhat late: it runs on" through delay:0.2
network noise
check "among forged answers it goes live" \
	run_until 20 "$MX" went_live "$MX" "$new"
live=$(jq -r ".keys[] | select(.spki == \"$new\") | .live_ms" \
	"$STATE/lineages/$MX/state.json")
check "but not before two TTLs of good answers" \
	[ "$live" -ge $((began + 2 * LAB_TTL * 1000)) ]
check "no mismatch in all of this" no_mismatch 200
scenario_end
