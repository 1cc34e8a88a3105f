#!/usr/bin/env bash
# Not knowing never advances: a server dead, lame, failing, with expired
# signatures; the zone bogus; the resolver's root gone.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
tree() { "$ROOT/tests/lab/dns-tree" "$W" "$@"; }

renew "$MX"
new=$(certbot_spki "$MX")

# while_broken TEXT PATTERN BREAK -- MEND
hold_while() {
	local text=$1 pattern=$2
	check "$text: no switch" no_switch $((4 * LAB_TTL)) "$MX"
	check "$text: the message says so" says "$pattern"
}

tree stop nsd
hold_while "one server dead" 'ns3.example.test..*(network|timeout|refused)'
tree start nsd
tree mode nsd refuse
hold_while "one server lame (REFUSED)" 'ns3.example.test..*[Rr][Ee][Ff]'
tree mode nsd ok
tree mode nsd servfail
hold_while "one server answers SERVFAIL" 'ns3.example.test..*[Ss][Ee][Rr][Vv]'
tree mode nsd ok
tree stop tree
hold_while "the root and the parent are gone" 'hold|resolver|no answer'
tree start tree
check "all mended: it goes live by itself" \
	run_until 60 "$MX" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"
check "no mismatch" no_mismatch 100
scenario_end
