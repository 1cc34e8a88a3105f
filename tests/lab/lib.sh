# shellcheck shell=bash
# The lab, for demo and scenarios: sourced inside a private network namespace.
# A lab is a folder with a signed DNS tree, an ACME server, Postfix instances,
# a danelaw configuration and a population of senders.
#
#   lab_start DIR           DNS and ACME
#   lab_config NAME ...     danelaw.conf (see below)
#   lab_mta mx1 ...         Postfix serving live/NAME of danelaw
#   senders_start, senders_stop

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DANELAW=${DANELAW:-$ROOT/danelaw}
: "${LAB_TTL:=2}"
export LAB_TTL

lab_start() {
	W=$1
	mkdir -p "$W"
	ip link set lo up
	"$ROOT/tests/lab/dns-tree" "$W" up &
	local dns=$!
	"$ROOT/tests/lab/acme" "$W" up
	wait "$dns"
	# shellcheck disable=SC1091
	. "$W/env"
	LAB_PDNS=$LAB_PDNS_API
	set -a
	# shellcheck disable=SC1091
	. "$W/certbot.env"
	set +a
	STATE=$W/state
	CONF=$W/danelaw.conf
}

# conf_head: what every configuration of the lab begins with.
conf_head() {
	cat <<-EOF
		state_dir = "$STATE"
		resolver {
			root_hints = "$W/root.hints"
			trust_anchor = "$W/root.key"
		}
		timing {
			wait_ttls = 2
			assumed_prior_ttl = ${LAB_PRIOR:-$LAB_TTL}
			poll_max = ${LAB_POLL:-2}
		}
		provider "home" {
			type = "rfc2136"
			server = "${LAB_SERVER:-10.53.0.3}"
			tsig_key_file = "${LAB_TSIG:-$W/home.key}"
			timeout = 4
		}
		provider "pdns" {
			type = "powerdns"
			url = "${LAB_PDNS:-http://127.0.0.1:8081}"
			api_key_file = "${LAB_PDNS_KEY:-$W/pdns.key}"
			timeout = 4
		}
	EOF
}

# conf_lineage NAME PROVIDER [EXTRA LINE ...]
conf_lineage() {
	local name=$1 provider=$2
	shift 2
	cat <<-EOF
		lineage "$name" {
			certbot = "$W/le/live/$name"
			certbot_command = "$W/certbot"
			tlsa = {"_25._tcp.$name"}
			provider = "$provider"
			reload = {"${LAB_RELOAD:-$ROOT/tests/lab/mta $W reload ${name%%.*}-$provider}"}
			ttl = ${LAB_RR_TTL:-$LAB_TTL}
			retire_after = ${LAB_RETIRE:-2}
			verify_timeout = ${LAB_VERIFY:-15}
			$(printf '%s\n' "$@")
		}
	EOF
}

danelaw() {
	# Leaks are for the unit tests; here a sanitiser must only catch errors.
	ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} "$DANELAW" -c "$CONF" "$@"
}

# issue NAME ...: certbot's own first issuance, or a forced renewal.
issue() {
	"$W/certbot" certonly -n -q --standalone --cert-name "$1" -d "$1" \
		"${@:2}"
}

renew() {
	"$W/certbot" renew -n -q --force-renewal --no-random-sleep-on-renew \
		--cert-name "$1" "${@:2}"
}

# The deploy hook as a folder hook, the recommended way.
hook_install() {
	local dir=$W/le/renewal-hooks/deploy
	mkdir -p "$dir"
	cat >"$dir/danelaw" <<-EOF
		#!/bin/sh
		ASAN_OPTIONS=detect_leaks=0 exec "$DANELAW" -c "$CONF" hook
	EOF
	chmod 755 "$dir/danelaw"
}

hook_remove() {
	rm -f "$W/le/renewal-hooks/deploy/danelaw"
}

# spki FILE: of the first certificate in a PEM file.
spki() {
	openssl x509 -in "$1" -noout -pubkey |
		openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1
}

live_spki() { spki "$STATE/live/$1/cert.pem"; }
certbot_spki() { spki "$W/le/live/$1/cert.pem"; }

# served HOST_IP PORT: SPKI of what an SMTP server presents.
served() {
	echo QUIT | timeout 5 openssl s_client -starttls smtp \
		-connect "$1:${2:-25}" 2>/dev/null |
		openssl x509 -noout -pubkey 2>/dev/null |
		openssl pkey -pubin -outform DER 2>/dev/null |
		sha256sum | cut -d' ' -f1
}

# state NAME JQ: a field of status --json.
state() {
	danelaw status --json "$1" | jq -r ".lineages[0] | $2"
}

# key_of NAME ROLE: the SPKI with that role; empty if none.
key_of() {
	state "$1" "[.keys[] | select(.role == \"$2\") | .spki][0] // \"\""
}

