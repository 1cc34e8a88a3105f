#!/usr/bin/env bash
# kill -9 before and after changes on disk of a renewal on the next key:
# certbot --csr, going live, the import, and a new next key. Run again: the same
# end, as if nothing had been.
# At every other change only: every_call.sh has them all, with one name server and
# a simple mail server; here are three, and a real one.
STRIDE=${STRIDE:-2}
LAB_RETIRE=4
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"
snapshots_on
setup_home
quick_certbot

next=$(key_of "$MX" next)
renewed() {
	went_live "$MX" "$next" && certbot_whole && on_all && n_keys 2 &&
		[ "$(certbot_spki "$MX")" = "$next" ] &&
		[ "$(state "$MX" .live_generation)" = 2 ]
}
every kill "renewing on the next key" renewed "run --renew" run --renew "$MX"
check "certbot certificates is content" \
	sh -c "'$W/certbot' certificates 2>&1 | grep -q VALID"
sleep $((LAB_RETIRE + 1))
replaced() {
	on_all && n_keys 3 && [ -n "$(key_of "$MX" next)" ] &&
		[ "$(tlsa_at 10.53.0.3 "$MX" | wc -l)" = 2 ]
}
orphan "killed with a next key in hand" run "$MX"
every kill "withdrawing, and making the next key" replaced run run "$MX"
check "it ends well" finish "$MX"
check "on the next key" went_live "$MX" "$next"
check "no mismatch" no_mismatch 200
scenario_end
