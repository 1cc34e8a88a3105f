#!/usr/bin/env bash
# Somebody else edits the zone during the wait.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
T=_25._tcp.$MX
foreign="3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

renew "$MX"
new=$(certbot_spki "$MX")
poll 5 has_tlsa 10.53.0.5 "$MX" "$new"
ns_update "update add $T $LAB_TTL TLSA $foreign"
check "a foreign record: the rollover completes" \
	run_until 40 "$MX" went_live "$MX" "$new"
check "and is whole again" run_until 40 "$MX" is_ripe "$MX"
check "the foreign record is still there, byte for byte" \
	sh -c "dig +short @10.53.0.3 TLSA $T | tr 'A-F' 'a-f' | tr -d ' ' |
		grep -qx '$(echo "$foreign" | tr -d ' ')'"

renew "$MX"
new=$(certbot_spki "$MX")
poll 5 has_tlsa 10.53.0.5 "$MX" "$new"
danelaw run "$MX" >>"$W/run.log" 2>&1
ns_update "update delete $T TLSA 3 1 1 $new"
poll 5 lacks_tlsa 10.53.0.5 "$MX" "$new"
gone=$(date +%s.%N)
danelaw run "$MX" >>"$W/run.log" 2>&1
check "our record deleted: put back" \
	run_until 15 "$MX" has_tlsa 10.53.0.5 "$MX" "$new"
check "and live later" run_until 40 "$MX" went_live "$MX" "$new"
live=$(date +%s.%N)
check "with the clock restarted" \
	awk "BEGIN { exit !($live - $gone >= 2 * $LAB_TTL) }"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

# The record of the live key: urgent.
cur=$(live_spki "$MX")
ns_update "update delete $T TLSA 3 1 1 $cur"
poll 5 lacks_tlsa 10.53.0.3 "$MX" "$cur"
danelaw run "$MX" >"$W/last" 2>&1
cat "$W/last" >>"$W/run.log"
check "the live key's record deleted: back after one run" \
	poll 5 has_tlsa 10.53.0.3 "$MX" "$cur"
senders_stop # that deletion was an outage, and not of our making
check "steady again" run_until 40 "$MX" is_ripe "$MX"

senders_start
strong="3 1 2 $(printf '00%.0s' $(seq 64))"
renew "$MX"
new=$(certbot_spki "$MX")
ns_update "update add $T $LAB_TTL TLSA $strong"
poll 5 sh -c "dig +short @10.53.0.5 TLSA $T | grep -q '^3 1 2'"
check "a foreign stronger digest that matches nothing: no switch" \
	no_switch $((4 * LAB_TTL)) "$MX"
check "the message says why" says 'RFC 7671'
senders_stop
check "the senders agree that it is an outage" [ "$(mismatches)" -gt 0 ]
ns_update "update delete $T TLSA $strong"
sleep "$LAB_TTL"
check "removed: it goes live" run_until 40 "$MX" went_live "$MX" "$new"
scenario_end
