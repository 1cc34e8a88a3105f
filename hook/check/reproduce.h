/*
 * Lines to paste into a shell that show what a finding says. Every word that
 * comes from outside is quoted, so that a hostile name stays a name. A line
 * that does not fit is not given at all ("" then): half a command is worse
 * than none. Pure. (dane.md S73, L1, L4)
 */
#ifndef DANELAW_CHECK_REPRODUCE_H
#define DANELAW_CHECK_REPRODUCE_H

#include "hook/check/check.h"

enum reproduce {
	REPRODUCE_DANE,  /* the match, with the records of the host */
	REPRODUCE_PLAIN, /* the connection alone */
	REPRODUCE_KEY,   /* digest of the key that is served */
	REPRODUCE_DATES,
	REPRODUCE_NAMES,
	REPRODUCE_TEXT
};

/* s_client cannot match without SNI: DANE becomes KEY for such a connection. */
void reproduce_conn(char *ret, size_t len, const struct check_host *h,
	const struct check_conn *k, enum reproduce what);
/* dig, as a name server is asked; server "192.0.2.1" or "192.0.2.1@5300". */
void reproduce_server(char *ret, size_t len, const char *server,
	const char *name, uint16_t type, bool tcp);
/* dig through the machine's resolver. */
void reproduce_lookup(char *ret, size_t len, const char *name, uint16_t type);
/* delv, which validates. */
void reproduce_validate(char *ret, size_t len, const char *name, uint16_t type);


#endif
