/*
 * The system calls that a caged process may use. Three classes: what libraries
 * for DNS, TLS and HTTP need is allowed, some of it by its arguments; what only
 * somebody who broke in would try ends the process; all else does not exist
 * (ENOSYS), as on an older kernel, so that a library of next year falls back
 * instead of dying. Invariants: no new process, no program, no other process's
 * memory, no file opened to be written, no memory both written and run, no
 * socket but of the Internet (and routing netlink, which only tells this host's
 * addresses). Sockets of AF_UNIX above all are not to be had: who can speak to
 * the system bus as root is root. The number of a call is only looked at for
 * the one architecture that this was built for.
 */
#include "hook/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__LP64__) && \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef ARCH

/* All three have the lower half of an argument first. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arguments");

static const int allowed[] = {
	__NR_read,
	__NR_write,
	__NR_readv,
	__NR_writev,
	__NR_pread64,
	__NR_close,
	__NR_lseek,
	__NR_fstat,
	__NR_statx,
	__NR_getdents64,
	__NR_faccessat,
	__NR_readlinkat,
	__NR_getcwd,
	__NR_fadvise64,
	__NR_dup,
	__NR_dup3,
	__NR_pipe2,
	__NR_eventfd2,
	/* memory; mmap and mprotect by their arguments */
	__NR_munmap,
	__NR_mremap,
	__NR_madvise,
	__NR_brk,
	__NR_mlock,
	__NR_munlock,
	/* signals, threads, time */
	__NR_rt_sigaction,
	__NR_rt_sigprocmask,
	__NR_rt_sigreturn,
	__NR_rt_sigpending,
	__NR_rt_sigtimedwait,
	__NR_sigaltstack,
	__NR_restart_syscall,
	__NR_futex,
	__NR_set_robust_list,
	__NR_get_robust_list,
	__NR_set_tid_address,
	__NR_membarrier,
	__NR_sched_yield,
	__NR_sched_getaffinity,
	__NR_sched_getparam,
	__NR_sched_getscheduler,
	__NR_sched_get_priority_max,
	__NR_sched_get_priority_min,
	__NR_exit,
	__NR_exit_group,
	__NR_nanosleep,
	__NR_clock_nanosleep,
	__NR_clock_gettime,
	__NR_clock_getres,
	__NR_gettimeofday,
	__NR_times,
	__NR_getitimer,
	__NR_setitimer,
	/* about ourselves */
	__NR_getpid,
	__NR_getppid,
	__NR_gettid,
	__NR_getuid,
	__NR_geteuid,
	__NR_getgid,
	__NR_getegid,
	__NR_getgroups,
	__NR_uname,
	__NR_sysinfo,
	__NR_getrusage,
	__NR_getrandom,
	/* the network; socket and socketpair by their arguments */
	__NR_connect,
	__NR_bind,
	__NR_getsockname,
	__NR_getpeername,
	__NR_getsockopt,
	__NR_setsockopt,
	__NR_sendto,
	__NR_recvfrom,
	__NR_sendmsg,
	__NR_recvmsg,
	__NR_sendmmsg,
	__NR_recvmmsg,
	__NR_shutdown,
	__NR_pselect6,
	__NR_ppoll,
	__NR_epoll_create1,
	__NR_epoll_ctl,
	__NR_epoll_pwait,
#ifdef __NR_newfstatat
	__NR_newfstatat,
#endif
#ifdef __NR_rseq
	__NR_rseq,
#endif
#ifdef __NR_faccessat2
	__NR_faccessat2,
#endif
#ifdef __NR_epoll_pwait2
	__NR_epoll_pwait2,
#endif
#ifdef __x86_64__
	/* as they were before there were better ones */
	__NR_stat,
	__NR_lstat,
	__NR_access,
	__NR_readlink,
	__NR_dup2,
	__NR_pipe,
	__NR_eventfd,
	__NR_select,
	__NR_poll,
	__NR_epoll_create,
	__NR_epoll_wait,
	__NR_time,
	__NR_alarm,
	__NR_getrlimit,
