/*
 * A lineage, an observation and a policy that tests of the plan start from: two
 * owner names at most, a few servers that all agree, one instant. Keys are
 * named by a small number, so a failing test reads like the rollover it is
 * about.
 */
#ifndef DANELAW_TEST_PLAN_FIXTURE_H
#define DANELAW_TEST_PLAN_FIXTURE_H

#include "hook/plan.h"
#include "hook/plan_ready.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define T0 INT64_C(1800000000000)
#define MINUTE INT64_C(60)
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define UNUSED __attribute__((unused))

enum { OWNERS = 2, SERVERS = 4 };

struct fx {
	struct lineage_state s;
	struct observation o;
	struct policy p;
	struct obs_owner owner[OWNERS];
	struct obs_answer ans[OWNERS][SERVERS];
	int64_t now;
};

UNUSED static struct spki spki_of(unsigned n)
{
	struct spki s = { .d = { (uint8_t)n, 0x5a } };

	return s;
}

UNUSED static size_t key_index(const struct fx *f, unsigned n)
{
	struct spki spki = spki_of(n);
	struct state_key *k = state_key_find(&f->s, &spki);

	assert_non_null(k);
	return (size_t)(k - f->s.key);
}

UNUSED static struct state_key *key(const struct fx *f, unsigned n)
{
	return &f->s.key[key_index(f, n)];
}

UNUSED static uint32_t bit_of(const struct fx *f, unsigned n)
{
	return UINT32_C(1) << key_index(f, n);
}

UNUSED static void fx_init(struct fx *f, size_t owners, size_t servers)
{
	static const char names[OWNERS][DNS_NAME_MAX] = {
		"_25._tcp.mx1.example.", "_465._tcp.mx1.example."
	};
	struct err err = ERR_INIT;

	memset(f, 0, sizeof(*f));
	state_init(&f->s, "mx1.example");
	assert_int_equal(state_set_owners(&f->s, names, owners, &err), ST_OK);
	f->now = T0;
	f->p = (struct policy){
		.wait_ttls = 2,
		.assumed_prior_ttl = DAY,
		.poll_max = 900,
		.retire_after = 600,
		.issue_csr = true,
	};
	f->o = (struct observation){
		.swept = true,
		.owner = f->owner,
		.wall_s = T0 / 1000,
		.lineage = { .present = true, .readable = true },
		.can_issue = true,
	};
	for (size_t i = 0; i < owners; i++) {
		f->owner[i].answer = f->ans[i];
		f->owner[i].n = servers;
		for (size_t j = 0; j < servers; j++) {
			struct obs_answer *a = &f->ans[i][j];

			(void)snprintf(
				a->ns, sizeof(a->ns), "ns%zu.example.", j + 1);
			(void)snprintf(a->server, sizeof(a->server),
				"ns%zu.example. 192.0.2.%zu", j + 1, j + 1);
			a->ttl = 3600;
			a->have_serial = true;
			a->serial = 100;
		}
	}
}

UNUSED static void fx_release(struct fx *f)
{
	state_release(&f->s);
}

UNUSED static void add_key(struct fx *f, unsigned n, enum key_role role)
{
	struct spki spki = spki_of(n);
	struct state_key *k;
	struct err err = ERR_INIT;

	assert_int_equal(
		state_key_add(&f->s, &spki, KEY_ECDSA_P256, role, &k, &err),
		ST_OK);
	k->have_file = true;
	k->created_ms = f->now;
}

/* A 90-day certificate for key n, taken now. */
UNUSED static struct state_gen *add_gen(
	struct fx *f, unsigned n, enum gen_source source)
{
	struct state_gen *g;
	struct err err = ERR_INIT;

	assert_int_equal(state_gen_add(&f->s, &g, &err), ST_OK);
	g->spki = spki_of(n);
	g->source = source;
	g->lineage_version = source == GEN_CERTBOT ? g->n : 0;
	g->not_before_s = f->now / 1000;
	g->not_after_s = g->not_before_s + 90 * DAY;
	g->taken_ms = f->now;
	return g;
}

