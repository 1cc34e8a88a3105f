/*
 * What every address of every name server says, over UDP and over TCP: not to
 * decide a rollover (that is sweep.h) but to find what would break DANE for
 * some sender. (dane.md S22, S24, S74, B-15, B-28; RFC 8020, RFC 4035)
 */
#ifndef DANELAW_DNS_SURVEY_H
#define DANELAW_DNS_SURVEY_H

#include "hook/dns/authority.h"
#include "hook/dns/codec.h"
#include "hook/dns/memo.h"
#include "hook/dns/tlsa.h"

enum survey_outcome {
	SURVEY_DATA,
	SURVEY_NODATA,
	SURVEY_NXDOMAIN,
	SURVEY_ALIAS, /* a CNAME (or DNAME) is there */
	SURVEY_LAME,  /* not authoritative, or a referral */
	SURVEY_SERVFAIL,
	SURVEY_REFUSED,
	SURVEY_NOTIMP,
	SURVEY_FORMERR,
	SURVEY_RCODE, /* another one */
	SURVEY_TIMEOUT,
	SURVEY_GARBAGE,
	SURVEY_NETWORK,  /* refused, unreachable */
	SURVEY_NO_ROUTE, /* to this address family, from here */
	SURVEY__COUNT
};
const char *survey_outcome_name(enum survey_outcome o);
/* DATA, NODATA, NXDOMAIN, ALIAS: a proper answer. */
bool survey_answered(enum survey_outcome o);

/* Asked at each server of the zone that holds the name. */
struct survey_question {
	char name[DNS_NAME_MAX];
	uint16_t type;
	size_t zone; /* out: index into survey.zone */
};

struct survey_answer {
	size_t question; /* index; SIZE_MAX: the SOA of the zone */
	size_t zone, server;
	bool tcp;
	enum survey_outcome outcome;
	bool truncated; /* UDP: TC was set (no failure, TCP was asked too);
			   outcome is then what TCP said, else DATA, and no
			   records and no digest */
	uint16_t rcode;
	int ede; /* RFC 8914; -1 none */
	uint32_t ttl;
	size_t n_rr;
	/* Of a signed zone with validated keys: answer, or proof of absence.
	 * Of a zone that should be signed and has no valid keys (not
	 * sig_checked): NONE, EXPIRED when every RRSIG is outside its window,
	 * else OK, which is then no claim. */
	bool sig_checked;
	enum codec_sig sig;
	int64_t inception, expiration; /* s since 1970; 0 unsigned */
	struct tlsa_rrset rrset;       /* TLSA questions; owned */
	uint64_t digest; /* of type and sorted RDATA: equal answers
			    have equal digests */
	/* SOA only */
	uint32_t serial, refresh, retry, minimum;
	uint32_t took_ms;
	char why[160]; /* not answered, or sig is not OK */
};

/* One zone; the servers are those of authority.h. */
struct survey_zone {
	struct zone_auth auth; /* owned */
	/* The DS RRset at the parent against the DNSKEY RRset of the servers
	 * (not validated): what to say when the zone is bogus. */
	enum survey_ds {
		SURVEY_DS_OK,
		SURVEY_DS_NONE,     /* insecure delegation, or the root */
		SURVEY_DS_MISMATCH, /* no DS has its DNSKEY in the zone, at one
				       server at least */
		SURVEY_DS_UNKNOWN   /* one of them could not be had */
	} ds;
	char ds_why[256]; /* key tags: "DS 12345, DNSKEY 23456 34567" */
};

struct survey {
	struct survey_question *question; /* owned; no duplicates */
	size_t n_questions, cap_questions;
	struct survey_zone *zone;
	size_t n_zones;
	/* UDP and TCP of one question at one server stand side by side. None
	 * for a server without address: see why in auth.server. */
	struct survey_answer *answer;
	size_t n_answers;
};

/* Adds a question unless it is there. */
enum status survey_ask(
	struct survey *s, const char *name, uint16_t type, struct err *err);
/* Finds zones and servers through the memo, then asks every question and each
 * zone's SOA at every address, over UDP and over TCP, all at once. What could
 * not be found out is in the answers and zones; the status fails only for
 * memory, descriptors and bugs. deadline_ms (0 = 15 s) is for all questions to
 * the servers; the look-ups before have the resolver's. Once for each object.
 */
enum status survey_run(
	struct survey *s, struct memo *m, int64_t deadline_ms, struct err *err);
void survey_release(struct survey *s);

#endif
