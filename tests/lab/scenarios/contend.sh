#!/usr/bin/env bash
# Hooks, timers and run --wait at the same time, and certbot renewing meanwhile:
# nobody's certificate is lost, and who comes too late says so and exits 0.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
scenario "$1"
# A reload takes as long as there is a file "slow", 20 s at most.
LAB_RELOAD="timeout 20 sh -c 'while [ -e $1/slow ]; do sleep 0.1; done'
	$ROOT/tests/lab/mta $1 reload mx1-home"
LAB_RELOAD=${LAB_RELOAD//$'\n\t'/; }

# The very first runs, all at once.
{
	conf_head
	conf_lineage "$MX" home
} >"$CONF"
chmod 600 "$CONF"
issue "$MX"
for i in 1 2 3 4; do danelaw run "$MX" >>"$W/run.log" 2>&1 & done
wait %1 %2 %3 %4
check "four first runs: one certificate taken in" whole
check "one next key made" n_keys 2
setup_home
hook_remove
roles() { jq -r "[.keys[] | select(.role == \"$1\") | .spki] | join(\" \")" \
	"$STATE/lineages/$MX/state.json"; }

# crowd NAME COMMAND ...: in the background; its exit status goes to a file.
crowd() {
	local name=$1
	shift
	{
		"$@" >"$W/crowd.$name.out" 2>&1
		echo "$? $*" >"$W/crowd.$name.rc"
	} &
	CROWD+=($!)
}
crowd_home() {
	wait "${CROWD[@]}"
	CROWD=()
	cat "$W"/crowd.*.out >>"$W/run.log"
	! grep -v '^0 ' "$W"/crowd.*.rc || { tail -n 3 "$W"/crowd.*.out; return 1; }
	rm -f "$W"/crowd.*
}
CROWD=()

# Somebody holds the lock for as long as we like.
LOCK=$STATE/lineages/$MX/lock
exec 9>>"$LOCK"
flock 9
renew "$MX"
new=$(certbot_spki "$MX")
check "locked out: the hook exits 0" runs 0 hooked danelaw hook
check "and says who takes the certificate over" says 'another danelaw is at work'
check "locked out: so does run" runs 0 danelaw run "$MX"
check "locked out: status works" runs 0 danelaw status "$MX"
exec 9>&-
check "the next run takes it in" runs 0 danelaw run "$MX"
check "as a candidate" [ "$(roles candidate)" = "$new" ]
check "no news are left" [ ! -e "$STATE/lineages/$MX/news" ]

# A certificate for an unknown key, while another candidate waits, comes while
# the holder of the lock is busy with a slow reload.
almost since_ms "$new" $((2 * LAB_TTL + 1))
renew "$MX"
newer=$(certbot_spki "$MX")
: >"$W/slow"
crowd run danelaw run "$MX"
linked() { [ "$(live_spki "$MX")" = "$1" ]; }
check "the first candidate goes live" poll 15 linked "$new"
renew "$MX"
newest=$(certbot_spki "$MX")
check "the hook comes while the reload takes its time" \
	runs 0 hooked danelaw hook
check "it loses" says 'another danelaw is at work'
rm -f "$W/slow"
check "the holder exits 0" crowd_home
has_key() { jq -e ".keys[] | select(.spki == \"$1\")" \
	"$STATE/lineages/$MX/state.json" >/dev/null; }
check "the waiting one is known" has_key "$newer"
check "the holder has taken the loser's certificate in" has_key "$newest"
check "run --wait brings the newest live" runs 0 danelaw run --wait "$MX"
check "it is served" went_live "$MX" "$newest"
check "it ends well" finish "$MX"

# certbot renews again, twice, during a wait.
hook_install
crowd wait danelaw run --wait "$MX"
renew "$MX"
first=$(certbot_spki "$MX")
crowd wait2 danelaw run --wait "$MX"
sleep 0.5
crowd wait3 danelaw run --wait
renew "$MX"
renew "$MX"
newest=$(certbot_spki "$MX")
check "three run --wait: all exit 0" crowd_home
check "the newest goes live" run_until 30 "$MX" went_live "$MX" "$newest"
check "the first one's wait was not restarted" sh -c "grep '\"live\"' \
	'$STATE/lineages/$MX/history.jsonl' | grep -q '$first'"
check "it ends well" finish "$MX"

# All at once, again and again.
storm() {
	local end=$((SECONDS + 14)) i=0
	while [ "$SECONDS" -lt "$end" ]; do
		i=$((i + 1))
		case $((i % 3)) in
		0) hooked danelaw hook ;;
		1) danelaw run "$MX" ;;
		2) danelaw run --wait "$MX" ;;
		esac || return
	done
}
for i in 1 2 3 4; do crowd "storm$i" storm; done
for i in 1 2 3; do
	renew "$MX"
	sleep 2
done
newest=$(certbot_spki "$MX")
check "a storm: all exit 0" crowd_home
check "and the newest goes live" run_until 30 "$MX" went_live "$MX" "$newest"
check "it ends well" finish "$MX"

# Two operators.
hook_remove
issued() { grep -c '"issued"' "$STATE/lineages/$MX/history.jsonl"; }
before=$(issued)
next=$(key_of "$MX" next)
crowd a danelaw run --renew "$MX"
crowd b danelaw run --renew "$MX"
crowd c danelaw run
check "two run --renew and a timer: all exit 0" crowd_home
check "one certificate was asked for" [ "$(issued)" = $((before + 1)) ]
check "it is live" went_live "$MX" "$next"
check "it ends well" finish "$MX"

# certbot is at work on something else.
before=$(live_spki "$MX")
next=$(key_of "$MX" next)
/usr/bin/python3 - "$W/le/.certbot.lock" <<-'EOP' &
	import fcntl, sys, time
	f = open(sys.argv[1], "w")
	fcntl.lockf(f, fcntl.LOCK_EX)
	print("locked", file=open(sys.argv[1] + ".held", "w"))
	time.sleep(60)
EOP
holder=$!
poll 5 test -s "$W/le/.certbot.lock.held"
check "certbot is busy: try again later" runs 4 danelaw run --renew "$MX"
check "it says so" says 'another certbot is running'
check "nothing has changed" went_live "$MX" "$before"
kill "$holder"
check "later: it renews" runs 0 danelaw run --renew "$MX"
check "on the next key" went_live "$MX" "$next"
check "it ends well" finish "$MX"
check "no mismatch" no_mismatch 300
scenario_end
