# shellcheck shell=bash
# For the scenarios that break danelaw in the middle: faults, snapshots to
# break it at the same place again and again, and what must hold afterwards.
# Sourced after lib.sh.

# fault KIND N ARG ...: danelaw with a fault at its N-th change (fault.c).
fault() {
	local kind=$1 n=$2
	shift 2
	# The shell would tell of every process that is killed.
	{
		FAULT=$kind FAULT_AT=$n LD_PRELOAD=$FAULT_SO \
			"$FAULT_DANELAW" -c "$CONF" "$@" >"$W/last" 2>&1
		local rc=$?
	} 2>/dev/null
	cat "$W/last" >>"$W/run.log"
	return $rc
}

# hooked COMMAND ...: in the environment that certbot gives to a deploy hook.
hooked() {
	RENEWED_LINEAGE=$W/le/live/$MX RENEWED_DOMAINS=$MX "$@"
}

# in_memory DIR: before scenario. Only what is written counts there, not how
# long a disk takes to make it durable. KEEP (see run) wants a disk.
in_memory() {
	mkdir -p "$1"
	[ -n "${KEEP:-}" ] || mount -t tmpfs -o mode=711 tmpfs "$1"
}

# changes ARG ...: all changes that danelaw makes, to $W/changes.
changes() {
	rm -f "$W/changes"
	FAULT_COUNT=$W/changes fault none 0 "$@"
}

# moments: numbers out of $W/changes: before and after whatever becomes visible
# at once. A change of a temporary file is like the one before it. STRIDE=N:
# only every N-th.
moments() {
	awk '$2 ~ /^(rename|symlink|unlink|link)/ &&
			$3 !~ /^(cert|chain|fullchain|options|csr)\.pem$/ {
		print $1; print $1 + 1 }' "$W/changes" | sort -nu |
		awk -v every="${STRIDE:-1}" 'NR % every == 0'
}

# ---- snapshots: state, certbot's files, the RRset ----

# The state directory is a link, so that another one takes its place at once
# and whoever reads live/ never finds it half done.
snapshots_on() {
	[ ! -e "$STATE" ] || mv "$STATE" "$W/state-0"
	mkdir -p "$W/state-0"
	ln -sfn state-0 "$STATE"
	NTH=0
}

snap() {
	rm -rf "$W/snap"
	mkdir "$W/snap"
	cp -a "$W/$(readlink "$STATE")" "$W/snap/state"
	# Hard links: the same files, and nobody changes one in place.
	cp -al "$W/le" "$W/snap/le"
	tlsa_at 10.53.0.3 "$MX" >"$W/snap/tlsa"
}

unsnap() {
	local old
	old=$(readlink "$STATE")
	NTH=$((NTH + 1))
	cp -a "$W/snap/state" "$W/state-$NTH"
	ln -sfn "state-$NTH" "$W/state.new"
	mv -T "$W/state.new" "$STATE"
	rm -rf "${W:?}/$old" "$W/le"
	cp -al "$W/snap/le" "$W/le"
	[ ! -d "$W/mta-mx1-home" ] ||
		"$ROOT/tests/lab/mta" "$W" reload mx1-home
	tlsa_is 10.53.0.3 "$W/snap/tlsa" || tlsa_put
	for s in 10.53.0.3 10.53.0.4 10.53.0.5; do
		poll 10 tlsa_is "$s" "$W/snap/tlsa" || echo "$s does not follow"
	done
}

tlsa_is() { tlsa_at "$1" "$MX" | cmp -s - "$2"; }
tlsa_put() {
	local lines=("update delete _25._tcp.$MX TLSA") r
	while read -r r; do
		lines+=("update add _25._tcp.$MX $LAB_TTL TLSA $r")
	done <"$W/snap/tlsa"
	ns_update "${lines[@]}"
}

# ---- what must hold ----

complain() { echo "  # $*"; return 1; }

# unbroken: right after a fault. What is there is whole.
unbroken() {
	local d=$STATE/lineages/$MX g
	[ ! -e "$d/state.json" ] || jq -e .version "$d/state.json" >/dev/null ||
		complain "state.json is broken" || return 1
	for g in "$d"/generations/[0-9]*; do
		[ -s "$g/combined.pem" ] || [ ! -e "$g" ] ||
			complain "half a generation: $g" || return 1
	done
	[ ! -L "$STATE/live/$MX" ] || [ "$(live_spki "$MX")" = "$(key_spki \
		"$STATE/live/$MX/combined.pem")" ] ||
		complain "what is live does not fit together"
}

