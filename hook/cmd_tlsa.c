/*
 * danelaw tlsa: the records, paste-ready: of a lineage (current, next and what
 * else must be published), or of any certificate, CSR or key file.
 */
#include "hook/cmd.h"

#include "hook/base/atomicfile.h"
#include "hook/base/auto.h"
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct out {
	json_t *json; /* NULL: text */
};

static void emit(struct out *o, const char *owner, const struct spki *spki,
	const char *role)
{
	char hex[SPKI_HEX];
	json_t *j;

	spki_hex(spki, hex);
	if (o->json == NULL) {
		if (owner == NULL)
			printf("3 1 1 %s\n", hex);
		else
			printf("%s IN TLSA 3 1 1 %s\n", owner, hex);
		return;
	}
	j = json_object();
	json_object_set_new(
		j, "owner", owner != NULL ? json_string(owner) : json_null());
	json_object_set_new(j, "usage", json_integer(3));
	json_object_set_new(j, "selector", json_integer(1));
	json_object_set_new(j, "matching_type", json_integer(1));
	json_object_set_new(j, "data", json_string(hex));
	json_object_set_new(
		j, "role", role != NULL ? json_string(role) : json_null());
	json_array_append_new(o->json, j);
}

static int of_lineage(const struct cli *cli, const char *name, struct out *o)
{
	struct config cfg;
	struct store *store = NULL;
	struct lineage_state s;
	struct err err = ERR_INIT;
	int rc = EXIT_DONE;

	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	if (config_lineage(&cfg, name) == NULL) {
		config_release(&cfg);
		return cli_usage("no lineage \"%s\"", name);
	}
	if (store_open(cfg.state_dir, &store, &err) != ST_OK ||
		store_peek(store, name, &s, &err) != ST_OK) {
		fprintf(stderr, "danelaw: %s: %s\n", name,
			err.st == ST_NOTFOUND ? "never run; start with "
						"\"danelaw run\""
					      : err.text);
		rc = EXIT_ATTENTION;
	} else {
		for (size_t i = 0; i < s.n_owners; i++)
			for (size_t k = 0; k < s.n_keys; k++)
				if (s.key[k].role != KEY_RETIRED)
					emit(o, s.owner[i].owner,
						&s.key[k].spki,
						key_role_name(s.key[k].role));
		state_release(&s);
	}
	store_close(store);
	config_release(&cfg);
	return rc;
}

/* Any path the operator may read; not one component below a folder. */
static enum status read_file(
	const char *path, struct buf *ret, struct err *err)
{
	char chunk[4096];
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return err_sys(err, ST_IO, errno, "%s", path);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		enum status st = buf_append(ret, chunk, (size_t)n, err);

		if (st != ST_OK)
			return err_context(err, "%s", path);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (n < 0)
		return err_sys(err, ST_IO, errno, "%s", path);
	return ST_OK;
}

static int of_file(const char *path, int argc, char **argv, struct out *o)
{
	auto_buf text = BUF_INIT(1024 * 1024);
	struct spki spki;
	enum key_alg alg;
	char owner[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	if (read_file(path, &text, &err) != ST_OK ||
		spki_from_pem(buf_str(&text), text.len, &spki, &alg, &err) !=
			ST_OK) {
		fprintf(stderr, "danelaw: %s: %s\n", path, err.text);
		return EXIT_ATTENTION;
	}
	if (argc == 0)
		emit(o, NULL, &spki, NULL);
	for (int i = 0; i < argc; i++) {
		uint16_t port;
		char host[DNS_NAME_MAX];

		if (name_canon(argv[i], owner, &err) != ST_OK ||
			name_split_tlsa(owner, &port, host, &err) != ST_OK)
			return cli_usage("tlsa: \"%s\": %s", argv[i], err.text);
		emit(o, owner, &spki, NULL);
	}
	return EXIT_DONE;
}

int cmd_tlsa(const struct cli *cli, int argc, char **argv)
{
	struct out o = { .json = NULL };
	const char *file = NULL;
	int i = 0, rc;

	for (; i < argc && argv[i][0] == '-'; i++) {
		bool is_file = strcmp(argv[i], "--cert") == 0 ||
			strcmp(argv[i], "--key") == 0;

		if (strcmp(argv[i], "--json") == 0) {
			if (o.json == NULL)
				o.json = json_array();
		} else if (is_file && i + 1 < argc && file == NULL) {
			file = argv[++i];
		} else {
			json_decref(o.json);
			return cli_usage(
				"tlsa: what is \"%s\"?", argv[i]);
		}
	}
	if (file != NULL)
		rc = of_file(file, argc - i, argv + i, &o);
	else if (argc - i == 1)
		rc = of_lineage(cli, argv[i], &o);
	else
		rc = cli_usage("tlsa: give a lineage, --cert FILE or --key "
			       "FILE");
	if (o.json != NULL && rc == EXIT_DONE) {
		json_dumpf(o.json, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	}
	json_decref(o.json);
	return rc;
}
