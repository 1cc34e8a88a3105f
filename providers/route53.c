/*
 * Amazon Route 53, API of 2013-04-01. Only public hosted zones count: private
 * ones are not what the world sees. A change batch is a transaction, and a
 * DELETE in it must match what is there to the letter: so a change is the
 * DELETE of what was read and the CREATE of what shall be, which is a
 * compare-and-swap of whole RRsets. It is INSYNC when all of the name servers
 * have it; the changes of a zone get there in order, so only its last one is
 * followed. Of a list, absent is only what it has certainly gone past.
 */
#include "providers/aws.h"

#include <limits.h>
#include <stddef.h>

#define V "/2013-04-01"
#define XMLNS "https://route53.amazonaws.com/doc/2013-04-01/"
#define DOCUMENT "ChangeResourceRecordSetsRequest"
#define BODY_MAX (1024 * 1024)
#define RIGHTS                                                       \
	"route53:ListHostedZonesByName and GetChange; on the zone, " \
	"ListResourceRecordSets and ChangeResourceRecordSets"

struct route53 {
	struct aws aws;
	json_t *changes; /* by zone: the last, until it was followed */
};

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://route53.amazonaws.com"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[AWS_ID] = { .name = "access_key_id",
		.type = POPT_STRING,
		.env = "AWS_ACCESS_KEY_ID",
		.help = "id of the access key" },
	[AWS_KEY] = { .name = "secret_access_key_file",
		.type = POPT_SECRET_FILE,
		.env = "AWS_SECRET_ACCESS_KEY",
		.help = "file with the secret access key" },
	[AWS_TOKEN] = { .name = "session_token_file",
		.type = POPT_SECRET_FILE,
		.env = "AWS_SESSION_TOKEN",
		.help = "file with the session token of a temporary key" },
	[AWS_FILE] = { .name = "credentials_file",
		.type = POPT_FILE,
		.env = "AWS_SHARED_CREDENTIALS_FILE",
		.help = "file with profiles and their keys, instead of these" },
	[AWS_PROFILE] = { .name = "profile",
		.type = POPT_STRING,
		.def = "default",
		.env = "AWS_PROFILE",
		.help = "which of the profiles" },
	[AWS_CALLS] = { .name = "calls_per_second",
		.type = POPT_INT,
		.def = "5",
		.min = 1,
		.max = 1000,
		.help = "at most; what the account's limit leaves to us" },
	API_OPT_END,
};

static enum status meaning(const char *code, const char *said)
{
	if (!strcmp(code, "PriorRequestNotComplete"))
		return ST_RETRY;
	if (!strcmp(code, "InvalidChangeBatch") &&
		(strstr(said, "it was not found") ||
			strstr(said, "not match the current values") ||
			strstr(said, "but it already exists")))
		return ST_CONFLICT;
	return REST_DEFAULT;
}

static const struct aws_service service = {
	.options = options,
	.sigv4 = "aws:amz:us-east-1:route53",
	.rights = RIGHTS,
	.meaning = meaning,
};

/* "/hostedzone/Z123", "/change/C123": what is behind the last slash. */
static const char *id_of(const char *text)
{
	const char *slash = strrchr(text, '/');

	return slash ? slash + 1 : text;
}

/* ---- zones ---- */

struct zone_list {
	struct aws *aws;
	struct api_zones *zones;
	struct api_zone last; /* not added yet: it may have a double */
	struct xml *page;
};

static enum status take_zone(
	struct zone_list *l, const struct xml *h, struct err *err)
{
	struct api_zone z = { .name = "" };
	enum status st = ST_OK;

	if (!strcmp(xml_text(h, "Config/PrivateZone"), "true") ||
		!api_zone_fill(
			&z, xml_text(h, "Name"), id_of(xml_text(h, "Id"))))
		return ST_OK;
	/* Which one the parent delegates to, the API does not know. */
	if (!strcmp(z.name, l->last.name)) {
		(void)snprintf(l->last.unusable, sizeof(l->last.unusable),
			"there are several public hosted zones of this name: "
			"delete those that nobody delegates to");
		return ST_OK;
	}
	if (l->last.name[0])
		st = api_add_zone(l->zones, &l->last, err);
	l->last = z;
	return st;
}

/* Those of one name stand beside each other. */
static enum status zone_page(
	void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct zone_list *l = arg;
	struct xml *page = NULL;
	auto_buf q = BUF_INIT(8192);
	enum status st = n == 1 ? rest_form(&q, err, "maxitems", "100", NULL)
				: rest_form(&q, err, "dnsname",
					  xml_text(l->page, "NextDNSName"),
					  "hostedzoneid",
					  xml_text(l->page, "NextHostedZoneId"),
					  "maxitems", "100", NULL);

	if (!st)
		st = aws_call(l->aws, NULL, "HostedZones", &page, err,
			V "/hostedzonesbyname?%s", buf_str(&q));
	xml_free(l->page);
	l->page = page;
	const struct xml *h = xml_at(page, "HostedZones/HostedZone");
	for (; h && !st; h = xml_next(h))
		st = take_zone(l, h, err);
	*ret_more = *xml_text(page, "NextDNSName");
	return st;
}

