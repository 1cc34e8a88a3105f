/* The configuration: what is accepted and becomes what, and that each kind of
 * mistake is an error with the right file and line. */
#include "hook/config.h"
#include "hook/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/danelaw-config-XXXXXX";
static char file[64];

static void write_mode(const char *text, mode_t mode)
{
	(void)unlink(file);
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

#define HOME                                                              \
	"provider \"home\" { type = \"rfc2136\" server = \"192.0.2.53\" " \
	"tsig_key_file = \"/k\" }\n"
#define LIN(body)                                                       \
	HOME "lineage \"mx\" {\ntlsa = {\"_25._tcp.mx.example.com\"}\n" \
	     "provider = \"home\"\n" body "\n}\n"

static void read_ok(const char *text, struct config *c)
{
	struct err err = ERR_INIT;

	write_mode(text, 0644);
	if (config_read(file, c, &err))
		fail_msg("%s", err.text);
}

static void design_example(void **state)
{
	(void)state;
	struct config c;
	read_ok("state_dir = \"/var/lib/x/\"\n"
		"resolver { # default\n forward = {\"127.0.0.1\"}\n"
		" root_hints = \"/h\" trust_anchor = \"/a\" timeout = 7 }\n"
		"timing { wait_ttls = 3  assumed_prior_ttl = 5  ttl_floor = 6 "
		"min_wait = 7  poll_max = 8 }\n" HOME
		"lineage \"mx1.example.com\" {\n"
		"certbot = \"/etc/c\"\n"
		"tlsa = {\"_25._tcp.MX1.example.com\", "
		"\"_465._tcp.mx1.example.com.\"}\n"
		"provider = \"home\"\n"
		"reload = {\"systemctl reload postfix\"}\n"
		"key = \"ecdsa-p256\"\n"
		"owner = \"root\" group = \"daemon\" mode = 0440\n"
		"retire_after = 601 issue = \"hook\" ttl = 3600\n"
		"verify_timeout = 61 reload_timeout = 62 key_max_age = 0\n"
		"insecure = \"proceed\" at_expiry = \"promote\"\n"
		"names = \"error\"\n"
		"ignore_servers = {\"NS1.example\", \"192.0.2.1\"}\n"
		"certbot_options = {\"--preferred-chain\", \"X\"}\n"
		"certbot_command = \"/opt/certbot\"\n"
		"}\n",
		&c);
	assert_string_equal(c.state_dir, "/var/lib/x");
	assert_string_equal(c.path, file);
	assert_string_equal(c.resolver.forward[0], "127.0.0.1");
	assert_null(c.resolver.forward[1]);
	assert_string_equal(c.resolver.root_hints, "/h");
	assert_string_equal(c.resolver.trust_anchor, "/a");
	assert_int_equal(c.resolver.timeout_ms, 7000);
	assert_int_equal(c.timing.wait_ttls, 3);
	assert_int_equal(c.timing.assumed_prior_ttl, 5);
	assert_int_equal(c.timing.ttl_floor, 6);
	assert_int_equal(c.timing.min_wait, 7);
	assert_int_equal(c.timing.poll_max, 8);
	const struct cfg_lineage *l = config_lineage(&c, "mx1.example.com");
	assert_non_null(l);
	assert_null(config_lineage(&c, "other"));
	assert_string_equal(l->certbot, "/etc/c");
	assert_int_equal(l->n_owners, 2);
	assert_string_equal(l->owner[0], "_25._tcp.mx1.example.com.");
	assert_int_equal(l->n_endpoints, 2);
	assert_string_equal(l->endpoint[1].host, "mx1.example.com.");
	assert_int_equal(l->endpoint[1].port, 465);
	assert_int_equal(l->endpoint[1].proto, PROTO_TLS);
	assert_ptr_equal(l->provider, &c.provider[0]);
	assert_string_equal(l->reload[0], "systemctl reload postfix");
	assert_null(l->reload[1]);
	assert_true(l->have_key && l->key == KEY_ECDSA_P256);
	assert_true(l->group_set && l->gid == 1 && l->uid == 0);
	assert_int_equal(l->mode, 0440);
	assert_int_equal(l->retire_after, 601);
	assert_int_equal(l->verify_timeout, 61);
	assert_int_equal(l->reload_timeout, 62);
	assert_int_equal(l->key_max_age, 0);
	assert_int_equal(l->issue, ISSUE_HOOK);
	assert_int_equal(l->ttl, 3600);
	assert_true(l->proceed_insecure && l->promote_at_expiry);
	assert_true(l->names_error);
	assert_string_equal(l->ignore_servers[0], "ns1.example.");
	assert_string_equal(l->ignore_servers[1], "192.0.2.1");
	assert_string_equal(l->certbot_options[1], "X");
	assert_string_equal(l->certbot_command, "/opt/certbot");
	config_release(&c);
	assert_null(c.impl);
}

static void defaults(void **state)
{
	(void)state;
	struct config c;
	read_ok(LIN("group = \"daemon\""), &c);
	assert_string_equal(c.state_dir, "/var/lib/danelaw");
	assert_null(c.resolver.forward);
	assert_null(c.resolver.root_hints);
	assert_string_equal(c.resolver.trust_anchor, "/usr/share/dns/root.key");
	assert_int_equal(c.timing.wait_ttls, 2);
	assert_int_equal(c.timing.assumed_prior_ttl, 86400);
	assert_int_equal(c.timing.ttl_floor, 0);
	assert_int_equal(c.timing.min_wait, 0);
	assert_int_equal(c.timing.poll_max, 900);
	const struct cfg_lineage *l = &c.lineage[0];
	assert_string_equal(l->certbot, "/etc/letsencrypt/live/mx");
	assert_int_equal(l->mode, 0640);
	assert_int_equal(l->retire_after, 600);
	assert_int_equal(l->verify_timeout, 60);
	assert_int_equal(l->reload_timeout, 60);
	assert_int_equal(l->key_max_age, 7776000);
	assert_int_equal(l->issue, ISSUE_CSR);
	assert_int_equal(l->ttl, 0);
	assert_false(l->have_key || l->proceed_insecure ||
		     l->promote_at_expiry || l->names_error);
	assert_null(l->reload[0]);
	assert_null(l->ignore_servers[0]);
	assert_null(l->certbot_options[0]);
	assert_string_equal(l->certbot_command, "certbot");
	config_release(&c);
	read_ok(LIN(""), &c);
	assert_int_equal(c.lineage[0].mode, 0600);
	assert_false(c.lineage[0].group_set);
	config_release(&c);
	read_ok("# nothing\n", &c);
	assert_int_equal(c.n_lineages + c.n_providers, 0);
	config_release(&c);
	read_ok("", &c);
	config_release(&c);
}

static void sandbox(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum sandbox_mode is;
	} cases[] = {
		{ "", SANDBOX_REQUIRED },
		{ "sandbox = \"required\"\n", SANDBOX_REQUIRED },
		{ "sandbox = \"available\"\n", SANDBOX_AVAILABLE },
		{ "sandbox = \"off\"\n", SANDBOX_OFF },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config c;
		read_ok(cases[i].text, &c);
		assert_int_equal(c.sandbox, cases[i].is);
		config_release(&c);
	}
}

