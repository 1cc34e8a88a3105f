/*
 * What a sending MTA would see of a mail domain, of a host, or of the endpoints
 * of a lineage: facts first (route.c, survey, probe), then a pure verdict
 * (judge*.c), then a rendering (out_*.c). Data goes one way: nobody below writes
 * what somebody above has filled in. (RFC 7672; RFC 7671; dane.md S13-S47, I)
 */
#ifndef DANELAW_CHECK_CHECK_H
#define DANELAW_CHECK_CHECK_H

#include "hook/base/err.h"
#include "hook/base/spki.h"
#include "hook/check/code.h"
#include "hook/dns/memo.h"
#include "hook/dns/survey.h"
#include "hook/dns/tlsa.h"
#include "hook/tls/probe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_HOSTS_MAX 64	/* MX hosts of one domain; more is cut off */
#define CHECK_ADDRS_MAX 16	/* addresses of one host */
#define CHECK_FINDINGS_MAX 2000 /* of one check; then one that says so */
#define CHECK_TEXT_MAX 512

/* In the order of how bad they are; a domain's is derived from its hosts'. */
enum check_verdict {
	CHECK_OK,
	CHECK_WEAK,	    /* an MX without TLSA beside some with: downgrade */
	CHECK_ENCRYPT_ONLY, /* all records unusable: TLS, not authenticated */
	CHECK_NO_DANE,	    /* provably no TLSA record */
	CHECK_INSECURE,	    /* provably unsigned: TLSA has no effect */
	CHECK_INCOMPLETE,   /* could not test: no verdict on the domain */
	CHECK_DEGRADED,	    /* some senders, hosts or addresses fail */
	CHECK_BOGUS,	    /* DNSSEC validation fails: mail is deferred */
	CHECK_BLOCKED,	    /* every MX fails: no DANE sender can deliver */
	CHECK__COUNT
};
/* "OK", "ENCRYPT-ONLY" ... */
const char *check_verdict_name(enum check_verdict v);
/* 0 OK; 1 WEAK, ENCRYPT-ONLY, NO-DANE, INSECURE, DEGRADED; 3 BOGUS, BLOCKED;
 * 4 INCOMPLETE */
int check_verdict_exit(enum check_verdict v);

enum check_profile {
	PROFILE_RFC,	 /* usage 3: names and dates are ignored */
	PROFILE_EXCHANGE /* and the certificate must be in its dates */
};

enum check_kind {
	CHECK_BY_DOMAIN, /* through its MX */
	CHECK_BY_HOST,	 /* one host and port, no MX */
	CHECK_BY_LINEAGE /* the endpoints of a lineage */
};

/* A key that a lineage knows: for the roles of records. */
struct check_role {
	struct spki spki;
	char lineage[256];
	char role[16]; /* "current", "next", "previous", "candidate" ... */
};

/* What happened to one connection. */
enum conn_state {
	CONN_UNTESTED,	/* could not be tested, see code */
	CONN_OK,	/* a usable TLSA record matches */
	CONN_ENCRYPTED, /* TLS works; there is nothing to match */
	CONN_ABSENT,	/* no certificate of this algorithm, or not this TLS
			   version: it works otherwise; no failure */
	CONN_FAIL	/* see code */
};
const char *conn_state_name(enum conn_state s);

struct check_conn {
	struct probe_job job; /* what was asked, what was seen */
	char addr[64];	      /* "192.0.2.1", "2001:db8::1" */
	/* by the judge */
	enum conn_state state;
	enum check_code code; /* CONN_FAIL, CONN_UNTESTED */
};

/* One record of the host's TLSA RRset; all by the judge but rr. */
struct check_record {
	const struct tlsa *rr; /* borrowed from check_host.rrset */
	bool usable;
	const char *why;     /* static; when not usable */
	bool hidden;	     /* a stronger digest makes clients ignore it
				(RFC 7671 9) */
	bool matches;	     /* something that some connection served */
	int depth;	     /* of the match in the chain on the wire */
	const char *role;    /* "current" ..., "foreign"; NULL: no lineage */
	const char *lineage; /* whose; NULL */
	const char *retired; /* name of a retired issuer that it is; NULL */
};

enum host_dane {
	HOST_TLSA,	  /* secure, at least one record */
	HOST_NO_TLSA,	  /* secure denial */
	HOST_INSECURE,	  /* address or TLSA answer not signed */
	HOST_BOGUS,	  /* address or TLSA answer */
	HOST_TLSA_FAILED, /* no answer about TLSA: senders defer */
	HOST_ADDR_FAILED, /* no answer about its addresses */
	HOST_NO_ADDRESS
};