# poll SECONDS COMMAND ...: until it succeeds; fails when time is up.
poll() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# run_until SECONDS NAME CONDITION...: danelaw run, as a timer would, until the
# condition holds.
run_until() {
	local end=$((SECONDS + $1)) name=$2
	shift 2
	while :; do
		danelaw run "$name" >>"$W/run.log" 2>&1 || true
		"$@" >/dev/null 2>&1 && return 0
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

is_steady() { [ "$(state "$1" .state)" = steady ]; }
# Steady, and the next key is ready too.
is_ripe() {
	is_steady "$1" && [ "$(state "$1" \
		'[.keys[] | select(.role == "next") | .owners[].record] | all(. == "omnipresent") and length > 0')" = true ]
}

# adopt NAME PROVIDER IP4 IP6|-: the whole first set-up, until steady. The MTA
# serves what danelaw made live.
adopt() {
	local name=$1 provider=$2
	issue "$name"
	danelaw run "$name" >>"$W/run.log" 2>&1 || true
	"$ROOT/tests/lab/mta" "$W" up "${name%%.*}-$provider" "$3" "$4" \
		"$STATE/live/$name/combined.pem"
	run_until 60 "$name" is_ripe "$name"
}

# ---- the population of senders ----

# senders_start [ENDPOINT ...]: without arguments mx1.example.test on both
# addresses, asked of all its name servers.
senders_start() {
	local args=()
	[ $# -gt 0 ] || set -- mx1.example.test,10.53.0.25,25,smtp \
		mx1.example.test,fd53::25,25,smtp
	for e in "$@"; do args+=(--endpoint "$e"); done
	rm -f "$W/senders.json"
	/usr/bin/python3 "$ROOT/tests/lab/senders.py" \
		--server example.test=10.53.0.3 \
		--server example.test=10.53.0.4 \
		--server example.test=10.53.0.5 \
		--server example2.test=10.53.0.6 \
		"${args[@]}" --interval 0.2 --out "$W/senders.json" \
		--status "$W/senders.status" >"$W/senders.log" 2>&1 &
	SENDERS=$!
	poll 10 senders_awake
}

senders_awake() { [ "$(jq .probes "$W/senders.status" 2>/dev/null)" -gt 0 ]; }
senders_stop() {
	kill "$SENDERS" 2>/dev/null
	wait "$SENDERS"
	jq -c '{probes, mismatches, deferred, refused}' "$W/senders.json"
}
probes() { jq .probes "$W/senders.json"; }
mismatches() { jq .mismatches "$W/senders.json"; }
# Stops the senders: no mismatch, and enough probes to mean something.
no_mismatch() {
	senders_stop
	if [ "$(mismatches)" = 0 ] && [ "$(probes)" -ge "${1:-50}" ]; then
		return 0
	fi
	jq '.details // .' "$W/senders.json" | head -40
	cat "$W/senders.log"
	return 1
}

# ---- DNS by hand ----

# ns_update LINE ...: an edit of example.test by somebody else.
ns_update() {
	{
		echo "server 10.53.0.3"
		echo "zone example.test"
		printf '%s\n' "$@"
		echo send
	} | nsupdate -k "$W/home.key"
}

# tlsa_at SERVER NAME: the RRset, one normalised line a record.
tlsa_at() {
	dig +tcp +time=2 +tries=1 "@$1" +short TLSA "_25._tcp.$2" |
		awk '{ printf "%s %s %s ", $1, $2, $3
			for (i = 4; i <= NF; i++) printf "%s", tolower($i)
			print "" }' | sort
}
has_tlsa() { tlsa_at "$1" "$2" | grep -qx "3 1 1 $3"; }
lacks_tlsa() { ! has_tlsa "$@"; }

# ---- scenarios ----

scenario() {
	set +e
	lab_start "$1"
	MX=mx1.example.test
	IP=10.53.0.25
	trap 'echo "(interrupted)"' TERM
}

# check TEXT COMMAND ...: one test.
check() {
	local text=$1
	shift
	if "$@"; then
		echo "ok - $text"
	else
		echo "not ok - $text"
		echo "--- $* failed; status:"
		danelaw status
		tail -n 25 "$W/run.log"
	fi
}

not() { ! "$@"; }

scenario_end() { echo "scenario done"; }

# runs RC COMMAND ...: its exit status is RC; output to $W/last.
runs() {
	local want=$1 rc
	shift
	"$@" >"$W/last" 2>&1
	rc=$?
	cat "$W/last" >>"$W/run.log"
	[ "$rc" = "$want" ] && return 0
	echo "exit status $rc, expected $want: $*"
	cat "$W/last"
	return 1
}
says() { grep -qE -- "$1" "$W/last" || { cat "$W/last"; return 1; }; }

# setup_home [EXTRA LINE ...]: one adopted, ripe lineage with its hook, and
# senders watching.
setup_home() {
	{
		conf_head
		conf_lineage "$MX" home "$@"
	} >"$CONF"
	chmod 600 "$CONF"
	check "first set-up reaches the steady state" \
		adopt "$MX" home "$IP" fd53::25
	is_ripe "$MX" || exit 1 # all that follows would fail, slowly
	hook_install
	senders_start
}

# no_switch SECONDS NAME: danelaw runs as often as it likes, and the key that
# was live stays live and served.
no_switch() {
	local end=$((SECONDS + $1)) name=$2 before
	before=$(live_spki "$name")
	while [ "$SECONDS" -lt "$end" ]; do
		danelaw run "$name" >"$W/last" 2>&1
		cat "$W/last" >>"$W/run.log"
		[ "$(live_spki "$name")" = "$before" ] || return 1
		sleep 0.3
	done
	[ "$(served "$IP")" = "$before" ]
}

went_live() { [ "$(live_spki "$1")" = "$2" ] && [ "$(served "$IP")" = "$2" ]; }
