/*
 * measure N COMMAND ...: runs COMMAND N times and prints the medians:
 * "CPU_MS WALL_MS PEAK_KIB". CPU and peak memory are those of COMMAND and of
 * all that it started; the peak is that of the largest process. Small on
 * purpose: the kernel counts what a process was before exec into its peak.
 * A run that fails ends it with the command's exit status.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 1000

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), cmp);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double tv_ms(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

int main(int argc, char **argv)
{
	static double cpu[RUNS_MAX], wall[RUNS_MAX], peak[RUNS_MAX];
	int n = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;

	if (n < 1 || n > RUNS_MAX) {
		fprintf(stderr, "usage: measure N COMMAND ...\n");
		return 2;
	}
	for (int i = 0; i < n; i++) {
		double start = now_ms();
		struct rusage ru;
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			int null = open("/dev/null", O_WRONLY);

			(void)dup2(null, STDOUT_FILENO);
			execvp(argv[2], argv + 2);
			_exit(127);
		}
		if (pid < 0 || wait4(pid, &status, 0, &ru) != pid)
			return 125;
		if (status != 0) {
			fprintf(stderr, "measure: %s failed\n", argv[2]);
			return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
		}
		wall[i] = now_ms() - start;
		cpu[i] = tv_ms(ru.ru_utime) + tv_ms(ru.ru_stime);
		peak[i] = (double)ru.ru_maxrss;
	}
	printf("%.1f %.1f %.0f\n", median(cpu, n), median(wall, n),
		median(peak, n));
	return 0;
}
