/* What goes wrong around a mail host, and the end of it. */
#include "world.h"

#include <string.h>

static void edit_ttl(struct world *w, struct version *v, size_t o)
{
	v->ttl = any_ttl(w);
	tell(w, "the administrator sets the TTL of name %zu to %u", o, v->ttl);
}

static bool edit_delete(struct world *w, struct version *v, size_t o)
{
	int present[IDS], n = 0;

	for (int id = 0; id < w->n_keys; id++)
		if (in_set(&v->set, id))
			present[n++] = id;
	if (n < 2)
		return false;
	n = present[rnd(w) % (uint64_t)n];
	drop(&v->set, n);
	tell(w, "the administrator deletes the record of key %d at name %zu", n,
		o);
	return true;
}

static void edit_add(struct world *w, struct version *v, size_t o)
{
	int id = FOREIGN + w->n_foreign++ % (IDS - FOREIGN);

	put(&v->set, id);
	tell(w, "somebody else adds a record at name %zu", o);
}

static void edit(struct world *w)
{
	size_t o = rnd(w) % w->n_owners;
	struct version v = w->zone[o];
	size_t n;

	v.by_world = true;
	v.serial++;
	switch (rnd(w) % 6) {
	case 0:
	case 1:
		edit_ttl(w, &v, o);
		break;
	case 2:
		if (!edit_delete(w, &v, o))
			return;
		break;
	case 3: /* the whole set */
		v.set = (struct idset){ .b = { 0 } };
		v.exists = false;
		v.strong = false;
		v.ttl = 900;
		tell(w, "the administrator deletes name %zu", o);
		break;
	case 4: /* the zone of another day, from a backup */
		n = w->n_old[o] < OLD ? w->n_old[o] : OLD;
		if (n == 0)
			return;
		v = w->old[o][rnd(w) % n];
		v.by_world = true;
		v.serial = chance(w, 50) ? v.serial : w->zone[o].serial + 1;
		tell(w, "name %zu is put back from a backup", o);
		break;
	default:
		if (!v.exists)
			return;
		edit_add(w, &v, o);
		break;
	}
	zone_change(w, o, v);
}

static size_t any_server(struct world *w)
{
	size_t s;

	do
		s = rnd(w) % w->n_servers;
	while (!w->server[s].listed || w->server[s].hidden);
	return s;
}

static void moody(struct world *w)
{
	static const enum sweep_reason lies[] = { SWR_SERVFAIL, SWR_REFUSED,
		SWR_LAME, SWR_BAD_RRSIG, SWR_RRSIG_EXPIRED, SWR_NO_RRSIG,
		SWR_GARBAGE, SWR_NOTIMP };
	static const char *const text[] = { "is right", "takes no new versions",
		"is dead", "answers everybody but us", "lies" };
	size_t s = any_server(w);
	int64_t until = w->t + rnd_log(w, MIN, 3 * DAY);
	enum mood m = (enum mood)(MOOD_FROZEN + rnd(w) % 4);

	w->server[s].mood_until = until;
	w->server[s].lie = lies[rnd(w) % (sizeof(lies) / sizeof(lies[0]))];
	tell(w, "server %zu %s for %.1f h", s, text[m],
		(double)(until - w->t) / (double)HOUR);
	server_mood(w, s, m);
	schedule(w, (struct event){
			    .at = until, .kind = EV_MOOD_END, .server = s });
}

/* One server falls back to an old zone for a while. */
static void revert(struct world *w)
{
	size_t s = any_server(w), o = rnd(w) % w->n_owners;
	struct version was = w->zone[o], v;
	size_t n = w->n_old[o] < OLD ? w->n_old[o] : OLD;
	size_t n_ev = w->n_ev;

	if (n == 0 || w->server[s].mood != MOOD_OK)
		return;
	tell(w, "server %zu goes back to an old zone of name %zu", s, o);
	v = w->old[o][rnd(w) % n];
	v.by_world = true;
	/* an id of its own, without changing the primary */
	zone_change(w, o, v);
	v.id = w->zone[o].id;
	w->zone[o] = was;
	w->n_old[o]--;
	w->n_ev = n_ev;
	server_takes(w, s, o, v);
	schedule(w, (struct event){ .at = w->t + rnd_log(w, MIN, 6 * HOUR),
			    .kind = EV_REVERT_END, .owner = o, .server = s });
}

/* The zone moves to other name servers, one at a time. */
static void move(struct world *w)
{
	size_t s = rnd(w) % w->n_servers, listed = 0;

	for (size_t i = 0; i < w->n_servers; i++)
		listed += w->server[i].listed && !w->server[i].hidden;
	if (w->server[s].hidden || (w->server[s].listed && listed < 2) ||
		(!w->server[s].listed && w->server[s].mood_until > w->t))
		return;
	tell(w, "server %zu %s the zone's name servers", s,
		w->server[s].listed ? "leaves" : "joins");
	server_list(w, s, !w->server[s].listed);
}

static void strong_digest(struct world *w)
{
	size_t o = rnd(w) % w->n_owners;
	struct version v = w->zone[o];

	if (!v.exists || v.strong)
		return;
	v.strong = true;
	v.strong_for = chance(w, 80) ? w->endpoint[0].id : -1;
	v.by_world = true;
	v.serial++;
	tell(w, "somebody adds a 3 1 2 record at name %zu", o);
	zone_change(w, o, v);
	schedule(w, (struct event){ .at = w->t + rnd_log(w, 10 * MIN, DAY),
			    .kind = EV_STRONG_END,
			    .owner = o });
}

