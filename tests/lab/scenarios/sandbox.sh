#!/usr/bin/env bash
# The process that talks to the network: what the kernel says of it, what it
# opened in a whole rollover, what its memory holds, and that it neither
# outlives its parent nor is replaced.
export LAB_TTL=3
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
check "config tells that it works" runs 0 danelaw config
check "in a line of its own" says "^sandbox +works$"

# ---- a rollover, as the kernel sees it ----

if command -v strace >/dev/null; then
	mkdir "$W/trace"
	traced() {
		ASAN_OPTIONS=detect_leaks=0 strace -ff -q -o "$W/trace/t" -e \
			"trace=!read,write,poll,ppoll,epoll_wait,futex" \
			"$DANELAW" -c "$CONF" "$@" >>"$W/run.log" 2>&1
	}
	hook_remove
	renew "$MX"
	new=$(certbot_spki "$MX")
	RENEWED_LINEAGE=$W/le/live/$MX RENEWED_DOMAINS=$MX traced hook
	check "a rollover under strace" traced run --wait "$MX"
	check "went live" went_live "$MX" "$new"
	hook_install
	# Who asked the Internet anything, and who was danelaw: not what it ran.
	cd "$W/trace" || exit 1
	grep -l 'socket(AF_INET' t.* | sort >net
	grep -L '^execve(.*= 0' t.* | sort >forked
	grep -l "^execve(\"$DANELAW\"" t.* | sort >parents
	mapfile -t children < <(comm -12 net forked)
	mapfile -t parents <parents
	keys="^open.*($STATE|$W/le)/.*= [0-9]"
	check "it was children that talked to the network" \
		[ "${#children[@]}" -gt 0 ]
	check "no danelaw that was started did" \
		[ -z "$(comm -12 net parents)" ]
	check "those read the keys" grep -qE "$keys" "${parents[@]}"
	check "no child opened anything of danelaw's or certbot's" \
		not grep -HE "$keys" "${children[@]}"
	writes() {
		grep -HE '^open.*(O_WRONLY|O_RDWR|O_CREAT).* = [0-9]' "$@" |
			grep -v '"/dev/null"'
	}
	check "or anything to write to" not writes "${children[@]}"
	check "or had a socket of AF_UNIX" \
		not grep -HE '^socket\(AF_UNIX.* = [0-9]' "${children[@]}"
	check "none was killed by its filter" not grep -l 'killed by SIGSYS' t.*
	# clone3 has to fail, for clone to be used.
	short() { grep -HE '= -1 (ENOSYS|EPERM)' "$@" | grep -v clone3; }
	check "none missed a system call" not short "${children[@]}"
	cd "$ROOT" || exit 1
else
	echo "ok - a rollover under strace # SKIP no strace"
fi

# ---- one that waits ----

# A sanitizer's memory is too large to be looked at.
PLAIN=${FAULT_DANELAW:-$DANELAW}

# begin: danelaw run --wait with something to wait for; $PARENT and $CHILD.
begin() {
	renew "$MX"
	"$PLAIN" -c "$CONF" run --wait "$MX" \
		>"$W/last" 2>&1 </dev/null &
	PARENT=$!
	poll 5 pgrep -P "$PARENT"
	CHILD=$(pgrep -P "$PARENT" | head -1)
	poll 10 grep -q '^Seccomp:.*2' "/proc/$CHILD/status"
}
stat_is() { grep -qE "^$1:[[:space:]]*$2\$" "/proc/$CHILD/status"; }
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

begin
check "no new privileges" stat_is NoNewPrivs 1
check "a filter for system calls" stat_is Seccomp 2
check "no capabilities" stat_is CapPrm 0000000000000000
check "four descriptors: nothing, nothing, stderr, the engine" \
	[ "$(ls "/proc/$CHILD/fd" | tr '\n' ' ')" = "0 1 2 3 " ]
check "a session of its own" \
	[ "$(ps -o sid= -p "$CHILD" | tr -d ' ')" = "$CHILD" ]
check "the engine keeps no core" \
	grep -qE '^Max core file size +0 ' "/proc/$PARENT/limits"
check "nor does its process, for good" \
	grep -qE '^Max core file size +0 +0 ' "/proc/$CHILD/limits"

# in_memory PID FILE|=TEXT ...: is any line of a private key, as PEM or as
# octets, or that text, in the memory of the process?
in_memory() {
	/usr/bin/python3 - "$@" <<-'END'
		import base64, sys
		texts = []
		for name in sys.argv[2:]:
		    if name.startswith("="):
		        texts.append(name[1:].encode())
		        continue
		    lines = open(name).read().splitlines()
		    lines = [x for x in lines if x and not x.startswith("-")]
		    texts += [x.encode() for x in lines if len(x) > 40]
		    der = base64.b64decode("".join(lines))
		    # PKCS#8: behind the header that all such keys have
		    texts += [der[40:60], der[len(der) // 2:][:20]]
		found = False
		with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as mem:
		    for line in open(f"/proc/{sys.argv[1]}/maps"):
		        where, mode = line.split()[:2]
		        if not mode.startswith("rw"):
		            continue
		        a, b = (int(x, 16) for x in where.split("-"))
		        mem.seek(a)
		        data = mem.read(b - a)
		        found = found or any(t in data for t in texts)
		sys.exit(0 if found else 1)
	END
}
check "its memory holds no private key" \
	not in_memory "$CHILD" "$STATE/lineages/$MX"/keys/*.pem \
	"$W/le/live/$MX/privkey.pem"
check "that look is a good one: it finds the path of the keys" \
	in_memory "$CHILD" "=$W/le/live/$MX"

kill -INT "$PARENT"
wait "$PARENT"
check "Ctrl-C ends both" poll 3 gone "$CHILD"

begin
kill -KILL "$PARENT"
wait "$PARENT" 2>/dev/null
check "a parent that is killed takes it along" poll 3 gone "$CHILD"

begin
kill -SEGV "$CHILD"
wait "$PARENT"
rc=$?
check "it died: the run ends, and is to be tried again" [ "$rc" = 4 ]
check "and says so" says "process that talks to the network is gone"
check "the next run has a new one" run_until 40 "$MX" is_ripe "$MX"

# ---- in reach of the keys, or not allowed at all ----

sed "s|^state_dir.*|&\nsandbox = \"off\"|" "$CONF" >"$W/off.conf"
chmod 600 "$W/off.conf"
runs 0 danelaw -c "$W/off.conf" config
check "off: config says what that means" says "^sandbox +off"
check "off: one process does it all" runs 0 danelaw -c "$W/off.conf" run
sed "s|^state_dir.*|&\nsandbox = \"maybe\"|" "$CONF" >"$W/bad.conf"
chmod 600 "$W/bad.conf"
check "nonsense is refused" runs 2 danelaw -c "$W/bad.conf" config

check "no mismatch in all of this" no_mismatch
scenario_end
