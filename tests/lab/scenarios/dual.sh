#!/usr/bin/env bash
# Two certificates, RSA and ECDSA, for one name on one server: two lineages
# with the same owner names, one record set, and each key goes its own way.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
T=_25._tcp.$MX
MTA="$ROOT/tests/lab/mta"

certify() { # LINEAGE ALGORITHM
	"$W/certbot" certonly -n -q --standalone --cert-name "$1" -d "$MX" \
		--key-type "$2" --rsa-key-size 2048
}
section() { # LINEAGE [LINE ...]
	conf_lineage "$1" home "${@:2}" |
		sed "s/tlsa = .*/tlsa = {\"$T\"}/"
}
LAB_RELOAD="echo >>$W/reloads; $MTA $W reload mx1-home"
configure() {
	{
		conf_head
		section ec
		section rsa
		cat
	} >"$CONF" </dev/stdin
	chmod 600 "$CONF"
}
configure </dev/null
certify ec ecdsa
certify rsa rsa
both() { "$@" ec && "$@" rsa; }
check "before the server serves both: nothing is published" \
	runs 1 danelaw run
check "nothing at all" [ -z "$(tlsa_at 10.53.0.3 "$MX")" ]
"$MTA" "$W" up mx1-home "$IP" fd53::25 \
	"$STATE/live/ec/combined.pem,$STATE/live/rsa/combined.pem"

# served_by ALGORITHM: SPKI with that algorithm forced
served_by() {
	local sig=RSA-PSS+SHA256:RSA+SHA256
	[ "$1" = rsa ] || sig=ECDSA+SHA256
	echo QUIT | timeout 5 openssl s_client -starttls smtp -sigalgs "$sig" \
		-connect "$IP:25" 2>/dev/null >"$W/served.pem"
	spki "$W/served.pem" 2>/dev/null
}
serves_live() {
	[ "$(served_by "$1")" = "$(live_spki "$1")" ]
}
expected() { # the records of both: current and next of each
	for name in ec rsa; do
		for role in current next; do
			echo "3 1 1 $(key_of $name $role)"
		done
	done | sort
}
four_records() {
	[ "$(expected | wc -l)" = 4 ] &&
		[ "$(tlsa_at 10.53.0.5 "$MX")" = "$(expected)" ]
}
all_run() {
	danelaw run >>"$W/run.log" 2>&1
	both is_ripe
}
check "adoption reaches the steady state" poll 60 all_run
check "the record set: current and next of both, nothing else" four_records
check "both are served" both serves_live
hook_install
senders_start "$MX,$IP,25,smtp,rsa+ecdsa" "$MX,fd53::25,25,smtp,rsa+ecdsa"

# Only one of the two is renewed.
one_renewed() { # LINEAGE OTHER
	local name=$1 other=$2 kept kept_state new
	kept=$(expected | grep -E "$(key_of "$other" current)|$(
		key_of "$other" next)")
	kept_state=$(state "$other" '[.live_generation, .keys]
		| tostring | gsub("\"since\":[^,}]*"; "")')
	renew "$name"
	new=$(certbot_spki "$name")
	check "$name renewed: published" poll 5 has_tlsa 10.53.0.3 "$MX" "$new"
	check "$name renewed: five records now" \
		[ "$(tlsa_at 10.53.0.3 "$MX" | wc -l)" = 5 ]
	goes_live() {
		danelaw run >>"$W/run.log" 2>&1
		[ "$(live_spki "$name")" = "$new" ]
	}
	check "$name renewed: goes live" poll 40 goes_live
	check "$name renewed: both keys are served" both serves_live
	check "$name renewed: steady" poll 40 all_run
	check "$name renewed: four records again" four_records
	check "$name renewed: $other was left alone" [ "$kept_state" = "$(
		state "$other" '[.live_generation, .keys]
		| tostring | gsub("\"since\":[^,}]*"; "")')" ]
	check "$name renewed: so were its records" [ "$kept" = "$(expected |
		grep -E "$(key_of "$other" current)|$(key_of "$other" next)")" ]
}
one_renewed rsa ec
one_renewed ec rsa

# Both at once, through one reload command.
: >"$W/reloads"
renew ec
renew rsa
ec=$(certbot_spki ec)
rsa=$(certbot_spki rsa)
both_live() {
	danelaw run >>"$W/run.log" 2>&1
	[ "$(live_spki ec)" = "$ec" ] && [ "$(live_spki rsa)" = "$rsa" ]
}
check "both renewed: both go live" poll 60 both_live
check "both renewed: both are served" both serves_live
check "both renewed: the one reload command was called for each" \
	[ "$(wc -l <"$W/reloads")" = 2 ]
check "both renewed: steady" poll 40 all_run
check "both renewed: four records again" four_records

next=$(key_of rsa next)
check "RSA on its pre-generated key" runs 0 danelaw run --renew rsa
check "is live at once" [ "$(live_spki rsa)" = "$next" ]
check "and both are served" both serves_live
check "steady" poll 40 all_run

# A third lineage with the very key that ec serves: ec moves on, and must not
# take the record away that the other still needs.
copy_to_twin() {
	rm -rf "$W/le/archive/twin" "$W/le/live/twin"
	cp -a "$W/le/archive/ec" "$W/le/archive/twin"
	mkdir -p "$W/le/live/twin"
	for f in "$W"/le/live/ec/*.pem; do
		ln -s "../../archive/twin/$(basename "$(readlink "$f")")" \
			"$W/le/live/twin/$(basename "$f")"
	done
	sed -E 's#/(live|archive)/ec(/|$)#/\1/twin\2#' \
		"$W/le/renewal/ec.conf" >"$W/le/renewal/twin.conf"
}
copy_to_twin
section twin 'issue = "hook"' | configure
danelaw run twin >>"$W/run.log" 2>&1
old=$(live_spki ec)
check "the twin has the same key" [ "$(key_of twin current)" = "$old" ]
danelaw run twin >>"$W/run.log" 2>&1
hook_remove
renew ec
new=$(certbot_spki ec)
ec_live() {
	danelaw run ec >>"$W/run.log" 2>&1
	[ "$(live_spki ec)" = "$new" ]
}
ec_gone_on() {
	danelaw run ec >>"$W/run.log" 2>&1
	[ -z "$(key_of ec previous)" ] && [ -z "$(key_of ec retired)" ] &&
		[ "$(live_spki ec)" = "$new" ]
}
check "ec moves on" poll 60 ec_gone_on
check "the record that the twin needs is still there" \
	has_tlsa 10.53.0.3 "$MX" "$old"
twin_too() {
	danelaw run >>"$W/run.log" 2>&1
	[ "$(live_spki twin)" = "$new" ] && lacks_tlsa 10.53.0.3 "$MX" "$old"
}
copy_to_twin
check "the twin follows: then it goes" poll 60 twin_too

check "no mismatch in all of this" no_mismatch 200
check "never fewer than four records were published" [ "$(jq \
	'[.published[] | .set | length | select(. > 0)] | min' \
	"$W/senders.json")" -ge 4 ]
scenario_end
