#!/usr/bin/env bash
# Servers that mean no good: danelaw check ends in bounded time and memory,
# with a verdict, and what else is checked in the same run is not held up.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"

probe() { # SECONDS NAME ...: JSON to $W/last; sets TOOK, RSS and RC
	local seconds=$1 args=()
	shift
	for name in "$@"; do args+=("$name.check.test"); done
	measured timeout -k 2 100 "$DANELAW" -c "$CONF" check --json \
		--timeout "$seconds" "${args[@]}" >"$W/last" 2>>"$W/run.log"
	RC=$?
	cat "$W/last" >>"$W/run.log"
}
verdict_of() {
	jq -r --arg n "$1.check.test" '.checks[] |
		select((.name | rtrimstr(".")) == $n) | .verdict' "$W/last"
}

probe 3 ok
check "a good server: OK" [ "$(verdict_of ok)" = OK ]
base=$RSS
echo "# a good server: $TOOK ms, $RSS kB"

# A verdict that no server's silence can turn into OK.
for name in tarpit endless drip ehlo64k ehloendless midshake; do
	probe 3 "$name"
	echo "# $name: $TOOK ms, $RSS kB, exit $RC"
	check "$name: ends in time ($TOOK ms)" [ "$TOOK" -lt 25000 ]
	check "$name: memory is bounded ($RSS kB, $base for a good one)" \
		[ "$RSS" -lt $((base + 40000)) ]
	check "$name: a verdict, and not OK" \
		is_one_of "$(verdict_of "$name")" INCOMPLETE/BLOCKED
	check "$name: it has a finding" [ -n "$(codes_of "$W/last")" ]
	# Whatever they sent is shown as printable text only.
	check "$name: one line of JSON strings, printable" \
		not grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$W/last"
done
probe 3 tarpit
check "a tarpit is a timeout" grep -q . <(codes_of "$W/last" | grep -x timeout)
check "and means INCOMPLETE, exit status 4" \
	[ "$(verdict_of tarpit) $RC" = "INCOMPLETE 4" ]

# Many at once: forty tarpits, every kind of fault, and a good one.
slow=()
for ((i = 0; i < 40; i++)); do slow+=("slow$i"); done
probe 3 "${slow[@]}" endless ehlo64k ehloendless midshake drip blocked ok
echo "# 47 at once: $TOOK ms, $RSS kB, exit $RC"
check "47 domains at once end in time ($TOOK ms)" [ "$TOOK" -lt 60000 ]
check "in bounded memory ($RSS kB)" [ "$RSS" -lt $((base + 120000)) ]
check "each has its verdict" [ "$(jq '.checks | length' "$W/last")" = 47 ]
check "the good one is OK" [ "$(verdict_of ok)" = OK ]
check "the wrong one is BLOCKED" [ "$(verdict_of blocked)" = BLOCKED ]
check "the slow ones are INCOMPLETE" [ "$(jq '[.checks[] |
	select(.name | startswith("slow")) | select(.verdict == "INCOMPLETE")]
	| length' "$W/last")" = 40 ]
check "the exit status is that of the worst" [ "$RC" = 3 ]
scenario_end
