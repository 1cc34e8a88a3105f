/*
 * The table MX x address x algorithm: one row for an address and a key
 * algorithm, one column for a TLS version with or without SNI. A cell shows the
 * worst of its connections. 2 + 39 + 1 + 5 + 6 * 8 columns fit in OUT_COLUMNS.
 */
#include "hook/check/out_util.h"

#include <stdio.h>
#include <string.h>

#define ADDR_COLUMNS 39 /* the longest IPv6 address */
#define ALG_AT (2 + ADDR_COLUMNS + 1)
#define CELL_AT (ALG_AT + 6)
#define CELL_COLUMNS 8
#define N_CELLS 6

_Static_assert(CELL_AT + N_CELLS * CELL_COLUMNS <= OUT_COLUMNS,
	"the table is too wide");

/* In the order of the columns. */
static const struct cell {
	enum probe_version version;
	bool sni;
	const char *title;
} cell[N_CELLS] = {
	{ PROBE_TLS_ANY, true, "any+sni" },
	{ PROBE_TLS_ANY, false, "any" },
	{ PROBE_TLS13, true, "1.3+sni" },
	{ PROBE_TLS13, false, "1.3" },
	{ PROBE_TLS12, true, "1.2+sni" },
	{ PROBE_TLS12, false, "1.2" },
};

static bool in_cell(const struct check_conn *k, const struct cell *x)
{
	return k->job.version == x->version && k->job.no_sni != x->sni;
}

static bool in_row(const struct check_conn *k, const struct check_conn *first,
	enum probe_alg alg)
{
	return k->job.alg == alg && strcmp(k->addr, first->addr) == 0;
}

static const char *state_text(enum conn_state s)
{
	switch (s) {
	case CONN_UNTESTED:
		return "?";
	case CONN_OK:
		return "ok";
	case CONN_ENCRYPTED:
		return "enc";
	case CONN_ABSENT:
		return "-";
	case CONN_FAIL:
		return "FAIL";
	}
	return "?";
}

/* The greater, the more it hides the others in its cell. */
static int state_weight(enum conn_state s)
{
	switch (s) {
	case CONN_ABSENT:
		return 1;
	case CONN_OK:
		return 2;
	case CONN_ENCRYPTED:
		return 3;
	case CONN_UNTESTED:
		return 4;
	case CONN_FAIL:
		return 5;
	}
	return 0;
}

static void row(struct out *o, const struct check_host *h,
	const struct check_conn *first, enum probe_alg alg,
	const bool column[static N_CELLS], bool *not_ok)
{
	char addr[ADDR_COLUMNS + 1];
	size_t at = CELL_AT;
	bool any = false;

	for (size_t i = 0; i < h->n_conns && !any; i++)
		any = in_row(&h->conn[i], first, alg);
	if (!any)
		return;
	out_put(o, "  %s", out_cut(first->addr, ADDR_COLUMNS, addr));
	out_pad(o, ALG_AT);
	out_put(o, "%s", probe_alg_name(alg));
	for (size_t x = 0; x < N_CELLS; x++) {
		const struct check_conn *worst = NULL;

		if (!column[x])
			continue;
		for (size_t i = 0; i < h->n_conns; i++) {
			const struct check_conn *k = &h->conn[i];

			if (in_row(k, first, alg) && in_cell(k, &cell[x]) &&
				(worst == NULL ||
					state_weight(k->state) >
						state_weight(worst->state)))
				worst = k;
		}
		if (worst != NULL) {
			out_pad(o, at);
			out_put(o, "%s", state_text(worst->state));
			if (worst->state != CONN_OK)
				*not_ok = true;
		}
		at += CELL_COLUMNS;
	}
	out_nl(o);
}

static bool addr_is_new(const struct check_host *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(h->conn[i].addr, h->conn[n].addr) == 0)
			return false;
	return true;
}

static void heading(struct out *o, const bool column[static N_CELLS])
{
	size_t at = CELL_AT;

	out_put(o, "Connections");
	out_pad(o, ALG_AT);
	out_put(o, "key");
	for (size_t x = 0; x < N_CELLS; x++) {
		if (!column[x])
			continue;
		out_pad(o, at);
		out_put(o, "%s", cell[x].title);
		at += CELL_COLUMNS;
	}
	out_nl(o);
}

void out_table(struct out *o, const struct check *c)
{
	static const enum probe_alg alg[] = { PROBE_ANY, PROBE_RSA,
		PROBE_ECDSA };
	bool column[N_CELLS] = { false }, any = false, not_ok = false;
	char name[OUT_COLUMNS - 6];

	for (size_t i = 0; i < c->n_hosts; i++)
		for (size_t k = 0; k < c->host[i].n_conns; k++)
			for (size_t x = 0; x < N_CELLS; x++)
				if (in_cell(&c->host[i].conn[k], &cell[x]))
					any = column[x] = true;
	if (!any)
		return;
	heading(o, column);
	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct check_host *h = &c->host[i];

		if (h->n_conns == 0)
			continue;
		out_put(o, "%s:%u",
			out_cut(out_host(h), sizeof(name) - 1, name), h->port);
		out_nl(o);
		for (size_t k = 0; k < h->n_conns; k++)
			for (size_t a = 0; addr_is_new(h, k) && a < 3; a++)
				row(o, h, &h->conn[k], alg[a], column, &not_ok);
	}
	if (not_ok) {
		out_wrap(o, 2,
			"ok: a TLSA record matches; FAIL: see the findings; "
			"enc: TLS, with nothing to match; -: not offered, "
			"which is no failure; ?: could not be tested");
		out_nl(o);
	}
	out_nl(o);
}
