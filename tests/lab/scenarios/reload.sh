#!/usr/bin/env bash
# A switch that does not succeed is undone: the reload command fails, or hangs,
# or says that all is well while the old key is still served, or one address
# is dead. Mended, the next "run NAME" goes live at once.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
mta() { "$ROOT/tests/lab/mta" "$W" "$@"; }

cat >"$W/reload" <<-END
	#!/bin/sh
	# What the mail software's reload does is in the file beside.
	case \$(cat "$W/reload.mode") in
	fail) echo "no such service: pastfix" >&2; exit 7 ;;
	hang) exec sleep 60 ;;
	esac
	exec "$ROOT/tests/lab/mta" "$W" reload mx1-home
END
chmod 755 "$W/reload"
echo ok >"$W/reload.mode"
LAB_RELOAD=$W/reload
LAB_VERIFY=2
setup_home 'reload_timeout = 2'

# undone TEXT PATTERN: one attempt to go live, and what is left of it.
undone() {
	local text=$1 pattern=$2
	check "$text: the run that tries exits 1" tries
	check "$text: an alert says why" says "^alert .*$pattern"
	danelaw status "$MX" >"$W/last" 2>&1
	check "$text: status tells it" says "$pattern"
	check "$text: and what to do" says "danelaw run $MX"
	check "$text: status exits 1" runs 1 danelaw status "$MX"
	check "$text: the state is: rolled back" \
		[ "$(state "$MX" .state)" = "rolled back" ]
	check "$text: live is the old key" [ "$(live_spki "$MX")" = "$old" ]
	check "$text: the old key is served" poll 5 serves "$old"
	check "$text: and is the current one" \
		[ "$(key_of "$MX" current)" = "$old" ]
	check "$text: both records stay" both_published
	gen=$(grep -c '"event": *"rolled-back"' "$HISTORY")
	check "$text: a timer does not try again" runs 1 danelaw run
	check "$text: it has not" \
		[ "$(grep -c '"event": *"rolled-back"' "$HISTORY")" = "$gen" ]
}
HISTORY=$STATE/lineages/$MX/history.jsonl
serves() { [ "$(served "$IP")" = "$1" ]; }
both_published() {
	has_tlsa 10.53.0.5 "$MX" "$old" && has_tlsa 10.53.0.5 "$MX" "$new"
}
tried() { [ "$(grep -c '"event": *"rolled-back"' "$HISTORY")" -gt "$1" ]; }
# Runs as a timer does until the switch was tried; that run must exit 1.
tries() {
	local n end=$((SECONDS + 40))
	n=$(grep -c '"event": *"rolled-back"' "$HISTORY")
	while [ "$SECONDS" -lt "$end" ]; do
		danelaw run "$@" >"$W/last" 2>&1
		rc=$?
		cat "$W/last" >>"$W/run.log"
		if tried "$n"; then
			[ "$rc" = 1 ]
			return
		fi
		sleep 0.3
	done
	echo "never tried"
	return 1
}
fresh_key() {
	old=$(live_spki "$MX")
	renew "$MX"
	new=$(certbot_spki "$MX")
}

fresh_key
echo fail >"$W/reload.mode"
undone "reload fails" 'reload command .*exit.* 7.*no such service'
echo ok >"$W/reload.mode"
check "mended: run NAME is live at once" runs 0 danelaw run "$MX"
check "on the new key" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

fresh_key
echo hang >"$W/reload.mode"
undone "reload hangs" 'reload command .*(time|2 s)'
echo ok >"$W/reload.mode"
check "mended: run NAME is live at once" runs 0 danelaw run "$MX"
check "on the new key" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

fresh_key
mta hold mx1-home
undone "the old key is still served" \
	"$MX \[.*:25.* serves .*key ${old:0:16}"
mta release mx1-home
check "mended: run NAME is live at once" runs 0 danelaw run "$MX"
check "on the new key" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

fresh_key
listen_on() { # ADDRESS ADDRESS|-
	mta down mx1-home
	for address in "$@"; do
		[ "$address" = - ] || ip addr del "$address" dev lo
	done
	mta up mx1-home "$@" "$STATE/live/$MX/combined.pem"
}
listen_on "$IP" -
undone "one address is dead" "$MX \[fd53::25\]:25.*([Cc]onnect|refused)"
listen_on "$IP" fd53::25
check "mended: run NAME is live at once" runs 0 danelaw run "$MX"
check "on the new key" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"
check "no mismatch in all of this" no_mismatch 200
scenario_end
