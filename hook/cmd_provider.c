/*
 * danelaw provider: what there is, whether what is configured works, and what
 * a provider holds. Nothing here changes a record.
 */
#include "hook/cmd.h"

#include "hook/base/auto.h"
#include "hook/engine.h"

#include <stdio.h>
#include <string.h>

static const char *const dnssec_words[] = {
	[PDNSSEC_OWN] = "yours",
	[PDNSSEC_ALWAYS] = "always",
	[PDNSSEC_SWITCH] = "per zone",
	[PDNSSEC_NEVER] = "never",
};
_Static_assert(
	sizeof(dnssec_words) / sizeof(dnssec_words[0]) == PDNSSEC_NEVER + 1,
	"a word for each");

/* ---- list ---- */

static void list_one(const struct provider_ops *ops)
{
	unsigned c = ops->caps;

	printf("%-12s %-28s %-8s %-7s %-9s %-5s %s\n", ops->type, ops->title,
		!(c & PCAP_READ) ? "-"
		: c & PCAP_RRSET ? "RRset"
				 : "records",
		!(c & PCAP_READ)  ? "-"
		: c & PCAP_CAS    ? "swap"
		: c & PCAP_ATOMIC ? "yes"
				  : "no",
		!(c & PCAP_READ) ? "-"
		: c & PCAP_ASYNC ? "followed"
				 : "at once",
		!(c & PCAP_READ) ? "-"
		: c & PCAP_BULK  ? "yes"
				 : "no",
		dnssec_words[ops->dnssec]);
}

static int list(void)
{
	const struct provider_ops *ops;

	printf("%-12s %-28s %-8s %-7s %-9s %-5s %s\n", "TYPE", "", "API",
		"ATOMIC", "CHANGES", "BULK", "SIGNS");
	for (size_t i = 0; (ops = provider_at(i)) != NULL; i++)
		list_one(ops);
	printf("\nATOMIC \"swap\": a change fails when somebody else was "
	       "faster.\nSIGNS \"per zone\": when DNSSEC was switched on for "
	       "the zone.\nOptions and rights of each: "
	       "danelaw-providers(5)\n");
	return cli_flushed(EXIT_DONE);
}

/* ---- test, show ---- */

static const struct cfg_provider *find(
	const struct config *cfg, const char *name)
{
	auto_buf names = BUF_INIT(512);
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < cfg->n_providers; i++) {
		if (strcmp(cfg->provider[i].name, name) == 0)
			return &cfg->provider[i];
		(void)buf_printf(&names, &ignored, "%s\"%s\"",
			names.len > 0 ? ", " : "", cfg->provider[i].name);
	}
	(void)cli_usage("no provider \"%s\" in %s, but %s", name, cfg->path,
		buf_str(&names));
	return NULL;
}

static int fail(
	const struct cfg_provider *p, const char *owner, const struct err *err)
{
	/* Some messages name both themselves. */
	if (strncmp(err->text, "provider \"", 10) == 0)
		fprintf(stderr, "danelaw: %s\n", err->text);
	else
		fprintf(stderr, "danelaw: provider \"%s\": %s: %s\n", p->name,
			owner, err->text);
	return engine_exit_of(err->st);
}

static void *open_it(const struct cfg_provider *p, int *ret_rc)
{
	struct provider_config pc = { .name = p->name, .value = p->value };
	struct err err = ERR_INIT;
	void *ctx = NULL;

	if (p->ops->open(&pc, &ctx, &err) == ST_OK)
		return ctx;
	fprintf(stderr, "danelaw: %s\n", err.text);
	*ret_rc = engine_exit_of(err.st);
	return NULL;
}

static int say_rights(
	const struct cfg_provider *p, void *ctx, const char *owner)
{
	struct err err = ERR_INIT;
	enum status st = ST_NOTFOUND;

	if (p->ops->may_write != NULL)
		st = p->ops->may_write(ctx, owner, &err);
	if (st == ST_OK) {
		printf("  may change it: yes\n");
		return EXIT_DONE;
	}
	if (st == ST_NOTFOUND) {
		printf("  may change it: cannot be told without a change; it "
		       "needs: %s\n",
			p->ops->rights);
		return EXIT_DONE;
	}
	printf("  may change it: NO; it needs: %s\n", p->ops->rights);
	return fail(p, owner, &err);
}

