#!/usr/bin/env bash
# What danelaw check prints, with real servers; a forwarder that is not fit to
# judge; two at once; and an end by signal.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"
ck() { timeout -k 2 60 "$DANELAW" -c "$CONF" check --timeout 6 "$@" </dev/null; }

# ---- people
check "text, good: exit 0" runs 0 ck ok.check.test
check "it says OK" says '\bOK\b'
check "no line is longer than 100" not grep -qE '.{101}' "$W/last"
check "no colour when it is not a terminal" not grep -q $'\033' "$W/last"
check "text, mismatch: exit 3" runs 3 ck blocked.check.test
check "it says BLOCKED" says BLOCKED
check "it gives the address" says 10.53.1.18
check "it gives Exchange's code" says '5\.7\.323'
check "no line but those to paste is longer than 100" [ -z "$(
	grep -vE 'openssl s_client|posttls-finger|dig ' "$W/last" |
		grep -E '.{101}')" ]

# The line to paste reproduces the failure, and not with a good server.
danelaw check --json blocked.check.test >"$W/last" 2>/dev/null
line=$(jq -r '[.checks[0].findings[] | select(.code == "tlsa-mismatch")
	| .reproduce][0] // ""' "$W/last")
check "a failure has a line to paste" [ -n "$line" ]
paste_it() { echo QUIT | timeout 10 bash -c "$1" >"$W/pasted" 2>&1; }
paste_it "$line"
check "it shows the same failure: $line" \
	grep -q 'no matching DANE TLSA records' "$W/pasted"

# -v: queries and dialogue
check "-v" runs 0 ck -v ok.check.test
check "-v shows the query for TLSA" says '_25\._tcp\.mx-ok\.check\.test'
check "-v shows the dialogue" says 'EHLO'
check "-v shows STARTTLS" says 'STARTTLS'

# --quick and --no-servers are less work, not another verdict
check "--quick" runs 0 ck --quick ok.check.test
check "--no-servers" runs 0 ck --no-servers ok.check.test
danelaw check --json --no-servers lag.test >"$W/last" 2>/dev/null
check "--no-servers: nothing about servers" \
	not grep -q '"ns-' "$W/last"

# ---- machines
check "--json" runs 0 ck --json ok.check.test
check "--json is JSON, version 1" \
	[ "$(jq .version "$W/last" 2>/dev/null)" = 1 ]
check "--json: nothing else on standard error" \
	[ -z "$(ck --json ok.check.test 2>&1 >/dev/null)" ]