key_spki() {
	openssl pkey -in "$1" -pubout -outform DER | sha256sum | cut -d' ' -f1
}

# manifest: what the state says that there should be.
manifest() {
	jq -r '"intent \(.intent.kind)", (.keys[] | "key \(.spki).pem"),
		(.generations[] | "generation \(.n)"),
		"live ../lineages/\(.name)/generations/\(.live_gen)",
		"current \(.keys[] | select(.role == "current") | .spki)",
		"next \([.keys[] | select(.role == "next")] | length <= 1)"
		' "$STATE/lineages/$MX/state.json" | sort
}

# whole: after danelaw has had its run. No key and no generation too many or
# too few, nothing left lying about (but for an empty folder that never got its
# name).
whole() {
	local d=$STATE/lineages/$MX left
	unbroken || return 1
	{
		echo "intent none"
		find "$d/keys" -mindepth 1 -printf 'key %f\n'
		find "$d/generations" -mindepth 1 -maxdepth 1 \
			-printf 'generation %f\n'
		echo "live $(readlink "$STATE/live/$MX")"
		echo "current $(live_spki "$MX")"
		echo "next true"
	} | sort >"$W/there"
	manifest | diff -u - "$W/there" ||
		complain "the state and what is there differ" || return 1
	left=$(find "$STATE/" \( -name '.tmp-*' -o -name 'scratch-*' -o \
		-name news \) -not -path '*/state*/.tmp-*' \
		-not -path '*/lineages/.tmp-*')
	[ -z "$left" ] || complain "left behind: $left" || return 1
	[ ! -e "$d/history.jsonl" ] || jq -e .event "$d/history.jsonl" \
		>/dev/null || complain "the history is broken"
}

# certbot's own lineage: four links to one version, key and certificate fit.
certbot_whole() {
	local l=$W/le/live/$MX
	[ "$(for f in "$l"/*.pem; do
		readlink "$f" | tr -dc '0-9.' | sed 's/^[.]*//; s/[.]//g'
	done | sort -u | wc -l)" = 1 ] ||
		complain "certbot's links: $(ls -l "$l")" || return 1
	[ "$(certbot_spki "$MX")" = "$(key_spki "$l/privkey.pem")" ] ||
		complain "certbot's key and certificate do not fit"
}

# ended: steady; one current and one next key, and everybody serves just their
# records.
ended() {
	local j=$STATE/lineages/$MX/state.json s
	whole && certbot_whole || return 1
	[ "$(jq -r '[.keys[].role] | sort | join(" ")' "$j")" = "current next" ] ||
		complain "keys: $(jq -c '[.keys[] | {spki, role}]' "$j")" ||
		return 1
	jq -r '.keys[] | "3 1 1 " + .spki' "$j" | sort >"$W/want.tlsa"
	for s in 10.53.0.3 10.53.0.4 10.53.0.5; do
		tlsa_is "$s" "$W/want.tlsa" || {
			complain "records at $s:"
			tlsa_at "$s" "$MX"
			return 1
		}
	done
	[ "$(served "$IP")" = "$(live_spki "$MX")" ] ||
		complain "the live key is not served"
}

# finish NAME: until the end of the rollover, and is it the right one.
finish() { run_until "${2:-60}" "$1" is_ripe "$1" && ended; }

# ---- a fault at every moment ----

# every FAULT TEXT CHECK AGAIN ARG ...: danelaw ARG with this fault at every
# moment, from the same beginning each time; run again as AGAIN says (run or
# hook) without one: then all is whole and CHECK holds. The last time there is
# no fault.
every() {
	local fault=$1 text=$2 good=$3 again=$4 n rc bad=0 times=0
	shift 4
	snap
	changes "$@"
	for n in $(moments); do
		unsnap
		fault "$fault" "$n" "$@"
		rc=$?
		# Another run may make fewer changes.
		[ "$rc" != 0 ] || [ "$n" -le $(($(wc -l <"$W/changes") - 6)) ] ||
			break
		times=$((times + 1))
		if ! failed "$fault" "$rc" || ! unbroken; then
			bad=$((bad + 1))
			echo "  # $text: $fault at $(sed -n "${n}p" "$W/changes")"
			cat "$W/last"
		fi
		# shellcheck disable=SC2086
		fault none 0 $again "$MX"
		whole && $good && continue
		bad=$((bad + 1))
		echo "  # $text: $fault at $(sed -n "${n}p" "$W/changes")"
		jq -c '[.intent.kind, .live_gen, .why]' \
			"$STATE/lineages/$MX/state.json"
	done
	unsnap
	changes "$@"
	check "$text: $fault $times times" [ "$bad-$((times > 3))" = 0-1 ]
}