#elif defined(__aarch64__)
	__NR_getrlimit,
#endif
};

/* Nobody but an intruder has a use for these. */
static const int deadly[] = {
	__NR_execve,
	__NR_execveat,
	__NR_ptrace,
	__NR_process_vm_readv,
	__NR_process_vm_writev,
	__NR_kcmp,
	__NR_mount,
	__NR_umount2,
	__NR_pivot_root,
	__NR_chroot,
	__NR_setns,
	__NR_unshare,
	__NR_bpf,
	__NR_perf_event_open,
	__NR_open_by_handle_at,
	__NR_userfaultfd,
	__NR_init_module,
	__NR_finit_module,
	__NR_delete_module,
	__NR_kexec_load,
	__NR_reboot,
	__NR_swapon,
	__NR_swapoff,
#ifdef __NR_open_tree
	__NR_open_tree,
	__NR_move_mount,
	__NR_fsopen,
	__NR_fsmount,
#endif
#ifdef __NR_pidfd_getfd
	__NR_pidfd_getfd,
#endif
};

/* Every block below ends in a verdict: what leads into the next one is only the
 * jump over it, with the number of the call still loaded. */
#define PROGRAM_MAX 512

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short n;
};

#define ARG(i) ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (i)))
#define HIGH(i) (ARG(i) + 4)
#define ALLOW SECCOMP_RET_ALLOW
#define DENY(e) (SECCOMP_RET_ERRNO | (e))

static void emit(
	struct program *p, unsigned code, uint32_t k, unsigned jt, unsigned jf)
{
	if (p->n < PROGRAM_MAX)
		p->code[p->n] = (struct sock_filter){ (uint16_t)code,
			(uint8_t)jt, (uint8_t)jf, k };
	p->n++;
}

static void verdict(struct program *p, uint32_t what)
{
	emit(p, BPF_RET | BPF_K, what, 0, 0);
}

static void load(struct program *p, uint32_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

/* What is loaded equals k: that verdict. */
static void when(struct program *p, uint32_t k, uint32_t what)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	verdict(p, what);
}

/* What is loaded has any of these bits: that verdict. */
static void when_any(struct program *p, uint32_t bits, uint32_t what)
{
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	verdict(p, what);
}

static void unless_any(struct program *p, uint32_t bits, uint32_t what)
{
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
	verdict(p, what);
}

static void unless(struct program *p, uint32_t k, uint32_t what)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
	verdict(p, what);
}

/* Opens the block of one call; its place, for end(). The block must end in a
 * verdict. */
static unsigned short begin(struct program *p, int call)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 0);
	return (unsigned short)(p->n - 1);
}

static void end(struct program *p, unsigned short at)
{
	if (at < PROGRAM_MAX)
		p->code[at].jf = (uint8_t)(p->n - at - 1);
}

static void sockets(struct program *p)
{
	unsigned short at = begin(p, __NR_socket);

	load(p, ARG(0));
	/* routing information: addresses of this host, for getaddrinfo */
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 4);
	load(p, ARG(2));
	unless(p, 0, DENY(EAFNOSUPPORT));
	verdict(p, ALLOW);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
	verdict(p, DENY(EAFNOSUPPORT));
	load(p, ARG(2));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 1, 0);
	verdict(p, DENY(EPROTONOSUPPORT));
	verdict(p, ALLOW);
	end(p, at);
	/* Connected for good: a datagram socket of AF_UNIX could be sent
	 * anywhere. */
	at = begin(p, __NR_socketpair);
	load(p, ARG(0));
	unless(p, AF_UNIX, DENY(EAFNOSUPPORT));
	load(p, ARG(1));
	emit(p, BPF_ALU | BPF_AND | BPF_K, 0xff, 0, 0);
	unless(p, SOCK_STREAM, DENY(EPROTONOSUPPORT));
	verdict(p, ALLOW);
	end(p, at);
}

