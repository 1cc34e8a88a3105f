#!/usr/bin/env bash
# kill -9 before and after changes on disk of a rollover to a fresh key.
# Run again: the same end, as if nothing had been.
# At every other change only: every_call.sh has them all, with one name server and
# a simple mail server; here are three, and a real one.
STRIDE=${STRIDE:-2}
# Longer than two runs: a step must not become the next one.
LAB_RETIRE=4
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"
snapshots_on
setup_home
quick_certbot
hook_remove

# certbot's hook is run by hand here, so that only danelaw is killed.
old=$(live_spki "$MX")
renew "$MX"
new=$(certbot_spki "$MX")
taken() { on_all && n_keys 3; }
hooked orphan "killed with a fresh key in hand" hook
hooked every kill "taking a fresh key in" taken run hook
almost since_ms "$new" $((2 * LAB_TTL + 1))
switched() { went_live "$MX" "$new" && on_all; }
every kill "going live" switched run run "$MX"
sleep $((LAB_RETIRE + 1))
withdrawn() { [ "$(tlsa_at 10.53.0.3 "$MX" | wc -l)" = 2 ]; }
every kill "withdrawing the old record" withdrawn run run "$MX"
almost gone_ms "$old" $((LAB_TTL + 1))
every kill "forgetting the old key" "n_keys 2" run run "$MX"
check "the rollover ends well" finish "$MX"
check "on the fresh key" went_live "$MX" "$new"
check "no mismatch" no_mismatch 200
scenario_end
