#!/usr/bin/env bash
# Rollovers done right: no caching sender sees a mismatch. And the negative
# control: the same senders catch one done wrong.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home

renew "$MX"
new=$(certbot_spki "$MX")
check "a fresh key is not served at once" not went_live "$MX" "$new"
check "but published at once by the hook" \
	poll 5 has_tlsa 10.53.0.3 "$MX" "$new"
check "run --wait brings it live" runs 0 danelaw run --wait "$MX"
check "the fresh key is served" went_live "$MX" "$new"
check "steady again after the fresh key" run_until 40 "$MX" is_ripe "$MX"

next=$(key_of "$MX" next)
check "a renewal on the pre-generated key" runs 0 danelaw run --renew "$MX"
check "goes live at once, on that key" went_live "$MX" "$next"
check "and is in certbot's lineage too" [ "$(certbot_spki "$MX")" = "$next" ]
check "certbot certificates is content" \
	sh -c "'$W/certbot' certificates 2>&1 | grep -q VALID"
check "certbot renew finds nothing due" sh -c \
	"'$W/certbot' renew -n --no-random-sleep-on-renew 2>&1 | grep -q 'not due'"
check "steady again after the pre-generated key" \
	run_until 40 "$MX" is_ripe "$MX"

before=$(live_spki "$MX")
gen=$(state "$MX" .live_generation)
renew "$MX" --reuse-key
check "same key renewed: live at once, from the hook" \
	[ "$(state "$MX" .live_generation)" -gt "$gen" ]
check "on the same key" went_live "$MX" "$before"
sed -i 's/^reuse_key.*/reuse_key = False/' "$W/le/renewal/$MX.conf"

hook_remove
renew "$MX"
new=$(certbot_spki "$MX")
check "a renewal whose hook never ran is found by run" \
	run_until 40 "$MX" went_live "$MX" "$new"
hook_install
run_until 40 "$MX" is_ripe "$MX"

for i in 1 2 3 4 5 6 7 8 9 10; do
	renew "$MX"
	new=$(certbot_spki "$MX")
	check "rollover $i of ten" run_until 40 "$MX" went_live "$MX" "$new"
done
check "steady after ten" run_until 60 "$MX" is_ripe "$MX"

for i in 1 2 3 4 5; do
	renew "$MX"
	[ "$i" = 1 ] && first=$(certbot_spki "$MX")
	danelaw run "$MX" >>"$W/run.log" 2>&1
	[ "$(live_spki "$MX")" = "$first" ] && first_went=1
done
last=$(certbot_spki "$MX")
check "fresh keys faster than the wait: the newest gets there" \
	run_until 60 "$MX" went_live "$MX" "$last"
check "and the first one's clock was not restarted by the others" sh -c \
	"[ '${first_went:-}' = 1 ] || grep '\"live\"' \
	'$STATE/lineages/$MX/history.jsonl' | grep -q '$first'"
check "steady after the flood" run_until 60 "$MX" is_ripe "$MX"
check "no mismatch in all of this" no_mismatch 500

# Negative control: what a script would do, straight from certbot to the MTA.
senders_start
hook_remove
renew "$MX"
cat "$W/le/live/$MX/privkey.pem" "$W/le/live/$MX/fullchain.pem" \
	>"$W/wrong.pem"
postconf -c "$W/mta-mx1-home/etc" -e "smtpd_tls_chain_files=$W/wrong.pem"
"$ROOT/tests/lab/mta" "$W" reload mx1-home
serves_certbots() { [ "$(served "$IP")" = "$(certbot_spki "$MX")" ]; }
check "the MTA serves certbot's new key" poll 10 serves_certbots
sleep 1
senders_stop
check "negative control: the senders catch a rollover done wrong" \
	[ "$(mismatches)" -gt 0 ]

openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout "$W/odd.key" \
	-out "$W/odd.crt" -subj /CN=odd 2>/dev/null
cat "$W/odd.key" "$W/odd.crt" >"$W/wrong.pem"
"$ROOT/tests/lab/mta" "$W" reload mx1-home
serves_odd() { [ "$(served "$IP")" = "$(spki "$W/odd.crt")" ]; }
check "the MTA serves a key of nobody's" poll 10 serves_odd
check "danelaw run calls an outage what is one" \
	run_until 10 "$MX" runs 3 danelaw run "$MX"
check "and says where" says "OUTAGE: $MX .10.53.0.25.:25"
scenario_end
