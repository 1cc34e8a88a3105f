#!/usr/bin/env bash
# The state directory is a small file system of its own, and it really is full,
# or really read-only.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../crash.sh"
scenario "$1"
mkdir "$STATE"
mount -t tmpfs -o size=256k,mode=755 tmpfs "$STATE"
setup_home

# leave PAGES: fills it up but for so many pages of 4 KiB.
leave() {
	rm -f "$STATE/filler"
	dd if=/dev/zero of="$STATE/filler" bs=4k 2>/dev/null
	truncate -s "-$(($1 * 4096))" "$STATE/filler"
}
room() { rm -f "$STATE/filler"; }

old=$(live_spki "$MX")
leave 0
renew "$MX"
new=$(certbot_spki "$MX")
check "full: run fails" runs 1 danelaw run "$MX"
check "full: and says so" says 'free space.*No space left'
check "full: the old key serves" went_live "$MX" "$old"
check "full: status works all the same" runs 0 danelaw status "$MX"
bad=0
for pages in 1 2 3 4 5 6 7 8 9 10; do
	leave $pages
	hooked danelaw hook >>"$W/run.log" 2>&1
	unbroken || bad=$((bad + 1))
	danelaw run "$MX" >>"$W/run.log" 2>&1
	unbroken && [ "$(served "$IP")" = "$(live_spki "$MX")" ] ||
		bad=$((bad + 1))
done
check "nearly full: nothing is ever half written" [ "$bad" = 0 ]
room
check "room again: the fresh key goes live" \
	run_until 40 "$MX" went_live "$MX" "$new"
check "and all ends well" finish "$MX"

next=$(key_of "$MX" next)
bad=0
for pages in 2 3 4 5 6 7 8; do
	leave $pages
	danelaw run --renew "$MX" >"$W/last" 2>&1
	rc=$?
	cat "$W/last" >>"$W/run.log"
	unbroken || bad=$((bad + 1))
	! went_live "$MX" "$next" || break
	went_live "$MX" "$new" && [ "$rc" != 0 ] || bad=$((bad + 1))
done
check "renewing when nearly full: said, and nothing half written" [ "$bad" = 0 ]
room
check "room again: it renews" runs 0 danelaw run --renew "$MX"
check "on the next key" went_live "$MX" "$next"
check "and all ends well" finish "$MX"

old=$(live_spki "$MX")
renew "$MX" --no-directory-hooks
new=$(certbot_spki "$MX")
mount -o remount,ro "$STATE"
check "read-only: run fails" runs 1 danelaw run "$MX"
check "read-only: and says so" says 'Read-only file system'
check "read-only: so does the hook" runs 1 hooked danelaw hook
check "read-only: the old key serves" went_live "$MX" "$old"
check "read-only: status works all the same" runs 0 danelaw status "$MX"
mount -o remount,rw "$STATE"
check "writable again: the fresh key goes live" \
	run_until 40 "$MX" went_live "$MX" "$new"
check "and all ends well" finish "$MX"
check "no mismatch" no_mismatch 200
scenario_end
