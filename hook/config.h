/* The configuration, read with libconfuse; every unknown, duplicate or
 * nonsensical option is an error with file:line. */
#ifndef DANELAW_CONFIG_H
#define DANELAW_CONFIG_H

#include "hook/base/err.h"
#include "hook/dns/name.h"
#include "hook/dns/resolver.h"
#include "hook/tls/key.h"
#include "hook/tls/probe.h"
#include "providers/provider.h"

#include <stdbool.h>
#include <sys/types.h>

#define CONFIG_DEFAULT_PATH "/etc/danelaw/danelaw.conf"
#define LINEAGE_NAME_MAX 256

struct timing {
	int wait_ttls;		   /* >= 2 */
	int64_t assumed_prior_ttl; /* s */
	int64_t ttl_floor;	   /* s */
	int64_t min_wait;	   /* s */
	int64_t poll_max;	   /* s, longest time between two sweeps in a
				      wait */
};

struct cfg_provider {
	char *name;
	const struct provider_ops *ops;
	const char **value; /* in the order of ops->options */
};

struct cfg_endpoint {
	char host[DNS_NAME_MAX]; /* canonical */
	uint16_t port;
	enum probe_proto proto;
};

enum issue_mode { ISSUE_CSR, ISSUE_HOOK };

/* How the process that talks to the network is shut in (env_apart.h). */
enum sandbox_mode {
	SANDBOX_REQUIRED,  /* or nothing is done */
	SANDBOX_AVAILABLE, /* as far as the system can */
	SANDBOX_OFF	   /* no such process */
};

struct cfg_lineage {
	char *name;
	char *certbot; /* live folder of certbot's lineage */
	char (*owner)[DNS_NAME_MAX];
	size_t n_owners;
	/* derived from the owner names, or the option endpoints =
	 * {"smtp://host:25", "tls://host:465", ...} */
	struct cfg_endpoint *endpoint;
	size_t n_endpoints;
	const struct cfg_provider *provider;
	char **reload; /* NULL-terminated */
	bool have_key; /* else: the algorithm of the present key */
	enum key_alg key;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	bool group_set;
	int64_t retire_after;	/* s, default 600 */
	int64_t verify_timeout; /* s until the switch is rolled back, 60 */
	int64_t reload_timeout; /* s per reload command, 60 */
	enum issue_mode issue;
	int64_t ttl;	     /* s; 0: keep the RRset's, else 3600 when new */
	int64_t key_max_age; /* s; 0: no limit. default 90 days */
	bool proceed_insecure; /* insecure = "proceed" */
	bool promote_at_expiry; /* at_expiry = "promote" */
	bool names_error;	/* names = "error" (default "warn") */
	char **ignore_servers;	/* NULL-terminated; names or addresses */
	char **certbot_options; /* NULL-terminated extra argv for --csr */
	char *certbot_command;	/* default "certbot" */
};

struct config {
	char *path;
	char *state_dir;
	enum sandbox_mode sandbox;
	struct resolver_config resolver; /* borrows from here */
	struct timing timing;
	struct cfg_provider *provider;
	size_t n_providers;
	struct cfg_lineage *lineage;
	size_t n_lineages;
	void *impl; /* what the pointers above borrow from */
};

/* ST_CONFIG with "file:line: what" on any error; *ret untouched then. Refuses a
 * file that others can write. */
enum status config_read(const char *path, struct config *ret, struct err *err);
void config_release(struct config *c);
const struct cfg_lineage *config_lineage(
	const struct config *c, const char *name);

#endif
