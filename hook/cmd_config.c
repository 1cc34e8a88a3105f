/* danelaw config: read the configuration with the code that everything else
 * uses, and say what was understood. */
#include "hook/cmd.h"

#include "hook/env_apart.h"

#include <stdio.h>
#include <string.h>

static void print_lineage(const struct cfg_lineage *l)
{
	printf("lineage %s\n", l->name);
	printf("  certbot   %s (issue = %s)\n", l->certbot,
		l->issue == ISSUE_CSR ? "csr" : "hook");
	printf("  provider  %s (%s)\n", l->provider->name,
		l->provider->ops->type);
	printf("  key       %s\n",
		l->have_key ? key_alg_name(l->key) : "as the present one");
	for (size_t i = 0; i < l->n_owners; i++)
		printf("  tlsa      %s\n", l->owner[i]);
	for (size_t i = 0; i < l->n_endpoints; i++)
		printf("  endpoint  %s://%.*s:%u\n",
			probe_proto_name(l->endpoint[i].proto),
			(int)strlen(l->endpoint[i].host) - 1,
			l->endpoint[i].host, (unsigned)l->endpoint[i].port);
	for (char **r = l->reload; r != NULL && *r != NULL; r++)
		printf("  reload    %s\n", *r);
	if (l->reload == NULL || *l->reload == NULL)
		printf("  reload    none: new keys are only seen by software "
		       "that watches the file\n");
}

/* DANE without DNSSEC protects nobody: to be said before anything is built on
 * it. The zone may be signed on its way, so it is no error. */
static void warn_unsigned(const struct cfg_provider *p)
{
	if (p->ops->dnssec == PDNSSEC_NEVER)
		fprintf(stderr,
			"danelaw: warning: provider \"%s\": %s does not sign "
			"zones: TLSA records there have no effect, unless "
			"another server signs the zone and is what the world "
			"asks\n",
			p->name, p->ops->title);
	else if (p->ops->dnssec == PDNSSEC_SWITCH)
		fprintf(stderr,
			"danelaw: note: provider \"%s\": %s signs a zone only "
			"when DNSSEC was switched on for it, and the registrar "
			"must have the DS record: \"danelaw check\" shows it\n",
			p->name, p->ops->title);
}

/* Secrets and options that only the provider can judge; no network. */
static bool providers_open(const struct config *cfg)
{
	bool good = true;

	for (size_t i = 0; i < cfg->n_providers; i++) {
		const struct cfg_provider *p = &cfg->provider[i];
		struct provider_config pc = { .name = p->name,
			.value = p->value };
		struct err err = ERR_INIT;
		void *ctx = NULL;

		if (p->ops->open(&pc, &ctx, &err) == ST_OK) {
			p->ops->close(ctx);
			warn_unsigned(p);
			continue;
		}
		fprintf(stderr, "danelaw: %s: %s\n", cfg->path, err.text);
		good = false;
	}
	return good;
}

/* Does the sandbox work here? Not when "run" and "hook" would refuse. */
static bool sandbox_good(const struct config *cfg)
{
	struct config try = *cfg;
	char missing[SANDBOX_TEXT_MAX];
	struct env env = { .ctx = NULL };
	struct err err = ERR_INIT;

	if (cfg->sandbox == SANDBOX_OFF) {
		printf("sandbox   off: the network is parsed where the private "
		       "keys are\n");
		return true;
	}
	try.sandbox = SANDBOX_AVAILABLE;
	if (env_apart(&try, &env, missing, &err) != ST_OK) {
		fprintf(stderr, "danelaw: %s: %s\n", cfg->path, err.text);
		return false;
	}
	env.free(env.ctx);
	if (missing[0] == '\0') {
		printf("sandbox   works\n");
		return true;
	}
	printf("sandbox   incomplete on this system, missing: %s\n", missing);
	if (cfg->sandbox == SANDBOX_AVAILABLE)
		return true;
	fprintf(stderr,
		"danelaw: %s: \"run\" and \"hook\" will do nothing here: "
		"sandbox = \"required\", and this system lacks %s\n",
		cfg->path, missing);
	return false;
}

int cmd_config(const struct cli *cli, int argc, char **argv)
{
	struct config cfg;
	bool good;

	if (argc > 0)
		return cli_usage("config: unexpected \"%s\"", argv[0]);
	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	if (!providers_open(&cfg)) {
		config_release(&cfg);
		return EXIT_USAGE;
	}
	printf("%s is good\nstate_dir %s\n", cfg.path, cfg.state_dir);
	(void)fflush(stdout);
	good = sandbox_good(&cfg);
	for (size_t i = 0; i < cfg.n_lineages; i++)
		print_lineage(&cfg.lineage[i]);
	config_release(&cfg);
	return cli_flushed(good ? EXIT_DONE : EXIT_USAGE);
}