# orphan TEXT ARG ...: danelaw ARG, killed when it has saved a key that its state
# does not know yet; and before it runs again, certbot comes with another one.
orphan() {
	local text=$1 n keys
	shift
	snap
	changes "$@"
	n=$(awk '$2 == "renameat2" && $3 ~ /^[0-9a-f]+[.]pem$/ {
		print $1 + 1; exit }' "$W/changes")
	unsnap
	fault kill "$n" "$@"
	keys=$STATE/lineages/$MX/keys
	check "$text: a key was left" [ "$(find "$keys" -name '*.pem' | wc -l)" \
		-gt "$(jq '.keys | length' "$keys/../state.json")" ]
	renew "$MX" --no-directory-hooks
	check "$text: certbot comes again" hooked runs 0 danelaw hook
	check "$text: and nothing is left over" whole
	unsnap
}

# failed FAULT RC: as it should, and said so.
failed() {
	if [ "$1" = kill ]; then
		[ "$2" = 137 ] || complain "not killed: $2"
		return
	fi
	case $2 in
	[1-4]) grep -qE "No space left|Read-only file|Input/output" "$W/last" ||
		complain "it does not say why" ;;
	*) complain "exit status $2" ;;
	esac
}

# on_all: all servers have just the records that the state wants.
on_all() {
	local s
	jq -r '.keys[] | select(.role != "retired") | "3 1 1 " + .spki' \
		"$STATE/lineages/$MX/state.json" | sort >"$W/want.tlsa"
	for s in 10.53.0.3 10.53.0.4 10.53.0.5; do
		poll 5 tlsa_is "$s" "$W/want.tlsa" || return 1
	done
}

n_keys() {
	[ "$(jq '.keys | length' "$STATE/lineages/$MX/state.json")" = "$1" ]
}

# almost FIELD KEY SECONDS: danelaw runs until all servers agree on this key's
# record (since_ms: it is there; gone_ms: it is not), and then time passes, so
# that the next run is the one that acts on it.
almost() {
	run_until 20 "$MX" agreed "$1" "$2" || complain "the servers do not agree"
	sleep "$3"
}
agreed() {
	jq -e ".keys[] | select(.spki == \"$2\") | .records[0].$1 > 0" \
		"$STATE/lineages/$MX/state.json"
}

# quick_certbot: a certbot for danelaw that asks the CA once for a CSR's key,
# and gives the same certificate again to whoever asks again: the same step is
# killed a hundred times.
quick_certbot() {
	local version
	version=$("$W/certbot" --version 2>&1)
	mkdir -p "$W/issued"
	cat >"$W/certbot-quick" <<-EOF
		#!/bin/bash
		[ "\$*" != --version ] || { echo "$version"; exit; }
		all=("\$@")
		while [ \$# -gt 0 ]; do
		    case \$1 in
		    --csr) csr=\$2 ;;
		    --cert-path) cert=\$2 ;;
		    --chain-path) chain=\$2 ;;
		    --fullchain-path) full=\$2 ;;
		    esac
		    shift
		done
		[ -n "\$csr" ] || exec "$W/certbot" "\${all[@]}"
		d=$W/issued/\$(openssl req -in "\$csr" -noout -pubkey |
		    sha256sum | cut -d' ' -f1)
		if [ ! -e "\$d" ]; then
		    "$W/certbot" "\${all[@]}" || exit
		    mkdir "\$d.new"
		    cp "\$cert" "\$d.new/cert" && cp "\$chain" "\$d.new/chain" &&
		        cp "\$full" "\$d.new/full" && mv "\$d.new" "\$d"
		    exit
		fi
		cp "\$d/cert" "\$cert"
		cp "\$d/chain" "\$chain"
		cp "\$d/full" "\$full"
	EOF
	chmod +x "$W/certbot-quick"
	sed -i "s,$W/certbot\",$W/certbot-quick\"," "$CONF"
}
