/*
 * The cage from inside: each case is a process that goes in and tries
 * something. What the network needs must work, what a key thief needs must not.
 */
#include "hook/base/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/danelaw-sandbox.XXXXXX";
static char open_dir[64], open_file[64], key[64], bus[64], foreign[64];
static uint16_t port; /* somebody listens there */
static pid_t tester;
static int terminal = -1;

static const char *const may_read[] = { open_dir, foreign, "/etc/hosts",
	"/etc/nsswitch.conf", "/etc/resolv.conf", "/lib", "/usr/lib",
	"/proc/self", "/no/such/file", NULL };
static const char *const never_read[] = { key, NULL };
static const struct sandbox cage = { .read = may_read, .never = never_read };

/* In the child: true is exit status 0. The ids of what failed go to stderr. */
#define MUST(what)                                                  \
	do {                                                        \
		if (!(what)) {                                      \
			fprintf(stderr, "inside: %s (%s)\n", #what, \
				strerror(errno));                   \
			_exit(1);                                   \
		}                                                   \
	} while (0)
#define FAILS(what, e) MUST((what) < 0 && errno == (e))

static int run(void (*inside)(void), bool enter)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char missing[SANDBOX_TEXT_MAX];
		struct err err = ERR_INIT;

		if (enter)
			MUST(sandbox_enter(&cage, missing, &err) == ST_OK &&
				missing[0] == '\0');
		inside();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void works(void (*inside)(void))
{
	assert_int_equal(run(inside, true), 0);
}

static void dies(void (*inside)(void))
{
	int status = run(inside, true);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- files ---- */

static void read_files(void)
{
	char path[96];
	struct stat sb;

	MUST(open(open_file, O_RDONLY) >= 0);
	MUST(open(open_dir, O_RDONLY | O_DIRECTORY) >= 0);
	FAILS(open(key, O_RDONLY), EACCES);
	FAILS(open(dir, O_RDONLY | O_DIRECTORY), EACCES);
	FAILS(open("/etc/passwd", O_RDONLY), EACCES);
	/* by other ways to the same file */
	(void)snprintf(path, sizeof(path), "%s/link", open_dir);
	FAILS(open(path, O_RDONLY), EACCES);
	(void)snprintf(path, sizeof(path), "%s/../key", open_dir);
	FAILS(open(path, O_RDONLY), EACCES);
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)tester);
	FAILS(open(path, O_RDONLY), EACCES);
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)tester);
	FAILS(open(path, O_RDONLY), EACCES);
	/* that it is there may be known */
	MUST(stat(key, &sb) == 0);
}

static void write_files(void)
{
	char path[96];

	FAILS(open(open_file, O_WRONLY), EACCES);
	FAILS(open(open_file, O_RDWR), EACCES);
	FAILS(open(open_file, O_RDONLY | O_TRUNC), EACCES);
	(void)snprintf(path, sizeof(path), "%s/new", open_dir);
	FAILS(open(path, O_WRONLY | O_CREAT, 0600), EACCES);
	FAILS(open("/tmp", O_TMPFILE | O_RDWR, 0600), EACCES);
	MUST(unlink(open_file) < 0);
	MUST(rename(open_file, path) < 0);
	MUST(link(open_file, path) < 0);
	MUST(symlink(open_file, path) < 0);
	MUST(mkdir(path, 0700) < 0);
	MUST(chmod(open_file, 0666) < 0);
	MUST(truncate(open_file, 0) < 0);
}

/* A credential may belong to another user, as a name server's key does. */
static void read_foreign(void)
{
	MUST(open(foreign, O_RDONLY) >= 0);
	FAILS(open(key, O_RDONLY), EACCES);
}

static void test_files(void **state)
{
	(void)state;
	works(read_files);
	works(write_files);
	if (geteuid() == 0) {
		assert_int_equal(chown(foreign, 4242, 4242), 0);
		assert_int_equal(chown(key, 4242, 4242), 0);
		works(read_foreign);
		assert_int_equal(chown(foreign, 0, 0), 0);
		assert_int_equal(chown(key, 0, 0), 0);
	}
}

/* ---- processes ---- */

static void *thread_main(void *arg)
{
	*(int *)arg = open(key, O_RDONLY) < 0 ? 1 : 2;
	return NULL;
}

