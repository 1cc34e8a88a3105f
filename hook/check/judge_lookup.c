/*
 * What the look-ups say: the MX answer, the domain's TLS-RPT record, each
 * host's addresses and whether it has TLSA records at all. (RFC 7672 2.2;
 * dane.md S3, S5, S18, S23, S70, B-10, B-12)
 */
#include "hook/check/judge.h"

#include "hook/check/reproduce.h"
#include "hook/check/tlsrpt_txt.h"

#include <string.h>

#define VIZ "https://dnsviz.net/d/%.253s/dnssec/ shows where"

static void bare(char ret[static DNS_NAME_MAX], const char *name)
{
	size_t len = strlen(name);

	judge_say(ret, DNS_NAME_MAX, "%s", name);
	if (len > 1 && len < DNS_NAME_MAX && ret[len - 1] == '.')
		ret[len - 1] = '\0';
}

/* ---- the domain -------------------------------------------------------- */

static enum status mx_bogus(struct check *c, const char *name, struct err *err)
{
	struct finding *f = check_find(c, CODE_MX_BOGUS, FINDING_FAIL, -1, err);

	if (f == NULL)
		return err->st;
	SAY(f->where, "%s MX", name);
	SAY(f->text,
		"DNSSEC validation of the MX records fails: senders that "
		"validate defer all mail. " VIZ ": %s",
		name, c->mx->why);
	SAY(f->remedy, "Mend the signatures of the zone, or the DS records at "
		       "its parent. TLSA and certificates have no part in "
		       "this; do not touch them.");
	reproduce_validate(
		f->reproduce, sizeof(f->reproduce), c->name, RRTYPE_MX);
	return ST_OK;
}

static enum status mx_simple(struct check *c, enum check_code code,
	enum finding_level level, const char *name, const char *text,
	const char *remedy, struct err *err)
{
	struct finding *f = check_find(c, code, level, -1, err);

	if (f == NULL)
		return err->st;
	SAY(f->where, "%s MX", name);
	SAY(f->text, "%s", text);
	SAY(f->remedy, "%s", remedy);
	reproduce_lookup(
		f->reproduce, sizeof(f->reproduce), c->name, RRTYPE_MX);
	return ST_OK;
}

static enum status mx_failed(struct check *c, const char *name, struct err *err)
{
	char text[CHECK_TEXT_MAX];

	SAY(text, "there is no answer about the MX records: %s", c->mx->why);
	return mx_simple(c, CODE_MX_FAILED, FINDING_FAIL, name, text,
		"Ask each name server of the domain; if they answer you, look "
		"at the resolver of this machine. Senders defer the mail as "
		"long as they get no answer either.",
		err);
}

static enum status judge_mx(struct check *c, struct err *err)
{
	char name[DNS_NAME_MAX];

	if (c->mx == NULL)
		return ST_OK;
	bare(name, c->name);
	if (c->mx->security == DNS_BOGUS)
		return mx_bogus(c, name, err);
	if (c->mx->security == DNS_FAILED)
		return mx_failed(c, name, err);
	if (c->mx->nxdomain)
		return mx_simple(c, CODE_NO_DOMAIN, FINDING_FAIL, name,
			"this domain does not exist",
			"Look at the spelling; if it is right, look at the "
			"registration and the delegation of the domain.",
			err);
	if (c->null_mx)
		return mx_simple(c, CODE_NULL_MX, FINDING_INFO, name,
			"the domain says by a null MX that it takes no mail "
			"(RFC 7505)",
			"Nothing to do, if that is so.", err);
	if (c->mx->security == DNS_INSECURE)
		return mx_simple(c, CODE_MX_INSECURE, FINDING_WARN, name,
			"the MX records are not signed: whoever forges them "
			"names the hosts, so DANE protects nothing. Postfix "
			"(smtp_tls_dane_insecure_mx_policy = dane, its "
			"default) uses the TLSA records of the hosts all the "
			"same, and fails where they do not match; most other "
			"senders ignore them (RFC 7672 2.2.1)",
			"Sign the zone of the domain and have its parent "
			"publish the DS record.",
			err);
	return ST_OK;
}

static enum status judge_bare(struct check *c, struct err *err)
{
	const struct lookup *l = c->bare_tlsa;
	char name[DNS_NAME_MAX];
	struct finding *f;

	if (l == NULL || !l->havedata)
		return ST_OK;
	f = check_find(c, CODE_BARE_TLSA, FINDING_WARN, -1, err);
	if (f == NULL)
		return err->st;
	bare(name, l->name);
	SAY(f->where, "%s TLSA", name);
	SAY(f->text, "nobody reads these TLSA records: the domain itself is "
		     "none of its MX hosts, and senders look below the names "
		     "of those");
	SAY(f->remedy, "Remove them, or publish them where they count: at "
		       "_25._tcp.<MX host>. (If other software connects to "
		       "this very name, they are right.)");
	reproduce_lookup(f->reproduce, sizeof(f->reproduce), l->name, l->type);
	return ST_OK;
}