static void jump(struct world *w)
{
	static const int64_t by[] = { 10 * DAY, HOUR, -HOUR, -10 * DAY,
		90 * SEC, -500 };

	if (w->wall_off != 0)
		return;
	w->wall_off = by[rnd(w) % 6];
	tell(w, "the wall clock jumps by %lld s",
		(long long)(w->wall_off / 1000));
	schedule(w, (struct event){ .at = w->t + rnd_log(w, MIN, DAY),
			    .kind = EV_CLOCK_END });
}

static void bad_disk(struct world *w)
{
	static const enum disk_call calls[] = { DISK_WRITE, DISK_FSYNC,
		DISK_OPEN, DISK_MAKE, DISK_RENAME, DISK_READ, DISK_UNLINK };
	int64_t until = w->t + rnd_log(w, MIN, DAY);

	w->disk_bad = true;
	if (chance(w, 50)) {
		disk_space(w->disk, rnd_range(w, 0, 20000));
		tell(w, "the disk is full for %.1f h",
			(double)(until - w->t) / (double)HOUR);
		schedule(w, (struct event){ .at = until, .kind = EV_DISK_END });
		return;
	}
	tell(w, "an I/O error waits on the disk");
	disk_fail(w->disk, calls[rnd(w) % (sizeof(calls) / sizeof(calls[0]))],
		5 /* EIO */, 1 + (unsigned)(rnd(w) % 30), 1);
}

static void absent(struct world *w, int64_t most)
{
	w->absent_until = w->t + rnd_log(w, HOUR, most);
	tell(w, "no timer runs for %.1f h",
		(double)(w->absent_until - w->t) / (double)HOUR);
}

static void address_down(struct world *w)
{
	size_t a = rnd(w) % w->n_addresses;
	int64_t until = w->t + rnd_log(w, MIN, DAY);

	for (size_t i = 0; i < w->n_endpoints; i++)
		if (i / w->n_lines == a)
			w->endpoint[i].down_until = until;
	tell(w, "address %zu is down for %.1f h", a,
		(double)(until - w->t) / (double)HOUR);
}

static void machine(struct world *w)
{
	switch (rnd(w) % 6) {
	case 0:
	case 1:
		host_reboot(w, true);
		break;
	case 2:
	case 3:
		host_reboot(w, false);
		break;
	case 4:
		host_snapshot(w);
		break;
	default:
		if (w->have_snapshot && chance(w, 40))
			host_restore(w);
		else
			host_snapshot(w);
		break;
	}
}

/* Log rotation, or so. */
static void stray_reload(struct world *w)
{
	say(w, "the mail software reloads by itself");
	for (size_t i = 0; i < w->n_endpoints; i++)
		if (w->endpoint[i].pointed)
			endpoint_reads(w, i);
}

static void happens(struct world *w, unsigned what)
{
	switch (what) {
	case 0:
	case 1:
		edit(w);
		break;
	case 2:
	case 3:
	case 4:
		moody(w);
		break;
	case 5:
		revert(w);
		break;
	case 6:
		strong_digest(w);
		break;
	case 7:
		w->security = (enum dns_security)(rnd(w) % 4);
		w->security_until = w->t + rnd_log(w, MIN, DAY);
		tell(w, "the zone is %s for a while",
			dns_security_name(w->security));
		break;
	case 8:
		jump(w);
		break;
	case 9:
		machine(w);
		break;
	case 10:
		w->provider_down_until = w->t + rnd_log(w, MIN, DAY);
		tell(w, "the provider is down");
		break;
	case 11:
		stray_reload(w);
		break;
	case 12:
		absent(w, 5 * DAY);
		break;
	case 13:
		address_down(w);
		break;
	case 14:
		move(w);
		break;
	case 15:
		bad_disk(w);
		break;
	case 16:
		(void)host_start(w, MODE_RUN, 0, chance(w, 30), true);
		break;
	default:
		/* Early: somebody forced it, or the CA revokes the certificate.
		 */
		schedule(w, (struct event){ .at = w->t + rnd_log(w, SEC, HOUR),
				    .kind = EV_CERT,
				    .line = rnd(w) % w->n_lines });
		break;
	}
}

void weather(struct world *w)
{
	uint64_t rng;

	/* A replay that leaves this out goes on with the same chances. */
	unsigned what = (unsigned)(rnd(w) % 20);

	(void)rnd(w);
	rng = w->rng;
	if (mishap(w, 1000, "-"))
		happens(w, what);
	w->rng = rng;
	(void)rnd(w);
}

/* Nothing more goes wrong: all must come to rest. */
void calm_down(struct world *w)
{
	w->calm = true;
	tell(w, "calm: nothing goes wrong any more");
	w->security = DNS_SECURE;
	w->security_until = 0;
	w->provider_down_until = w->absent_until = 0;
	w->wall_off = 0;
	w->kill_per_myriad = 0;
	disk_space(w->disk, -1);
	disk_flaky(w->disk, 0, 0, NULL, NULL);
	for (int c = 0; c < DISK_CALLS; c++)
		disk_fail(w->disk, (enum disk_call)c, 5, 0, 1);
	for (size_t i = 0; i < w->n_servers; i++)
		if (w->server[i].listed)
			server_mood(w, i, MOOD_OK);
	for (size_t i = 0; i < w->n_endpoints; i++) {
		w->endpoint[i].down_until = 0;
		if (w->endpoint[i].pointed)
			endpoint_reads(w, i);
	}
	for (size_t o = 0; o < w->n_owners; o++) {
		schedule(w, (struct event){ .at = w->t,
				    .kind = EV_STRONG_END,
				    .owner = o });
		for (size_t i = 0; i < w->n_servers; i++)
			schedule(w, (struct event){ .at = w->t + HOUR,
					    .kind = EV_PULL,
					    .owner = o,
					    .server = i });
	}
}