static const char *value_of(const struct cfg_provider *p, const char *name)
{
	for (size_t i = 0; p->ops->options[i].name; i++)
		if (!strcmp(p->ops->options[i].name, name))
			return p->value[i];
	fail_msg("no option %s", name);
	return NULL;
}

static void providers(void **state)
{
	(void)state;
	struct config c;
	read_ok(HOME "provider \"pdns\" {\n"
		     "type = \"powerdns\" url = 'https://ns.example:8081'\n"
		     "api_key_file = \"pdns.key\" timeout = 30\n}\n",
		&c);
	assert_int_equal(c.n_providers, 2);
	assert_ptr_equal(c.provider[0].ops, provider_find("rfc2136"));
	assert_string_equal(c.provider[0].name, "home");
	assert_string_equal(value_of(&c.provider[0], "server"), "192.0.2.53");
	assert_string_equal(value_of(&c.provider[0], "timeout"), "10");
	assert_null(value_of(&c.provider[0], "zone"));
	assert_string_equal(
		value_of(&c.provider[1], "url"), "https://ns.example:8081");
	assert_string_equal(value_of(&c.provider[1], "timeout"), "30");
	assert_string_equal(value_of(&c.provider[1], "server_id"), "localhost");
	config_release(&c);
}

static void endpoints(void **state)
{
	(void)state;
	struct config c;
	read_ok(HOME "lineage \"mx\" {\ntlsa = {\"_2525._tcp.mx.example\"}\n"
		     "provider = \"home\"\n"
		     "endpoints = {\"smtp://MX.example:2525\", "
		     "\"smtp://mx.example\", "
		     "\"tls://mx.example:465\", \"imap://mx.example\", "
		     "\"smtp://mx.example:2525\"}\n}\n",
		&c);
	const struct cfg_lineage *l = &c.lineage[0];
	assert_int_equal(l->n_endpoints, 4);
	assert_int_equal(l->endpoint[0].port, 2525);
	assert_int_equal(l->endpoint[0].proto, PROTO_SMTP);
	assert_string_equal(l->endpoint[0].host, "mx.example.");
	assert_int_equal(l->endpoint[1].port, 25);
	assert_int_equal(l->endpoint[3].port, 143);
	config_release(&c);
}

