#!/usr/bin/env bash
# danelaw check beyond SMTP on port 25: Dovecot, slapd, Prosody and Postfix on
# its other ports, each with the right certificate and with another; openssl
# s_client is asked the same.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/lab/check/lib.sh"
set +e
world_start "$1"
check "Dovecot, slapd and Prosody start" "$CHECK_DIR/protos" "$W"

# says_of VERDICT CODE ARGS ...: the verdict of one --host run; CODE "-": none.
says_of() {
	local verdict=$1 code=$2 rc
	shift 2
	danelaw check --json --timeout 8 "$@" >"$W/last" 2>>"$W/run.log" \
		</dev/null
	rc=$?
	cat "$W/last" >>"$W/run.log"
	[ "$(jq -r '.checks[0].verdict' "$W/last")" = "$verdict" ] || return 1
	case $verdict in
	OK) [ "$rc" = 0 ] ;;
	BLOCKED) [ "$rc" = 3 ] ;;
	*) true ;;
	esac || return 1
	[ "$code" = - ] || codes_of "$W/last" | grep -qxF -- "$code"
}

s_client() { # HOST PORT [-starttls P]
	local host=$1 port=$2
	shift 2
	echo QUIT | timeout 8 openssl s_client -brief -verify_return_error \
		-connect "$host.check.test:$port" "$@" \
		-dane_ee_no_namechecks -dane_tlsa_domain "$host.check.test" \
		-dane_tlsa_rrdata "3 1 1 $SPKI_GOOD" 2>&1 |
		grep -aq 'DANE TLSA 3 1 1 .* matched'
}

# both NAME PORT [STARTTLS [MORE]]: by its port number, and by --starttls.
both() {
	local name=$1 port=$2 proto=${3:-} args=()
	[ -z "$proto" ] || args=(-starttls "$proto")
	case $proto in xmpp*) args+=(-xmpphost "$name.check.test") ;; esac
	check "$name $port: openssl says yes" s_client "$name" "$port" \
		"${args[@]}"
	check "$name $port: OK" says_of OK - --host "$name.check.test:$port"
	case $proto in xmpp*) args=(-starttls "$proto" -xmpphost \
		"${name}bad.check.test") ;; esac
	check "${name}bad $port: openssl says no" \
		not s_client "${name}bad" "$port" "${args[@]}"
	check "${name}bad $port: BLOCKED, tlsa-mismatch" says_of BLOCKED \
		tlsa-mismatch --host "${name}bad.check.test:$port"
}
both imap 143 imap
both imap 993
both imap 110 pop3
both imap 995
both imap 4190 sieve
both ldap 389 ldap
both xmpp 5222 xmpp
both xmpp 5269 xmpp-server

# The protocol that is asked for, whatever the port.
check "--starttls imap on 143" says_of OK - --starttls imap \
	--host imap.check.test:143
check "--starttls pop3 on the IMAP port: no verdict of OK" \
	not says_of OK - --starttls pop3 --host imap.check.test:143
check "--starttls none on 993" says_of OK - --starttls none \
	--host imap.check.test:993
check "--starttls none on 143: not OK" not says_of OK - --starttls none \
	--host imap.check.test:143

# Postfix: TLS at once on 465, STARTTLS on 587, and no MX with --nexthop.
check "465" says_of OK - --host sub.check.test:465
check "587 has other records: BLOCKED" says_of BLOCKED tlsa-mismatch \
	--host sub.check.test:587
check "several hosts in one run" says_of OK - --host sub.check.test:465 \
	--host imap.check.test:993 --host mx-ok.check.test
check "all three are in the answer" [ "$(jq '.checks | length' "$W/last")" = 3 ]
check "--nexthop [host]:port asks no MX" says_of OK - \
	--nexthop '[mx-ok.check.test]:25'
check "--nexthop domain:port asks for MX" says_of OK - \
	--nexthop 'ok.check.test:25'
check "-4: the bad IPv6 address is not looked at" says_of OK - -4 \
	v6bad.check.test
check "-6: only that one is" says_of BLOCKED tlsa-mismatch -6 v6bad.check.test
scenario_end
