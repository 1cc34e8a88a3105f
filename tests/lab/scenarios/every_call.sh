#!/usr/bin/env bash
# Every step of a mail host's life, with kill -9 at every single call that
# changes a file or says something to the provider or the mail server, and with
# each of those calls failing (crash.py), and with no memory: one name server, a
# mail server that reads its files for each connection, a CA that answers at
# once, so that a thousand runs take little time. KINDS=kill,EIO,ENOSPC,EINTR,
# short,nomem NOMEM_ALL=1 leave nothing out; CALL_STRIDE=5 takes every fifth.
# Longer than three runs: a step must not become the next one.
LAB_RETIRE=8
LAB_RELOAD="test ! -e $1/no-reload"
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
in_memory "$1"
scenario "$1"
MX=mx1.example2.test
IP=10.53.0.26
NS=10.53.0.6
{
	conf_head
	conf_lineage "$MX" pdns
} >"$CONF"
chmod 600 "$CONF"
quick_certbot
snapshots_on

# broken KINDS TEXT ARG ... [-- AGAIN ...]
broken() {
	local kinds=$1 text=$2
	shift 2
	/usr/bin/python3 "$ROOT/tests/lab/crash.py" "$W" "$MX" "$NS" \
		"$text" "$kinds" "$@"
}
linked_to() { [ "$(live_spki "$MX")" = "$1" ]; }
ALL=${KINDS:-kill,error}
export NOMEM_SO=$W/nomem.so
gcc -shared -fPIC -O1 -fno-builtin -o "$NOMEM_SO" "$ROOT/tests/lab/nomem.c"

issue "$MX"
broken "$ALL" "taking the first certificate in" run "$MX"
ip addr replace "$IP/32" dev lo
/usr/bin/python3 "$ROOT/tests/lab/smtpd.py" \
	"$MX,$IP,$STATE/live/$MX/combined.pem" &
poll 5 served "$IP"
broken "$ALL" "the first publication" run "$MX"
check "adopted" run_until 30 "$MX" is_ripe "$MX"
senders_start "$MX,$IP,25,smtp"

old=$(live_spki "$MX")
renew "$MX"
new=$(certbot_spki "$MX")
broken "$ALL,nomem" "taking a fresh key in" hook
almost since_ms "$new" $((2 * LAB_TTL + 1))
: >"$W/no-reload"
KEY_MAY=$new broken "$ALL" "rolling back" run "$MX" -- run
check "it was rolled back" linked_to "$old"
rm "$W/no-reload"
broken "$ALL,nomem" "going live" run "$MX"
sleep $((LAB_RETIRE + 1))
broken "$ALL" "withdrawing the old record" run "$MX"
almost gone_ms "$old" $((LAB_TTL + 1))
broken "$ALL" "forgetting the old key" run "$MX"
check "the rollover ends" run_until 30 "$MX" is_ripe "$MX"
check "on the fresh key" went_live "$MX" "$new"

next=$(key_of "$MX" next)
KEY_MAY=$next broken "$ALL" "renewing on the next key" \
	run --renew "$MX" -- run --renew "$MX"
sleep $((LAB_RETIRE + 1))
broken "$ALL" "making a next key" run "$MX"
check "that ends, too" run_until 30 "$MX" is_ripe "$MX"
check "no mismatch" no_mismatch 200

# libconfuse does not survive each NULL that it gets; but that is before
# anything was touched, and what it does survive is read as it stands.
config_whole() {
	local n rc many bad=0
	NOMEM_COUNT=$W/allocations NOMEM_FROM=libconfuse LD_PRELOAD=$NOMEM_SO \
		"$FAULT_DANELAW" -c "$CONF" config >"$W/config.good"
	many=$(cat "$W/allocations")
	for ((n = 1; n <= many; n += ${NOMEM_STRIDE:-3})); do
		{
			NOMEM_AT=$n NOMEM_FROM=libconfuse LD_PRELOAD=$NOMEM_SO \
				"$FAULT_DANELAW" -c "$CONF" config >"$W/config"
			rc=$?
		} 2>/dev/null
		[ "$rc" != 0 ] || cmp -s "$W/config" "$W/config.good" ||
			bad=$((bad + 1))
	done
	[ "$many" -gt 100 ] && [ "$bad" = 0 ] || complain "$bad of $many"
}
check "no memory for the configuration: read as it is, or exit status not 0" \
	config_whole
scenario_end
