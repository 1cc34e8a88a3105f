/* The leaves: err, buf, spki, log, secret. */
#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/base/log.h"
#include "hook/base/secret.h"
#include "hook/base/spki.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- err ---- */

static void test_err(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		err_set(&e, ST_RETRY, "server %s\nINFO forged\x1b", "ns1"),
		ST_RETRY);
	assert_string_equal(e.text, "server ns1?INFO forged?");
	assert_int_equal(err_context(&e, "zone %s", "example."), ST_RETRY);
	assert_string_equal(e.text, "zone example.: server ns1?INFO forged?");
	assert_int_equal(err_sys(&e, ST_IO, ENOSPC, "write"), ST_IO);
	assert_string_equal(e.text, "write: No space left on device");
}

static void test_err_long(void **state)
{
	struct err e = ERR_INIT;
	char text[3 * ERR_TEXT_MAX];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ST_IO, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	(void)err_context(&e, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_int_equal(e.st, ST_IO);
}

static void test_status_names(void **state)
{
	(void)state;
	for (int a = 0; a < ST__COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(status_name((enum status)a),
				status_name((enum status)b));
	assert_string_equal(status_name((enum status)999), "unknown");
	assert_string_equal(status_name((enum status) - 1), "unknown");
}

/* ---- buf ---- */

static void test_buf(void **state)
{
	struct err e = ERR_INIT;
	auto_buf b = BUF_INIT(1000);
	char *taken;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_append(&b, "0123456789", 10, &e), ST_OK);
	assert_int_equal(b.len, 1000);
	assert_int_equal(strlen(b.data), 1000);
	assert_int_equal(buf_append(&b, "x", 1, &e), ST_REFUSED);
	assert_int_equal(buf_printf(&b, &e, "%d", 1), ST_REFUSED);
	assert_int_equal(buf_append(&b, "", SIZE_MAX, &e), ST_REFUSED);
	assert_int_equal(b.len, 1000);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_printf(&b, &e, "%s-%d", "a", 7), ST_OK);
	assert_int_equal(buf_append(&b, NULL, 0, &e), ST_OK);
	taken = buf_take(&b);
	assert_string_equal(taken, "a-7");
	free(taken);
	taken = buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
}

/* ---- spki ---- */

static void test_spki(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff"
				  "0123456789abcdef0123456789ABCDEF";
	static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb924"
				    "27ae41e4649b934ca495991b7852b855";
	struct spki a, b = { { 0 } };
	char text[SPKI_HEX];

	(void)state;
	assert_true(spki_is_none(&b));
	assert_true(spki_parse(hex, &a));
	assert_int_equal(a.d[31], 0xef);
	assert_int_equal(strncasecmp(spki_hex(&a, text), hex, 65), 0);
	assert_false(spki_is_none(&a));
	assert_false(spki_is_empty_digest(&a));
	assert_false(spki_eq(&a, &b));
	assert_false(spki_parse(hex + 1, &b));
	assert_false(spki_parse("", &b));
	memcpy(text, hex, sizeof(text));
	text[63] = 'g';
	assert_false(spki_parse(text, &b));
	assert_true(spki_is_none(&b)); /* untouched */
	assert_true(spki_parse(empty, &b));
	assert_true(spki_is_empty_digest(&b));
}

/* ---- log ---- */

/* What a call to log_event leaves on stderr. */
static void log_into(
	char *ret, size_t len, enum log_level level, const char *value)
{
	char path[] = "/tmp/danelaw-log-XXXXXX";
	int fd = mkstemp(path), saved = dup(2);
	ssize_t n;

	assert_true(fd >= 0 && saved >= 0);
	(void)unlink(path);
	(void)fflush(stderr);
	(void)dup2(fd, 2);
	log_event(level, "try", "value=%s", log_quote(value));
	(void)fflush(stderr);
	(void)dup2(saved, 2);
	(void)close(saved);
	n = pread(fd, ret, len - 1, 0);
	assert_true(n >= 0);
	ret[n] = '\0';
	(void)close(fd);
}