/* The shell gets its variables, whatever the environment holds. */
static void variables(void **state)
{
	(void)state;
	struct config c;
	assert_int_equal(setenv("DANELAW_LIVE", "stolen", 1), 0);
	read_ok(LIN("reload = {\"ls ${DANELAW_LIVE} $DANELAW_LIVE "
		    "\\${DANELAW_LIVE} ${X:-y}\", 'echo ${DANELAW_LIVE}', "
		    "\"a\\\nb # no comment // nor this /* nor that\"}"),
		&c);
	char **r = c.lineage[0].reload;
	assert_string_equal(r[0], "ls ${DANELAW_LIVE} $DANELAW_LIVE "
				  "${DANELAW_LIVE} ${X:-y}");
	assert_string_equal(r[1], "echo ${DANELAW_LIVE}");
	assert_string_equal(r[2], "ab # no comment // nor this /* nor that");
	config_release(&c);
}

struct mistake {
	const char *text;
	int line; /* 0: do not look */
	const char *says;
};

static void expect(const struct mistake *m)
{
	char where[96];
	struct config c = { .path = file };
	struct err err = ERR_INIT;

	write_mode(m->text, 0600);
	enum status st = config_read(file, &c, &err);
	if (st != ST_CONFIG)
		fail_msg("status %d for:\n%s", st, m->text);
	assert_ptr_equal(c.path, file);
	assert_null(c.impl);
	(void)snprintf(where, sizeof(where), "%s:%d: ", file, m->line);
	if (m->line && strncmp(err.text, where, strlen(where)))
		fail_msg("want line %d: %s\n%s", m->line, err.text, m->text);
	if (!strstr(err.text, m->says))
		fail_msg("want '%s': %s", m->says, err.text);
}

static void syntax_mistakes(void **state)
{
	(void)state;
	const struct mistake m[] = {
		{ "# a\n/* b\n c */ // d\nbogus = 1\n", 4,
			"no such option 'bogus'; allowed here: " },
		{ LIN("bogus = 1"), 5, "reload" },
		{ "state_dir = \"/a\"\n\nstate_dir = \"/a\"\n", 3,
			"'state_dir' is given twice" },
		{ LIN("ttl = 1\nttl = 1"), 6, "'ttl' is given twice" },
		{ LIN("reload = {\"a\"}\nreload = {\"b\"}"), 6,
			"'reload' is given twice" },
		{ LIN("reload = {\"a\",}\nreload = {\"b\",\n\"c\"}"), 6,
			"'reload' is given twice" },
		{ LIN("reload = \"a\"\nreload = \"b\""), 6,
			"'reload' is given twice" },
		{ "timing { }\n timing { }\n", 2, "'timing' is given twice" },
		{ HOME HOME, 2, "duplicate title 'home'" },
		{ LIN("") "lineage \"mx\" { }", 7, "duplicate title 'mx'" },
		{ "timing {\n wait_ttls = 2\n", 1, "'{' on this line is" },
		{ "timing {\n wait_ttls = {2\n}", 1, "'{' on this line is" },
		{ "}\n", 1, "closes nothing" },
		{ "\nstate_dir = \"/a\n\n", 2, "string that begins here" },
		{ "\n/* \nstate_dir = 1", 2, "comment that begins here" },
		{ "state_dir = /a*\n", 1, "inside quotation marks" },
		{ "state_dir = ${HOME}\n", 1, "inside quotation marks" },
		{ "state_dir = \"/\001\"\n", 1, "control character" },
		{ "state_dir = \"/\\001\"\n", 1, "control character" },
		{ "state_dir = \"/a\nb\"\n", 2, "control character" },
		{ "state_dir \"/a\"\n", 1, "equal sign" },
		{ "state_dir = \"\"\n", 1, "is empty" },
		{ LIN("reload = {}"), 6, "is empty" },
		{ LIN("reload = {\"x\", \"\"}"), 5, "is empty" },
		{ "{{{{{{{{{{{{{{{{{", 1, "too deeply" },
		{ "include(\"/etc/passwd\")\n", 1, "no such option" },
	};
	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++)
		expect(&m[i]);
}