static enum status judge_tlsrpt(struct check *c, struct err *err)
{
	const struct lookup *l = c->tlsrpt;
	char why[CHECK_TEXT_MAX] = "", name[DNS_NAME_MAX];
	enum tlsrpt_txt r;
	struct finding *f;
	bool none;

	if (l == NULL || l->security == DNS_BOGUS ||
		l->security == DNS_FAILED || c->null_mx ||
		(c->mx != NULL && c->mx->nxdomain))
		return ST_OK;
	r = tlsrpt_txt_lint(l->rr, l->havedata ? l->n : 0, why, sizeof(why));
	if (r == TLSRPT_TXT_OK)
		return ST_OK;
	none = r == TLSRPT_TXT_NONE;
	f = check_find(c, none ? CODE_TLSRPT_MISSING : CODE_TLSRPT_INVALID,
		none ? FINDING_INFO : FINDING_WARN, -1, err);
	if (f == NULL)
		return err->st;
	bare(name, l->name);
	SAY(f->where, "%s TXT", name);
	SAY(f->text, "%s%s",
		none ? "no sender reports TLS failures to you: "
		     : "senders ignore this TLS-RPT record: ",
		why[0] != '\0' ? why : "there is no record");
	SAY(f->remedy,
		"Publish one record: %s. IN TXT "
		"\"v=TLSRPTv1; rua=mailto:you@%.200s\" (RFC 8460 3).",
		name, strncmp(name, "_smtp._tls.", 11) == 0 ? name + 11 : name);
	reproduce_lookup(f->reproduce, sizeof(f->reproduce), l->name, l->type);
	return ST_OK;
}

static enum status judge_limits(struct check *c, struct err *err)
{
	struct finding *f;

	if (c->truncated) {
		f = check_find(c, CODE_TRUNCATED, FINDING_WARN, -1, err);
		if (f == NULL)
			return err->st;
		SAY(f->text,
			"not all was tested: at most %d hosts and %d "
			"addresses of each, and only names of letters, "
			"digits, - and _",
			CHECK_HOSTS_MAX, CHECK_ADDRS_MAX);
		SAY(f->remedy, "Check the others one by one with --host.");
	}
	return ST_OK;
}

enum status judge_domain(struct check *c, struct err *err)
{
	struct finding *f;
	enum status st;

	if (c->resolver_fault[0] != '\0') {
		f = check_find(c, CODE_RESOLVER, FINDING_FAIL, -1, err);
		if (f == NULL)
			return err->st;
		SAY(f->where, "resolver");
		SAY(f->text, "nothing can be said about DNSSEC from here: %s",
			c->resolver_fault);
		SAY(f->remedy,
			"Mend that first, then check again: nothing here "
			"is a verdict on the domain.");
		reproduce_validate(
			f->reproduce, sizeof(f->reproduce), ".", RRTYPE_DNSKEY);
		return judge_limits(c, err);
	}
	st = judge_mx(c, err);
	if (st == ST_OK)
		st = judge_limits(c, err);
	if (st == ST_OK)
		st = judge_bare(c, err);
	return st == ST_OK ? judge_tlsrpt(c, err) : st;
}

/* ---- a host ------------------------------------------------------------ */

/* What of a host's look-ups stands in the way of DANE. */
struct obstacle {
	enum check_code code;
	enum finding_level level;
	const struct lookup *l; /* to look at */
	const char *text, *remedy;
};

static bool bad(const struct lookup *l)
{
	return l != NULL &&
	       (l->security == DNS_BOGUS || l->security == DNS_FAILED);
}

static const char not_signed[] =
	"Sign the zone of the host and have its parent publish the DS "
	"record. If the host is somebody else's, its owner has to do it.";
static const char mend_zone[] =
	"Mend the signatures of the zone, or the DS records at its parent; "
	"the key that is served has no part in this. Until then withdraw "
	"nothing and switch no key.";
static const char ask_servers[] =
	"Ask each name server of the zone over UDP and TCP; a firewall or a "
	"server that does not know the type is the usual cause.";

static struct obstacle obstacle(const struct check_host *h, bool mixed)
{
	bool at_tlsa = h->tlsa != NULL;
	const struct lookup *a = bad(h->cname)                  ? h->cname
				 : bad(h->a) || h->aaaa == NULL ? h->a
								: h->aaaa;

