#!/usr/bin/env bash
# danelaw check against the table of tests/lab/check/cases: each row a mail
# domain with real zones and real servers.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"
exim=no
exim_start && exim=yes

# row NAME PROFILE VERDICT FINDINGS EXIT: silent when right, else what is wrong.
row() {
	local name=$1 profile=$2 out verdict want found rc bad=0
	ours "$profile" "$name"
	out=$W/json/$profile-${name//[:\/]/_}
	rc=$(cat "$out.rc")
	verdict=$(jq -r '.checks[0].verdict' "$out" 2>/dev/null)
	is_one_of "$verdict" "$3" || {
		echo "verdict ${verdict:-none}, expected $3"
		bad=1
	}
	is_one_of "$rc" "$5" || {
		echo "exit status $rc, expected $5"
		bad=1
	}
	found=$(codes_of "$out")
	for want in $4; do
		case $want in
		-*)
			! grep -qxF -- "${want#-}" <<<"$found" || {
				echo "finding ${want#-}: must not be there"
				bad=1
			}
			;;
		*)
			grep -qxE "${want//\//|}" <<<"$found" || {
				echo "finding $want: missing"
				bad=1
			}
			;;
		esac
	done
	# Whatever the row says: a verdict has its reason, and OK has none.
	case $verdict in
	OK) want=0 ;;
	DEGRADED | BLOCKED | BOGUS) want=1 ;;
	*) want='' ;;
	esac
	rc=$(jq '[.checks[0].findings[] | select(.level == "fail")] | length' \
		"$out" 2>/dev/null)
	if [ "$want" = 0 ] && [ "${rc:-0}" != 0 ]; then
		echo "verdict OK with findings of level fail"
		bad=1
	elif [ "$want" = 1 ] && [ "${rc:-0}" = 0 ]; then
		echo "verdict $verdict without a finding of level fail"
		bad=1
	fi
	[ "$bad" = 0 ] || {
		echo "findings: $(grep : <<<"$found" | tr '\n' ' ')"
		jq -r '.checks[0].findings[] | "\(.level) \(.code) \(.where): \(.text)"' \
			"$out" 2>/dev/null | head -n 12
		tail -n 5 "$out.err"
	}
	return "$bad"
}

n=0
while IFS='|' read -r name profile verdict findings rc _; do
	case $name in
	exim*)
		if [ "$exim" = no ]; then
			echo "ok - $name # SKIP no Exim that runs, from build/debs"
			continue
		fi
		;;
	esac
	[ "$profile" != both ] || profile="rfc exchange"
	for p in $profile; do
		n=$((n + 1))
		while [ "$(jobs -rp | wc -l)" -ge 6 ]; do wait -n; done
		{
			if row "$name" "$p" "$verdict" "$findings" "$rc" \
				>"$W/row-$n" 2>&1; then
				echo "ok - $name ($p)"
			else
				echo "not ok - $name ($p)"
				sed 's/^/    /' "$W/row-$n"
			fi >"$W/row-$n.tap"
		} &
	done
done < <(rows)
wait
for ((i = 1; i <= n; i++)); do cat "$W/row-$i.tap"; done

# Each verdict and each failure of a connection has a row.
cat "$W"/json/*[!cr] 2>/dev/null | jq -rs '[.[].checks[]?.verdict] | unique[]' \
	>"$W/verdicts" 2>/dev/null
for v in OK WEAK ENCRYPT-ONLY NO-DANE INSECURE INCOMPLETE DEGRADED BOGUS \
	BLOCKED; do
	check "some case is $v" grep -qx -- "$v" "$W/verdicts"
done
sed -n '/a connection/,/look-ups/s/^\tCODE_\([A-Z0-9_]*\).*/\1/p' \
	"$ROOT/hook/check/code.h" | tr 'A-Z_' 'a-z-' >"$W/codes"
for f in "$W"/json/*; do codes_of "$f"; done 2>/dev/null | sort -u >"$W/seen"
while read -r code; do
	case $code in
	timeout) continue ;; # check_hostile.sh
	chain-invalid) continue ;; # expiredint says it with cert-expired
	esac
	check "some case has the finding $code" grep -qx -- "$code" "$W/seen"
done <"$W/codes"
scenario_end