static void memory(struct program *p)
{
	unsigned short at = begin(p, __NR_mmap);

	load(p, ARG(2));
	emit(p, BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC, 0, 0);
	when(p, PROT_WRITE | PROT_EXEC, DENY(EACCES));
	verdict(p, ALLOW);
	end(p, at);
	at = begin(p, __NR_mprotect);
	load(p, ARG(2));
	when_any(p, PROT_EXEC, DENY(EACCES));
	verdict(p, ALLOW);
	end(p, at);
}

/* Threads are fine; another process is not. clone3 hides its flags in memory,
 * so it does not exist, and the C library goes back to clone. */
static void threads(struct program *p, pid_t self)
{
	static const int signals[] = { __NR_tgkill, __NR_kill };
	unsigned short at = begin(p, __NR_clone);

	load(p, ARG(0));
	unless_any(p, CLONE_THREAD, DENY(EPERM));
	verdict(p, ALLOW);
	end(p, at);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		at = begin(p, signals[i]);
		load(p, ARG(0));
		when(p, (uint32_t)self, ALLOW);
		verdict(p, DENY(EPERM));
		end(p, at);
	}
}

static void files(struct program *p)
{
	const uint32_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
	unsigned short at = begin(p, __NR_openat);

	load(p, ARG(2));
	when_any(p, writing, DENY(EACCES));
	verdict(p, ALLOW);
	end(p, at);
#ifdef __NR_open
	at = begin(p, __NR_open);
	load(p, ARG(1));
	when_any(p, writing, DENY(EACCES));
	verdict(p, ALLOW);
	end(p, at);
#endif
	/* No F_SETOWN: it would have the kernel send signals to others. */
	at = begin(p, __NR_fcntl);
	load(p, ARG(1));
	when(p, F_DUPFD, ALLOW);
	when(p, F_DUPFD_CLOEXEC, ALLOW);
	when(p, F_GETFD, ALLOW);
	when(p, F_SETFD, ALLOW);
	when(p, F_GETFL, ALLOW);
	when(p, F_SETFL, ALLOW);
	verdict(p, DENY(EINVAL));
	end(p, at);
	/* No TIOCSTI: it would type into the operator's shell. */
	at = begin(p, __NR_ioctl);
	load(p, ARG(1));
	when(p, FIONBIO, ALLOW);
	when(p, FIONREAD, ALLOW);
	when(p, FIOCLEX, ALLOW);
	when(p, TCGETS, ALLOW);
	when(p, TIOCGWINSZ, ALLOW);
	when(p, SIOCGIFINDEX, ALLOW);
	verdict(p, DENY(ENOTTY));
	end(p, at);
}

/* prlimit64 only to read its own limits; prctl not at all. */
static void limits(struct program *p)
{
	unsigned short at = begin(p, __NR_prlimit64);

	load(p, ARG(0));
	unless(p, 0, DENY(EPERM));
	load(p, ARG(2));
	unless(p, 0, DENY(EPERM));
	load(p, HIGH(2));
	unless(p, 0, DENY(EPERM));
	verdict(p, ALLOW);
	end(p, at);
	at = begin(p, __NR_prctl);
	verdict(p, DENY(EINVAL));
	end(p, at);
}

static void build(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	unless(p, ARCH, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	/* x32: the same numbers by another name */
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	verdict(p, SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		when(p, (uint32_t)allowed[i], ALLOW);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		when(p, (uint32_t)deadly[i], SECCOMP_RET_KILL_PROCESS);
	sockets(p);
	memory(p);
	threads(p, getpid());
	files(p);
	limits(p);
	verdict(p, DENY(ENOSYS));
}

bool sandbox_filter(void)
{
	struct program p = { .n = 0 };
	struct sock_fprog prog = { .filter = p.code };

	build(&p);
	if (p.n > PROGRAM_MAX) {
		errno = E2BIG;
		return false;
	}
	prog.len = p.n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

#else

bool sandbox_filter(void)
{
	errno = ENOTSUP;
	return false;
}

#endif
