/*
 * watch CONF LINEAGE ADDRESS SECONDS: looks over danelaw's shoulder during a
 * rollover. Reads the lineage's state and makes a handshake with ADDRESS, port
 * 25, every few milliseconds, until the key that waits is served. Prints
 * "LATE_MS": from the instant at which it might be served, by the rule in the
 * state file, to the start of the first handshake that showed it. Negative
 * would be against the law.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hook/base/clock.h"
#include "hook/config.h"
#include "hook/plan.h"
#include "hook/tls/probe.h"
#include "state/store.h"

#define EVERY_MS 5

struct watch {
	struct config cfg;
	struct store *store;
	const struct cfg_lineage *cl;
	struct policy policy;
	bool known;
	struct spki key; /* the one that waits */
	int64_t ready_wall_ms;
};

static void check(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "watch: %s\n", err->text);
	exit(1);
}

static int64_t wall_ms(void)
{
	struct clock_reading r;
	struct err err = ERR_INIT;

	check(clock_read(&r, &err), &err);
	return r.wall_ms;
}

/* The newest candidate, and when it may be served. */
static void look(struct watch *w)
{
	struct lineage_state s;
	struct err err = ERR_INIT;

	check(store_peek(w->store, w->cl->name, &s, &err), &err);
	for (size_t i = 0; i < s.n_keys; i++) {
		const struct state_key *k = &s.key[i];
		int64_t ready = plan_ready_ms(&s, k, &w->policy);

		if (k->role != KEY_CANDIDATE || ready < 0)
			continue;
		w->known = true;
		w->key = k->spki;
		w->ready_wall_ms =
			ready - s.clock.trusted_ms + s.clock.last.wall_ms;
	}
	state_release(&s);
}

static bool serves(const struct watch *w, struct sockaddr_in *to)
{
	struct probe_job job = { .host = w->cl->name,
		.proto = PROTO_SMTP,
		.alg = PROBE_ANY,
		.addr_len = sizeof(*to) };
	/* Impatient: a connection that hangs in a server process that is just
	 * starting must not hide that the next one is served already. */
	struct probe_limits lim = { .connect_ms = 150, .total_ms = 150 };
	struct err err = ERR_INIT;

	memcpy(&job.addr, to, sizeof(*to));
	check(probe_run(&job, 1, &lim, &err), &err);
	return job.result == PROBE_SERVED && spki_eq(&job.spki, &w->key);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(25) };
	struct watch w = { .known = false };
	struct err err = ERR_INIT;
	int64_t end;

	if (argc != 5 || inet_pton(AF_INET, argv[3], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: watch CONF LINEAGE ADDRESS SECONDS\n");
		return 2;
	}
	check(config_read(argv[1], &w.cfg, &err), &err);
	check(store_open(w.cfg.state_dir, &w.store, &err), &err);
	w.cl = config_lineage(&w.cfg, argv[2]);
	if (w.cl == NULL)
		return 2;
	w.policy.wait_ttls = w.cfg.timing.wait_ttls;
	w.policy.ttl_floor = w.cfg.timing.ttl_floor;
	w.policy.min_wait = w.cfg.timing.min_wait;
	end = clock_mono_ms() + strtol(argv[4], NULL, 10) * 1000;
	while (clock_mono_ms() < end) {
		int64_t at;

		look(&w);
		at = wall_ms();
		if (w.known && serves(&w, &to)) {
			printf("%lld\n", (long long)(at - w.ready_wall_ms));
			return 0;
		}
		(void)poll(NULL, 0, EVERY_MS);
	}
	fprintf(stderr, "watch: %s\n",
		w.known ? "the key was not served in time"
			: "no key waits, or it is not known until when");
	return 1;
}