	switch (h->dane) {
	case HOST_TLSA:
		break;
	case HOST_NO_TLSA:
		return (struct obstacle){ CODE_NO_TLSA,
			mixed ? FINDING_WARN : FINDING_INFO, h->tlsa,
			mixed ? "this host has no TLSA record while others of "
				"the domain have: an attacker only has to send "
				"mail its way"
			      : "there is no TLSA record: senders use TLS if "
				"they can, without knowing to whom they speak",
			"Publish 3 1 1 records of the key that it serves and "
			"of the next one; danelaw tlsa prints them." };
	case HOST_INSECURE:
		if (at_tlsa && h->tlsa->security == DNS_INSECURE)
			return (struct obstacle){ CODE_TLSA_INSECURE,
				FINDING_WARN, h->tlsa,
				"the answer about TLSA is not signed: senders "
				"ignore it",
				not_signed };
		return (struct obstacle){ CODE_ADDR_INSECURE, FINDING_WARN,
			h->a != NULL && !h->a->havedata ? h->aaaa : h->a,
			"its addresses are not signed: senders do not ask for "
			"TLSA records",
			not_signed };
	case HOST_BOGUS:
		return (struct obstacle){ at_tlsa ? CODE_TLSA_BOGUS
						  : CODE_ADDR_BOGUS,
			FINDING_FAIL, at_tlsa ? h->tlsa : a,
			at_tlsa ? "DNSSEC validation of its TLSA records "
				  "fails: "
				  "senders defer the mail"
				: "DNSSEC validation of its addresses fails: "
				  "senders defer the mail",
			mend_zone };
	case HOST_TLSA_FAILED:
		return (struct obstacle){ CODE_TLSA_FAILED, FINDING_FAIL,
			h->tlsa,
			"there is no answer about its TLSA records: senders "
			"that use DANE defer the mail",
			ask_servers };
	case HOST_ADDR_FAILED:
		return (struct obstacle){ CODE_ADDR_FAILED, FINDING_FAIL, a,
			"there is no answer about its addresses", ask_servers };
	case HOST_NO_ADDRESS:
		return (struct obstacle){ CODE_NO_ADDRESS, FINDING_FAIL, h->a,
			"the host has no address: no mail reaches it",
			"Give it an A or AAAA record, or take it out of the "
			"MX records." };
	}
	return (struct obstacle){ .code = CODE_NONE };
}

static enum status report(struct check *c, int host, const struct obstacle *o,
	const char *why, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct finding *f = check_find(c, o->code, o->level, host, err);
	char name[DNS_NAME_MAX] = "", type[16];

	if (f == NULL)
		return err->st;
	if (o->l == NULL) {
		judge_endpoint(f->where, sizeof(f->where), h);
	} else {
		bare(name, o->l->name);
		SAY(f->where, "%s %s", name, dns_type_name(o->l->type, type));
	}
	SAY(f->text, "%s", o->text);
	if (o->l != NULL && o->l->security == DNS_BOGUS)
		ADD(f->text, ". " VIZ, name);
	if (why[0] != '\0')
		ADD(f->text, ": %s", why);
	SAY(f->remedy, "%s", o->remedy);
	if (o->l == NULL)
		return ST_OK;
	if (o->l->security == DNS_BOGUS)
		reproduce_validate(f->reproduce, sizeof(f->reproduce),
			o->l->name, o->l->type);
	else
		reproduce_lookup(f->reproduce, sizeof(f->reproduce), o->l->name,
			o->l->type);
	return ST_OK;
}

/* One of A and AAAA has failed, and the other one serves. */
static enum status half_address(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	const struct lookup *l = bad(h->a) ? h->a : h->aaaa;
	struct obstacle o = { CODE_ADDR_FAILED, FINDING_WARN, l,
		"there is no answer about addresses of this type; the others "
		"are used",
		ask_servers };

	if (!bad(l) || h->dane == HOST_ADDR_FAILED ||
		(h->dane == HOST_BOGUS && h->tlsa == NULL))
		return ST_OK;
	if (l->security == DNS_BOGUS) {
		o.code = CODE_ADDR_BOGUS;
		o.text = "DNSSEC validation fails for addresses of this type; "
			 "the others are used";
		o.remedy = mend_zone;
	}
	return report(c, host, &o, l->why, err);
}

static enum status aliases(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct obstacle o = { CODE_MX_ALIAS,
		c->kind == CHECK_BY_DOMAIN && !c->implicit_mx ? FINDING_WARN
							      : FINDING_INFO,
		NULL, "the name of the host is an alias of",
		"Name the host itself in the MX records (RFC 5321 5.1, RFC "
		"2181 10.3); DANE works through an alias, some mail software "
		"does not." };
	enum status st = ST_OK;

	if (h->alias)
		st = report(c, host, &o, h->expanded, err);
	if (st != ST_OK || h->tlsa == NULL || !h->tlsa->havedata ||
		strcmp(h->tlsa->canon, h->tlsa->name) == 0)
		return st;
	o = (struct obstacle){ CODE_TLSA_ALIAS, FINDING_INFO, h->tlsa,
		"the TLSA records are found through an alias, at",
		"Nothing to do; change the records at the end of the alias." };
	return report(c, host, &o, h->tlsa->canon, err);
}

enum status judge_host_lookups(
	struct check *c, int host, bool mixed, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct obstacle o = obstacle(h, mixed);
	bool unfit = c->resolver_fault[0] != '\0';
	enum status st = ST_OK;

	if (judge_is_passed_over(c, h))
		o.level = FINDING_WARN;
	if (unfit && o.level == FINDING_FAIL)
		return ST_OK; /* what it says is no verdict */
	if (o.code != CODE_NONE)
		st = report(c, host, &o, h->why, err);
	if (st == ST_OK && !unfit)
		st = half_address(c, host, err);
	return st == ST_OK ? aliases(c, host, err) : st;
}
