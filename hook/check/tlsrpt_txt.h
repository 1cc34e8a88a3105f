/* The _smtp._tls TXT record. Pure. (RFC 8460 3) */
#ifndef DANELAW_CHECK_TLSRPT_TXT_H
#define DANELAW_CHECK_TLSRPT_TXT_H

#include "hook/dns/resolver.h"

#include <stddef.h>

enum tlsrpt_txt {
	TLSRPT_TXT_OK,
	TLSRPT_TXT_NONE,   /* no record starts with v=TLSRPTv1; */
	TLSRPT_TXT_MANY,   /* more than one does: senders ignore all */
	TLSRPT_TXT_INVALID /* one does, and is not right */
};

/* rr: TXT RDATA as on the wire. ret_why says what is wrong, where, and what to
 * do ("" when OK); printable ASCII. */
enum tlsrpt_txt tlsrpt_txt_lint(
	const struct rdata *rr, size_t n, char *ret_why, size_t len);

#endif
