#!/usr/bin/env bash
# The commands as an operator and as certbot meet them.
. "$(dirname "$0")/../lib.sh"
scenario "$1"
setup_home
L=$STATE/live/$MX

check "no command: usage, exit 2" runs 2 danelaw
check "unknown command: exit 2" runs 2 danelaw dance
check "unknown lineage: exit 2" runs 2 danelaw run nobody.example
check "it is named" says 'nobody.example'
check "--help: exit 0" runs 0 "$DANELAW" --help
check "--help of a command: exit 0" runs 0 "$DANELAW" check --help
check "it names the manual" says 'danelaw-check'
check "config: exit 0" runs 0 danelaw config

sed 's/retire_after/retire_aftre/' "$CONF" >"$W/bad.conf"
chmod 600 "$W/bad.conf"
line=$(grep -n retire_aftre "$W/bad.conf" | cut -d: -f1)
check "a misspelt option: exit 2" runs 2 "$DANELAW" -c "$W/bad.conf" config
check "with file and line" says "bad.conf:$line: .*retire_aftre"
cp "$CONF" "$W/open.conf"
chmod 666 "$W/open.conf"
check "a configuration that others can write is refused" \
	runs 2 "$DANELAW" -c "$W/open.conf" config

want=$(openssl x509 -in "$L/cert.pem" -noout -pubkey |
	openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | cut -c1-64)
check "tlsa --cert" runs 0 danelaw tlsa --cert "$L/cert.pem" "_25._tcp.$MX"
check "equals what openssl says" \
	says "^_25._tcp.$MX. IN TLSA 3 1 1 $want\$"
check "tlsa --key" runs 0 danelaw tlsa --key "$L/privkey.pem"
check "equals it too" says "^3 1 1 $want\$"
check "tlsa of a lineage: current and next" runs 0 danelaw tlsa "$MX"
check "two records" [ "$(grep -c 'IN TLSA 3 1 1' "$W/last")" = 2 ]
check "tlsa --json" runs 0 danelaw tlsa --json "$MX"
check "is JSON" jq -e 'length == 2 and .[0].usage == 3' "$W/last"
openssl pkey -in "$L/privkey.pem" -aes128 -passout pass:x -out "$W/enc.pem"
check "an encrypted key is refused without a prompt" \
	runs 1 timeout 5 "$DANELAW" tlsa --key "$W/enc.pem"
check "and says so" says 'encrypted|passphrase'
check "status --json" runs 0 danelaw status --json
check "is JSON of a known version" jq -e '.version == 1' "$W/last"

# The hook's contract: quick, ASCII, quiet about others, no child on the pipes.
export RENEWED_LINEAGE=$W/le/live/$MX RENEWED_DOMAINS=$MX
ln -s "$DANELAW" "$W/deploy-hook"
check "hook on a current key: exit 0" runs 0 danelaw hook
check "hook without a configuration at the default place: exit 2" \
	runs 2 "$W/deploy-hook"
check "RENEWED_LINEAGE and no command means hook" runs 0 danelaw
check "it says what is live" says 'live'
check "its output is ASCII" not grep -nP '[^\x00-\x7F]' "$W/last"
check "with stdin, stdout and stderr closed it does not fall over" \
	sh -c "'$DANELAW' -c '$CONF' hook <&- >&- 2>&-"
check "with a umask of 0 nothing is readable" sh -c "umask 0;
	'$DANELAW' -c '$CONF' hook >/dev/null && [ -z \"\$(find '$STATE' \
	-name '*.pem' -perm /077)\" ]"
RENEWED_LINEAGE=/nowhere/live/other
check "a lineage that is not ours: exit 0" runs 0 danelaw hook
check "and nothing to do" says 'nothing to do'
unset RENEWED_LINEAGE RENEWED_DOMAINS
check "hook without RENEWED_LINEAGE: exit 2" runs 2 danelaw hook

# State that cannot be trusted: refused, and nothing is written.
S=$STATE/lineages/$MX/state.json
cp "$S" "$W/state.good"
damage() {
	cp "$S" "$W/state.bad"
	check "$1: exit 1" runs 1 danelaw run "$MX"
	check "$1: the file is named" says 'state.json'
	check "$1: nothing is written" cmp -s "$S" "$W/state.bad"
	cp "$W/state.good" "$S"
}
head -c 300 "$W/state.good" >"$S"
damage "truncated state"
sed 's/"version": 1/"version": 99/' "$W/state.good" >"$S"
damage "state of a newer version"
echo garbage >"$S"
damage "corrupt state"
check "restored: all is well" runs 0 danelaw run "$MX"

next=$(key_of "$MX" next)
cp "$L/privkey.pem" "$W/other.pem"
cp "$STATE/lineages/$MX/keys/$next.pem" "$W/next.pem"
cat "$W/other.pem" >"$STATE/lineages/$MX/keys/$next.pem"
danelaw run --renew "$MX" >"$W/last" 2>&1
check "a key file that does not match its name is refused" says "$next"
check "and the current key keeps serving" \
	[ "$(served "$IP")" = "$want" ]
cat "$W/next.pem" >"$STATE/lineages/$MX/keys/$next.pem"
check "no mismatch" no_mismatch 50
scenario_end