static void test_log(void **state)
{
	char text[4096], big[6000];

	(void)state;
	(void)unsetenv("JOURNAL_STREAM");
	log_init(LOG_INFO_L);
	log_into(text, sizeof(text), LOG_INFO_L, "a \"b\" \\c\nalert x");
	assert_string_equal(
		text, "info event=try value=\"a \\\"b\\\" \\\\c?alert x\"\n");
	log_into(text, sizeof(text), LOG_DEBUG_L, "x");
	assert_string_equal(text, "");
	(void)setenv("JOURNAL_STREAM", "1:2", 1);
	log_init(LOG_DEBUG_L);
	log_into(text, sizeof(text), LOG_DEBUG_L, "x\xff");
	assert_string_equal(text, "<7>debug event=try value=\"x?\"\n");
	log_into(text, sizeof(text), LOG_ALERT_L, "x");
	assert_string_equal(text, "<2>alert event=try value=\"x\"\n");
	(void)unsetenv("JOURNAL_STREAM");
	memset(big, '"', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_into(text, sizeof(text), LOG_WARN_L, big);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(text[strlen(text) - 2], '"');
}

/* ---- secret ---- */

static char folder[] = "/tmp/danelaw-base-XXXXXX";
static char file[64];

static void write_secret(const char *data, size_t len, mode_t mode)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		assert_true(n > 0);
		data += n;
		len -= (size_t)n;
	}
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void test_secret(void **state)
{
	struct err e = ERR_INIT;
	struct secret s = { NULL, 0 };

	(void)state;
	write_secret("s3cret \r\n\t", 10, 0640);
	assert_int_equal(secret_read(file, &s, &e), ST_OK);
	assert_int_equal(s.len, 10);
	secret_release(&s);
	assert_null(s.data);
	secret_release(&s);
	assert_int_equal(secret_read_line(file, &s, &e), ST_OK);
	assert_string_equal(s.data, "s3cret");
	assert_int_equal(s.len, 6);
	secret_release(&s);
}

static void refused(const char *path, const char *why)
{
	struct err e = ERR_INIT;
	struct secret s = { NULL, 0 };

	assert_int_equal(secret_read_line(path, &s, &e), ST_CONFIG);
	assert_non_null(strstr(e.text, why));
	assert_null(strstr(e.text, "s3cret"));
	assert_null(s.data);
}

static void test_secret_refused(void **state)
{
	static const mode_t bad[] = { 0604, 0602, 0620, 0666 };
	static char big[SECRET_MAX + 2];
	char path[128];
	struct err e = ERR_INIT;
	struct secret s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_secret("s3cret", 6, bad[i]);
		refused(file, file);
	}
	write_secret("", 0, 0600);
	refused(file, "is empty");
	write_secret(" \n\n", 3, 0600);
	refused(file, "is empty");
	write_secret("s3cret\0s3cret", 13, 0600);
	refused(file, "NUL");
	memset(big, 'a', sizeof(big));
	write_secret(big, SECRET_MAX + 1, 0600);
	refused(file, "larger than");
	write_secret(big, SECRET_MAX, 0600);
	assert_int_equal(secret_read(file, &s, &e), ST_OK);
	assert_int_equal(strlen(s.data), SECRET_MAX);
	secret_release(&s);
	refused(folder, "regular");
	(void)snprintf(path, sizeof(path), "%s/absent", folder);
	refused(path, "No such file");
	(void)snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(symlink(file, path), 0);
	refused(path, "symbolic link");
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(path, "regular");
	(void)unlink(path);
}

static void test_secret_credentials(void **state)
{
	struct err e = ERR_INIT;
	struct secret s = { NULL, 0 };

	(void)state;
	write_secret("s3cret\n", 7, 0400);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	refused("key", "CREDENTIALS_DIRECTORY");
	(void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_int_equal(secret_read_line("key", &s, &e), ST_OK);
	assert_string_equal(s.data, "s3cret");
	secret_release(&s);
	refused("../key", "full path");
	refused("a/../key", "full path");
	refused("", "full path");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/key", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_err_long),
		cmocka_unit_test(test_status_names),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_spki),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_secret_refused),
		cmocka_unit_test(test_secret_credentials),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
