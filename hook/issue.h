/*
 * One certificate on a key of ours: `certbot certonly --csr` with the
 * authenticator and account of the lineage. (certbot.md 4)
 * Never call this from the hook: certbot holds its lock then.
 */
#ifndef DANELAW_ISSUE_H
#define DANELAW_ISSUE_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/tls/cert.h"
#include "hook/tls/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All borrowed. */
struct issue_request {
	const struct key *key;
	const char *const *names; /* without trailing dot */
	size_t n_names;
	bool must_staple;
	const char *live_dir; /* of certbot's lineage */
	const char *scratch;  /* a fresh folder, 0700; the caller removes it */
	const char *certbot;  /* program; NULL: "certbot" from PATH */
	const char *const *options; /* extra argv, NULL-terminated; or NULL */
	int64_t timeout_ms;         /* 0: 20 minutes */
	int64_t now_s;              /* wall clock at the call, since 1970 */
};

struct issue_result {
	/* May have reached the CA, so it counts against rate limits. Set on
	 * failure too; in doubt true. */
	bool reached_ca;
	/* on ST_OK only */
	struct buf cert, chain, fullchain;
	struct cert_info leaf;
};
/* Also after a failure. */
void issue_result_release(struct issue_result *r);

/* ST_OK: checked: our key, all names, order of the chain, valid now. ST_BUSY:
 * another certbot runs; nothing was asked of the CA. ST_RETRY: certbot failed,
 * with the end of its output in err. ST_REFUSED: what certbot delivered must
 * not be used, or the renewal configuration cannot be carried over.
 * ST_NOTFOUND: certbot has no renewal configuration for live_dir. ST_CONFIG: no
 * such program. *ret is set in every case. */
enum status issue_csr(const struct issue_request *rq, struct issue_result *ret,
	struct err *err);

#endif
