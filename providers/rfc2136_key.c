/*
 * The TSIG key file, in the form that tsig-keygen and named.conf use. The
 * secret stays text (ldns takes base64) and is wiped on release. Algorithms:
 * hmac-sha256 and hmac-sha512; hmac-sha1 for servers that know nothing
 * better; all others are refused by name, because hmac-md5 must not be used
 * (RFC 8945 6) and ldns 1.8 cannot do the rest.
 */
#include "providers/rfc2136.h"

#include "hook/base/auto.h"

#include <stdbool.h>
#include <strings.h>

#define TOKEN_MAX 1024

struct scan {
	const char *path;
	const char *p;
	int line;
	bool quoted;
	char token[TOKEN_MAX]; /* "" at the end */
	struct err *err;
};

static const char *const algorithms[] = { "hmac-sha256", "hmac-sha512",
	"hmac-sha1" };

static enum status fail(struct scan *s, const char *what)
{
	return err_set(s->err, ST_CONFIG, "%s:%d: %s", s->path, s->line, what);
}

static enum status skip_comment(struct scan *s)
{
	if (s->p[0] != '/' || s->p[1] != '*') {
		s->p += strcspn(s->p, "\n");
		return ST_OK;
	}
	for (s->p += 2; *s->p && strncmp(s->p, "*/", 2) != 0; s->p++)
		s->line += *s->p == '\n';
	if (!*s->p)
		return fail(s, "the comment is never closed");
	s->p += 2;
	return ST_OK;
}

static enum status skip_blanks(struct scan *s)
{
	for (;;) {
		if (*s->p && strchr(" \t\r\n", *s->p)) {
			s->line += *s->p++ == '\n';
		} else if (*s->p == '#' || !strncmp(s->p, "//", 2) ||
			   !strncmp(s->p, "/*", 2)) {
			enum status st = skip_comment(s);
			if (st)
				return st;
		} else {
			return ST_OK;
		}
	}
}

/* A word, a string without its quotes, or one of { } ; alone. */
static enum status next(struct scan *s)
{
	enum status st = skip_blanks(s);
	size_t n;

	if (st)
		return st;
	s->quoted = *s->p == '"';
	if (s->quoted) {
		n = strcspn(++s->p, "\"\n");
		if (s->p[n] != '"')
			return fail(s, "a '\"' is never closed");
	} else {
		n = strcspn(s->p, " \t\r\n{};\"#");
		if (!n && *s->p)
			n = 1;
	}
	if (n >= sizeof(s->token))
		return fail(s, "a word is too long");
	memcpy(s->token, s->p, n);
	s->token[n] = '\0';
	s->p += n + s->quoted;
	return ST_OK;
}

static enum status want(struct scan *s, const char *token, const char *else_say)
{
	enum status st = next(s);

	if (!st && (s->quoted || strcasecmp(s->token, token) != 0))
		return fail(s, else_say);
	return st;
}

static enum status take_algorithm(struct scan *s, struct tsig_key *ret)
{
	size_t n = strlen(s->token);

	if (n && s->token[n - 1] == '.')
		n--;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (strlen(algorithms[i]) == n &&
			!strncasecmp(algorithms[i], s->token, n)) {
			ret->algorithm = algorithms[i];
			return ST_OK;
		}
	return err_set(s->err, ST_CONFIG,
		"%s:%d: algorithm %s is not supported%s: use hmac-sha256 "
		"(tsig-keygen -a hmac-sha256) or hmac-sha512",
		s->path, s->line, s->token,
		strncasecmp(s->token, "hmac-md5", 8) ? "" : " (MD5 is broken)");
}

static enum status take_secret(struct scan *s, struct tsig_key *ret)
{
	size_t n = strlen(s->token);
	size_t body = strspn(s->token,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789+/");

	if (n < 4 || n % 4 || n - body > 2 ||
		strspn(s->token + body, "=") != n - body)
		return fail(s, "the secret is not base64");
	ret->secret.data = strdup(s->token);
	if (!ret->secret.data)
		return err_set(s->err, ST_NOMEM, "out of memory");
	ret->secret.len = n;
	return ST_OK;
}

static enum status statement(struct scan *s, struct tsig_key *ret)
{
	bool algorithm = !s->quoted && !strcasecmp(s->token, "algorithm");
	bool secret = !s->quoted && !strcasecmp(s->token, "secret");

	if (!algorithm && !secret)
		return fail(s, "only algorithm and secret belong into a key");
	if ((algorithm && ret->algorithm) || (secret && ret->secret.data))
		return fail(s, "given twice");
	enum status st = next(s);
	if (!st)
		st = algorithm ? take_algorithm(s, ret) : take_secret(s, ret);
	return st ? st : want(s, ";", "a ';' is missing");
}

static enum status key_block(struct scan *s, struct tsig_key *ret)
{
	enum status st = want(s, "key",
		"does not begin with: key \"name\" { ... (expected what "
		"tsig-keygen writes)");

	if (!st)
		st = next(s);
	if (st)
		return st;
	struct err why = ERR_INIT;
	/* The root is a name, but not of a key. */
	if (name_canon(s->token, ret->name, &why) || !ret->name[1])
		return fail(s, "the name of the key is not a domain name");
	/* Without the dot, as configurations write it. */
	ret->name[strlen(ret->name) - 1] = '\0';
	st = want(s, "{", "a '{' is missing after the name of the key");
	while (!st && !(st = next(s))) {
		if (!s->quoted && !strcmp(s->token, "}"))
			break;
		if (!s->quoted && !s->token[0])
			return fail(s, "the file ends inside the key");
		st = statement(s, ret);
	}
	if (st)
		return st;
	if (!ret->algorithm)
		return fail(s, "the key has no algorithm");
	if (!ret->secret.data)
		return fail(s, "the key has no secret");
	st = next(s);
	if (!st && !s->quoted && !strcmp(s->token, ";"))
		st = next(s);
	if (!st && (s->token[0] || s->quoted))
		return fail(s, "only one key belongs into this file");
	return st;
}

enum status tsig_key_parse(const char *path, const char *text,
	struct tsig_key *ret, struct err *err)
{
	struct tsig_key key = { .algorithm = NULL };
	struct scan s = { .path = path, .p = text, .line = 1, .err = err };
	enum status st = key_block(&s, &key);

	explicit_bzero(s.token, sizeof(s.token));
	if (!st && !(key.path = strdup(path)))
		st = err_set(err, ST_NOMEM, "out of memory");
	if (st) {
		tsig_key_release(&key);
		return st;
	}
	*ret = key;
	return ST_OK;
}

enum status tsig_key_read(
	const char *path, struct tsig_key *ret, struct err *err)
{
	auto_secret text = { .data = NULL };
	enum status st = secret_read(path, &text, err);

	return st ? st : tsig_key_parse(path, text.data, ret, err);
}

void tsig_key_release(struct tsig_key *k)
{
	secret_release(&k->secret);
	free(k->path);
	k->path = NULL;
	k->algorithm = NULL;
}
