#!/usr/bin/env bash
# kill -9 before and after every change on disk of a first set-up. Run again:
# the same end, as if nothing had been.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
scenario "$1"

{
	conf_head
	conf_lineage "$MX" home
} >"$CONF"
chmod 600 "$CONF"
issue "$MX"
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
