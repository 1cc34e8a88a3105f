#!/usr/bin/env bash
# The first publication at a name: not while an endpoint lacks STARTTLS or
# serves another key, because from then on senders insist on it. And owner
# names that are aliases.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
LAB_PDNS=$LAB_PDNS_API
MTA=$ROOT/tests/lab/mta
configure() {
	{
		conf_head
		conf_lineage "$MX" home
		cat
	} >"$CONF" </dev/stdin
	chmod 600 "$CONF"
}
configure </dev/null

issue "$MX"
check "nobody serves it yet: exit status 1" runs 1 danelaw run "$MX"
check "the message tells the path to configure" \
	says "live/$MX/combined.pem"
check "danelaw made it" \
	openssl pkey -in "$STATE/live/$MX/combined.pem" -noout

unpublished() {
	for ns in 10.53.0.3 10.53.0.4 10.53.0.5; do
		[ -z "$(tlsa_at $ns "$MX")" ] || return 1
	done
}
refused() { # TEXT PATTERN
	said() { runs 1 danelaw run "$MX" && says "$2"; }
	check "$1: exit status 1, and a message" poll 8 said "$@"
	danelaw run "$MX" >>"$W/run.log" 2>&1
	sleep 1
	check "$1: nothing is published" unpublished
}

# Another certificate, on both addresses and then on one.
openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout "$W/odd.key" \
	-out "$W/odd.crt" -subj "/CN=$MX" 2>/dev/null
cat "$W/odd.key" "$W/odd.crt" >"$W/odd.pem"
"$MTA" "$W" up mx1-home "$IP" fd53::25 "$W/odd.pem"
odd=$(spki "$W/odd.crt")
refused "another key" "$MX \[10.53.0.25\]:25 .*serves key ${odd:0:16}"

"$MTA" "$W" down mx1-home
ip addr del "$IP/32" dev lo
ip addr del fd53::25/128 dev lo
"$MTA" "$W" up mx1-home "$IP" - "$STATE/live/$MX/combined.pem"
"$MTA" "$W" up odd fd53::25 - "$W/odd.pem" 2>/dev/null || {
	postconf -c "$W/mta-odd/etc" -e inet_protocols=ipv6
	postfix -c "$W/mta-odd/etc" start >/dev/null 2>&1
}
poll 5 sh -c 'echo QUIT | openssl s_client -starttls smtp \
	-connect "[fd53::25]:25" 2>/dev/null | grep -q BEGIN'
refused "another key on one address" \
	"$MX \[fd53::25\]:25 .*serves key ${odd:0:16}"

# The right key, but one address does not offer STARTTLS.
cat "$STATE/live/$MX/combined.pem" >"$W/odd.pem"
postconf -c "$W/mta-odd/etc" -e smtpd_tls_security_level=none
postfix -c "$W/mta-odd/etc" reload >/dev/null 2>&1
refused "no STARTTLS on one address" "$MX \[fd53::25\]:25.*STARTTLS"

postconf -c "$W/mta-odd/etc" -e smtpd_tls_security_level=may \
	smtpd_tls_chain_files="$STATE/live/$MX/combined.pem"
postfix -c "$W/mta-odd/etc" reload >/dev/null 2>&1
LAB_RELOAD="$MTA $W reload mx1-home && $MTA $W reload odd"
configure </dev/null
check "mended: published and steady" run_until 40 "$MX" is_ripe "$MX"
check "the two records and nothing else" [ "$(tlsa_at 10.53.0.5 "$MX")" = "$(
	printf '3 1 1 %s\n' "$(key_of "$MX" current)" "$(key_of "$MX" next)" |
		sort)" ]
hook_install
senders_start "$MX,$IP,25,smtp" "$MX,fd53::25,25,smtp" \
	"mx4.example.test,$IP,25,smtp"
renew "$MX"
new=$(certbot_spki "$MX")
check "a renewal goes live" run_until 40 "$MX" went_live "$MX" "$new"
check "steady again" run_until 40 "$MX" is_ripe "$MX"

# ---- aliases ----
# _25._tcp.mx4 is a CNAME for _dane.mx1: in the same zone.
alias=mx4.example.test
ns_update "update add $alias $LAB_TTL A $IP"
"$W/certbot" certonly -n -q --standalone --cert-name $alias -d $alias
alias_conf() { # NAME PROVIDER
	LAB_RELOAD="$MTA $W reload mx4" conf_lineage "$1" "$2"
}
alias_conf $alias home | configure
senders_stop
check "no mismatch so far" [ "$(mismatches)" = 0 ]
"$MTA" "$W" down mx1-home
ip addr del "$IP/32" dev lo
danelaw run $alias >>"$W/run.log" 2>&1
"$MTA" "$W" up mx4 "$IP" - "$STATE/live/$alias/combined.pem"
check "alias: published and steady" run_until 40 $alias is_ripe $alias
cur=$(live_spki $alias)
check "alias: the record is at its target" \
	sh -c "dig +short @10.53.0.5 TLSA _dane.mx1.example.test |
		tr -d ' ' | grep -qix '311$cur'"
check "alias: it is still an alias" [ "$(dig +short @10.53.0.5 CNAME \
	_25._tcp.$alias)" = _dane.mx1.example.test. ]
senders_start "$alias,$IP,25,smtp"
renew $alias
new=$(certbot_spki $alias)
check "alias: a renewal goes live" run_until 40 $alias went_live $alias "$new"
check "alias: steady again" run_until 40 $alias is_ripe $alias
check "alias: no mismatch" no_mismatch 50
"$MTA" "$W" down mx4
ip addr del "$IP/32" dev lo

# _25._tcp.mx3 is a CNAME for a name in example2.test, which is behind the
# other provider.
alias=mx3.example.test
"$W/certbot" certonly -n -q --standalone --cert-name $alias -d $alias
alias_conf $alias home | sed 's/reload mx4/reload mx3/' | configure
danelaw run $alias >>"$W/run.log" 2>&1
"$MTA" "$W" up mx3 "$IP" - "$STATE/live/$alias/combined.pem"
said() {
	runs 1 danelaw run $alias &&
		says "_25._tcp.mx1.example2.test..*(not authoritative|not in)"
}
check "alias into another zone, wrong provider: exit 1, reason" poll 10 said
sleep 1
check "nothing is published there" [ -z "$(tlsa_at 10.53.0.6 \
	mx1.example2.test)" ]
alias_conf $alias pdns | sed 's/reload mx4/reload mx3/' | configure
check "with the right provider: steady" run_until 40 $alias is_ripe $alias
check "and the record is there" has_tlsa 10.53.0.6 mx1.example2.test \
	"$(live_spki $alias)"
scenario_end
