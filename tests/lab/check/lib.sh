# shellcheck shell=bash
# For the scenarios of danelaw check: the world, the table, and our own word.
# Sourced after ../lib.sh.
CHECK_DIR=$ROOT/tests/lab/check

# world_start DIR: everything; CONF is danelaw's configuration.
world_start() {
	W=$1
	mkdir -p "$W"
	ip link set lo up
	"$CHECK_DIR/world" "$W" up all || exit 1
	# shellcheck disable=SC1091
	. "$W/env"
	CONF=$W/danelaw.conf
	: >"$W/run.log"
	mount --bind "$W/resolv.conf" /etc/resolv.conf
	export MAIL_CONFIG=$W/mta/etc
	trap 'echo "(interrupted)"' TERM
}

# exim_start: false when its packages are not there. A scenario cannot fetch
# them, it has no network: (cd build/debs; apt-get download exim4-daemon-light
# libidn12 libgnutls-dane0).
exim_start() {
	local debs=${LAB_DEBS:-$ROOT/build/debs}
	if ! ls "$debs"/exim4-daemon-light_*.deb >/dev/null 2>&1; then
		return 1
	fi
	"$CHECK_DIR/exim" "$W" "$debs" >>"$W/exim.log" 2>&1 ||
		{ cat "$W/exim.log"; return 1; }
}

# The rows of the table as name|profile|verdict|... without blanks around |.
rows() {
	sed -E '/^(#|$)/d; s/ *\| */|/g' "$CHECK_DIR/cases"
}

# args_of NAME: what to call a case on the command line.
args_of() {
	case $1 in
	host:*) echo "--host ${1#host:}" ;;
	*.*) echo "$1" ;;
	*) echo "$1.check.test" ;;
	esac
}

# is_one_of WORD A/B/C
is_one_of() {
	[[ /$2/ == */$1/* ]]
}

# ours PROFILE NAME: JSON of danelaw check in $W/json/PROFILE-NAME, its exit
# status in the same name with .rc.
ours() {
	local out=$W/json/$1-${2//[:\/]/_} rc
	mkdir -p "$W/json"
	# shellcheck disable=SC2046 # two words are wanted
	timeout -k 2 60 "$DANELAW" -c "$CONF" check --json --timeout 6 \
		--profile "$1" $(args_of "$2") >"$out" 2>"$out.err" </dev/null
	rc=$?
	echo "$rc" >"$out.rc"
}

# codes_of FILE: the findings' codes, one a line, each also as level:code.
codes_of() {
	jq -r '.checks[].findings[] | .code, "\(.level):\(.code)"' "$1" \
		2>/dev/null | sort -u
}

# ours_all NAME ...: the rfc profile, a dozen in one run; JSON in $W/all-*.json.
ours_all() {
	local args n=0
	while [ $# -gt 0 ]; do
		args=()
		for name in "${@:1:12}"; do
			# shellcheck disable=SC2207 # two words are wanted
			args+=($(args_of "$name"))
		done
		shift $(($# < 12 ? $# : 12))
		n=$((n + 1))
		timeout -k 2 120 "$DANELAW" -c "$CONF" check --json \
			--timeout 6 "${args[@]}" >"$W/all-$n.json" \
			2>>"$W/run.log" </dev/null
	done
}

# One command, timed: $TOOK in ms, $RSS in kB, its exit status.
measured() {
	local rc
	/usr/bin/python3 - "$W/measured" "$@" <<-'END'
		import resource, subprocess, sys, time
		t = time.monotonic()
		rc = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
		took = int((time.monotonic() - t) * 1000)
		rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
		with open(sys.argv[1], "w") as f:
		    f.write("TOOK=%d RSS=%d\n" % (took, rss))
		sys.exit(rc if rc >= 0 else 128 - rc)
	END
	rc=$?
	# shellcheck disable=SC1091
	. "$W/measured"
	return $rc
}
