/*
 * Who serves a zone: every address of every name server in the union of the
 * parent's delegation and the zone's own NS set (dane.md B-15). Owner names
 * with a CNAME are followed to where the RRset really is, and the zone is that
 * of the final name.
 */
#ifndef DANELAW_DNS_AUTHORITY_H
#define DANELAW_DNS_AUTHORITY_H

#include "hook/dns/resolver.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ADDR_TEXT_MAX 64 /* "192.0.2.1" or "2001:db8::1", with @port if not 53 */

struct dns_addr {
	struct sockaddr_storage ss;
	socklen_t len;
	char text[ADDR_TEXT_MAX];
};

/* "addr" or "addr@port"; no names. False when it is neither. */
bool dns_addr_parse(const char *text, uint16_t port, struct dns_addr *ret);

struct auth_server {
	char name[DNS_NAME_MAX];
	bool has_addr; /* false: its addresses could not be found; why says */
	struct dns_addr addr;
	bool ignored; /* by ignore_servers (name or address) */
	char why[256];
};

/* One zone, shared by all owner names in it. */
struct zone_auth {
	char zone[DNS_NAME_MAX];
	enum dns_security security; /* of the zone's DNSKEY/DS chain */
	struct auth_server *server; /* one entry per address */
	size_t n_servers;
	struct rdata *dnskey; /* validated DNSKEY RDATA; none when insecure */
	size_t n_dnskey;
	char why[256]; /* when security is BOGUS or FAILED */
};

/* One owner name as asked for. */
struct owner_auth {
	char owner[DNS_NAME_MAX];
	char final[DNS_NAME_MAX]; /* after CNAMEs */
	bool is_cname;
	uint32_t cname_ttl; /* largest TTL in the CNAME chain */
	size_t zone;	    /* index into zones */
	enum dns_security security; /* of the validated TLSA look-up */
	bool havedata;
	struct rdata *rr; /* RDATA of the validated TLSA answer */
	size_t n;
	uint32_t ttl;
	char why[256];
};

struct authority {
	struct zone_auth *zone;
	size_t n_zones;
	struct owner_auth *owner; /* same order as asked */
	size_t n_owners;
};

/* Finds zone cut, servers and keys for many owner names at once; each zone
 * once. What could not be found out is in the entries (security, why,
 * has_addr), not a failure of the call. ignore is NULL-terminated or NULL. */
enum status authority_find(struct resolver *r, const char *const owners[],
	size_t n_owners, const char *const ignore[], struct authority *ret,
	struct err *err);
void authority_release(struct authority *a);

#endif
