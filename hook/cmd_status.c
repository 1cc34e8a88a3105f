/* danelaw status: what is live, what is next, what is waited for and until
 * when; from the state files only, no network, no lock. */
#include "hook/cmd.h"

#include "hook/engine.h"
#include "hook/plan_ready.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int exit_of(const struct lineage_state *s)
{
	return s->alert ? EXIT_ATTENTION : EXIT_DONE;
}

/* One word for where a lineage is; README explains each. */
static const char *phase(const struct lineage_state *s)
{
	bool candidate = false;

	if (s->live_gen == 0)
		return "new";
	if (s->intent.kind == INTENT_PROMOTE)
		return "switching";
	if (s->intent.kind == INTENT_ROLL_BACK)
		return "rolling back";
	if (s->rolled_back_gen != 0)
		return "rolled back";
	for (size_t i = 0; i < s->n_keys; i++) {
		const struct state_gen *g = state_gen_of(s, &s->key[i].spki);

		if (g != NULL && g->n > s->live_gen)
			candidate = true;
	}
	if (s->alert)
		return "held";
	if (candidate)
		return "waiting";
	if (state_key_role(s, KEY_PREVIOUS) != NULL)
		return "verifying";
	if (state_key_role(s, KEY_RETIRED) != NULL)
		return "retiring";
	for (size_t i = 0; i < s->n_owners; i++)
		if (!owner_is_published(s, i))
			return "unpublished";
	return "steady";
}

/* When every cache has the record; 0 when that cannot be said yet. */
static int64_t ready_ms(const struct lineage_state *s,
	const struct state_key *k, const struct timing *t)
{
	struct policy p = { .wait_ttls = t->wait_ttls,
		.ttl_floor = t->ttl_floor,
		.min_wait = t->min_wait };
	int64_t at = k->role == KEY_RETIRED ? -1 : plan_ready_ms(s, k, &p);

	return at < 0 ? 0 : at;
}

static void print_key(const struct lineage_state *s, const struct state_key *k,
	const struct timing *t)
{
	int64_t ready = ready_ms(s, k, t);
	const struct state_gen *g = state_gen_of(s, &k->spki);
	char hex[SPKI_HEX], when[CLOCK_TEXT_MAX];

	printf("  %-9s %s %s", key_role_name(k->role),
		spki_hex(&k->spki, hex), key_alg_name(k->alg));
	if (g != NULL)
		printf(", generation %u, certificate until %s", g->n,
			clock_utc(g->not_after_s * 1000, when));
	putchar('\n');
	for (size_t i = 0; i < s->n_owners; i++) {
		printf("            %s %s", s->owner[i].owner,
			record_state_name(k->at[i].rec));
		if (k->at[i].since_ms != 0)
			printf(", on every server since %s",
				cli_when(s, k->at[i].since_ms, when));
		putchar('\n');
	}
	if (ready > s->clock.trusted_ms && k->role != KEY_CURRENT)
		printf("            may be served from %s\n",
			cli_when(s, ready, when));
}

static void print_text(const struct lineage_state *s, const struct timing *t)
{
	char when[CLOCK_TEXT_MAX];

	printf("%s: %s\n", s->name, phase(s));
	for (int role = KEY_CURRENT; role >= 0; role--)
		for (size_t i = 0; i < s->n_keys; i++)
			if ((int)s->key[i].role == role)
				print_key(s, &s->key[i], t);
	for (size_t i = 0; i < s->n_keys; i++)
		if (s->key[i].role == KEY_PREVIOUS ||
			s->key[i].role == KEY_RETIRED)
			print_key(s, &s->key[i], t);
	if (s->rolled_back_gen != 0)
		printf("  %s: generation %u: %s\n",
			s->intent.kind == INTENT_PROMOTE ? "not verified"
							 : "rolled back",
			s->rolled_back_gen, s->rolled_back_why);
	printf("  %s: %s\n", s->alert ? "ATTENTION" : "now",
		s->why[0] ? s->why : "not run yet");
	if (s->wake_ms != 0)
		printf("  next look: %s\n", cli_when(s, s->wake_ms, when));
	putchar('\n');
}

static json_t *json_when(const struct lineage_state *s, int64_t ms)
{
	char when[CLOCK_TEXT_MAX];

	return ms == 0 ? json_null() : json_string(cli_when(s, ms, when));
}

