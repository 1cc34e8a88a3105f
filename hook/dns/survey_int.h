/* What survey*.c share; nobody else but their test includes it. */
#ifndef DANELAW_DNS_SURVEY_INT_H
#define DANELAW_DNS_SURVEY_INT_H

#include "hook/dns/exchange.h"
#include "hook/dns/survey.h"

struct survey_limits {
	int64_t deadline_ms;
	int64_t udp_ms; /* one UDP try */
	int udp_tries;
	int64_t tcp_ms;
	int64_t wall_s; /* time for RRSIG validity */
};

/* Asks at the servers of s->zone, to which the questions point. ds holds the
 * look-up of each zone's DS RRset; NULL: the root. */
enum status survey_query(struct survey *s, const struct lookup *const ds[],
	const struct survey_limits *lim, struct err *err);

/* survey_judge.c */
struct survey_zone_state {
	struct codec_name name;
	struct codec_zone *keys; /* validated; NULL: none */
	bool raw; /* signed, no valid keys: look at the RRSIGs' windows */
};

/* Fills the answer from a reply (name, type). */
enum status survey_judge(struct survey_answer *ans, struct codec_verifier *v,
	const struct survey_zone_state *z, const struct codec_name *name,
	uint16_t type, const struct codec_msg *m, int64_t now_s,
	struct err *err);
/* The same where nothing came. */
void survey_silence(struct survey_answer *ans, const struct exchange_result *r);

/* survey_ds.c: what a server says of its keys, against the DS at the parent. */
struct survey_keys {
	bool have, match;
	bool same_tag; /* a DS has a key's tag, and another digest */
	char tags[100];
	char sigs[100]; /* what is wrong with the RRSIGs' time, or "" */
};
void survey_take_keys(struct survey_keys *k, const struct lookup *ds,
	const struct codec_name *zone, const struct codec_msg *m,
	int64_t now_s);
/* keys: one for each server of the zone. */
void survey_compare_ds(struct survey_zone *z, const struct lookup *ds,
	const struct survey_keys keys[]);

#endif
