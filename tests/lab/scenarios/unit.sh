#!/usr/bin/env bash
# examples/danelaw.service under a real systemd, as the first process of
# namespaces of its own: all its restrictions are in force, and a rollover with
# its reload command, and one with certbot inside the unit, still work.
. "$(dirname "$0")/../lib.sh"

boot() { # DIR
	local to=/run/systemd/system
	mount --make-rprivate / && mount -t tmpfs tmpfs /run &&
		mount -t cgroup2 cgroup2 /sys/fs/cgroup || return
	mkdir -p $to
	cat >$to/scenario.service <<-END
		[Unit]
		DefaultDependencies=no
		SuccessAction=exit-force
		FailureAction=exit-force
		[Service]
		Type=oneshot
		Environment=UNDER_SYSTEMD=1 HOME=/root "PATH=$PATH"
		Environment="DANELAW=$DANELAW"
		ExecStart=/bin/bash $ROOT/tests/lab/scenarios/unit.sh $1
		StandardOutput=file:$1/unit.log
		StandardError=inherit
		TimeoutStartSec=5min
	END
	exec env container=lab /lib/systemd/systemd --system \
		--unit=scenario.service --log-target=null --show-status=0
}

if [ -z "${UNDER_SYSTEMD:-}" ]; then
	mkdir -p "$1"
	export -f boot
	export ROOT DANELAW
	# shellcheck disable=SC2016
	[ ! -x /lib/systemd/systemd ] || timeout -k 5 330 unshare -m -p -f -C \
		-i -u --kill-child --mount-proc \
		bash -c 'boot "$1"' - "$1" </dev/null >"$1/boot.log" 2>&1
	if [ ! -s "$1/unit.log" ]; then
		echo "ok - under systemd # SKIP no systemd can be started here"
		scenario_end
	fi
	cat "$1/unit.log"
	exit
fi

scenario "$1"
export LAB_RELOAD="systemctl reload mail.service"
{
	conf_head
	conf_lineage "$MX" home
} >"$CONF"
chmod 600 "$CONF"
cat >/run/systemd/system/mail.service <<-END
	[Unit]
	DefaultDependencies=no
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/bin/true
	ExecReload=$ROOT/tests/lab/mta $W reload mx1-home
END

# unit NAME ARGUMENTS: the example with the lab's paths, and nothing else
# changed. /tmp is private in it, so the lab is brought in.
unit() {
	local file=/run/systemd/system/$1.service
	mkdir "$file.d"
	sed -e "s|^ExecStart=.*|ExecStart=$DANELAW -c $CONF $2|" \
		-e '/network-online/d' \
		-e 's|ReadWritePaths=/|ReadWritePaths=-/|' \
		"$ROOT/examples/danelaw.service" >"$file"
	cat >"$file.d/lab.conf" <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		StateDirectory=
		BindReadOnlyPaths=$(dirname "$DANELAW") $W
		BindPaths=$STATE $W/le $W/le-work $W/le-logs
		Environment=ASAN_OPTIONS=detect_leaks=0 "PATH=$PATH"
		StandardOutput=append:$W/run.log
		StandardError=inherit
		$(for v in $(grep -o '^[A-Z_]*' "$W/certbot.env"); do
			echo "Environment=\"$v=${!v}\""
		done)
	END
}
mkdir -p "$W/le-work" "$W/le-logs"
unit danelaw run
unit renew "run --renew $MX"
unit jail ""
sed -i "s|^ExecStart=.*|ExecStart=/bin/cat /proc/self/status|" \
	/run/systemd/system/jail.service
# As somebody's own unit may be, with the groups of systemd 252.
unit bare run
sed -i '/^SystemCallFilter=landlock/d' /run/systemd/system/bare.service
systemctl daemon-reload
check "the mail software's unit" systemctl start mail.service

check "first set-up" adopt "$MX" home "$IP" fd53::25
senders_start

systemctl start jail.service
check "the unit has its filters" grep -qE '^Seccomp:.*2' "$W/run.log"
check "no new privileges" grep -qE '^NoNewPrivs:.*1' "$W/run.log"
check "five capabilities" grep -qE '^CapBnd:.*0000000000000[0-9a-f]{3}' \
	"$W/run.log"
# Later ones have these calls in @system-service.
if ! systemd-analyze syscall-filter @sandbox >/dev/null 2>&1; then
	check "a unit without Landlock's calls: it refuses" \
		not systemctl start bare.service
	check "and says what is missing" \
		grep -q 'missing: Landlock' "$W/run.log"
	systemctl reset-failed bare.service
fi
old=$(live_spki "$MX")
renew "$MX"
new=$(certbot_spki "$MX")

# timer SECONDS UNIT CONDITION ...: the unit again and again, until.
timer() {
	local end=$((SECONDS + $1)) unit=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		systemctl start "$unit" >>"$W/run.log" 2>&1
		sleep 0.2
	done
}
retired() { lacks_tlsa 10.53.0.5 "$MX" "$old" && is_ripe "$MX"; }
check "a rollover by the unit, with systemctl reload" \
	timer 60 danelaw.service went_live "$MX" "$new"
check "to its end" timer 60 danelaw.service retired
check "the unit ends well" systemctl start danelaw.service
other() { [ "$(live_spki "$MX")" != "$new" ]; }
check "certbot inside the unit" timer 60 renew.service other
check "and it is served" poll 10 went_live "$MX" "$(live_spki "$MX")"
check "nothing was missing for the sandbox" \
	not grep -q 'event=sandbox' "$W/run.log"
check "no mismatch in all of this" no_mismatch
scenario_end
