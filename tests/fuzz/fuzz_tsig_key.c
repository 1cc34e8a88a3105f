/*
 * TSIG key files, and sections of INI files with credentials. Checked: what is
 * accepted is accepted again in its plainest form and says the same; an error
 * is one line with file and line, and never shows the secret.
 */
#include "hook/base/buf.h"
#include "providers/cred.h"
#include "providers/rfc2136.h"
#include "tests/fuzz/fuzz.h"

static void plain(const struct tsig_key *k)
{
	struct buf text = BUF_INIT(8192);
	struct tsig_key got = { .algorithm = NULL };
	struct err err = ERR_INIT;

	must(buf_printf(&text, &err,
		     "key \"%s\" {\n\talgorithm %s;\n\tsecret \"%s\";\n};\n",
		     k->name, k->algorithm, k->secret.data) == ST_OK);
	must(tsig_key_parse("k", text.data, &got, &err) == ST_OK);
	must(strcmp(got.name, k->name) == 0);
	must(strcmp(got.algorithm, k->algorithm) == 0);
	must(got.secret.len == k->secret.len &&
		strcmp(got.secret.data, k->secret.data) == 0);
	/* What is wrong behind it must not bring it to light. */
	(void)memcpy(text.data + text.len - 3, "  x", 3);
	must_err(tsig_key_parse("k", text.data, &got, &err), &err);
	must(k->secret.len < 16 || strstr(err.text, k->secret.data) == NULL);
	buf_release(&text);
	tsig_key_release(&got);
}

static void ini(const char *text)
{
	struct in in = { (const uint8_t *)text, strlen(text) };
	char *section = in_text(&in, '\n'), *key = in_text(&in, '\n');
	char *rest = in_text(&in, '\0');
	const struct secret file = { .data = rest, .len = strlen(rest) };
	struct secret got = { .data = NULL };
	struct err err = ERR_INIT;
	enum status st = cred_ini(&file, section, key, &got, &err);

	must(st == ST_OK || st == ST_NOTFOUND || st == ST_CONFIG);
	if (st == ST_OK) {
		must(got.len > 0 && strlen(got.data) == got.len);
		must(strstr(rest, got.data) != NULL);
		must(strchr(got.data, '\n') == NULL);
	}
	secret_release(&got);
	free(rest);
	free(key);
	free(section);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	char *text = in_text(&in, '\0');
	struct tsig_key k = { .algorithm = NULL };
	struct err err = ERR_INIT;
	enum status st;

	if (text[0] == '!') {
		ini(text + 1);
		free(text);
		return 0;
	}
	st = tsig_key_parse("file", text, &k, &err);
	if (st == ST_OK) {
		plain(&k);
	} else {
		must(st == ST_CONFIG || st == ST_NOMEM);
		must_err(st, &err);
		must(strncmp(err.text, "file:", 5) == 0);
	}
	tsig_key_release(&k);
	free(text);
	return 0;
}