static void processes(void)
{
	pthread_t t;
	int ran = 0;

	FAILS(fork(), EPERM);
	FAILS(syscall(SYS_clone3, NULL, 0), ENOSYS);
	MUST(pthread_create(&t, NULL, thread_main, &ran) == 0);
	MUST(pthread_join(t, NULL) == 0 && ran == 1);
	FAILS(kill(tester, SIGKILL), EPERM);
	FAILS(kill(tester, 0), EPERM);
	FAILS(kill(-1, SIGKILL), EPERM);
	FAILS(fcntl(0, F_SETOWN, (int)tester), EINVAL);
	MUST(raise(0) == 0);
}

static void privileges(void)
{
	struct rlimit r;
	char text[4096] = "";
	ssize_t n = read(open("/proc/self/status", O_RDONLY), text, 4095);

	MUST(n > 0);
	MUST(strstr(text, "CapEff:\t0000000000000000") != NULL);
	MUST(strstr(text, "CapPrm:\t0000000000000000") != NULL);
	MUST(strstr(text, "NoNewPrivs:\t1") != NULL);
	MUST(strstr(text, "Seccomp:\t2") != NULL);
	MUST(getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_max == 0);
	r.rlim_cur = 0;
	FAILS(prlimit(tester, RLIMIT_CORE, NULL, &r), EPERM);
	FAILS(setrlimit(RLIMIT_CORE, &r), EPERM);
	FAILS(prctl(PR_SET_DUMPABLE, 1), EINVAL);
	MUST(setuid(1) < 0);
}

static void memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	FAILS(mprotect(p, 4096, PROT_READ | PROT_EXEC), EACCES);
	MUST(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
		errno == EACCES);
	FAILS(memfd_create("x", 0), ENOSYS);
}

static void do_exec(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	(void)execv("/bin/true", argv);
}

static void do_ptrace(void)
{
	(void)ptrace(PTRACE_ATTACH, tester, NULL, NULL);
}

static void do_peek(void)
{
	(void)syscall(SYS_process_vm_readv, tester, NULL, 0, NULL, 0, 0);
}

static void do_mount(void)
{
	(void)mount("none", "/mnt", "tmpfs", 0, NULL);
}

static void do_namespace(void)
{
	(void)syscall(SYS_unshare, 0x10000000);
}

static void test_processes(void **state)
{
	(void)state;
	works(processes);
	works(privileges);
	works(memory);
	dies(do_exec);
	dies(do_ptrace);
	dies(do_peek);
	dies(do_mount);
	dies(do_namespace);
}

#ifdef __x86_64__
static void do_x32(void)
{
	(void)syscall(0x40000000 + SYS_getpid);
}

/* 32-bit getpid */
static void do_i386(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
}

static void test_other_architecture(void **state)
{
	(void)state;
	dies(do_x32);
	dies(do_i386);
}
#endif

/* ---- the network ---- */

static void sockets(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct addrinfo *list = NULL;
	int pair[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	MUST(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0);
	MUST(getaddrinfo("localhost", "25", NULL, &list) == 0 && list);
	MUST(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) >= 0 ||
		errno == EAFNOSUPPORT);
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	sa.sin_port = 0;
	MUST(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0);
	MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1);
	/* towards the system bus, journald and the like */
	FAILS(socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), EPROTONOSUPPORT);
	FAILS(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT),
		EAFNOSUPPORT);
	FAILS(socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT);
	FAILS(socket(AF_VSOCK, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPROTONOSUPPORT);
	FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), EPERM);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	FAILS(listen(fd, 1), ENOSYS);
	FAILS(socketpair(AF_INET, SOCK_STREAM, 0, pair), EAFNOSUPPORT);
	/* the kernel itself would say EPERM */
	if (terminal >= 0)
		FAILS(ioctl(terminal, TIOCSTI, "x"), ENOTTY);
}

/* A stream that is connected cannot be turned to another peer. */
static void turn_stream(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int pair[2];

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", bus);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	FAILS(connect(pair[0], (const struct sockaddr *)&un, sizeof(un)),
		EISCONN);
	FAILS(sendto(pair[0], "x", 1, MSG_NOSIGNAL,
		      (const struct sockaddr *)&un, sizeof(un)),
		EISCONN);
	(void)close(pair[1]);
	MUST(connect(pair[0], (const struct sockaddr *)&un, sizeof(un)) < 0);
}

static void test_network(void **state)
{
	(void)state;
	works(sockets);
	works(turn_stream);
}

/* ---- failing ---- */

