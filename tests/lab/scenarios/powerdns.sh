#!/usr/bin/env bash
# The whole life of a lineage behind the PowerDNS API, at a name where others
# keep records too: none of theirs is touched, byte for byte.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
LAB_PDNS=$LAB_PDNS_API
MX=mx1.example2.test
IP=10.53.0.26
NS=10.53.0.6
T=_25._tcp.$MX

api() { # METHOD BODY
	curl -sS --noproxy '*' -X "$1" -H "X-API-Key: $(cat "$W/pdns.key")" \
		-d "$2" \
		http://127.0.0.1:8081/api/v1/servers/localhost/zones/example2.test.
}
records() { # of the database: what the API and the cache could hide
	sqlite3 "$W/pdns/pdns.sqlite3" "SELECT content, disabled FROM records
		WHERE name = '$T' AND type = 'TLSA'" | sort
}
comments() {
	sqlite3 "$W/pdns/pdns.sqlite3" \
		"SELECT comment FROM comments WHERE name = '$T'"
}
is_foreign() { grep -vE "^3 1 1 .*\|0$" | sort; }
foreign_is_whole() {
	[ "$(records | is_foreign)" = "$foreign" ] &&
		[ "$(comments)" = "by the other team" ]
}
edit() { # CONTENT ...: somebody else's records, in place of the foreign ones
	local c records=
	for c; do
		records="$records{\"content\":\"${c#!}\",\"disabled\":$(
			case $c in !*) echo true ;; *) echo false ;; esac)},"
	done
	api PATCH "{\"rrsets\":[{\"name\":\"$T.\",\"type\":\"TLSA\",
		\"changetype\":\"REPLACE\",\"ttl\":$LAB_TTL,
		\"comments\":[{\"content\":\"by the other team\",
			\"account\":\"other\"}],
		\"records\":[${records%,}]}]}"
}
ab=$(printf 'aB%.0s' $(seq 32))
theirs=("3 0 1 $ab" "2 1 1 $ab" "3 1 0 3059$ab" "1 0 2 $ab$ab"
	"!3 0 1 00$ab")
edit "${theirs[@]}"
foreign=$(records | is_foreign)
check "five foreign records are there" [ "$(records | wc -l)" = 5 ]

configure() {
	{
		conf_head
		conf_lineage "$MX" pdns
	} >"$CONF"
	chmod 600 "$CONF"
}
# The very first attempt to publish fails.
LAB_PDNS_KEY=$W/wrong.key
(umask 077 && echo not-the-key >"$LAB_PDNS_KEY")
configure
issue "$MX"
danelaw run >>"$W/run.log" 2>&1
"$ROOT/tests/lab/mta" "$W" up mx1-pdns "$IP" - "$STATE/live/$MX/combined.pem"
check "the API refuses the key" runs 1 danelaw run
check "the message says so" says "HTTP 401.*$W/wrong.key"
LAB_PDNS_KEY=
configure
check "first set-up reaches the steady state" run_until 60 "$MX" is_ripe "$MX"
check "the foreign records are whole after adoption" foreign_is_whole
hook_install
senders_start "$MX,$IP,25,smtp"

renew "$MX"
new=$(certbot_spki "$MX")
check "a fresh key is published at once" poll 5 has_tlsa "$NS" "$MX" "$new"
check "and not served at once" not went_live "$MX" "$new"
check "run --wait brings it live" runs 0 danelaw run --wait "$MX"
check "the fresh key is served" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

next=$(key_of "$MX" next)
check "a renewal on the pre-generated key" runs 0 danelaw run --renew "$MX"
check "is live at once, on that key" went_live "$MX" "$next"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

before=$(live_spki "$MX")
gen=$(state "$MX" .live_generation)
renew "$MX" --reuse-key
check "a renewal on the same key is live at once" \
	[ "$(state "$MX" .live_generation)" -gt "$gen" ]
check "on the same key" went_live "$MX" "$before"
sed -i 's/^reuse_key.*/reuse_key = False/' "$W/le/renewal/$MX.conf"
check "the foreign records are still whole" foreign_is_whole

# Somebody else's record comes during the wait.
renew "$MX"
new=$(certbot_spki "$MX")
poll 5 has_tlsa "$NS" "$MX" "$new"
mapfile -t all < <(records | sed -n 's/|0$//p; s/\(.*\)|1$/!\1/p')
edit "${all[@]}" "3 0 2 $ab$ab"
foreign=$(records | is_foreign)
check "another foreign record during the wait: it goes live" \
	run_until 40 "$MX" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

for i in 1 2 3; do
	renew "$MX"
	new=$(certbot_spki "$MX")
	check "rollover $i of three" run_until 40 "$MX" went_live "$MX" "$new"
done
check "steady after all" run_until 60 "$MX" is_ripe "$MX"
check "the foreign records are whole to the end" foreign_is_whole
check "ours are the two that must be there" [ "$(records | grep -cE \
	"^3 1 1 ($(live_spki "$MX")|$(key_of "$MX" next))\|0$")" = 2 ]
check "and nothing else is there" \
	[ "$(records | wc -l)" = $(($(echo "$foreign" | wc -l) + 2)) ]
check "the API key is in no output and no state file" \
	not grep -rqF "$(cat "$W/pdns.key")" "$W/run.log" "$W/last" "$STATE"
check "no mismatch in all of this" no_mismatch 200
scenario_end
