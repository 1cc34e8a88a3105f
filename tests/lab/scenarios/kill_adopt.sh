#!/usr/bin/env bash
# kill -9 before and after changes on disk of a first set-up. Run again:
# the same end, as if nothing had been.
# At every other change only: every_call.sh has them all, with one name server and
# a simple mail server; here are three, and a real one.
STRIDE=${STRIDE:-2}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"

{
	conf_head
	conf_lineage "$MX" home
} >"$CONF"
chmod 600 "$CONF"
issue "$MX"
quick_certbot
snapshots_on
went_first() { [ "$(live_spki "$MX")" = "$(certbot_spki "$MX")" ] && n_keys 2; }
every kill "taking the first certificate in" went_first run run "$MX"
"$ROOT/tests/lab/mta" "$W" up mx1-home "$IP" fd53::25 \
	"$STATE/live/$MX/combined.pem"
senders_start
every kill "the first publication" on_all run run "$MX"
check "it ends well" finish "$MX"
check "no mismatch" no_mismatch 200
scenario_end