static enum status list_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct zone_list l = { .aws = v, .zones = list };
	enum status st = api_pages(zone_page, &l, err);

	if (!st && l.last.name[0])
		st = api_add_zone(list, &l.last, err);
	xml_free(l.page);
	*ret_all = true;
	return st;
}

/* ---- reading ---- */

/* "" in etag: nothing was seen of this item yet. */
static enum status take_set(
	struct api_item *it, const struct xml *s, struct err *err)
{
	const char *type = xml_text(s, "Type");
	int64_t ttl = xml_int(s, "TTL");
	enum status st = ST_OK;

	it->cname |= !strcmp(type, "CNAME");
	if (it->etag[0] || strcmp(type, "TLSA") != 0)
		return ST_OK;
	it->etag[0] = '1';
	if (xml_at(s, "SetIdentifier") || xml_at(s, "AliasTarget"))
		return err_set(err, ST_REFUSED,
			"%s has a routing policy or is an alias in Route 53: "
			"make it a simple record",
			it->owner);
	if (ttl < 0)
		return api_strange(err, "odd TTL");
	it->ttl = (uint32_t)ttl;
	for (const struct xml *r = xml_at(s, "ResourceRecords/ResourceRecord");
		r && !st; r = xml_next(r))
		st = api_add_record(it, NULL, xml_text(r, "Value"), it->ttl,
			false, NULL, err);
	return st;
}

/* The name of an RRset, where '*' is an octal number. */
static void name_of(const struct xml *s, char ret[static DNS_NAME_MAX])
{
	const char *name = xml_text(s, "Name");
	bool star = !strncmp(name, "\\052", 4);

	(void)snprintf(ret, DNS_NAME_MAX, "%s%s", star ? "*" : "",
		name + (star ? 4 : 0));
}

struct set_list {
	struct aws *aws;
	const struct api_zone *z;
	struct api_item *items;
	size_t n;
	const char *size;
	const char *only; /* begin with this name, and end behind it; or NULL */
	unsigned most;    /* pages */
	struct xml *page;
	bool end;
};

static enum status set_page(
	void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct set_list *l = arg;
	const char *id = xml_text(l->page, "NextRecordIdentifier");
	const char *type = xml_text(l->page, "NextRecordType");
	const char *from =
		l->page ? xml_text(l->page, "NextRecordName") : l->only;
	char name[DNS_NAME_MAX] = "";
	struct xml *page = NULL;
	auto_buf q = BUF_INIT(16384);
	enum status st =
		*id ? rest_form(&q, err, "identifier", id, "maxitems", l->size,
			      "name", from, "type", type, NULL)
		    : rest_form(&q, err, "maxitems", l->size,
			      from ? "name" : NULL, from, *type ? "type" : NULL,
			      type, NULL);

	if (!st)
		st = aws_call(l->aws, NULL, "ResourceRecordSets", &page, err,
			V "/hostedzone/%s/rrset?%s", l->z->id, buf_str(&q));
	xml_free(l->page);
	l->page = page;
	const struct xml *s =
		xml_at(page, "ResourceRecordSets/ResourceRecordSet");
	for (; s && !st; s = xml_next(s)) {
		name_of(s, name);
		struct api_item *it = api_item_of(l->items, l->n, name);
		st = it ? take_set(it, s, err) : ST_OK;
	}
	l->end = !*xml_text(page, "NextRecordName") ||
		 (l->only && *name && strcasecmp(name, l->only) != 0);
	*ret_more = !l->end && n < l->most;
	return st;
}

/* The whole zone, unless that takes more calls than to ask name by name. */
static enum status read_sets(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct set_list all = { .aws = v,
		.z = z,
		.items = items,
		.n = n,
		.size = "300",
		.most = (unsigned)n };
	enum status st = n > 1 ? api_pages(set_page, &all, err) : ST_OK;

	xml_free(all.page);
	for (size_t i = 0; i < n && !all.end && !st; i++) {
		struct set_list one = { .aws = v,
			.z = z,
			.items = &items[i],
			.n = 1,
			.size = "10",
			.only = items[i].owner,
			.most = UINT_MAX };

		if (!items[i].etag[0])
			st = api_pages(set_page, &one, err);
		xml_free(one.page);
	}
	return st;
}

/* ---- changing ---- */

/* The elements must be in this order. */
static enum status put_set(
	struct buf *b, const struct api_item *it, bool create, struct err *err)
{
	size_t n = create ? it->n_want : it->n_rec;
	enum status st = ST_OK;

