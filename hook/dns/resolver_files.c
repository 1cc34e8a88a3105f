/*
 * What a resolver starts with: the trust anchor and the root hints, read once
 * to say what is wrong with them (libunbound only tells its log), whether this
 * host has any use for IPv6, and how many sockets it may have.
 */
#include "hook/dns/resolver_int.h"

#include "hook/base/auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static enum status slurp(
	const char *what, const char *path, struct buf *ret, struct err *err)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat sb;
	char chunk[4096];

	if (fd < 0)
		return err_sys(err, ST_CONFIG, errno,
			"cannot read the %s file %s", what, path);
	if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
		return err_set(err, ST_CONFIG,
			"the %s file %s is not a regular file", what, path);
	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, ST_CONFIG, errno,
				"cannot read the %s file %s", what, path);
		if (got == 0)
			return ST_OK;
		if (buf_append(ret, chunk, (size_t)got, err) != ST_OK) {
			(void)err_context(err, "the %s file %s", what, path);
			err->st = ST_CONFIG;
			return err->st;
		}
	}
}

/* Does a line that is no comment hold this word? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	while (*text != '\0') {
		size_t line = strcspn(text, "\n");
		size_t code = strcspn(text, ";\n");

		for (size_t i = 1; i + len < code; i++)
			if (strncmp(text + i, word, len) == 0 &&
				strchr(" \t", text[i - 1]) != NULL &&
				strchr(" \t", text[i + len]) != NULL)
				return true;
		text += line + (text[line] == '\n');
	}
	return false;
}

/* Connecting a UDP socket sends nothing: it asks the kernel for a route. */
static bool has_route(const struct in6_addr *to)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
		.sin6_port = htons(53),
		.sin6_addr = *to };
	auto_fd fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static bool text_routes(const char *text, size_t len)
{
	char addr[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len == 0 || len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	return inet_pton(AF_INET6, addr, &in6) == 1 && has_route(&in6);
}

/* Unbound loses seconds on servers that it has no route to. A documentation
 * address goes where the default route goes; a private tree has hints. */
bool resolver_want_ipv6(const struct resolver_config *cfg, const char *hints)
{
	if (text_routes("2001:db8::1", 11))
		return true;
	for (size_t i = 0; cfg->forward != NULL && cfg->forward[i] != NULL; i++)
		if (text_routes(cfg->forward[i], strcspn(cfg->forward[i], "@")))
			return true;
	while (*hints != '\0') {
		size_t len = strcspn(hints, " \t\r\n");

		if (text_routes(hints, len))
			return true;
		hints += len + (hints[len] != '\0');
	}
	return false;
}

/* Questions in flight, one descriptor each: half of what we may open. When the
 * servers of one zone are dead, the rest must not queue behind it. */
unsigned int resolver_port_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 64;
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur > 2048)
		return 1024;
	return lim.rlim_cur < 64 ? 32 : (unsigned int)lim.rlim_cur / 2;
}

enum status resolver_files(const struct resolver_config *cfg,
	struct buf *anchor, struct buf *hints, struct err *err)
{
	if (cfg->trust_anchor == NULL)
		return err_set(err, ST_CONFIG,
			"no trust anchor: set trust_anchor in the resolver "
			"section (Debian: /usr/share/dns/root.key of the "
			"package dns-root-data)");
	if (slurp("trust anchor", cfg->trust_anchor, anchor, err) != ST_OK)
		return err->st;
	if (!has_word(buf_str(anchor), "DS") &&
		!has_word(buf_str(anchor), "DNSKEY"))
		return err_set(err, ST_CONFIG,
			"the trust anchor file %s holds neither a DS nor a "
			"DNSKEY record",
			cfg->trust_anchor);
	if (cfg->root_hints == NULL)
		return ST_OK;
	if (slurp("root hints", cfg->root_hints, hints, err) != ST_OK)
		return err->st;
	if (!has_word(buf_str(hints), "NS"))
		return err_set(err, ST_CONFIG,
			"the root hints file %s holds no NS record",
			cfg->root_hints);
	return ST_OK;
}
