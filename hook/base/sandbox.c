/*
 * The cage. Order matters: folders are opened while everything may be, then
 * privileges go, then the file system closes (Landlock), then the system calls
 * (seccomp), and last it is tried out from inside. Invariant: ST_OK without a
 * missing text means that a file outside the list was really refused. The uid
 * stays: root without capabilities still owns root's credential files, and can
 * read what Landlock lets it. One capability is kept where a file on the list
 * belongs to another user (a key of the name server's, say): to read past
 * modes; Landlock says what.
 */
#include "hook/base/sandbox.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock's words; linux/landlock.h of Debian 12 does not know all of them.
 * The numbers of the calls are the same everywhere. */
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif
#define LL_ASK_VERSION 1U
#define LL_PATH_BENEATH 1
#define LL_READ_FILE (1ULL << 2)
#define LL_READ_DIR (1ULL << 3)
#define LL_NET_BIND_TCP (1ULL << 0)
#define LL_SCOPE_ALL 3ULL /* abstract sockets of AF_UNIX, signals */

struct ll_rules {
	uint64_t files, net, scoped;
};

struct ll_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* All that a version can restrict about files. */
static uint64_t ll_files(long version)
{
	static const unsigned bits[] = { 0, 13, 14, 15, 15 };

	return (1ULL << (version > 4 ? 16U : bits[version])) - 1;
}

static void ll_allow(int rules, const char *path)
{
	struct ll_beneath b = { .allowed = LL_READ_FILE };
	auto_fd fd = open(path, O_PATH | O_CLOEXEC);
	struct stat sb;

	if (fd < 0 || fstat(fd, &sb) != 0)
		return;
	if (S_ISDIR(sb.st_mode))
		b.allowed |= LL_READ_DIR;
	b.fd = fd;
	/* One that fails is one that cannot be read. */
	(void)syscall(__NR_landlock_add_rule, rules, LL_PATH_BENEATH, &b, 0);
}

/* The rules, not yet in force; -1: this system has no Landlock. */
static int ll_prepare(const char *const read[])
{
	long version =
		syscall(__NR_landlock_create_ruleset, NULL, 0, LL_ASK_VERSION);
	struct ll_rules r = { 0 };
	int rules;

	if (version < 1)
		return -1;
	r.files = ll_files(version);
	r.net = version >= 4 ? LL_NET_BIND_TCP : 0;
	r.scoped = version >= 6 ? LL_SCOPE_ALL : 0;
	rules = (int)syscall(__NR_landlock_create_ruleset, &r, sizeof(r), 0);
	for (size_t i = 0; rules >= 0 && read[i] != NULL; i++)
		ll_allow(rules, read[i]);
	return rules;
}

/* ---- privileges ---- */

static bool set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .permitted = (uint32_t)permitted,
			.effective = (uint32_t)effective },
		{ .permitted = (uint32_t)(permitted >> 32),
			.effective = (uint32_t)(effective >> 32) },
	};

	return syscall(SYS_capset, &head, data) == 0;
}

static uint64_t get_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &head, data) != 0)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Is something on the list only readable past its mode? Without effective
 * capabilities at the call. */
static bool need_search(const char *const read[])
{
	for (size_t i = 0; read[i] != NULL; i++) {
		auto_fd fd = open(
			read[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		if (fd < 0 && errno == EACCES)
			return true;
	}
	return false;
}

/* caged: the file system will be closed. */
static enum status drop_caps(
	const char *const read[], bool caged, struct err *err)
{
	const uint64_t search = 1ULL << CAP_DAC_READ_SEARCH,
		       override = 1ULL << CAP_DAC_OVERRIDE;
	uint64_t had = get_caps(), keep = 0;

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!set_caps(had, 0))
		return err_sys(
			err, ST_IO, errno, "cannot put capabilities away");
	/* The second when the first was taken away: nothing can be written. */
	if (caged && need_search(read))
		keep = (had & search) != 0 ? search : had & override;
	if (!set_caps(keep, keep))
		return err_sys(err, ST_IO, errno, "cannot drop capabilities");
	return ST_OK;
}

/* The hard limit stays for what is started from here: whoever restarts a mail
 * server in a reload command may want its core. */
void sandbox_no_dump(void)
{
	struct rlimit core;

	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = 0;
		(void)setrlimit(RLIMIT_CORE, &core);
	}
	(void)prctl(PR_SET_DUMPABLE, 0);
}

/* ---- from inside ---- */

/* Refused, or no file at all; not what passes (no memory, no descriptor). */
static bool out_of_reach(const char *path)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 &&
	       (errno == EACCES || errno == ENOENT || errno == ENOTDIR ||
		       errno == ELOOP || errno == ENAMETOOLONG);
}

static enum status try_out(
	const struct sandbox *s, bool caged, bool filtered, struct err *err)
{
	auto_fd fd = filtered ? socket(AF_UNIX, SOCK_STREAM, 0) : -1;

	if (fd >= 0)
		return err_set(err, ST_IO,
			"the filter for system calls is not in force");
	for (size_t i = 0; caged && s->never[i] != NULL; i++)
		if (!out_of_reach(s->never[i]))
			return err_set(err, ST_CONFIG,
				"%s can be read by the process that talks to "
				"the network: it is in a folder that this "
				"needs, or its path is that of a credential",
				s->never[i]);
	if (caged && !out_of_reach("/"))
		return err_set(
			err, ST_IO, "Landlock is there, but not in force");
	return ST_OK;
}

enum status sandbox_enter(const struct sandbox *s,
	char ret_missing[static SANDBOX_TEXT_MAX], struct err *err)
{
	const struct rlimit no_core = { 0, 0 };
	auto_fd rules = ll_prepare(s->read);
	bool caged = rules >= 0, filtered;
	int errnum = 0;

	sandbox_no_dump();
	(void)setrlimit(RLIMIT_CORE, &no_core);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(
			err, ST_IO, errno, "cannot give up new privileges");
	if (drop_caps(s->read, caged, err) != ST_OK)
		return err->st;
	if (caged && syscall(__NR_landlock_restrict_self, rules, 0) != 0) {
		caged = false;
		errnum = errno;
		/* what was kept for it goes too */
		(void)set_caps(0, 0);
	}
	filtered = sandbox_filter();
	(void)snprintf(ret_missing, SANDBOX_TEXT_MAX, "%s%s%s%s%s",
		caged ? "" : "Landlock (Linux 5.13, in the list lsm=)",
		errnum != 0 ? ": " : "", errnum != 0 ? strerror(errnum) : "",
		caged || filtered ? "" : "; ",
		filtered ? "" : "seccomp filters");
	return try_out(s, caged, filtered, err);
}
