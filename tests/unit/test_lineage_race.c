/* A lineage of plain files that is written to while it is read: what is taken
 * in is never half of one version. */
#include "hook/tls/lineage.h"

#include "tests/unit/tls_util.h"

#include <sys/syscall.h>

static int races; /* so many more readers of fullchain.pem meet a writer */

int raced_openat(int dirfd, const char *name, int flags, ...) __asm__("openat");

/* The first reader finds half of the file, which is whole a moment later. */
int raced_openat(int dirfd, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, int) : 0;
	va_end(ap);
	if (races > 0 && strcmp(name, "fullchain.pem") == 0) {
		int fd = (int)syscall(
			SYS_openat, dirfd, "half.pem", flags, mode);

		races--;
		if (linkat(dirfd, "whole.pem", dirfd, "new.pem", 0) != 0 ||
			renameat(dirfd, "new.pem", dirfd, "fullchain.pem") != 0)
			abort();
		sh_ok("cp whole.pem again.pem && mv again.pem whole.pem");
		return fd;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

static int make_lineage(void **state)
{
	if (dir_setup(state) != 0)
		return -1;
	sh_ok("for k in root privkey; do openssl genpkey -algorithm EC "
	      "-pkeyopt ec_paramgen_curve:P-256 -out $k.pem; done; "
	      "openssl req -x509 -new -key root.pem -subj /CN=Root -days 9 "
	      "-addext basicConstraints=critical,CA:TRUE -out ca.pem; "
	      "openssl req -new -key privkey.pem -subj /CN=mx.test -out l.csr; "
	      "openssl x509 -req -in l.csr -CA ca.pem -CAkey root.pem "
	      "-CAcreateserial -days 9 -out half.pem; "
	      "cat half.pem ca.pem >whole.pem; cp whole.pem fullchain.pem");
	return 0;
}

static size_t chain_len(int n)
{
	struct lineage_version v;
	struct err err = ERR_INIT;
	size_t len;

	races = n;
	if (lineage_read(test_dir, 5000, &v, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(races, 0);
	len = v.chain.len;
	lineage_version_release(&v);
	return len;
}

static void test_written_while_read(void **state)
{
	size_t whole = chain_len(0);

	(void)state;
	assert_true(whole > 100);
	assert_int_equal(chain_len(1), whole);
	assert_int_equal(chain_len(3), whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_while_read),
	};

	return cmocka_run_group_tests(tests, make_lineage, dir_teardown);
}
