/*
 * A DNS that no program may change: the operator is told what to add and what
 * to remove, as lines of a zone file. It cannot be read either, so what is held
 * is what the last validated look-up saw. Nothing is ever reported as done:
 * danelaw goes on when the sweep of the authority shows it, as with every other
 * provider. Invariants: the same need gives the same text, pass after pass (a
 * TTL that only counts down in a cache is not in it); the text names all
 * records or says how many it leaves out.
 */
#include "providers/provider.h"

#include "hook/base/auto.h"
#include "hook/base/buf.h"

#define NOTE_MAX 100
/* A state file keeps 511 octets of it, after the owner name. */
#define TEXT_MAX 480

struct manual {
	char note[NOTE_MAX + 1];
};

enum { OPT_NOTE };

static const struct provider_option options[] = {
	[OPT_NOTE] = { .name = "note",
		.type = POPT_STRING,
		.help = "for whoever makes the change: whom to mail, say" },
	{ .name = NULL },
};

/* One clause: what is in `a` and not in `b`. Lines, or only their number. */
static enum status say(struct buf *text, const char *verb, const char *owner,
	const struct tlsa_rrset *a, const struct tlsa_rrset *b, const char *ttl,
	bool lines, struct err *err)
{
	enum status st = ST_OK;
	size_t n = 0;

	for (size_t i = 0; st == ST_OK && i < a->n; i++) {
		auto_buf rr = BUF_INIT(2 * UINT16_MAX + 32);

		if (tlsa_rrset_has(b, &a->rr[i]))
			continue;
		st = tlsa_text(&a->rr[i], &rr, err);
		if (st == ST_OK && lines)
			st = buf_printf(text, err, "%s %s%s IN TLSA %s",
				n == 0 ? verb : ",", owner, ttl, buf_str(&rr));
		n++;
	}
	if (st == ST_OK && n > 0 && !lines)
		st = buf_printf(text, err, "%s %zu TLSA record%s at %s", verb,
			n, n == 1 ? "" : "s", owner);
	return st == ST_OK && n > 0 ? buf_printf(text, err, ";") : st;
}

/* How much is written out: all, the removals only (`danelaw tlsa` does not
 * print what has to go), or nothing. */
enum detail { ALL, REMOVALS, NUMBERS };

static enum status describe(const struct manual *m, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	enum detail detail, struct buf *text, struct err *err)
{
	char ttl[16] = "";
	enum status st = buf_printf(text, err,
		"by hand%s%s:", m->note[0] != '\0' ? ", " : "", m->note);

	/* Beside records that are there, theirs is the right one. */
	if (from->n == 0 || from->ttl != to->ttl)
		(void)snprintf(ttl, sizeof(ttl), " %u", to->ttl);
	if (st == ST_OK)
		st = say(text, " add:", owner, to, from, ttl, detail == ALL,
			err);
	if (st == ST_OK)
		st = say(text, " remove:", owner, from, to, "",
			detail != NUMBERS, err);
	if (st == ST_OK && detail != ALL)
		st = buf_printf(text, err,
			" \"danelaw tlsa NAME\" prints all that must be "
			"there;");
	return st == ST_OK
		       ? buf_printf(text, err,
				 " danelaw goes on by itself when it sees that")
		       : st;
}

/* ST_REFUSED with what to do. */
static enum status refuse(const struct manual *m, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	const size_t max = TEXT_MAX - strlen(owner);

	for (enum detail d = ALL; d <= NUMBERS; d++) {
		auto_buf text = BUF_INIT(max + 1);
		struct err too_long = ERR_INIT;
		enum status st =
			describe(m, owner, from, to, d, &text, &too_long);

		if (st == ST_OK)
			return err_set(err, ST_REFUSED, "%s", buf_str(&text));
		if (st != ST_REFUSED)
			return err_set(err, st, "%s", too_long.text);
	}
	return err_set(err, ST_REFUSED,
		"by hand: \"danelaw tlsa NAME\" prints all that must be there");
}

static enum status manual_open(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	const char *note = cfg->value[OPT_NOTE];
	struct manual *m;

	if (note != NULL && strlen(note) > NOTE_MAX)
		return err_set(err, ST_CONFIG,
			"provider \"%s\": note is longer than %d characters",
			cfg->name, NOTE_MAX);
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	(void)snprintf(
		m->note, sizeof(m->note), "%s", note != NULL ? note : "");
	*ret = m;
	return ST_OK;
}

static enum status manual_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	return tlsa_rrset_eq(from, to) ? ST_OK
				       : refuse(ctx, owner, from, to, err);
}

static enum status edit_one(struct manual *m, struct provider_item *it,
	size_t i, provider_decide decide, void *arg)
{
	enum status st;

	if (it->seen == NULL)
		return err_set(&it->err, ST_RETRY,
			"%s was not looked up yet: what has to be changed "
			"there is known after that",
			it->owner);
	st = tlsa_rrset_copy(it->seen, &it->now, &it->err);
	if (st == ST_OK)
		st = decide(arg, i, &it->now, &it->to, &it->err);
	return st == ST_OK ? manual_replace(
				     m, it->owner, &it->now, &it->to, &it->err)
			   : st;
}

static void manual_edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	for (size_t i = 0; i < n; i++)
		items[i].err.st = edit_one(ctx, &items[i], i, decide, arg);
}

static void manual_close(void *ctx)
{
	free(ctx);
}

extern const struct provider_ops provider_manual;
const struct provider_ops provider_manual = {
	.type = "manual",
	.title = "by hand",
	.caps = PCAP_RRSET,
	.dnssec = PDNSSEC_OWN,
	.rights = "none: danelaw never touches this DNS",
	.options = options,
	.open = manual_open,
	.replace = manual_replace,
	.edit = manual_edit,
	.close = manual_close,
};
