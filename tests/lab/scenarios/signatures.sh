#!/usr/bin/env bash
# What DNSSEC says decides: expired signatures on one server, the whole zone
# bogus, the zone insecure all of a sudden; and a zone that never was signed.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
tree() { "$ROOT/tests/lab/dns-tree" "$W" "$@"; }
setup_home

renew "$MX"
new=$(certbot_spki "$MX")
poll 10 has_tlsa 10.53.0.5 "$MX" "$new"
cur=$(live_spki "$MX")

hold_while() { # TEXT PATTERN
	local text=$1 pattern=$2
	check "$text: no switch" no_switch $((3 * LAB_TTL)) "$MX"
	check "$text: a message" says "$pattern"
	check "$text: exit status 1" runs 1 danelaw run "$MX"
	danelaw status "$MX" >"$W/last" 2>&1
	check "$text: status tells it" says "$pattern"
	check "$text: nothing was withdrawn" has_tlsa 10.53.0.3 "$MX" "$cur"
}

tree mode nsd expired
check "expired: that server has the record" has_tlsa 10.53.0.5 "$MX" "$new"
hold_while "expired signatures on one server" \
	'ns3.example.test. .*rrsig-expired.*sign the zone again'
tree mode nsd ok

tree ds wrong
hold_while "the zone is bogus" "$MX.: .*bogus"
tree ds none
hold_while "the zone is insecure" "$MX.: .*not signed|insecure"
tree ds right
check "mended: it goes live" run_until 60 "$MX" went_live "$MX" "$new"
check "and is steady" run_until 40 "$MX" is_ripe "$MX"

# Nothing is published or withdrawn meanwhile either.
tree ds wrong
before=$(tlsa_at 10.53.0.3 "$MX")
renew "$MX"
new=$(certbot_spki "$MX")
check "bogus: no record is added" no_switch $((2 * LAB_TTL)) "$MX"
check "bogus: the records are what they were" \
	[ "$(tlsa_at 10.53.0.3 "$MX")" = "$before" ]
tree ds right
check "mended: it goes live" run_until 60 "$MX" went_live "$MX" "$new"
check "and is steady" run_until 40 "$MX" is_ripe "$MX"
check "no mismatch in all of this" no_mismatch 200

# ---- a zone that never was signed ----
"$ROOT/tests/lab/mta" "$W" down mx1-home
ip addr del "$IP/32" dev lo
MX=mx1.insecure.test
configure() {
	{
		conf_head
		conf_lineage "$MX" home "$@"
	} >"$CONF"
	chmod 600 "$CONF"
}
configure
issue "$MX"
danelaw run "$MX" >>"$W/run.log" 2>&1
"$ROOT/tests/lab/mta" "$W" up mx1-home "$IP" - \
	"$STATE/live/$MX/combined.pem"
check "insecure zone: held, exit status 1" runs 1 danelaw run "$MX"
check "insecure zone: a message that says what to do" \
	says "_25._tcp.$MX.: .*not signed.*sign the zone.*proceed"
sleep 1
check "insecure zone: nothing is published" \
	[ -z "$(tlsa_at 10.53.0.3 "$MX")" ]
configure 'insecure = "proceed"'
check "insecure = proceed: published and steady" \
	run_until 40 "$MX" is_ripe "$MX"
check "insecure = proceed: exit status 0" runs 0 danelaw run "$MX"
renew "$MX"
new=$(certbot_spki "$MX")
check "insecure = proceed: a fresh key waits" \
	[ "$(live_spki "$MX")" != "$new" ]
check "insecure = proceed: and goes live" \
	run_until 40 "$MX" went_live "$MX" "$new"
scenario_end