struct check_host {
	/* by route.c */
	char name[DNS_NAME_MAX]; /* canonical */
	char bare[DNS_NAME_MAX]; /* without the final dot */
	uint16_t pref;
	uint16_t port;
	enum probe_proto proto;
	const struct lookup *a, *aaaa; /* borrowed from the memo */
	const struct lookup *cname;    /* NULL: was not needed (RFC 7672 2.2.2)
					*/
	bool alias;			   /* name has a CNAME */
	char expanded[DNS_NAME_MAX];	   /* = name when no alias */
	enum host_dane dane;
	char base[DNS_NAME_MAX]; /* TLSA base domain; = name when there is none
				  */
	char base_bare[DNS_NAME_MAX];
	char owner[DNS_NAME_MAX];      /* _port._tcp.base */
	const struct lookup *tlsa;     /* at owner; NULL: not asked */
	struct tlsa_rrset rrset;       /* owned; secure data only */
	struct probe_tlsa *tlsa_probe; /* owned, what the jobs borrow */
	char why[CHECK_TEXT_MAX];      /* for INSECURE, BOGUS, FAILED */
	/* by the probe stage */
	struct check_conn *conn; /* owned */
	size_t n_conns;
	/* by the judge */
	struct check_record *record; /* owned; rrset.n entries */
	enum check_verdict verdict;
};

enum finding_level { FINDING_INFO, FINDING_WARN, FINDING_FAIL };
const char *finding_level_name(enum finding_level l);

/* One thing that an operator may want to know or must mend. */
struct finding {
	enum check_code code;
	enum finding_level level;
	int host;	 /* index, -1: of the domain */
	char where[320]; /* "mx1.example.test:25 [192.0.2.1] ECDSA ..." or an
			    owner name and name server */
	char text[CHECK_TEXT_MAX]; /* what is wrong */
	char remedy[CHECK_TEXT_MAX];
	char reproduce[1024]; /* a line to paste into a shell, or "" */
};

struct check {
	/* what was asked; in */
	enum check_kind kind;
	char name[DNS_NAME_MAX]; /* domain or host, canonical; lineage's name */
	enum check_profile profile;
	uint16_t port;		 /* BY_DOMAIN, BY_HOST; 0 = 25 */
	enum probe_proto proto;
	const struct check_role *role; /* borrowed */
	size_t n_roles;
	/* BY_LINEAGE: check_add_host for each endpoint. */
	/* An address to test instead of all (explain); "" all. */
	char only_addr[64];

	/* by route.c */
	const struct lookup *mx;     /* NULL unless BY_DOMAIN */
	const struct lookup *tlsrpt; /* _smtp._tls TXT; NULL unless BY_DOMAIN */
	const struct lookup *bare_tlsa; /* _25._tcp.DOMAIN; NULL: the domain is
					   an MX itself, or no BY_DOMAIN */
	char expanded[DNS_NAME_MAX]; /* the domain after CNAMEs */
	char name_bare[DNS_NAME_MAX], expanded_bare[DNS_NAME_MAX];
	const char *names[3]; /* reference names for usage 2, beside the base
				 domain (RFC 7672 3.2.2); NULL-terminated */
	bool null_mx;		     /* RFC 7505 */
	bool implicit_mx;	     /* no MX: the domain itself (RFC 5321 5.1)
				      */
	struct check_host *host;     /* owned */
	size_t n_hosts;
	bool truncated; /* more hosts or addresses than the limits */

	/* by the survey; shared by all checks of a run */
	const struct survey *survey;
	/* Why our own resolver cannot be trusted to judge; "" when it can. */
	char resolver_fault[CHECK_TEXT_MAX];
	int64_t now_s;	/* wall clock when judged */
	int64_t took_ms;

	/* by the judge */
	enum check_verdict verdict;
	struct finding *finding; /* owned; worst first */
	size_t n_findings, cap_findings;
};

struct check_options {
	struct probe_limits limits;
	bool quick; /* one connection per address instead of all of them */
	bool no_survey;
	bool log; /* keep the dialogues (-v) */
	int family; /* AF_INET, AF_INET6, or 0 for both */
};

/* Sense and judge many at once: one resolver, one survey, one probe run. The
 * results are in each check; the status fails only for memory and bugs. memo
 * and survey (owned by the caller) must outlive the checks. */
enum status check_run(struct check *const checks[], size_t n,
	const struct check_options *opt, struct memo *m, struct survey *survey,
	struct err *err);
void check_release(struct check *c);
/* name: canonical. ST_REFUSED over the limit. */
enum status check_add_host(struct check *c, const char *name, uint16_t port,
	enum probe_proto proto, struct err *err);

/* The stages. */
enum status check_route(
	struct check *const checks[], size_t n, struct memo *m, struct err *err);
enum status check_survey(struct check *const checks[], size_t n,
	struct memo *m, struct survey *survey, struct err *err);
enum status check_probe(struct check *const checks[], size_t n,
	const struct check_options *opt, struct err *err);
/* Pure: from facts to states, verdicts and findings. */
enum status check_judge(struct check *c, struct err *err);

/* For the judge's parts: appends one, zeroed but for these. NULL: out of memory
 * (err is set). Over the limit the last one says that there are more. */
struct finding *check_find(struct check *c, enum check_code code,
	enum finding_level level, int host, struct err *err);

#endif
