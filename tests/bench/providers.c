/*
 * Publishes one record for each of N lineages in Z zones through one provider,
 * all in one batch or one after another:
 *
 *   providers batch|single TYPE OPTIONS N Z
 *
 * OPTIONS is a file of name=value lines. Prints the wall time in seconds; exit
 * status 1 when a name was not changed.
 */
#include "hook/base/clock.h"
#include "providers/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32

static enum status add_key(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	struct spki key;

	(void)arg;
	memset(key.d, 'k', sizeof(key.d));
	memcpy(key.d, &i, sizeof(i));
	if (tlsa_rrset_copy(now, to, err) || tlsa_rrset_add_spki(to, &key, err))
		return err->st;
	to->ttl = now->n ? now->ttl : 3600;
	return ST_OK;
}

static void *open_provider(const struct provider_ops *ops, const char *path)
{
	static char line[OPTIONS_MAX][1024];
	const char *value[OPTIONS_MAX] = { NULL };
	struct provider_config cfg = { .name = "bench", .value = value };
	FILE *f = fopen(path, "re");
	struct err err = ERR_INIT;
	size_t n = 0;
	void *ctx;

	for (; f && n < OPTIONS_MAX && fgets(line[n], sizeof(line[n]), f); n++)
		line[n][strcspn(line[n], "\n")] = '\0';
	if (f)
		(void)fclose(f);
	for (size_t i = 0; ops->options[i].name && i < OPTIONS_MAX; i++) {
		size_t len = strlen(ops->options[i].name);

		value[i] = ops->options[i].def;
		for (size_t j = 0; j < n; j++)
			if (!strncmp(line[j], ops->options[i].name, len) &&
				line[j][len] == '=')
				value[i] = line[j] + len + 1;
	}
	if (ops->open(&cfg, &ctx, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return ctx;
}

int main(int argc, char **argv)
{
	const struct provider_ops *ops =
		argc == 6 ? provider_find(argv[2]) : NULL;
	size_t n = ops ? strtoul(argv[4], NULL, 10) : 0;
	size_t zones = ops ? strtoul(argv[5], NULL, 10) : 0;
	struct provider_item *item = calloc(n, sizeof(*item));
	char(*owner)[80] = calloc(n, sizeof(*owner));
	int64_t begin;
	void *ctx;
	int rc = 0;

	if (!n || !zones || !item || !owner) {
		fprintf(stderr, "usage: see providers.c\n");
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(owner[i], sizeof(owner[i]),
			"_25._tcp.mx%zu.z%zu.bench.test.", i, i % zones);
		item[i].owner = owner[i];
	}
	ctx = open_provider(ops, argv[3]);
	begin = clock_mono_ms();
	if (!strcmp(argv[1], "batch"))
		provider_edit(ops, ctx, item, n, add_key, NULL);
	for (size_t i = 0; strcmp(argv[1], "batch") != 0 && i < n; i++)
		provider_edit(ops, ctx, &item[i], 1, add_key, NULL);
	printf("%.2f\n", (double)(clock_mono_ms() - begin) / 1000);
	for (size_t i = 0; i < n; i++)
		if (item[i].err.st || !item[i].changed) {
			fprintf(stderr, "%s: %s\n", item[i].owner,
				item[i].err.text);
			rc = 1;
			break;
		}
	for (size_t i = 0; i < n; i++)
		provider_item_release(&item[i]);
	ops->close(ctx);
	free(item);
	free(owner);
	return rc;
}