check "findings carry the other names" [ "$(ck --json blocked.check.test |
	jq -r '[.checks[0].findings[] | select(.code == "tlsa-mismatch")][0]
	| "\(.exchange) \(.tlsrpt)"')" = "5.7.323 tlsa-invalid tlsa-invalid" ]

# What twenty domains need is twenty times what one needs, not its square.
many=()
for d in single weak degraded blocked blocked2 enconly nodane v6bad shared ta201 \
	ta211 ee311 ee312 ee301 hidden mixed short31 eename taname taon; do
	many+=("$d.check.test")
done
one=$(ck --json ok.check.test | wc -c)
twenty=$(ck --json "${many[@]}" | wc -c)
check "the size of JSON: $one for one domain, $twenty for twenty" \
	[ "$twenty" -lt $((one * 40)) ]

nagios() { # EXIT WORD DOMAIN
	runs "$1" ck --nagios "$3" && [ "$(wc -l <"$W/last")" = 1 ] &&
		says "$2" && says '\|'
}
check "--nagios OK" nagios 0 OK ok.check.test
check "--nagios WARNING" nagios 1 WARNING weak.check.test
check "--nagios CRITICAL" nagios 2 CRITICAL blocked.check.test
check "--nagios UNKNOWN" nagios 3 UNKNOWN closed.check.test

check "--prometheus" runs 3 ck --prometheus ok.check.test blocked.check.test
check "--prometheus: every line is a comment or a sample" [ -z "$(grep -vE \
	'^#|^[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+]+$' \
	"$W/last")" ]
check "--prometheus: each metric has its TYPE once" [ -z "$(grep '^# TYPE' \
	"$W/last" | awk '{ print $3 }' | sort | uniq -d)" ]
check "--prometheus: both domains" [ "$(grep -c ok.check.test "$W/last")" \
	-gt 0 ]

check "--style=cisco OK" runs 0 ck --style=cisco ok.check.test
for text in 'SECURE MX record\(mx-ok.check.test\) found for ok.check.test' \
	'SECURE A record \(10.53.1.10\) found for MX\(mx-ok.check.test\) in ok.check.test' \
	'Connecting to 10.53.1.10 on port 25' \
	'SECURE TLSA record found for MX\(mx-ok.check.test\) in ok.check.test' \
	'Certificate verification successful' 'DANE SUCCESS for ok.check.test' \
	'DANE verification completed'; do
	check "--style=cisco: $text" says "$text"
done
check "--style=cisco mismatch" runs 3 ck --style=cisco blocked.check.test
check "--style=cisco: FAILED" says 'DANE FAILED for blocked.check.test'
check "--style=cisco bogus" runs 3 ck --style=cisco badmx.test
check "--style=cisco: BOGUS" says 'BOGUS MX record found for badmx.test'
check "--style=cisco insecure" runs 1 ck --style=cisco insecure.test
check "--style=cisco: INSECURE" says 'INSECURE MX record\(mx1.insecure.test\) found'
check "--style=momentum" runs 0 ck --style=momentum ok.check.test
check "--style=momentum: the TLSA line" \
	says "TLSA '_25._tcp.mx-ok.check.test' has a TTL of [0-9]+ seconds"
check "--style=momentum: +dnssec" says '\+dnssec'

# ---- usage
check "no domain: exit 2" runs 2 ck
check "an unknown profile: exit 2" runs 2 ck --profile nosuch ok.check.test
check "an unknown style: exit 2" runs 2 ck --style=nosuch ok.check.test
check "not a name: exit 2" runs 2 ck 'not a name'
check "a port too large: exit 2" runs 2 ck --host mx-ok.check.test:70000

# ---- forwarders that are not fit: never BOGUS
forwarder() { # ADDRESS RULES
	ip addr replace "$1/32" dev lo
	echo "$2" >"$W/rules-$1"
	setsid "$CHECK_DIR/dnsproxy.py" "$1" 10.53.0.9 "$W/rules-$1" \
		>"$W/log/forwarder.log" 2>&1 </dev/null &
	poll 5 dig +time=1 +tries=1 "@$1" ok.check.test MX
}
through() { # ADDRESS
	sed "s/resolver {/&\n\tforward = {\"$1\"}/; /root_hints/d" \
		"$W/danelaw.conf" >"$W/forward-$1.conf"
	chmod 600 "$W/forward-$1.conf"
	CONF=$W/forward-$1.conf
}
forwarder 10.53.0.81 '{".": {"STRIP": "dnssec"}}'
forwarder 10.53.0.82 '{".": {"ALL": "servfail"}}'
forwarder 10.53.0.83 '{}'
unfit() { # DOMAIN
	runs 4 ck --json "$1" &&
		[ "$(jq -r '.checks[0].verdict' "$W/last")" = INCOMPLETE ] &&
		codes_of "$W/last" | grep -qx resolver
}
through 10.53.0.83
check "a good forwarder: OK" runs 0 ck ok.check.test
check "a good forwarder: BOGUS is BOGUS (or fails: it keeps bogus data back)" \
	sh -c "true; $(declare -f ck); DANELAW='$DANELAW' CONF='$CONF'; \
	ck --json badmx.test | jq -e '.checks[0].verdict |
		IN(\"BOGUS\", \"BLOCKED\", \"INCOMPLETE\")' >/dev/null"
for d in ok.check.test badmx.test insecure.test; do
	through 10.53.0.81
	check "a forwarder that strips DNSSEC: INCOMPLETE, not BOGUS ($d)" \
		unfit $d
	through 10.53.0.82
	check "a forwarder that fails: INCOMPLETE ($d)" unfit $d
done
through 10.53.0.99
check "no forwarder there: INCOMPLETE" unfit ok.check.test
CONF=$W/danelaw.conf

# ---- two at once, and twice the same
norm() { jq -S '[.checks[] | {name, verdict,
	codes: [.findings[].code] | sort}]' "$1"; }
ck --json ok.check.test blocked.check.test >"$W/a" 2>/dev/null &
pid=$!
ck --json ok.check.test blocked.check.test >"$W/b" 2>/dev/null
wait $pid
norm "$W/a" >"$W/a.n" 2>/dev/null
norm "$W/b" >"$W/b.n" 2>/dev/null
check "two at once say the same" cmp "$W/a.n" "$W/b.n"
check "and something" [ "$(jq length "$W/a.n" 2>/dev/null)" = 2 ]

# ---- signals
for sig in TERM INT; do
	# setsid: a shell's background job ignores SIGINT.
	/usr/bin/python3 - "$sig" "$W/killed" "$DANELAW" -c "$CONF" check \
		--timeout 30 tarpit.check.test <<-'END'
		import signal, subprocess, sys, time
		sig = getattr(signal, "SIG" + sys.argv[1])
		p = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL,
		    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
		    preexec_fn=lambda: signal.signal(signal.SIGINT,
		    signal.SIG_DFL))
		time.sleep(1.5)
		running = p.poll() is None
		p.send_signal(sig)
		t = time.monotonic()
		try:
		    p.wait(10)
		except subprocess.TimeoutExpired:
		    p.kill()
		with open(sys.argv[2], "w") as f:
		    f.write("%d %d\n" % (running, time.monotonic() - t < 3))
	END
	check "SIG$sig ends it at once" [ "$(cat "$W/killed")" = "1 1" ]
done
check "a closed pipe: one line at most" [ "$(
	{ ck ok.check.test | true; } 2>&1 | wc -l)" -le 1 ]
scenario_end
