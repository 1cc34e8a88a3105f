#!/usr/bin/env bash
# How long the wait is: it comes from the TTLs that were really served, by
# whichever server, and from assumed_prior_ttl where nobody knows; and its
# clock starts again when one server loses the record.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
tree() { "$ROOT/tests/lab/dns-tree" "$W" "$@"; }
T=_25._tcp.$MX
HISTORY=$STATE/lineages/$MX/history.jsonl
now() { date +%s.%N; }
# took FROM TO MIN MAX: TO came MIN to MAX seconds after FROM.
took() {
	awk "BEGIN { d = $2 - $1; printf \"# %.1f s\\n\", d
		exit !(d >= $3 && d <= $4) }"
}

# ---- first adoption: what was served before is assumed ----
LAB_PRIOR=6
setup_home
ripe=$(now)
published=$(date +%s.%N -d "$(jq -r 'select(.event == "published") | .at' \
	"$HISTORY" | head -1)")
check "adoption: ready two assumed TTLs after the publication, not before" \
	took "$published" "$ripe" 11 24

# ---- a frozen server serves an old version with a larger TTL ----
# Everybody serves it for a moment, so that it is in the caches.
ttl_to() { # TTL: of our records, as somebody else would change it
	dig +short @10.53.0.3 TLSA "$T" | awk -v t="$T" -v ttl="$1" '
		{ d = ""; for (i = 4; i <= NF; i++) d = d $i
		print "update delete " t " TLSA " $1 " " $2 " " $3 " " d
		print "update add " t " " ttl " TLSA " $1 " " $2 " " $3 " " d
		}' >"$W/update"
	mapfile -t lines <"$W/update"
	ns_update "${lines[@]}"
}
ttl_at() {
	dig +norec +noall +answer "@$1" TLSA "$T" |
		awk '$4 == "TLSA" { print $2; exit }'
}
ttl_is() { [ "$(ttl_at "$1")" = "$2" ]; }
ttl_to 7
check "the frozen server has the larger TTL" poll 10 ttl_is 10.53.0.4 7
tree freeze knot
ttl_to "$LAB_TTL"
poll 10 ttl_is 10.53.0.5 "$LAB_TTL"
renew "$MX"
new=$(certbot_spki "$MX")
poll 10 has_tlsa 10.53.0.5 "$MX" "$new"
check "frozen: the others have the record with the small TTL" \
	ttl_is 10.53.0.5 "$LAB_TTL"
check "frozen: it has the old version with the large one" ttl_is 10.53.0.4 7
check "frozen: no switch" no_switch 3 "$MX"
old_seen=$(now)
tree thaw knot
poll 20 has_tlsa 10.53.0.4 "$MX" "$new"
thawed=$(now)
danelaw run "$MX" >"$W/last" 2>&1
cat "$W/last" >>"$W/run.log"
until=$(sed -n 's/.*caches may lack it until \([0-9TZ:-]*\).*/\1/p' "$W/last")
check "thawed: the message tells until when" \
	took "$thawed" "$(date +%s -d "${until:-1970-01-01}")" 12.5 17
check "it goes live" run_until 40 "$MX" went_live "$MX" "$new"
live=$(now)
check "two of the large TTLs after the thaw, not two of the small" \
	took "$thawed" "$live" 13.5 21
check "(and never before the old version has expired)" \
	took "$old_seen" "$live" 7 60
check "steady again" run_until 40 "$MX" is_ripe "$MX"

# ---- nsupdate removes our record during the wait and raises the TTL ----
renew "$MX"
new=$(certbot_spki "$MX")
poll 10 has_tlsa 10.53.0.5 "$MX" "$new"
danelaw run "$MX" >>"$W/run.log" 2>&1
ns_update "update delete $T TLSA 3 1 1 $new"
ttl_to 6
check "the bad version with the raised TTL is everywhere" \
	poll 10 ttl_is 10.53.0.4 6
check "and lacks the record" lacks_tlsa 10.53.0.4 "$MX" "$new"
back() {
	for ns in 10.53.0.3 10.53.0.4 10.53.0.5; do
		has_tlsa $ns "$MX" "$new" || return 1
	done
}
danelaw run "$MX" >>"$W/run.log" 2>&1
check "put back" run_until 20 "$MX" back
whole=$(now)
check "and live later" run_until 40 "$MX" went_live "$MX" "$new"
live=$(now)
check "two of the raised TTLs later" took "$whole" "$live" 11 19
check "steady again" run_until 40 "$MX" is_ripe "$MX"

# ---- one server goes back to an old version in the middle of the wait ----
ttl_is 10.53.0.3 "$LAB_TTL" || ttl_to "$LAB_TTL"
run_until 40 "$MX" is_ripe "$MX"
sleep 6
cp -a "$W/nsd" "$W/nsd.old"
renew "$MX"
new=$(certbot_spki "$MX")
poll 10 back
run_until 5 "$MX" sh -c "'$DANELAW' -c '$CONF' status '$MX' |
	grep -q 'on every server since'"
tree stop nsd
tree freeze nsd
rm -rf "$W/nsd"
cp -a "$W/nsd.old" "$W/nsd"
: >"$W/nsd/frozen"
tree start nsd
check "restored from a backup: it has lost the record" \
	lacks_tlsa 10.53.0.5 "$MX" "$new"
check "no switch" no_switch 5 "$MX"
check "the message names it" says "ns3.example.test. .* does not serve"
tree thaw nsd
poll 20 back
whole=$(now)
check "it comes back: live" run_until 40 "$MX" went_live "$MX" "$new"
live=$(now)
check "but the clock began anew" took "$whole" "$live" 3.5 16
check "steady again" run_until 40 "$MX" is_ripe "$MX"
check "no mismatch in all of this" no_mismatch 200
scenario_end