/* Every server of every owner name, and the validating look-up, have this. */
UNUSED static void serve(struct fx *f, uint32_t has)
{
	for (size_t i = 0; i < f->s.n_owners; i++) {
		f->owner[i].validated_has = has;
		for (size_t j = 0; j < f->owner[i].n; j++)
			f->ans[i][j].has = has;
	}
}

UNUSED static void serve_ttl(struct fx *f, uint32_t ttl)
{
	for (size_t i = 0; i < f->s.n_owners; i++)
		for (size_t j = 0; j < f->owner[i].n; j++)
			f->ans[i][j].ttl = ttl;
}

UNUSED static void serial_all(struct fx *f, uint32_t serial)
{
	for (size_t i = 0; i < f->s.n_owners; i++)
		for (size_t j = 0; j < f->owner[i].n; j++)
			f->ans[i][j].serial = serial;
}

UNUSED static void after_ms(struct fx *f, int64_t ms)
{
	f->now += ms;
	f->o.wall_s = f->now / 1000;
}

UNUSED static void after(struct fx *f, int64_t s)
{
	after_ms(f, s * 1000);
}

UNUSED static void sweep(struct fx *f)
{
	plan_observe(&f->s, &f->o, &f->p, f->now);
}

/* Sweeps every `every` s for s seconds, the last one at the end. */
UNUSED static void sweep_for(struct fx *f, int64_t s, int64_t every)
{
	int64_t end = f->now + s * 1000;

	while (f->now + every * 1000 < end) {
		after(f, every);
		sweep(f);
	}
	after_ms(f, end - f->now);
	sweep(f);
}

UNUSED static void probed(struct fx *f, enum obs_probe probe, unsigned expected)
{
	f->o.probe = probe;
	f->o.probe_expected = spki_of(expected);
	(void)snprintf(
		f->o.probe_why, sizeof(f->o.probe_why), "the probe says");
}

UNUSED static bool ready(const struct fx *f, unsigned n)
{
	struct ready_why why;

	return ready_now(&f->s, &f->o, &f->p, key(f, n), f->now, &why);
}

/* Not ready at `ms`, one ms before, and ready exactly then; the sweep at
 * either instant is good. */
UNUSED static void check_ready_at(struct fx *f, unsigned n, int64_t ms)
{
	assert_int_equal(plan_ready_ms(&f->s, key(f, n), &f->p), ms);
	after_ms(f, ms - 1 - f->now);
	assert_false(ready(f, n));
	after_ms(f, 1);
	assert_true(ready(f, n));
}

UNUSED static struct action next(const struct fx *f)
{
	return plan_next(&f->s, &f->o, &f->p, f->now);
}

UNUSED static struct action check_next(const struct fx *f, enum action_kind k)
{
	struct action a = next(f);

	if (a.kind != k)
		fail_msg("expected %s, got %s: %s", action_name(k),
			action_name(a.kind), a.why);
	assert_true(a.why[0] != '\0');
	return a;
}

UNUSED static void check_says(const struct action *a, const char *text)
{
	if (strstr(a->why, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, a->why);
}

/*
 * Key 1 is live (generation 1, 90 days), key 2 is next; both records have been
 * everywhere for ten days with TTL 3600; probed a moment ago.
 */
UNUSED static void fx_steady(struct fx *f, size_t owners, size_t servers)
{
	fx_init(f, owners, servers);
	add_key(f, 1, KEY_CURRENT);
	add_key(f, 2, KEY_NEXT);
	add_gen(f, 1, GEN_CERTBOT);
	f->s.live_gen = 1;
	key(f, 1)->live_ms = f->now;
	for (size_t i = 0; i < owners; i++)
		f->s.owner[i].publish_ms = f->now;
	serve(f, 3);
	sweep(f);
	sweep_for(f, 10 * DAY, HOUR);
	f->s.verified_ms = f->s.verified_first_ms = f->now;
}

#endif
