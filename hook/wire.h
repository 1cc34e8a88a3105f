/*
 * What the two sides of env_apart say to each other: frames of a kind, a
 * length and a body. One function per body writes or reads it, so that the two
 * can never differ. What is read is hostile: no length, count, enum, name or
 * number is believed, nothing is left unterminated, text becomes printable
 * ASCII. Pure; no input makes it read or write out of bounds.
 */
#ifndef DANELAW_WIRE_H
#define DANELAW_WIRE_H

#include "hook/env.h"

#include "hook/base/buf.h"

/* Octets in a frame's body. One sweep is one frame: 128 lineages of 64 owner
 * names at 32 servers with 20 records each, or a few with the most records that
 * a set may have, must fit. */
#define WIRE_MAX ((size_t)256 << 20)
#define WIRE_HEAD 8
#define WIRE_NAMES_MAX (1U << 20) /* owner names, look-ups, probes in one */

enum wire_kind {
	WIRE_READY, /* the child, once: wire_err, and as wire_text what its
		       sandbox lacks */
	WIRE_SWEEP, /* each is a question, and with the same kind an answer */
	WIRE_WARM,
	WIRE_LOOK_UP,
	WIRE_PROBE,
	WIRE_EDIT,
	WIRE_DECIDE, /* asked by the child, in the middle of an edit */
	WIRE__COUNT
};

/* One body, being written or read. */
struct wire {
	struct buf *out; /* writing; NULL: reading */
	const uint8_t *in;
	size_t left;
	bool bad; /* a lie in form, or it did not fit: all else is void */
	const char *why; /* static */
};

struct wire wire_writer(struct buf *out);
struct wire wire_reader(const void *body, size_t len);
/* Good, and when reading: nothing left over. */
bool wire_done(const struct wire *w);

/* The head of a frame: its kind and the length of its body. False when it is
 * none. */
void wire_head_put(
	uint8_t ret[static WIRE_HEAD], enum wire_kind kind, size_t len);
bool wire_head_get(const uint8_t head[static WIRE_HEAD],
	enum wire_kind *ret_kind, size_t *ret_len);

/* ---- parts ---- */

/* Status and text. Read, only ST__COUNT of them and printable. */
void wire_err(struct wire *w, struct err *e);
/* Of at most size - 1 octets. */
void wire_text(struct wire *w, char *text, size_t size);
/* Read, it is owned; zero at the call. No record twice. */
void wire_rrset(struct wire *w, struct tlsa_rrset *set);
/* Less than end. */
void wire_index(struct wire *w, size_t *i, size_t end);

/* ---- questions ----
 * Written from what the engine gave; read by the child: then the lists are
 * owned (wire_*_release) and the strings borrow from the body. */

struct wire_names {
	const char *const *name;
	size_t n;
	int64_t keep_ms;
	const char **own; /* what was read */
};
void wire_ask_names(struct wire *w, struct wire_names *q);
void wire_names_release(struct wire_names *q);

struct wire_lookups {
	struct lookup *const *job;
	size_t n;
	struct lookup **own; /* what was read */
};
void wire_ask_look_up(struct wire *w, struct wire_lookups *q);
void wire_lookups_release(struct wire_lookups *q);

struct wire_probes {
	struct probe_job *job;
	size_t n;
	struct probe_limits lim;
};
void wire_ask_probe(struct wire *w, struct wire_probes *q);
/* Only of what was read. */
void wire_probes_release(struct wire_probes *q);

struct wire_edit {
	size_t provider; /* index into the configuration's */
	int64_t deadline_ms;
	struct provider_item *item;
	size_t n;
};
void wire_ask_edit(struct wire *w, struct wire_edit *q);
/* Only of what was read. */
void wire_edit_release(struct wire_edit *q);

/* ---- answers, after a wire_err without error ----
 * Read against what was asked. After a lie the results are void, but safe to
 * release. */

/* *a and *s are zero at the call. The zones' keys stay with the child. */
void wire_said_sweep(struct wire *w, const char *const owner[], size_t n,
	struct authority *a, struct sweep *s);
void wire_said_look_up(struct wire *w, struct lookup *const jobs[], size_t n);
/* Without chain and log. */
void wire_said_probe(struct wire *w, struct probe_job *jobs, size_t n);
/* Without now and to: who decided knows them. */
void wire_said_edit(struct wire *w, struct provider_item *items, size_t n);

#endif
