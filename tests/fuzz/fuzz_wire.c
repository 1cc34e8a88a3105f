/*
 * Frames between the engine and its network process: the engine must survive
 * whatever a network process in a stranger's hands may say, and the other way
 * round. The first octet picks the body. Checked: bounds, that everything can
 * be released whatever was read, and that what was taken as good is written as
 * octets that are read and written again without a difference.
 */
#include "hook/wire.h"
#include "tests/fuzz/fuzz.h"

#define MAX ((size_t)1 << 20)
#define N 2

static const char *const owners[N] = { "_25._tcp.mx.example.test.",
	"_465._tcp.mx.example.test." };

enum body {
	ASK_NAMES,
	ASK_LOOK_UP,
	ASK_PROBE,
	ASK_EDIT,
	SAID_SWEEP,
	SAID_LOOK_UP,
	SAID_PROBE,
	SAID_EDIT,
	PARTS,
	BODY__COUNT
};

/* All that one body can fill. */
struct all {
	struct wire_names names;
	struct wire_lookups lookups;
	struct wire_probes probes;
	struct wire_edit edit;
	struct authority auth;
	struct sweep sweep;
	struct lookup lookup[N], *job[N];
	struct probe_job probe[N];
	struct provider_item item[N];
	struct tlsa_rrset set;
	struct err err;
};

static void begin(struct all *a)
{
	*a = (struct all){ .err = ERR_INIT };
	for (size_t i = 0; i < N; i++) {
		a->job[i] = &a->lookup[i];
		a->probe[i].n_tlsa = i;
	}
}

static void end(struct all *a)
{
	wire_names_release(&a->names);
	wire_lookups_release(&a->lookups);
	wire_probes_release(&a->probes);
	wire_edit_release(&a->edit);
	authority_release(&a->auth);
	sweep_release(&a->sweep);
	for (size_t i = 0; i < N; i++) {
		lookup_release(&a->lookup[i]);
		provider_item_release(&a->item[i]);
	}
	tlsa_rrset_release(&a->set);
}

/* Reads into a, or writes it. */
static void go(struct wire *w, enum body what, struct all *a)
{
	switch (what) {
	case ASK_NAMES:
		wire_ask_names(w, &a->names);
		break;
	case ASK_LOOK_UP:
		wire_ask_look_up(w, &a->lookups);
		break;
	case ASK_PROBE:
		wire_ask_probe(w, &a->probes);
		break;
	case ASK_EDIT:
		wire_ask_edit(w, &a->edit);
		break;
	case SAID_SWEEP:
		wire_said_sweep(w, owners, N, &a->auth, &a->sweep);
		break;
	case SAID_LOOK_UP:
		wire_said_look_up(w, a->job, N);
		break;
	case SAID_PROBE:
		wire_said_probe(w, a->probe, N);
		break;
	case SAID_EDIT:
		wire_said_edit(w, a->item, N);
		break;
	case PARTS:
		wire_err(w, &a->err);
		wire_rrset(w, &a->set);
		break;
	case BODY__COUNT:
		abort();
	}
}

static void must_print(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL);
	for (; *text != '\0'; text++)
		must(*text >= ' ' && *text <= '~');
}

static void check_sweep(const struct all *a)
{
	must(a->auth.n_owners == N && a->sweep.n == N);
	for (size_t i = 0; i < N; i++) {
		const struct owner_auth *o = &a->auth.owner[i];
		const struct sweep_owner *s = &a->sweep.owner[i];

		must(strcmp(o->owner, owners[i]) == 0);
		must(o->zone < a->auth.n_zones);
		must(s->n == a->auth.zone[o->zone].n_servers);
		for (size_t k = 0; k < s->n; k++) {
			must(s->answer[k].server == k);
			must(s->answer[k].verdict <= SWEEP_UNTESTABLE);
			must_print(s->answer[k].why, sizeof(s->answer[k].why));
		}
	}
}

static void check(const struct all *a, enum body what)
{
	if (what == SAID_SWEEP)
		check_sweep(a);
	for (size_t i = 0; i < N; i++) {
		must_print(a->lookup[i].why, sizeof(a->lookup[i].why));
		must_print(a->probe[i].why, sizeof(a->probe[i].why));
		must_print(a->item[i].zone, sizeof(a->item[i].zone));
		must_print(a->item[i].err.text, sizeof(a->err.text));
		must(a->item[i].err.st < ST__COUNT);
	}
	must_print(a->err.text, sizeof(a->err.text));
	must(a->err.st < ST__COUNT && a->set.n <= TLSA_RRSET_MAX);
}

static void write_it(enum body what, struct all *a, struct buf *ret)
{
	struct wire w = wire_writer(ret);

	go(&w, what, a);
	must(wire_done(&w));
}

static void head(const uint8_t *data, size_t n)
{
	uint8_t h[WIRE_HEAD], again[WIRE_HEAD];
	enum wire_kind kind;
	size_t len;

	if (n < WIRE_HEAD)
		return;
	memcpy(h, data, WIRE_HEAD);
	if (!wire_head_get(h, &kind, &len))
		return;
	must(kind < WIRE__COUNT && len <= WIRE_MAX);
	wire_head_put(again, kind, len);
	must(memcmp(h, again, WIRE_HEAD) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	enum body what = (enum body)(in_u8(&in) % BODY__COUNT);
	uint8_t *body = exact(in.p, in.n);
	struct buf first = BUF_INIT(MAX), second = BUF_INIT(MAX);
	struct wire w = wire_reader(body, in.n);
	struct all a, b;

	head(in.p, in.n);
	begin(&a);
	go(&w, what, &a);
	must(!w.bad || w.why != NULL);
	if (wire_done(&w)) {
		check(&a, what);
		write_it(what, &a, &first);
		begin(&b);
		w = wire_reader(first.data, first.len);
		go(&w, what, &b);
		must(wire_done(&w));
		write_it(what, &b, &second);
		must(first.len == second.len &&
			memcmp(first.data, second.data, first.len) == 0);
		end(&b);
	}
	end(&a);
	buf_release(&first);
	buf_release(&second);
	free(body);
	return 0;
}