/* As on a system without it: a system call that fails from now on. */
static void take_away(int call, int first_arg, int e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, args)),
		/* -1: whatever it is */
		BPF_JUMP(BPF_JMP | (first_arg < 0 ? BPF_JGE : BPF_JEQ) | BPF_K,
			first_arg < 0 ? 0 : (uint32_t)first_arg, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)e),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { sizeof(code) / sizeof(code[0]), code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0);
}

static void without_landlock(void)
{
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	take_away(444, 0, ENOSYS);
	MUST(sandbox_enter(&cage, missing, &err) == ST_OK);
	MUST(strstr(missing, "Landlock") != NULL);
	MUST(strstr(missing, "seccomp") == NULL);
	/* the rest is in force */
	FAILS(socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(open(open_file, O_WRONLY), EACCES);
	FAILS(fork(), EPERM);
	/* no capability is kept when nothing else says what it is for */
	if (geteuid() == 0)
		FAILS(open(foreign, O_RDONLY), EACCES);
}

static void without_seccomp(void)
{
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	take_away(SYS_prctl, PR_SET_SECCOMP, EINVAL);
	MUST(sandbox_enter(&cage, missing, &err) == ST_OK);
	MUST(strstr(missing, "seccomp") != NULL);
	MUST(strstr(missing, "Landlock") == NULL);
	FAILS(open(key, O_RDONLY), EACCES);
}

/* Landlock that says yes and does nothing. */
static void hollow_landlock(void)
{
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	take_away(446, -1, 0);
	MUST(sandbox_enter(&cage, missing, &err) != ST_OK);
}

static void hollow_without_list(void)
{
	const struct sandbox s = { .read = may_read,
		.never = may_read + sizeof(may_read) / sizeof(*may_read) - 1 };
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	take_away(446, -1, 0);
	MUST(sandbox_enter(&s, missing, &err) != ST_OK);
}

/* The configuration names a key's folder as if it were a credential. */
static void forbidden_listed(void)
{
	static const char *const all[] = { dir, NULL };
	const struct sandbox s = { .read = all, .never = never_read };
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	MUST(sandbox_enter(&s, missing, &err) == ST_CONFIG);
	MUST(strstr(err.text, key) != NULL);
}

/* A path that leads nowhere holds no key: one odd lineage stops no other. */
static void forbidden_nowhere(void)
{
	static char below[80];
	static const char *const odd[] = { below, key, NULL };
	const struct sandbox s = { .read = may_read, .never = odd };
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;

	(void)snprintf(below, sizeof(below), "%s/mx1.example.com", key);
	MUST(sandbox_enter(&s, missing, &err) == ST_OK);
	MUST(missing[0] == '\0');
}

static void test_failing(void **state)
{
	(void)state;
	if (geteuid() == 0)
		assert_int_equal(chown(foreign, 4242, 4242), 0);
	assert_int_equal(run(without_landlock, false), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(foreign, 0, 0), 0);
	assert_int_equal(run(hollow_without_list, false), 0);
	assert_int_equal(run(without_seccomp, false), 0);
	assert_int_equal(run(hollow_landlock, false), 0);
	assert_int_equal(run(forbidden_listed, false), 0);
	assert_int_equal(run(forbidden_nowhere, false), 0);
}

/* ---- */

static void put(char *path, size_t size, const char *name)
{
	int fd;

	(void)snprintf(path, size, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret\n", 7), 7);
	assert_int_equal(close(fd), 0);
}

static int set_up(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa);
	char link_path[96];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	tester = getpid();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(open_dir, sizeof(open_dir), "%s/open", dir);
	assert_int_equal(mkdir(open_dir, 0700), 0);
	put(open_file, sizeof(open_file), "open/file");
	put(key, sizeof(key), "key");
	put(foreign, sizeof(foreign), "foreign");
	(void)snprintf(link_path, sizeof(link_path), "%s/link", open_dir);
	assert_int_equal(symlink(key, link_path), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	port = ntohs(sa.sin_port);
	(void)snprintf(bus, sizeof(bus), "%s/bus", dir);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", bus);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	return listen(fd, 16);
}

static int clean_up(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/link", open_dir);
	(void)unlink(path);
	(void)unlink(open_file);
	(void)unlink(key);
	(void)unlink(foreign);
	(void)unlink(bus);
	(void)rmdir(open_dir);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_processes),
#ifdef __x86_64__
		cmocka_unit_test(test_other_architecture),
#endif
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_failing),
	};

	return cmocka_run_group_tests(tests, set_up, clean_up);
}