static void value_mistakes(void **state)
{
	(void)state;
	const struct mistake m[] = {
		{ "state_dir = \"var\"\n", 1, "absolute path" },
		{ "\nsandbox = \"maybe\"\n", 2,
			"sandbox = \"maybe\": must be \"required\" or "
			"\"available\" or \"off\"" },
		{ "sandbox = \"Off\"\n", 1, "must be \"required\"" },
		{ "sandbox = {\"off\"}\n", 1, "" },
		{ "sandbox = \"off\"\nsandbox = \"required\"\n", 2,
			"'sandbox' is given twice" },
		{ LIN("sandbox = \"off\""), 5, "no such option 'sandbox'" },
		{ "resolver {\nforward = {\"ns.example\"} }", 2,
			"must be an address" },
		{ "resolver {\nroot_hints = hints }", 2, "absolute path" },
		{ "resolver {\ntrust_anchor = hints }", 2, "absolute path" },
		{ "timing {\nwait_ttls = 1 }", 2, "from 2 to" },
		{ "timing {\nwait_ttls = 2x }", 2, "whole number" },
		{ "timing {\nmin_wait = -1 }", 2, "from 0 to" },
		{ "timing {\nmin_wait = \" 1\" }", 2, "whole number" },
		{ "timing {\nmin_wait = 99999999999999999999 }", 2, "whole" },
		{ "provider \"x\" {\nserver = \"a\" }", 2,
			"type is missing: must be \"rfc2136\" or" },
		{ "provider \"x\" {\ntype = \"bind\" }", 2,
			"must be \"rfc2136\" or \"powerdns\"" },
		{ "provider \"x\" {\ntype = \"rfc2136\"\nurl = \"a\" }", 3,
			"url is no option of type \"rfc2136\"; its options: "
			"server" },
		{ "provider \"x\" {\ntype = \"rfc2136\" }", 0,
			"server is missing" },
		{ "provider \"x\" {\ntype = \"rfc2136\"\nserver = \"a\"\n"
		  "tsig_key_file = \"a/b\" }",
			4, "absolute path" },
		{ "provider \"x\" {\ntype = \"rfc2136\"\nserver = \"a\"\n"
		  "tsig_key_file = \"/a\"\ntimeout = 0 }",
			5, "timeout = \"0\"" },
		{ "provider \"x\" {\ntype = \"powerdns\"\nurl = \"a\"\n"
		  "api_key_file = \"/a\"\nca_file = ca.pem }",
			5, "absolute path" },
		{ HOME "lineage \"../x\" { }", 2, "the name must be" },
		{ HOME "lineage \".x\" { }", 2, "the name must be" },
		{ HOME "lineage \"\" { }", 2, "the name must be" },
		{ HOME "lineage \"x\" { provider = \"home\" }", 2,
			"tlsa is missing" },
		{ HOME "lineage \"x\" { tlsa = {\"_25._tcp.a\"} }", 2,
			"provider is missing" },
		{ HOME "lineage \"x\" { provider = \"away\" }", 2,
			"no provider section" },
		{ LIN("certbot = live"), 5, "absolute path" },
		{ LIN("key = \"ed25519\""), 5,
			"must be \"ecdsa-p256\" or \"ecdsa-p384\"" },
		{ LIN("key = \"other\""), 5, "must be \"ecdsa" },
		{ LIN("group = \"no-such-group\""), 5, "no such group" },
		{ LIN("owner = \"no-such-user\""), 5, "no such user" },
		{ LIN("mode = 0642"), 5, "must be 0600" },
		{ LIN("mode = 0750"), 5, "must be 0600" },
		{ LIN("mode = 640x"), 5, "must be 0600" },
		{ LIN("issue = \"acme\""), 5, "must be \"csr\" or \"hook\"" },
		{ LIN("insecure = \"yes\""), 5,
			"must be \"hold\" or \"proceed\"" },
		{ LIN("at_expiry = \"yes\""), 5, "must be \"hold\"" },
		{ LIN("names = \"yes\""), 5, "must be \"warn\"" },
		{ LIN("ttl = -1"), 5, "ttl" },
		{ LIN("retire_after = 10m"), 5, "retire_after" },
		{ LIN("ignore_servers = {\"a b\"}"), 5, "ignore_servers" },
		{ LIN("certbot_command = \"./certbot\""), 5, "absolute" },
		{ LIN("endpoints = {\"http://mx.example\"}"), 5, "PROTOCOL" },
		{ LIN("endpoints = {\"tls://mx.example\"}"), 5, "PROTOCOL" },
		{ LIN("endpoints = {\"smtp://192.0.2.1\"}"), 5, "PROTOCOL" },
		{ LIN("endpoints = {\"smtp://mx.example:0\"}"), 5, "PROTOCOL" },
		{ LIN("endpoints = {\"smtp://mx.example:65536\"}"), 5, "PROT" },
		{ LIN("endpoints = {\"mx.example\"}"), 5, "PROTOCOL" },
		{ HOME "lineage \"x\" { provider = \"home\"\ntlsa = {"
		       "\"_25._tcp.a.example\",\n\"_25._tcp.A.example.\"} }",
			4, "listed twice" },
		{ HOME "lineage \"x\" { provider = \"home\"\ntlsa = {"
		       "\"_25._udp.a.example\"} }",
			3, "tlsa: " },
		{ HOME "lineage \"x\" { provider = \"home\"\ntlsa = {"
		       "\"mx..example\"} }",
			3, "tlsa: " },
		{ HOME "lineage \"x\" { provider = \"home\"\ntlsa = {"
		       "\"_2525._tcp.a.example\"} }",
			3, "port 2525 is not known" },
		{ LIN("certbot = \"/c\"") "lineage \"y\" {\nprovider = "
					  "\"home\" certbot = \"/c/\"\n tlsa = "
					  "{\"_25._tcp.a\"} }",
			9, "lineage \"mx\" has it already" },
	};
	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++)
		expect(&m[i]);
}