static json_t *json_key(const struct lineage_state *s,
	const struct state_key *k, const struct timing *t)
{
	const struct state_gen *g = state_gen_of(s, &k->spki);
	char hex[SPKI_HEX], when[CLOCK_TEXT_MAX];
	json_t *j = json_object(), *names = json_array();

	json_object_set_new(j, "spki", json_string(spki_hex(&k->spki, hex)));
	json_object_set_new(j, "role", json_string(key_role_name(k->role)));
	json_object_set_new(
		j, "algorithm", json_string(key_alg_name(k->alg)));
	json_object_set_new(j, "generation",
		g != NULL ? json_integer(g->n) : json_null());
	json_object_set_new(j, "not_after",
		g != NULL ? json_string(clock_utc(
				    g->not_after_s * 1000, when))
			  : json_null());
	for (size_t i = 0; i < s->n_owners; i++) {
		json_t *o = json_object();

		json_object_set_new(
			o, "owner", json_string(s->owner[i].owner));
		json_object_set_new(o, "record",
			json_string(record_state_name(k->at[i].rec)));
		json_object_set_new(
			o, "converged_since", json_when(s, k->at[i].since_ms));
		json_array_append_new(names, o);
	}
	json_object_set_new(j, "owners", names);
	json_object_set_new(j, "ready", json_when(s, ready_ms(s, k, t)));
	return j;
}

static json_t *json_state(
	const struct lineage_state *s, const struct timing *t)
{
	json_t *j = json_object(), *keys = json_array();

	json_object_set_new(j, "lineage", json_string(s->name));
	json_object_set_new(j, "state", json_string(phase(s)));
	json_object_set_new(j, "action", json_string(s->doing));
	json_object_set_new(j, "why", json_string(s->why));
	json_object_set_new(j, "attention", json_boolean(s->alert));
	json_object_set_new(j, "wake", json_when(s, s->wake_ms));
	json_object_set_new(j, "live_generation",
		s->live_gen ? json_integer(s->live_gen) : json_null());
	json_object_set_new(j, "rolled_back_generation",
		s->rolled_back_gen ? json_integer(s->rolled_back_gen)
				   : json_null());
	json_object_set_new(j, "rolled_back_why",
		s->rolled_back_gen ? json_string(s->rolled_back_why)
				   : json_null());
	for (size_t i = 0; i < s->n_keys; i++)
		json_array_append_new(keys, json_key(s, &s->key[i], t));
	json_object_set_new(j, "keys", keys);
	return j;
}

static int show(struct store *store, const struct config *cfg,
	const struct cfg_lineage *cl, json_t *all)
{
	struct lineage_state s;
	struct err err = ERR_INIT;
	enum status st = store_peek(store, cl->name, &s, &err);
	int rc;

	if (st == ST_NOTFOUND) {
		state_init(&s, cl->name);
		(void)snprintf(s.why, sizeof(s.why),
			"never run: start with \"danelaw run %s\"", cl->name);
		s.alert = true;
	} else if (st != ST_OK) {
		fprintf(stderr, "danelaw: %s\n", err.text);
		return EXIT_ATTENTION;
	}
	if (all != NULL)
		json_array_append_new(all, json_state(&s, &cfg->timing));
	else
		print_text(&s, &cfg->timing);
	rc = exit_of(&s);
	state_release(&s);
	return rc;
}

static int show_all(const struct config *cfg, const struct cfg_lineage **list,
	size_t n, bool as_json)
{
	struct store *store = NULL;
	struct err err = ERR_INIT;
	json_t *top = as_json ? json_object() : NULL;
	json_t *all = as_json ? json_array() : NULL;
	int rc = EXIT_DONE;

	if (store_open(cfg->state_dir, &store, &err) != ST_OK) {
		fprintf(stderr, "danelaw: %s\n", err.text);
		json_decref(all);
		json_decref(top);
		return EXIT_ATTENTION;
	}
	for (size_t i = 0; i < n; i++)
		rc = engine_worse(rc, show(store, cfg, list[i], all));
	if (as_json) {
		json_object_set_new(top, "version", json_integer(1));
		json_object_set_new(top, "lineages", all);
		json_dumpf(top, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
		json_decref(top);
	}
	store_close(store);
	return rc;
}

int cmd_status(const struct cli *cli, int argc, char **argv)
{
	const struct cfg_lineage **list;
	struct config cfg;
	bool as_json = false;
	int i = 0, rc;
	size_t n;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") != 0)
			return cli_usage(
				"status: unknown option \"%s\"", argv[i]);
		as_json = true;
	}
	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	list = cli_lineages(&cfg, argc - i, argv + i, &n);
	rc = list != NULL ? show_all(&cfg, list, n, as_json) : EXIT_USAGE;
	free(list);
	config_release(&cfg);
	return rc;
}
