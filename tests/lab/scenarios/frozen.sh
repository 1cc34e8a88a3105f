#!/usr/bin/env bash
# One secondary keeps the old zone: nothing goes live for as long as that
# lasts, and the clock starts when it follows.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
tree() { "$ROOT/tests/lab/dns-tree" "$W" "$@"; }

tree freeze knot
renew "$MX"
new=$(certbot_spki "$MX")
check "the primary has the record" poll 5 has_tlsa 10.53.0.3 "$MX" "$new"
check "the frozen secondary has not" lacks_tlsa 10.53.0.4 "$MX" "$new"
check "no switch while it is frozen" no_switch $((8 * LAB_TTL)) "$MX"
check "the message names it" says 'ns2.example.test. 10.53.0.4'
timeout -s INT 4 script -qec "$DANELAW -c $CONF run --wait $MX" /dev/null \
	>"$W/last" 2>&1
check "run --wait on a terminal shows the servers that agree" \
	says 'servers [0-9]+/5 .*waiting for ns2.example.test. 10.53.0.4'
tree thaw knot
poll 20 has_tlsa 10.53.0.4 "$MX" "$new"
thawed=$(date +%s.%N)
check "thawed: it goes live" run_until 40 "$MX" went_live "$MX" "$new"
live=$(date +%s.%N)
check "but only two TTLs after the thaw" \
	awk "BEGIN { exit !($live - $thawed >= 2 * $LAB_TTL - 0.5) }"
check "steady again" run_until 40 "$MX" is_ripe "$MX"
check "no mismatch" no_mismatch 100
scenario_end
