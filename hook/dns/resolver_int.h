/* What resolver*.c share; nobody else includes it. */
#ifndef DANELAW_DNS_RESOLVER_INT_H
#define DANELAW_DNS_RESOLVER_INT_H

#include "hook/base/buf.h"
#include "hook/dns/resolver.h"

/* resolver_files.c */
enum status resolver_files(const struct resolver_config *cfg,
	struct buf *anchor, struct buf *hints, struct err *err);
bool resolver_want_ipv6(const struct resolver_config *cfg, const char *hints);
unsigned int resolver_port_limit(void);

/* resolver_answer.c */
void lookup_why(char ret[static 256], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void lookup_judge(struct lookup *l, enum dns_security s, const char *why);
const char *lookup_rcode(int rcode, char ret[static 40]);
/* Takes ede and the window; security and canon are set. wire may be NULL when
 * len is 0. */
void lookup_packet(struct lookup *l, const uint8_t *wire, size_t len);

/* What to ask about the root, and what the answers say of where they came from:
 * "" when it is fine. forwarder is NULL when we iterate. */
#define ROOT_JOBS 3
void resolver_root_jobs(struct lookup l[static ROOT_JOBS]);
void resolver_root_fault(const struct lookup l[static ROOT_JOBS],
	const char *forwarder, const char *anchor, char *ret, size_t len);

#endif
