/*
 * delay MS COMMAND ...: runs COMMAND in a network namespace of its own, whose
 * only way out is a link that holds each packet back for MS milliseconds in
 * either direction. What netem would do, for kernels without it: two tun
 * devices, one on each side, and a loop that carries packets between them.
 *
 * The caller's namespace is the far side; its addresses are reached through
 * 10.254.0.1. Exit status: that of COMMAND, 125 if the link cannot be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PACKETS 65536
#define PACKET_MAX 1600
#define TROUBLE 125

struct packet {
	int64_t due_us;
	int to;
	ssize_t len;
	uint8_t data[PACKET_MAX];
};

/* All wait equally long, so the ring is sorted. */
static struct packet *ring;
static size_t head, tail;

static int64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int tun_open(void)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "slow");
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	perror("delay: /dev/net/tun");
	exit(TROUBLE);
}

static void shell(const char *script)
{
	if (system(script) == 0)
		return;
	fprintf(stderr, "delay: failed: %s\n", script);
	exit(TROUBLE);
}

static void take(int from, int to, int64_t delay_us)
{
	for (int i = 0; i < 64 && tail - head < PACKETS; i++) {
		struct packet *p = &ring[tail % PACKETS];

		p->len = read(from, p->data, sizeof(p->data));
		if (p->len <= 0)
			return;
		p->to = to;
		p->due_us = now_us() + delay_us;
		tail++;
	}
}

static void relay(int a, int b, int64_t delay_us)
{
	struct pollfd fds[] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };

	for (;;) {
		struct timespec t = { .tv_sec = 1 };
		int64_t left = 1000000;

		if (head != tail)
			left = ring[head % PACKETS].due_us - now_us();
		if (left < 1000000) {
			t.tv_sec = 0;
			t.tv_nsec = left > 0 ? left * 1000 : 0;
		}
		if (ppoll(fds, 2, &t, NULL) > 0) {
			take(a, b, delay_us);
			take(b, a, delay_us);
		}
		while (head != tail &&
			ring[head % PACKETS].due_us <= now_us()) {
			struct packet *p = &ring[head % PACKETS];

			/* A full queue loses the packet, as in real life. */
			if (write(p->to, p->data, (size_t)p->len) < 0 &&
				errno != EAGAIN && errno != EIO)
				perror("delay: write");
			head++;
		}
	}
}

int main(int argc, char **argv)
{
	int far, near, status;
	pid_t carrier, command;

	if (argc < 3) {
		fprintf(stderr, "usage: delay MS COMMAND ...\n");
		return TROUBLE;
	}
	ring = malloc(PACKETS * sizeof(*ring));
	if (ring == NULL)
		return TROUBLE;
	far = tun_open();
	shell("ip addr add 10.254.0.1 peer 10.254.0.2 dev slow && "
	      "ip -6 addr add fd54::1/64 dev slow nodad && "
	      "ip link set slow up txqueuelen 10000");
	if (unshare(CLONE_NEWNET) != 0) {
		perror("delay: unshare");
		return TROUBLE;
	}
	near = tun_open();
	shell("ip link set lo up && "
	      "ip addr add 10.254.0.2 peer 10.254.0.1 dev slow && "
	      "ip -6 addr add fd54::2/64 dev slow nodad && "
	      "ip link set slow up txqueuelen 10000 && "
	      "ip route add default dev slow src 10.254.0.2 && "
	      "ip -6 route add default dev slow src fd54::2");
	carrier = fork();
	if (carrier == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		relay(far, near, strtol(argv[1], NULL, 10) * INT64_C(1000));
	}
	command = fork();
	if (command == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (carrier < 0 || command < 0 ||
		waitpid(command, &status, 0) != command)
		status = TROUBLE << 8;
	/* Until it is gone, so is not the link. */
	if (carrier > 0) {
		(void)kill(carrier, SIGKILL);
		(void)waitpid(carrier, NULL, 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : TROUBLE;
}
