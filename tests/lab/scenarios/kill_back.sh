#!/usr/bin/env bash
# kill -9 before and after changes on disk of a promotion that fails and
# is rolled back. Run again: rolled back, and the old key was served throughout.
# At every other change only: every_call.sh has them all, with one name server and
# a simple mail server; here are three, and a real one.
STRIDE=${STRIDE:-2}
LAB_RETIRE=4
LAB_VERIFY=1
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"
snapshots_on
setup_home
quick_certbot
old=$(live_spki "$MX")
hook_remove
renew "$MX"
new=$(certbot_spki "$MX")
almost since_ms "$new" $((2 * LAB_TTL + 1))
"$ROOT/tests/lab/mta" "$W" hold mx1-home
stayed() {
	went_live "$MX" "$old" && on_all && n_keys 3 &&
		[ "$(jq .rolled_back_gen \
			"$STATE/lineages/$MX/state.json")" = 2 ]
}
snap
changes run "$MX"
n=$(awk '$2 == "renameat" && $3 == "state.json" { n = $1 }
	$2 == "symlinkat" && ++links == 2 { print n }' "$W/changes")
unsnap
FAULT_ONCE=1 fault EIO "$n" run "$MX"
check "the intent to roll back could not be saved (change $n): done anyway" \
	[ "$(live_spki "$MX")" = "$old" ]
check "and it is said" says 'Input/output'
danelaw run "$MX" >>"$W/run.log" 2>&1
check "the next run finds its way" stayed
unsnap
every kill "rolling back" stayed run run "$MX"
check "an operator is told" runs 1 danelaw run
check "why" says 'rolled back: .*25 .smtp. serves another of our keys'
"$ROOT/tests/lab/mta" "$W" release mx1-home
check "mended: asked for by name, it goes live at once" \
	runs 0 danelaw run "$MX"
check "on the fresh key" went_live "$MX" "$new"
check "it ends well" finish "$MX"
check "no mismatch" no_mismatch 200
scenario_end
