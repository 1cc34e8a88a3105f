/* Where credentials come from: the configuration, the environment, INI files.
 */
#include "providers/cred.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the four that it needs */
#include <cmocka.h>

static const struct provider_option options[] = {
	{ .name = "token_file",
		.type = POPT_SECRET_FILE,
		.help = "the token",
		.env = "DANELAW_TEST_TOKEN" },
	{ .name = "endpoint",
		.type = POPT_STRING,
		.def = "eu",
		.help = "where",
		.env = "DANELAW_TEST_ENDPOINT" },
	{ .name = "plain_file", .type = POPT_SECRET_FILE, .help = "a file" },
	{ .name = NULL },
};

static char path[64];
static struct err e;

static void write_file(const char *text, mode_t mode)
{
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static int setup(void **state)
{
	static char folder[] = "/tmp/danelaw-cred.XXXXXX";

	(void)state;
	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/f", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

static void test_secret(void **state)
{
	const char *value[] = { NULL, "eu", NULL };
	const struct provider_config cfg = { .name = "x", .value = value };
	struct secret s = { .data = NULL };

	(void)state;
	(void)unsetenv("DANELAW_TEST_TOKEN");
	assert_int_equal(cred_secret(&cfg, options, 0, &s, &e), ST_CONFIG);
	assert_non_null(strstr(e.text, "token_file is missing"));
	assert_non_null(strstr(e.text, "DANELAW_TEST_TOKEN"));
	assert_int_equal(cred_secret_maybe(&cfg, options, 0, &s, &e), ST_OK);
	assert_int_equal(s.len, 0);
	(void)setenv("DANELAW_TEST_TOKEN", "from-env", 1);
	assert_int_equal(cred_secret(&cfg, options, 0, &s, &e), ST_OK);
	assert_string_equal(s.data, "from-env");
	secret_release(&s);
	/* What is written down beats the environment. */
	write_file("from-file\n", 0600);
	value[0] = path;
	assert_int_equal(cred_secret(&cfg, options, 0, &s, &e), ST_OK);
	assert_string_equal(s.data, "from-file");
	secret_release(&s);
	write_file("from-file\n", 0644);
	assert_int_equal(cred_secret(&cfg, options, 0, &s, &e), ST_CONFIG);
	assert_non_null(strstr(e.text, "token_file"));
	assert_null(strstr(e.text, "from-file"));
	value[0] = NULL;
	(void)setenv("DANELAW_TEST_TOKEN", "two\nlines", 1);
	assert_int_equal(cred_secret(&cfg, options, 0, &s, &e), ST_CONFIG);
	assert_null(strstr(e.text, "lines"));
	assert_int_equal(cred_secret(&cfg, options, 2, &s, &e), ST_CONFIG);
	assert_string_equal(e.text, "plain_file is missing: a file");
}

static void test_text(void **state)
{
	const char *value[] = { NULL, options[1].def, NULL };
	const struct provider_config cfg = { .name = "x", .value = value };

	(void)state;
	(void)unsetenv("DANELAW_TEST_ENDPOINT");
	assert_string_equal(cred_text(&cfg, options, 1), "eu");
	(void)setenv("DANELAW_TEST_ENDPOINT", "us", 1);
	assert_string_equal(cred_text(&cfg, options, 1), "us");
	value[1] = "ca";
	assert_string_equal(cred_text(&cfg, options, 1), "ca");
}

static void test_file(void **state)
{
	const char *value[] = { NULL, NULL, NULL };
	const struct provider_config cfg = { .name = "x", .value = value };
	auto_secret s = { .data = NULL };

	(void)state;
	write_file("{\n}\n", 0600);
	(void)setenv("DANELAW_TEST_TOKEN", path, 1);
	assert_int_equal(cred_file(&cfg, options, 0, &s, &e), ST_OK);
	assert_string_equal(s.data, "{\n}\n");
}

static void test_ini(void **state)
{
	char text[] = "; x\n[other]\nkey=no\n[ a b ]\nkey=never\n\n[mine]\r\n"
		      "# key = no\n  key = a=b c \t\r\nempty=\nkey2=v";
	const struct secret file = { .data = text, .len = strlen(text) };
	auto_secret s = { .data = NULL };

	(void)state;
	assert_int_equal(cred_ini(&file, "mine", "key", &s, &e), ST_OK);
	assert_string_equal(s.data, "a=b c");
	secret_release(&s);
	assert_int_equal(cred_ini(&file, "mine", "key2", &s, &e), ST_OK);
	assert_string_equal(s.data, "v");
	secret_release(&s);
	assert_int_equal(cred_ini(&file, "mine", "empty", &s, &e), ST_NOTFOUND);
	assert_int_equal(cred_ini(&file, "mine", "ke", &s, &e), ST_NOTFOUND);
	assert_int_equal(cred_ini(&file, "none", "key", &s, &e), ST_NOTFOUND);
	assert_string_equal(e.text, "there is no key in [none]");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_secret),
		cmocka_unit_test(test_text), cmocka_unit_test(test_file),
		cmocka_unit_test(test_ini) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
