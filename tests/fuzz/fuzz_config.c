/*
 * The configuration file under hostile input. Checked: an error is one line
 * that names the file; what is accepted keeps every promise of config.h that
 * the rest of the program relies on.
 */
#include "hook/config.h"
#include "tests/fuzz/fuzz.h"

static void check_lineage(const struct config *c, const struct cfg_lineage *l)
{
	char canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	must(config_lineage(c, l->name) == l);
	must(l->certbot != NULL && l->certbot[0] == '/');
	must(l->provider >= c->provider &&
		l->provider < c->provider + c->n_providers);
	must(l->n_owners > 0 && l->n_endpoints > 0);
	for (size_t i = 0; i < l->n_owners; i++) {
		must(name_canon(l->owner[i], canon, &err) == ST_OK);
		must(strcmp(canon, l->owner[i]) == 0);
	}
	for (size_t i = 0; i < l->n_endpoints; i++) {
		must(name_canon(l->endpoint[i].host, canon, &err) == ST_OK);
		must(strcmp(canon, l->endpoint[i].host) == 0);
		must(l->endpoint[i].port > 0);
	}
	must((l->mode & 07) == 0 || (l->mode & 02) == 0);
	must(l->retire_after >= 0 && l->verify_timeout >= 0);
	must(l->certbot_command != NULL && l->ttl >= 0);
}

static void check(const struct config *c)
{
	must(c->state_dir != NULL && c->state_dir[0] == '/');
	must(c->timing.wait_ttls >= 2 && c->timing.poll_max > 0);
	must(c->timing.assumed_prior_ttl >= 0 && c->timing.min_wait >= 0);
	for (size_t i = 0; i < c->n_providers; i++) {
		const struct cfg_provider *p = &c->provider[i];

		must(p->name != NULL && p->ops != NULL);
		for (size_t j = 0; p->ops->options[j].name != NULL; j++) {
			const struct provider_option *o = &p->ops->options[j];

			must(!o->required || o->env != NULL ||
				p->value[j] != NULL);
			if (o->type != POPT_INT || p->value[j] == NULL)
				continue;
			long v = strtol(p->value[j], NULL, 10);
			must(v >= o->min && v <= o->max);
		}
	}
	for (size_t i = 0; i < c->n_lineages; i++)
		check_lineage(c, &c->lineage[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char file[300];
	struct config c;
	struct err err = ERR_INIT;
	enum status st;

	if (file[0] == '\0')
		(void)snprintf(file, sizeof(file), "%s/c", fuzz_dir());
	fuzz_write(file, 0600, data, size);
	st = config_read(file, &c, &err);
	if (st == ST_OK) {
		check(&c);
		config_release(&c);
		return 0;
	}
	must(st == ST_CONFIG || st == ST_NOMEM);
	must_err(st, &err);
	must(strncmp(err.text, file, strlen(file)) == 0);
	return 0;
}