static void say_signed(
	const struct cfg_provider *p, void *ctx, const char *owner)
{
	int known = p->ops->zone_signed != NULL
			    ? p->ops->zone_signed(ctx, owner)
			    : -1;

	if (known == 1 || (known < 0 && p->ops->dnssec == PDNSSEC_ALWAYS))
		printf("  signed: yes\n");
	else if (known == 0 || p->ops->dnssec == PDNSSEC_NEVER)
		printf("  signed: NO: DANE has no effect there until it is\n");
	else
		printf("  signed: not told by it; \"danelaw check\" asks the "
		       "DNS\n");
}

static int test_owner(
	const struct cfg_provider *p, void *ctx, const char *owner)
{
	auto_tlsa now = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	if (p->ops->get(ctx, owner, &now, zone, &err) != ST_OK)
		return fail(p, owner, &err);
	printf("%s\n  zone: %s\n  holds: %zu TLSA record%s", owner, zone, now.n,
		now.n == 1 ? "" : "s");
	if (now.n > 0)
		printf(", TTL %u", now.ttl);
	printf("\n");
	say_signed(p, ctx, owner);
	return say_rights(p, ctx, owner);
}

/* Owner names of argv, else those of all lineages that use it. */
static int test_all(const struct config *cfg, const struct cfg_provider *p,
	void *ctx, int argc, char **argv)
{
	char owner[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	int rc = EXIT_DONE;
	size_t n = 0;

	for (int i = 0; i < argc; i++) {
		if (name_canon(argv[i], owner, &err) != ST_OK)
			return cli_usage("%s", err.text);
		rc = engine_worse(rc, test_owner(p, ctx, owner));
		n++;
	}
	for (size_t i = 0; argc == 0 && i < cfg->n_lineages; i++)
		for (size_t j = 0; cfg->lineage[i].provider == p &&
				   j < cfg->lineage[i].n_owners;
			j++) {
			rc = engine_worse(rc,
				test_owner(p, ctx, cfg->lineage[i].owner[j]));
			n++;
		}
	if (n == 0)
		return cli_usage("no lineage uses provider \"%s\": name an "
				 "owner, as _25._tcp.mx1.example.com",
			p->name);
	return rc;
}

static int show_owner(const struct cfg_provider *p, void *ctx, const char *text)
{
	char owner[DNS_NAME_MAX], zone[DNS_NAME_MAX];
	auto_tlsa now = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;

	if (name_canon(text, owner, &err) != ST_OK)
		return cli_usage("%s", err.text);
	if (p->ops->get(ctx, owner, &now, zone, &err) != ST_OK)
		return fail(p, owner, &err);
	printf("; provider \"%s\" (%s), zone %s: %zu TLSA record%s\n", p->name,
		p->ops->type, zone, now.n, now.n == 1 ? "" : "s");
	for (size_t i = 0; i < now.n; i++) {
		auto_buf rr = BUF_INIT(2 * UINT16_MAX + 32);

		if (tlsa_text(&now.rr[i], &rr, &err) != ST_OK)
			return fail(p, owner, &err);
		printf("%s %u IN TLSA %s\n", owner, now.ttl, buf_str(&rr));
	}
	return EXIT_DONE;
}

static int with_config(
	const struct config *cfg, bool show, int argc, char **argv)
{
	const struct cfg_provider *p = find(cfg, argv[0]);
	int rc = EXIT_USAGE;
	void *ctx = p != NULL ? open_it(p, &rc) : NULL;

	if (ctx == NULL)
		return rc;
	if (p->ops->get == NULL) {
		/* manual: there is nothing to test, but to show, neither. */
		fprintf(show ? stderr : stdout,
			"danelaw: provider \"%s\" (%s) cannot be asked what "
			"it holds: ask the DNS, \"danelaw check\"\n",
			p->name, p->ops->type);
		rc = show ? EXIT_USAGE : EXIT_DONE;
	} else if (show) {
		rc = show_owner(p, ctx, argv[1]);
	} else {
		rc = test_all(cfg, p, ctx, argc - 1, argv + 1);
	}
	p->ops->close(ctx);
	return cli_flushed(rc);
}

int cmd_provider(const struct cli *cli, int argc, char **argv)
{
	struct config cfg;
	bool show = argc > 0 && strcmp(argv[0], "show") == 0;
	int rc;

	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list();
	if (!(show && argc == 3) &&
		!(argc >= 2 && strcmp(argv[0], "test") == 0))
		return cli_usage("provider: list | test NAME [OWNER ...] | "
				 "show NAME OWNER");
	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	rc = with_config(&cfg, show, argc - 1, argv + 1);
	config_release(&cfg);
	return rc;
}
