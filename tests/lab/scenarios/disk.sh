#!/usr/bin/env bash
# The disk is full, or read-only, from any write on: nothing is half written,
# it is said, the exit status says so, the current key serves, and danelaw goes
# on by itself when there is room again.
LAB_RETIRE=4
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"
snapshots_on
setup_home
quick_certbot
hook_remove

old=$(live_spki "$MX")
renew "$MX"
new=$(certbot_spki "$MX")
STRIDE=2
taken() { on_all && n_keys 3; }
hooked every ENOSPC "taking a fresh key in" taken run hook
# From the beginning once more: the last time was without a fault.
unsnap
hooked every EROFS "taking a fresh key in" taken run hook
almost since_ms "$new" $((2 * LAB_TTL + 1))
switched() { went_live "$MX" "$new" && on_all; }
every ENOSPC "going live" switched run run "$MX"
unsnap
every EROFS "going live" switched run run "$MX"
unsnap
export FAULT_ONCE=1
every EIO "going live, one hiccup" switched run run "$MX"
unset FAULT_ONCE
sleep $((LAB_RETIRE + 1))
withdrawn() { [ "$(tlsa_at 10.53.0.3 "$MX" | wc -l)" = 2 ]; }
every ENOSPC "withdrawing the old record" withdrawn run run "$MX"
almost gone_ms "$old" $((LAB_TTL + 1))
every EROFS "forgetting the old key" "n_keys 2" run run "$MX"
check "the rollover ends well" finish "$MX"
check "on the fresh key" went_live "$MX" "$new"

next=$(key_of "$MX" next)
renewed() {
	went_live "$MX" "$next" && certbot_whole && on_all && n_keys 2 &&
		[ "$(certbot_spki "$MX")" = "$next" ]
}
STRIDE=${RENEW_STRIDE:-4}
every ENOSPC "renewing on the next key" renewed "run --renew" run --renew "$MX"
check "no mismatch" no_mismatch 200
scenario_end
