#!/usr/bin/env bash
# One lineage behind the API of each vendor, all in one configuration: first
# publication, a rollover while every API fails in turns, and the next. What a
# vendor serves goes to real signed name servers; the senders watch them all.
# A TTL that a busy machine does not sleep through between a connection and its
# handshake: the judge would take the new key for one of before.
export LAB_TTL=4
. "$(dirname "$0")/../lib.sh"
scenario "$1"
# Signed DNS with a TTL of seconds; the APIs think that it is an hour.
mapfile -t types < <(danelaw provider list |
	awk 'NR > 1 && NF { print $1 }; !NF { exit }' |
	grep -vxE 'rfc2136|powerdns|exec|manual')
check "there are vendors" [ ${#types[@]} -ge 17 ]
ab=$(printf 'ab%.0s' $(seq 32))

host() { echo "mx-${1//_/-}.example.test"; }
base() { jq -r .base "$W/fakes/$1/features"; }
ctl() { # TYPE PATH [JSON]
	curl -sS --noproxy '*' ${3:+-d "$3"} "$(base "$1")/_ctl/$2"
}

# ---- the world ----

printf '%s\n' "${types[@]}" |
	jq -Rn '[inputs] | map({(.): ["example.test"]}) | add' >"$W/zones.json"
"$ROOT/tests/contract/fakes/serve" --dir "$W/fakes" --zones "$W/zones.json" \
	--only "$(IFS=, && echo "${types[*]}")" --served-ttl "$LAB_TTL" \
	--nsupdate 10.53.0.3 --tsig "$W/home.key" >"$W/fakes.log" 2>&1 &
poll 30 test -e "$W/fakes/ready" || cat "$W/fakes.log"
n=0
hosts=() lines=() servers=() endpoints=()
for t in "${types[@]}"; do
	n=$((n + 1))
	ip=10.53.7.$n
	name=$(host "$t")
	ip addr add "$ip/32" dev lo
	hosts+=("$name")
	lines+=("update add $name $LAB_TTL A $ip")
	servers+=("$name,$ip,$STATE/live/$name/combined.pem")
	endpoints+=("$name,$ip,25,smtp")
	ctl "$t" seed "{\"owner\": \"_25._tcp.$name.\", \"ttl\": 3600,
		\"records\": [\"2 1 1 $ab\"]}" >/dev/null
done
ns_update "${lines[@]}" || exit 1

# certificate N: a new key and certificate for each, as certbot would leave it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
	-subj "/CN=Lab CA" -keyout "$W/ca.key" -out "$W/ca.pem" 2>/dev/null
certificate() {
	local name dir i
	for name in "${hosts[@]}"; do
		dir=$W/le/archive/$name
		mkdir -p "$dir" "$W/le/live/$name"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
			-keyout "$dir/privkey$1.pem" -out "$W/csr" 2>/dev/null
		openssl x509 -req -in "$W/csr" -CA "$W/ca.pem" -days 60 \
			-CAkey "$W/ca.key" -CAcreateserial -copy_extensions copy \
			-out "$dir/cert$1.pem" 2>/dev/null
		cp "$W/ca.pem" "$dir/chain$1.pem"
		cat "$dir/cert$1.pem" "$W/ca.pem" >"$dir/fullchain$1.pem"
		chmod 600 "$dir/privkey$1.pem"
		for i in privkey cert chain fullchain; do
			ln -sfn "../../archive/$name/$i$1.pem" \
				"$W/le/live/$name/$i.pem"
		done
	done
}
{
	conf_head
	for t in "${types[@]}"; do
		echo "provider \"$t\" {"
		echo "type = \"$t\""
		grep -v '^timeout=' "$W/fakes/$t/options" |
			sed 's/\([^=]*\)=\(.*\)/\1 = "\2"/'
		echo "timeout = 3"
		echo "}"
		LAB_RELOAD=true LAB_RR_TTL=0 conf_lineage "$(host "$t")" "$t" \
			'issue = "hook"' | grep -v '^[[:space:]]*ttl = '
	done
} >"$CONF"
chmod 600 "$CONF"
check "the configuration is good" runs 0 danelaw config
check "those that do not sign are pointed out" says 'Hetzner.* does not sign'

# ---- the first publication ----

all_are() { # JQ
	danelaw status --json 2>/dev/null |
		jq -e "[.lineages[] | $1] | length == ${#types[@]} and all" \
			>/dev/null
}
all_steady() { all_are '.state == "steady"'; }
run_all() { # SECONDS CONDITION
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		danelaw run >>"$W/run.log" 2>&1
	done
}
certificate 1
danelaw run >>"$W/run.log" 2>&1
/usr/bin/python3 "$ROOT/tests/lab/smtpd.py" "${servers[@]}" \
	>"$W/smtpd.log" 2>&1 &
check "every lineage reaches the steady state" run_all 150 all_steady
senders_start "${endpoints[@]}"
for t in "${types[@]}"; do
	check "$t: provider test is content" runs 0 danelaw provider test "$t"
	check "$t: provider show has both records" runs 0 danelaw provider show \
		"$t" "_25._tcp.$(host "$t")"
	check "$t: and ours is one of them" says \
		"TLSA 3 1 1 $(live_spki "$(host "$t")")"
done

# ---- rollovers ----

is_live() {
	local name
	for name in "${hosts[@]}"; do
		[ "$(live_spki "$name")" = "$(certbot_spki "$name")" ] ||
			return 1
	done
}
# Each vendor fails in another way at each turn, every third request or so.
kinds=(500 lost 429 html 409 close-before 403 truncated 503 401 422)
inject() {
	local turn=0 i
	while :; do
		for ((i = 0; i < ${#types[@]}; i++)); do
			ctl "${types[i]}" fault "{\"at\": $((1 + turn % 3)),
				\"kind\": \"${kinds[(turn + i) % ${#kinds[@]}]}\"}"
		done >/dev/null 2>&1
		turn=$((turn + 1))
		sleep 0.5
	done
}
certificate 2
inject &
injector=$!
run_all 20 is_live # or not yet, while they fail
kill $injector
check "fresh keys go live when the faults end" run_all 150 is_live
check "and all is steady again" run_all 150 all_steady
certificate 3
check "the next ones do, without faults" run_all 150 is_live
check "and all is steady at the end" run_all 150 all_steady
for t in "${types[@]}"; do
	name=$(host "$t")
	check "$t: the foreign record is whole, and only live and next beside it" \
		[ "$(tlsa_at 10.53.0.3 "$name" | sort)" = "$(
			{
				echo "2 1 1 $ab"
				echo "3 1 1 $(live_spki "$name")"
				key_of "$name" next | sed 's/^./3 1 1 &/'
			} | sort
		)" ]
	check "$t: faults were among its requests, and nothing broke" [ "$(
		ctl "$t" log | jq '([.requests[] | select(.fault)] | length > 0)
			and (.broken | length == 0)'
	)" = true ]
	ctl "$t" log | jq -r '.secrets[]?'
done >"$W/checks"
grep -E '^(ok|not ok|---)' "$W/checks"
grep -vE '^(ok|not ok|---)' "$W/checks" | sort -u >"$W/secrets"
check "no secret is in any output or state" not grep -rqFf "$W/secrets" \
	"$W/run.log" "$W/last" "$STATE"
check "there were secrets to look for" [ "$(wc -l <"$W/secrets")" -ge 17 ]
check "no mismatch in all of this" no_mismatch 1000
scenario_end
