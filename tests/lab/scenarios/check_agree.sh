#!/usr/bin/env bash
# Do independent judges agree? posttls-finger (dane, dane-only), openssl
# s_client -dane_* and ldns-dane verify on the same cases. The table says where
# they differ from the RFCs and why; a difference that it does not explain
# fails. What is known of the judges:
#   ldns-dane has no STARTTLS (NLnetLabs/ldns#29), so it gets the chain that
#     s_client saw, as Internet.nl does it (internetstandards/Internet.nl#513);
#     it fails on a trailing dot (Internet.nl#293); asks for TLSA only at the
#     name that it is given (no RFC 7672 2.2.2); compares the name for usage 3
#     too unless -n; takes PKIX usages
#   openssl s_client takes PKIX usages, knows one reference name, and compares
#     it for usage 3 too unless -dane_ee_no_namechecks
#   posttls-finger looks at one MX and one address only
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"
exim=no
exim_start && exim=yes
[ "$exim" = yes ] || echo "ok - Exim # SKIP none that runs, from build/debs"
mapfile -t names < <(rows | cut -d'|' -f1 | sort -u |
	{ if [ "$exim" = yes ]; then cat; else grep -v '^exim'; fi; })

# (the world caches nothing that another look-up could change)
"$CHECK_DIR/judge" "$W" "${names[@]}" >"$W/judged" 2>"$W/judge.err"
# A resolver that is still learning that one of two servers is dead may say
# SERVFAIL, and keeps that for 5 s: a sender would try again, so do the judges
# where a failed look-up is not the answer that the table has.
unexpected_lookups() {
	while IFS='|' read -r name _ _ _ _ finger only openssl ldns _; do
		grep -qE "^${name//./\\.} .*\blookup\b" "$W/judged" || continue
		case "$finger|$only|$openssl|$ldns" in
		*lookup*) ;;
		*) echo "$name" ;;
		esac
	done < <(rows) | sort -u
}
mapfile -t again < <(unexpected_lookups)
if [ ${#again[@]} -gt 0 ]; then
	echo "asked again: ${again[*]}"
	sleep 6
	for name in "${again[@]}"; do
		sed -i "/^${name//./\\.} /d" "$W/judged"
	done
	"$CHECK_DIR/judge" "$W" "${again[@]}" >>"$W/judged" 2>>"$W/judge.err"
fi
check "the judges judged every case" \
	[ "$(wc -l <"$W/judged")" = "${#names[@]}" ]
ours_all "${names[@]}"
# name[:port] and verdict, one a line
jq -r '.checks[] | "\(.name | rtrimstr("."))\(if .kind == "host" and .port != 25
	then ":\(.port)" else "" end) \(.verdict)"' "$W"/all-*.json >"$W/ours"
check "so did danelaw, a dozen in one run" \
	[ "$(wc -l <"$W/ours")" = "${#names[@]}" ]

our_verdict() {
	awk -v n="$(args_of "$1" | sed 's/^--host //')" '$1 == n { v = $2 }
		END { print v }' "$W/ours"
}

# What a judge of one server would say, by our verdict.
same_as() {
	case $1 in
	OK) echo pass ;;
	NO-DANE | INSECURE) echo none ;;
	ENCRYPT-ONLY) echo unusable ;;
	BOGUS) echo lookup ;;
	BLOCKED) echo mismatch/tls/lookup ;;
	INCOMPLETE) echo connect/lookup ;;
	*) echo "" ;;
	esac
}

printf '%-26s %-13s %-9s %-9s %-9s %-9s %s\n' case danelaw finger dane-only \
	openssl ldns note
judged() { # NAME COLUMN
	awk -v n="$1" -v c="$2" '$1 == n { print $c }' "$W/judged"
}
agree=0 differ=0
while IFS='|' read -r name profile verdict _ _ finger only openssl ldns note; do
	[ "$profile" != exchange ] || continue
	[[ $name != exim* ]] || [ "$exim" = yes ] || continue
	ours=$(our_verdict "$name")
	got=() bad='' differs=no
	col=2
	for want in "$finger" "$only" "$openssl" "$ldns"; do
		word=$(judged "$name" $col)
		got+=("$word")
		is_one_of "$word" "$want" ||
			bad+=" judge $((col - 1)) says $word, expected $want;"
		if [ "$word" != - ] &&
			! is_one_of "$word" "$(same_as "$ours")"; then
			differs=yes
		fi
		col=$((col + 1))
	done
	is_one_of "$ours" "$verdict" ||
		bad+=" danelaw says $ours, expected $verdict;"
	# One that both may see either way needs no reason.
	if [ "$differs" = yes ] && [[ $verdict != */* ]]; then
		case $note in
		*differs:*) ;;
		*) bad+=" a difference without a reason;" ;;
		esac
	fi
	if [ "$differs" = yes ]; then
		differ=$((differ + 1))
	else
		agree=$((agree + 1))
	fi
	printf '%-26s %-13s %-9s %-9s %-9s %-9s %s\n' "$name" "$ours" \
		"${got[@]}" "$note"
	if [ -n "$bad" ]; then
		echo "not ok - $name:$bad"
	else
		echo "ok - $name"
	fi
done < <(rows)
echo "$agree cases alike, $differ differ as the table explains"
check "most are alike" [ "$agree" -gt $((differ * 2)) ]
scenario_end