/* A parse that failed must not leave its mark on the next. */
static void after_error(void **state)
{
	(void)state;
	struct config c;
	const struct mistake m = { "state_dir = 'x' y\n", 0, "" };
	for (int i = 0; i < 3; i++) {
		expect(&m);
		read_ok(LIN(""), &c);
		config_release(&c);
	}
}

static void who_can_write(void **state)
{
	(void)state;
	struct config c;
	struct err err = ERR_INIT;

	write_mode("", 0602);
	assert_int_equal(config_read(file, &c, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "others can write it"));
	write_mode("", 0660);
	if (getegid()) {
		assert_int_equal(config_read(file, &c, &err), ST_CONFIG);
		return;
	}
	assert_int_equal(config_read(file, &c, &err), ST_OK);
	config_release(&c);
	assert_int_equal(chown(file, 0, 1), 0);
	assert_int_equal(config_read(file, &c, &err), ST_CONFIG);
	write_mode("", 0600);
	assert_int_equal(chown(file, 1, 0), 0);
	assert_int_equal(config_read(file, &c, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "belongs to uid 1"));
	assert_int_equal(config_read(dir, &c, &err), ST_CONFIG);
	assert_int_equal(config_read("/nonexistent/x", &c, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "No such file"));
}

/* One line in, the same line out, whatever the comments. */
static void lines_stay(void **state)
{
	(void)state;
	static const char in[] = "a # x\n/* b\n\n*/ c // y\nhttps://d 'e#'";
	auto_buf out = BUF_INIT(1000);
	struct err err = ERR_INIT;

	assert_int_equal(
		config_text_prepare("f", in, sizeof(in) - 1, &out, &err),
		ST_OK);
	assert_string_equal(out.data, "a \n \n\n c \nhttps://d 'e#'\n");
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(file, sizeof(file), "%s/danelaw.conf", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(design_example),
		cmocka_unit_test(defaults),
		cmocka_unit_test(sandbox),
		cmocka_unit_test(providers),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(variables),
		cmocka_unit_test(syntax_mistakes),
		cmocka_unit_test(value_mistakes),
		cmocka_unit_test(after_error),
		cmocka_unit_test(who_can_write),
		cmocka_unit_test(lines_stay),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
