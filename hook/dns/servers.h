/* Name servers and keys of zones; the part of authority.h below the owner
 * names. */
#ifndef DANELAW_DNS_SERVERS_H
#define DANELAW_DNS_SERVERS_H

#include "hook/dns/authority.h"
#include "hook/dns/memo.h"

/* Fills security, server, dnskey and why of zones whose name is set. Zones that
 * are BOGUS or FAILED already are left alone. */
enum status servers_find(struct memo *m, struct zone_auth zone[], size_t n,
	const char *const ignore[], struct err *err);
/* Of zones that cannot be resolved (BOGUS, FAILED) only the servers, as the
 * parent delegates them and without a question to the zone itself. ret_cut:
 * false when no server of the parent told of a delegation: perhaps it is no
 * zone at all. */
enum status servers_find_delegated(struct memo *m, struct zone_auth zone[],
	size_t n, bool ret_cut[], struct err *err);

#endif
