#!/usr/bin/env bash
# danelaw check --lineage and --all: the endpoints of what danelaw manages,
# with the role of each record, before, during and after a rollover.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
senders_stop >/dev/null
J() { jq -r "$1" "$W/last"; }
ck() { danelaw check --timeout 8 "$@" </dev/null; }
roles() { J '[.. | .role? // empty | strings] | unique | join(" ")'; }

check "--lineage: exit 0" runs 0 ck --json --lineage "$MX"
check "--lineage: OK" [ "$(J '.checks[0].verdict')" = OK ]
check "--lineage: current and next" [ "$(roles)" = "current next" ]
check "--all: exit 0" runs 0 ck --json --all
check "--all: one lineage" [ "$(J '.checks | length')" = 1 ]
check "--lineage in words" runs 0 ck --lineage "$MX"
check "it names the roles" says 'current'
check "an unknown lineage: exit 2" runs 2 ck --lineage nosuch
check "by domain: the roles are known too" runs 0 ck --json --host "$MX"
check "by domain: current and next" [ "$(roles)" = "current next" ]

# A foreign record, as an administrator of another tool would leave it.
ns_update "update add _25._tcp.$MX $LAB_TTL TLSA 3 1 1 $(printf 'ee%.0s' \
	{1..32})"
poll 10 sh -c "dig +short @10.53.0.5 TLSA _25._tcp.$MX | grep -qi eeeeee"
sleep $((LAB_TTL + 1))
check "a foreign record: still OK" runs 0 ck --json --lineage "$MX"
check "a foreign record: it has that role" \
	[ "$(roles)" = "current foreign next" ]
ns_update "update delete _25._tcp.$MX TLSA 3 1 1 $(printf 'ee%.0s' {1..32})"

# While the certificate of another key waits for its records.
renew "$MX" >>"$W/run.log" 2>&1
check "in a rollover: exit 0" runs 0 ck --json --lineage "$MX"
new=$(certbot_spki "$MX")
check "it goes live" run_until 40 "$MX" went_live "$MX" "$new"
sleep 1
check "just switched: exit 0" runs 0 ck --json --lineage "$MX"
check "steady" run_until 40 "$MX" is_ripe "$MX"
check "steady: exit 0" runs 0 ck --lineage "$MX"

# The mail server serves another key.
openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout "$W/odd.key" \
	-out "$W/odd.crt" -subj "/CN=$MX" 2>/dev/null
cat "$W/odd.key" "$W/odd.crt" >"$W/odd.pem"
before=$(find "$STATE" -type f -exec sha256sum {} + | sort)
mta() { "$ROOT/tests/lab/mta" "$W" "$@"; }
mta down mx1-home
mta up mx1-home "$IP" fd53::25 "$W/odd.pem"
check "another key is served: exit 3" runs 3 ck --json --lineage "$MX"
check "another key is served: BLOCKED" \
	[ "$(J '.checks[0].verdict')" = BLOCKED ]
check "check writes nothing" [ "$before" = "$(find "$STATE" -type f -exec \
	sha256sum {} + | sort)" ]
mta down mx1-home
mta up mx1-home "$IP" fd53::25 "$STATE/live/$MX/combined.pem"
check "mended: exit 0" runs 0 ck --lineage "$MX"

# A state that is damaged: the check goes on without roles, says so, and mends
# nothing; nor does it make what is missing.
file=$STATE/lineages/$MX/state.json
cp -p "$file" "$W/state.json"
head -c 100 "$W/state.json" >"$file"
before=$(find "$STATE" -exec stat -c '%n %s %i' {} + | sort)
check "damaged state: exit 0" runs 0 ck --lineage "$MX"
check "damaged state: it says so" says 'what role each key has is not known'
check "damaged state: it is left as it is" [ "$before" = "$(find "$STATE" \
	-exec stat -c '%n %s %i' {} + | sort)" ]
cat "$W/state.json" >"$file"
check "state is back: exit 0" runs 0 ck --lineage "$MX"
check "nothing is said" not says 'is not known'
mkdir "$W/void"
sed "s|^state_dir.*|state_dir = \"$W/void\"|" "$CONF" >"$W/void.conf"
chmod 600 "$W/void.conf"
check "an empty state directory: exit 0" runs 0 timeout -k 2 60 "$DANELAW" \
	-c "$W/void.conf" check --timeout 8 --lineage "$MX"
check "it stays empty" [ -z "$(ls "$W/void")" ]

# While danelaw works at the same lineage: no lock in the way, either way.
for _ in 1 2 3; do danelaw run "$MX" >>"$W/run.log" 2>&1 & done
check "beside danelaw run: exit 0" runs 0 ck --lineage "$MX"
wait
check "paused mail server: INCOMPLETE" sh -c "
	'$ROOT/tests/lab/mta' '$W' pause mx1-home
	ASAN_OPTIONS=detect_leaks=0 '$DANELAW' -c '$CONF' check --timeout 3 \
		--lineage '$MX' >'$W/last' 2>&1 </dev/null
	rc=\$?
	'$ROOT/tests/lab/mta' '$W' resume mx1-home
	[ \$rc = 4 ]"
scenario_end