	if (n)
		st = buf_printf(b, err,
			"<Change><Action>%s</Action><ResourceRecordSet><Name>"
			"%s</Name><Type>TLSA</Type><TTL>%u</TTL>"
			"<ResourceRecords>",
			create ? "CREATE" : "DELETE", it->owner,
			(unsigned)(create ? it->new_ttl : it->ttl));
	for (size_t i = 0; i < n && !st; i++) {
		st = buf_printf(b, err, "<ResourceRecord><Value>");
		if (!st)
			st = xml_escape(create ? api_spelled(&it->want[i])
					       : it->rec[i].text,
				b, err);
		if (!st)
			st = buf_printf(b, err, "</Value></ResourceRecord>");
	}
	return !n || st ? st
			: buf_printf(b, err,
				  "</ResourceRecords></ResourceRecordSet></"
				  "Change>");
}

static enum status write_sets(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct route53 *r = v;
	auto_buf body = BUF_INIT(BODY_MAX);
	auto_xml answer = NULL;
	enum status st = buf_printf(&body, err,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" DOCUMENT
		" xmlns=\"" XMLNS "\"><ChangeBatch><Comment>danelaw</Comment>"
		"<Changes>");

	for (size_t i = 0; i < n && !st; i++) {
		st = put_set(&body, &items[i], false, err);
		if (!st)
			st = put_set(&body, &items[i], true, err);
	}
	if (!st)
		st = buf_printf(
			&body, err, "</Changes></ChangeBatch></" DOCUMENT ">");
	if (!st)
		st = aws_call(&r->aws, buf_str(&body), "ChangeInfo/Id", &answer,
			err, V "/hostedzone/%s/rrset/", z->id);
	const char *id = id_of(xml_text(answer, "ChangeInfo/Id"));
	if (!st && !api_plain_id(id))
		st = api_strange(err, "odd id of the change");
	if (!st && json_object_set_new(r->changes, z->id, json_string(id)))
		st = api_no_memory(err);
	return st;
}

struct follow {
	struct aws *aws;
	const char *change;
};

/* The change is made already: whether it can be followed does not matter. */
static enum status in_sync(void *arg, bool *ret_done, struct err *err)
{
	const struct follow *f = arg;
	auto_xml x = NULL;
	enum status st = aws_call(f->aws, NULL, "ChangeInfo/Status", &x, err,
		V "/change/%s", f->change);

	*ret_done = strcmp(xml_text(x, "ChangeInfo/Status"), "PENDING") != 0;
	return st == ST_DENIED || st == ST_NOTFOUND ? ST_OK : st;
}

static enum status follow(void *v, const struct api_zone *z, struct err *err)
{
	struct route53 *r = v;
	json_auto_t *id = json_incref(json_object_get(r->changes, z->id));
	struct follow f = { .aws = &r->aws, .change = json_string_value(id) };

	(void)json_object_del(r->changes, z->id);
	return id ? api_follow(r->aws.rest, in_sync, &f, err) : ST_OK;
}

/* Access is looked at before the batch is: so we delete what nobody has. */
static enum status may_write(void *v, const struct api_zone *z, struct err *err)
{
	char owner[2 * DNS_NAME_MAX], text[] = "3 1 1 00";
	struct api_record nobody = { .text = text };
	struct api_item it = {
		.owner = owner, .rec = &nobody, .n_rec = 1, .ttl = 1
	};

	(void)snprintf(
		owner, sizeof(owner), "_25._tcp.danelaw-may-write.%s", z->name);
	enum status st = write_sets(v, z, &it, 1, err);
	if (st == ST_DENIED)
		return err_context(err,
			"(unless the policy allows certain names only: %s was "
			"tried)",
			owner);
	if (st == ST_REFUSED)
		return err_set(err, ST_NOTFOUND, "Route 53 did not tell");
	if (st == ST_CONFLICT) {
		*err = (struct err)ERR_INIT;
		st = ST_OK;
	}
	return st;
}

/* ---- the whole ---- */

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct route53 *r = v;

	r->changes = json_object();
	return r->changes ? aws_open(&r->aws, &service, cfg, err)
			  : api_no_memory(err);
}

static void release(void *v)
{
	struct route53 *r = v;

	json_decref(r->changes);
	aws_release(&r->aws);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct route53),
	.rest = offsetof(struct route53, aws.rest),
	.init = init,
	.release = release,
	.zones = list_zones,
	.read = read_sets,
	/* About what the text limit of a batch, 32000, allows; what is beyond
	 * it is refused and goes name by name. */
	.max_bulk = 50,
	.write = write_sets,
	.commit = follow,
	.may_write = may_write,
};

API_PROVIDER(route53, .type = "route53", .title = "Amazon Route 53",
	.caps = PCAP_READ | PCAP_CAS | PCAP_ATOMIC | PCAP_BULK | PCAP_ASYNC |
		PCAP_RRSET,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
