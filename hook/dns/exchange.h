/*
 * Many queries to many servers at once, from one thread, over non-blocking
 * sockets of our own. One query to a server goes by UDP, each in a connected
 * socket with a port of its own; many to one server go down a few pipelined TCP
 * connections. Only replies that passed codec_parse come back.
 */
#ifndef DANELAW_DNS_EXCHANGE_H
#define DANELAW_DNS_EXCHANGE_H

#include "hook/dns/authority.h"
#include "hook/dns/codec.h"

/* More names than this at one address go over TCP. */
#define EXCHANGE_FEW 8

struct exchange_limits {
	int64_t deadline_ms; /* for all; 0 = 20 s and 10 ms per query */
	int64_t try_ms;      /* one UDP try, and TCP without an answer; 0 = 2000
			      */
	int tries;           /* UDP tries before TCP; 0 = 3 */
	int64_t tcp_ms;      /* TCP without an answer; 0 = try_ms */
};

enum exchange_transport {
	EXCHANGE_AUTO, /* UDP, then TCP; TCP for many */
	EXCHANGE_UDP,  /* nothing else; a truncated reply is the reply */
	EXCHANGE_TCP
};

enum exchange_outcome {
	XCHG_REPLY,
	XCHG_TIMEOUT,
	XCHG_GARBAGE, /* something came, but nothing that could be used */
	XCHG_NETWORK,
	XCHG_NO_ROUTE /* to this address family, from this host */
};

struct exchange_result {
	enum exchange_outcome outcome;
	const struct codec_msg *msg; /* XCHG_REPLY; for the call only */
	bool tcp;
	int errnum;       /* XCHG_NETWORK */
	bool sent;        /* false: the deadline came before its turn */
	uint32_t took_ms; /* since it was sent first */
};

/* Called once for each query; may call exchange_add. Another status than ST_OK
 * ends the run with it. */
typedef enum status (*exchange_done)(void *ctx, size_t tag,
	const struct exchange_result *res, struct err *err);

struct exchange;
enum status exchange_new(const struct exchange_limits *lim, exchange_done done,
	void *ctx, struct exchange **ret, struct err *err);
void exchange_free(struct exchange *x);
/* addr and qname are borrowed until the query is done. */
enum status exchange_add(struct exchange *x, const struct dns_addr *addr,
	const struct codec_name *qname, uint16_t qtype, size_t tag,
	struct err *err);
/* By one transport only, however many there are. */
enum status exchange_add_via(struct exchange *x, const struct dns_addr *addr,
	const struct codec_name *qname, uint16_t qtype,
	enum exchange_transport via, size_t tag, struct err *err);
/* Until all are done. Fails for memory, descriptors and done's status only. */
enum status exchange_run(struct exchange *x, struct err *err);

#endif
