#!/usr/bin/env bash
# kill -9 at 50 random moments of rollovers of both kinds: danelaw alone, with
# all that it started, or certbot with the hook inside. Run again: the same end.
# SEED=N repeats the same choices.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
scenario "$1"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "# SEED=$SEED"
RANDOM=$SEED
setup_home
quick_certbot

# family PID: it and all that it started, the youngest last.
family() {
	local p
	echo "$1"
	for p in $(pgrep -P "$1"); do family "$p"; done
}

# strike MS COMMAND ...: kill -9 after at most MS milliseconds.
strike() {
	local ms=$((RANDOM % $1)) alone=$((RANDOM % 2)) pid
	shift
	# What is said of killed processes goes to the log too.
	{
		"$@" &
		pid=$!
		sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
		if [ "$alone" = 1 ]; then
			kill -9 "$pid"
		else
			# shellcheck disable=SC2046
			kill -9 $(family "$pid")
		fi
		wait "$pid"
		[ $? != 137 ] || kills=$((kills + 1))
	} >>"$W/run.log" 2>&1
	unbroken || bad=$((bad + 1))
}

# Not the functions of the lab: a shell in between would be killed instead.
D=("$FAULT_DANELAW" -c "$CONF")
C=("$W/certbot" renew -n -q --force-renewal --no-random-sleep-on-renew
	--cert-name "$MX")
kills=0 bad=0 begun=0
end=$((SECONDS + 170))
while [ "$kills" -lt 50 ] && [ "$SECONDS" -lt "$end" ]; do
	if is_ripe "$MX"; then
		# A certbot whose danelaw was killed still writes.
		poll 20 not pgrep -f certonly
		danelaw run "$MX" >>"$W/run.log" 2>&1
		ended || bad=$((bad + 1))
		begun=$((begun + 1))
		case $((RANDOM % 4)) in
		0) strike 3500 "${C[@]}" ;;
		1) strike 3000 "${D[@]}" run --renew "$MX" ;;
		2) "${C[@]}" >>"$W/run.log" 2>&1 ;;
		3) "${D[@]}" run --renew "$MX" >>"$W/run.log" 2>&1 ;;
		esac
		continue
	fi
	case $((RANDOM % 5)) in
	0) strike 150 hooked "${D[@]}" hook ;;
	1) strike 1200 "${D[@]}" run --wait "$MX" ;;
	*) strike 120 "${D[@]}" run "$MX" ;;
	esac
done
echo "  # $kills kills in $begun beginnings"
check "50 kills" [ "$kills" = 50 ]
check "nothing was ever half done" [ "$bad" = 0 ]
check "it ends well" finish "$MX" 90
renew "$MX"
new=$(certbot_spki "$MX")
check "certbot renews as before" run_until 40 "$MX" went_live "$MX" "$new"
check "and it ends well" finish "$MX"
check "no mismatch" no_mismatch 500
scenario_end
