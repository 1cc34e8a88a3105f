/* certbot's lineage: read while it is being switched, written back whatever
 * crashed before, and its renewal configuration as options for a CSR. The
 * trees are made here by hand, link by link as certbot makes them. */
#include "tests/unit/tls_util.h"

#include "hook/base/clock.h"
#include "hook/tls/lineage.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#define NAME "mx1.example.test"
#define LIVE "le/live/" NAME
#define ARCHIVE "le/archive/" NAME
#define CONF "le/renewal/" NAME ".conf"

static const char *const kinds[] = { "cert", "privkey", "chain", "fullchain" };
static const char *const write_order[] = { "privkey", "chain", "fullchain",
	"cert" };

/* 1, 2, 3: three keys with certificates of one CA, as pki/KINDn.pem; enc.key
 * is key 1 with a passphrase */
static int make_pki(void **state)
{
	if (dir_setup(state) != 0)
		return -1;
	sh_ok("mkdir pki && cd pki && openssl req -x509 -newkey ec -pkeyopt "
	      "ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem "
	      "-subj /CN=CA -addext basicConstraints=critical,CA:TRUE && "
	      "printf 'subjectAltName=DNS:" NAME
	      ",DNS:b.test\\n' >ext && for i in 1 2 3; do "
	      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	      "-keyout privkey$i.pem -out csr -subj / && "
	      "openssl x509 -req -in csr -CA ca.pem -CAkey ca.key "
	      "-set_serial $i -days 90 -extfile ext -out cert$i.pem && "
	      "cp ca.pem chain$i.pem && "
	      "cat cert$i.pem ca.pem >fullchain$i.pem && "
	      "chmod 600 privkey$i.pem; done");
	sh_ok("cd pki && openssl pkcs8 -topk8 -in privkey1.pem -passout "
	      "pass:x -out enc.key");
	return 0;
}

static void write_conf(const char *tail)
{
	free(sh("cat >" CONF " <<END\n"
		"version = 2.1.0\n"
		"archive_dir = %s/" ARCHIVE "\n"
		"cert = %s/" LIVE "/cert.pem\n"
		"privkey = %s/" LIVE "/privkey.pem\n"
		"chain = %s/" LIVE "/chain.pem\n"
		"fullchain = %s/" LIVE "/fullchain.pem\n"
		"\n# Options used in the renewal process\n"
		"END\n",
		test_dir, test_dir, test_dir, test_dir, test_dir));
	spit(in_dir("tail"), tail, strlen(tail));
	sh_ok("cat tail >>" CONF);
}

/* A lineage with versions 1 and 2 that serves 2. */
static int make_lineage(void **state)
{
	(void)state;
	sh_ok("rm -rf le && mkdir -p " LIVE " " ARCHIVE " le/renewal && "
	      "cp -p pki/*[12].pem " ARCHIVE " && "
	      "for k in cert chain fullchain privkey; do "
	      "ln -s ../../archive/" NAME "/${k}2.pem " LIVE "/$k.pem; done");
	write_conf("[renewalparams]\nauthenticator = standalone\n");
	return 0;
}

static void point(const char *kind, unsigned n)
{
	free(sh("ln -sfn ../../archive/" NAME "/%s%u.pem " LIVE "/%s.pem", kind,
		n, kind));
}

/* A child that dies with us, also when a test fails. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		_exit(1);
	return pid;
}

static enum status read_it(
	struct lineage_version *v, int64_t wait, struct err *err)
{
	return lineage_read(in_dir(LIVE), wait, v, err);
}

/* Key, leaf, bytes: all of version n. */
static void assert_version(const struct lineage_version *v, unsigned n)
{
	char name[64], serial[8];
	char *want;

	(void)snprintf(serial, sizeof(serial), "0%u", n);
	assert_string_equal(v->leaf.serial, serial);
	(void)snprintf(name, sizeof(name), "pki/privkey%u.pem", n);
	want = slurp(in_dir(name), NULL);
	assert_string_equal(buf_str(&v->key), want);
	free(want);
	(void)snprintf(name, sizeof(name), "pki/fullchain%u.pem", n);
	want = slurp(in_dir(name), NULL);
	assert_string_equal(buf_str(&v->fullchain), want);
	free(want);
	(void)snprintf(name, sizeof(name), "pki/cert%u.pem", n);
	want = slurp(in_dir(name), NULL);
	assert_string_equal(buf_str(&v->cert), want);
	free(want);
	want = slurp(in_dir("pki/ca.pem"), NULL);
	assert_string_equal(buf_str(&v->chain), want);
	free(want);
}

static void assert_reads(unsigned n, unsigned as)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;

	if (read_it(&v, 0, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(v.n, n);
	assert_version(&v, as);
	lineage_version_release(&v);
}

static void reads(void **state)
{
	(void)state;
	assert_reads(2, 2);
}

static void not_there(void **state)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;
	char text[256];

	(void)state;
	assert_int_equal(lineage_read(in_dir("le/live/none"), 5000, &v, &err),
		ST_NOTFOUND);
	assert_int_equal(lineage_fingerprint(in_dir("le/live/none"), text,
				 sizeof(text), &err),
		ST_NOTFOUND);
	sh_ok("rm " LIVE "/*.pem");
	assert_int_equal(read_it(&v, 5000, &err), ST_NOTFOUND);
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), text, sizeof(text), &err),
		ST_NOTFOUND);
}

/* What certbot leaves on disk for a moment, but here for good. */
static void half_switched(void **state)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		point(kinds[i], 1);
		assert_int_equal(
			read_it(&v, 0, &err), i < 3 ? ST_RETRY : ST_OK);
	}
	assert_int_equal(v.n, 1);
	lineage_version_release(&v);
	for (size_t i = 0; i < 4; i++) {
		free(sh("rm " LIVE "/%s.pem", kinds[i]));
		assert_int_equal(read_it(&v, 0, &err), ST_RETRY);
		point(kinds[i], 1);
	}
	assert_reads(1, 1);
	sh_ok("rm " ARCHIVE "/privkey1.pem");
	assert_int_equal(read_it(&v, 30, &err), ST_RETRY);
}

/* certbot's own order: links to the old version aside, then unlink and symlink
 * one kind after the other. */
static void switch_for_ever(const char *live)
{
	char link[32], previous[48], target[128];
	struct timespec pause = { .tv_nsec = 300000 };

	if (chdir(live) != 0)
		_exit(1);
	for (unsigned n = 1;; n = 3 - n) {
		for (size_t i = 0; i < 4; i++) {
			(void)snprintf(previous, sizeof(previous),
				"previous_%s.pem", kinds[i]);
			(void)snprintf(target, sizeof(target),
				"../../archive/" NAME "/%s%u.pem", kinds[i],
				3 - n);
			if (symlink(target, previous) != 0)
				_exit(1);
		}
		for (size_t i = 0; i < 4; i++) {
			(void)snprintf(link, sizeof(link), "%s.pem", kinds[i]);
			(void)snprintf(target, sizeof(target),
				"../../archive/" NAME "/%s%u.pem", kinds[i], n);
			if (unlink(link) != 0)
				_exit(1);
			(void)nanosleep(&pause, NULL);
			if (symlink(target, link) != 0)
				_exit(1);
			(void)nanosleep(&pause, NULL);
		}
		for (size_t i = 0; i < 4; i++) {
			(void)snprintf(previous, sizeof(previous),
				"previous_%s.pem", kinds[i]);
			if (unlink(previous) != 0)
				_exit(1);
		}
	}
}

static void switched_while_reading(void **state)
{
	struct err err = ERR_INIT;
	unsigned seen[3] = { 0 };
	pid_t pid = fork_child();

	(void)state;
	if (pid == 0)
		switch_for_ever(in_dir(LIVE));
	/* until both were seen often enough; a mix must never be */
	while (seen[1] < 20 || seen[2] < 20) {
		struct lineage_version v = { .n = 0 };
		enum status st = read_it(&v, 5000, &err);

		if (st != ST_OK) {
			(void)kill(pid, SIGKILL);
			fail_msg("%s", err.text);
		}
		assert_in_range(v.n, 1, 2);
		assert_version(&v, v.n);
		seen[v.n]++;
		lineage_version_release(&v);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* still switching */
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void wrong_key(void **state)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;
	int64_t begin;

	(void)state;
	sh_ok("cp pki/privkey1.pem " ARCHIVE "/privkey2.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_REFUSED);
	assert_non_null(strstr(err.text, "does not match"));
	sh_ok("cp pki/fullchain1.pem " ARCHIVE "/fullchain2.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_REFUSED);
	sh_ok("cp pki/fullchain2.pem " ARCHIVE "; cp pki/enc.key " ARCHIVE
	      "/privkey2.pem");
	begin = clock_mono_ms();
	assert_int_equal(read_it(&v, 60000, &err), ST_REFUSED);
	assert_non_null(strstr(err.text, "passphrase"));
	assert_true(clock_mono_ms() - begin < 30000); /* did not wait */
}

/* A copied lineage, and a client that has two files only. */
static void plain_files(void **state)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;

	(void)state;
	sh_ok("rm " LIVE "/*; for k in cert chain fullchain privkey; do "
	      "cp pki/${k}1.pem " LIVE "/$k.pem; done");
	assert_reads(0, 1);
	sh_ok("rm " LIVE "/cert.pem " LIVE "/chain.pem");
	assert_reads(0, 1);
	/* links, but not certbot's */
	sh_ok("cd " LIVE " && mv privkey.pem privkey-1700000000.pem && "
	      "ln -s privkey-1700000000.pem privkey.pem");
	assert_reads(0, 1);
	sh_ok("cp pki/privkey2.pem " LIVE "/privkey-1700000000.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_REFUSED);
	sh_ok("rm " LIVE "/privkey.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_RETRY);
}

static void no_plain_file(void **state)
{
	struct lineage_version v = { .n = 0 };
	struct err err = ERR_INIT;

	(void)state;
	sh_ok("cd " ARCHIVE " && dd if=/dev/zero bs=1024 count=1025 "
	      ">>fullchain2.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_REFUSED);
	assert_non_null(strstr(err.text, "too large"));
	sh_ok("cd " ARCHIVE " && rm fullchain2.pem && mkfifo fullchain2.pem");
	assert_int_equal(read_it(&v, 0, &err), ST_REFUSED);
}

static void fingerprints(void **state)
{
	char a[256], b[256], tiny[8];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), a, sizeof(a), &err), ST_OK);
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), b, sizeof(b), &err), ST_OK);
	assert_string_equal(a, b);
	assert_non_null(strstr(a, "cert2.pem"));
	point("cert", 1);
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), b, sizeof(b), &err), ST_OK);
	assert_string_not_equal(a, b);
	point("cert", 2);
	sh_ok("cp pki/privkey1.pem " ARCHIVE "/x && mv " ARCHIVE "/x " ARCHIVE
	      "/privkey2.pem");
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), b, sizeof(b), &err), ST_OK);
	assert_string_not_equal(a, b);
	assert_int_equal(
		lineage_fingerprint(in_dir(LIVE), tiny, sizeof(tiny), &err),
		ST_BUG);
}

/* ---- import ---- */

static enum status import_as(
	unsigned key, unsigned cert, unsigned *ret_n, struct err *err)
{
	static const char *const files[] = { "privkey", "cert", "chain",
		"fullchain" };
	struct buf b[4];
	enum status st;

	for (size_t i = 0; i < 4; i++) {
		char name[64];
		size_t len;
		char *pem;

		b[i] = (struct buf)BUF_INIT(TEXT_MAX);
		(void)snprintf(name, sizeof(name), "pki/%s%u.pem", files[i],
			i == 0 ? key : cert);
		pem = slurp(in_dir(name), &len);
		assert_int_equal(buf_append(&b[i], pem, len, err), ST_OK);
		free(pem);
	}
	st = lineage_import(
		in_dir(LIVE), &b[0], &b[1], &b[2], &b[3], ret_n, err);
	for (size_t i = 0; i < 4; i++)
		buf_release(&b[i]);
	return st;
}

static void assert_imports(unsigned as)
{
	struct err err = ERR_INIT;
	unsigned n = 0;

	if (import_as(3, 3, &n, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(n, as);
	assert_reads(as, 3);
	assert_int_equal(access(in_dir("le/.certbot.lock"), F_OK), -1);
	sh_ok("test -z \"$(ls -A " ARCHIVE " | grep -v '^[a-z]*[0-9]*.pem$')\""
	      " && test -z \"$(ls -A " LIVE " | grep -v "
	      "'^\\(cert\\|chain\\|fullchain\\|privkey\\).pem$')\"");
}

static void imports(void **state)
{
	char *text, *again;

	(void)state;
	sh_ok("chmod 600 " ARCHIVE "/privkey2.pem");
	assert_imports(3);
	text = sh("stat -c %%a " ARCHIVE "/privkey3.pem " ARCHIVE
		  "/cert3.pem; readlink " LIVE "/cert.pem");
	assert_string_equal(
		text, "600\n644\n../../archive/" NAME "/cert3.pem\n");
	free(text);
	/* replay: nothing new */
	text = sh("ls -li " ARCHIVE);
	assert_imports(3);
	again = sh("ls -li " ARCHIVE);
	assert_string_equal(again, text);
	free(again);
	free(text);
}

static void keeps_rights(void **state)
{
	char *text;

	(void)state;
	if (getuid() != 0)
		skip();
	/* certbot keeps g=rwx and o=r, and the group; never the owner */
	sh_ok("chgrp 12345 " ARCHIVE "/privkey2.pem; chmod 647 " ARCHIVE
	      "/privkey2.pem; chown 4321 " ARCHIVE "/privkey2.pem");
	assert_imports(3);
	text = sh("stat -c '%%a %%g %%u' " ARCHIVE "/privkey3.pem");
	assert_string_equal(text, "644 12345 0\n");
	free(text);
}

/* After every step of an import that was killed: the next one ends the same,
 * with no second copy of the key. */
static void killed_imports(void **state)
{
	(void)state;
	for (unsigned files = 0; files <= 4; files++) {
		unsigned links = files == 4 ? 4 : 0;

		for (unsigned l = 0; l <= links; l++) {
			make_lineage(state);
			for (unsigned i = 0; i < files; i++)
				free(sh("cp -p pki/%s3.pem " ARCHIVE,
					write_order[i]));
			for (unsigned i = 0; i < l; i++)
				point(kinds[i], 3);
			sh_ok("echo half >" ARCHIVE
			      "/.tmp-danelaw-0123456789abcdef");
			sh_ok("ln -s x " LIVE "/.tmp-danelaw-0123456789abcdef");
			assert_imports(3);
			sh_ok("test ! -e " ARCHIVE "/privkey4.pem");
		}
	}
}

/* Half a version of somebody else: its number is skipped, its files stay. */
static void foreign_half_version(void **state)
{
	char *text;

	(void)state;
	sh_ok("cp pki/privkey1.pem " ARCHIVE "/privkey3.pem; "
	      "cp pki/chain1.pem " ARCHIVE "/chain7.pem");
	assert_imports(8);
	text = sh("cmp pki/privkey1.pem " ARCHIVE "/privkey3.pem && ls " ARCHIVE
		  " | wc -l");
	assert_string_equal(text, "14\n");
	free(text);
}

/* certbot was killed while it switched. */
static void killed_certbot(void **state)
{
	(void)state;
	sh_ok("cd " LIVE " && for k in cert chain fullchain privkey; do "
	      "ln -s ../../archive/" NAME "/${k}1.pem previous_$k.pem; done; "
	      "rm privkey.pem; ln -sfn ../../archive/" NAME
	      "/cert1.pem cert.pem");
	assert_imports(3);
}

static pid_t hold_lock(void)
{
	int fd[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(fd), 0);
	pid = fork_child();
	if (pid == 0) {
		/* as certbot does: a POSIX lock */
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int l = open(in_dir("le/.certbot.lock"),
			O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		if (l < 0 || fcntl(l, F_SETLK, &fl) != 0 ||
			write(fd[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(fd[1]);
	assert_int_equal(read(fd[0], &c, 1), 1);
	(void)close(fd[0]);
	return pid;
}

static void lock_held(void **state)
{
	struct err err = ERR_INIT;
	pid_t pid = hold_lock();
	unsigned n = 0;

	(void)state;
	assert_int_equal(import_as(3, 3, &n, &err), ST_BUSY);
	assert_int_equal(access(in_dir("le/.certbot.lock"), F_OK), 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	sh_ok("test ! -e " ARCHIVE "/privkey3.pem");
	assert_reads(2, 2);
	/* the file stays when its holder is killed; that is no lock */
	assert_int_equal(access(in_dir("le/.certbot.lock"), F_OK), 0);
	assert_imports(3);
}

static void import_refuses(void **state)
{
	struct err err = ERR_INIT;
	unsigned n = 0;

	(void)state;
	assert_int_equal(import_as(1, 3, &n, &err), ST_REFUSED);
	sh_ok("test ! -e " ARCHIVE "/privkey3.pem");
	/* a file where a link should be */
	sh_ok("rm " LIVE "/chain.pem; cp pki/chain1.pem " LIVE "/chain.pem");
	assert_int_equal(import_as(3, 3, &n, &err), ST_REFUSED);
	sh_ok("test ! -e " ARCHIVE "/privkey3.pem");
	/* links into another archive */
	point("chain", 2);
	sh_ok("cp -r " ARCHIVE " le/archive/other; ln -sfn "
	      "../../archive/other/chain2.pem " LIVE "/chain.pem");
	assert_int_equal(import_as(3, 3, &n, &err), ST_REFUSED);
	point("chain", 2);
	/* a configuration that speaks of other files */
	sh_ok("mkdir le/live/other; sed -i 's,live/" NAME
	      ",live/other,' " CONF);
	assert_int_equal(import_as(3, 3, &n, &err), ST_REFUSED);
	sh_ok("rm " CONF);
	assert_int_equal(import_as(3, 3, &n, &err), ST_NOTFOUND);
	assert_int_equal(n, 0);
}

/* live_dir as an operator may write it. */
static void spellings(void **state)
{
	static const char *const ways[] = { LIVE, (LIVE "/"), (LIVE "///"),
		("le/live/../live/" NAME), "elsewhere", "le/live/link" };
	struct err err = ERR_INIT;
	char *dir = NULL;

	(void)state;
	sh_ok("ln -sfn " LIVE " elsewhere; ln -s " NAME " le/live/link");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct stat a, b;

		if (lineage_config_dir(in_dir(ways[i]), &dir, &err) != ST_OK)
			fail_msg("%s", err.text);
		assert_int_equal(stat(dir, &a), 0);
		assert_int_equal(stat(in_dir("le"), &b), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		free(dir);
	}
	assert_int_equal(lineage_config_dir("/", &dir, &err), ST_NOTFOUND);
	assert_int_equal(lineage_config_dir("", &dir, &err), ST_NOTFOUND);
}

/* ---- options for a CSR ---- */

struct opt_row {
	const char *conf, *want; /* NULL: refused */
};

static const struct opt_row opt_rows[] = {
	{ "[renewalparams]\naccount = abc\nserver = https://ca.test/dir\n"
	  "authenticator = standalone\nkey_type = rsa\nrsa_key_size = 2048\n"
	  "elliptic_curve = secp384r1\nreuse_key = True\nmust_staple = True\n"
	  "allow_subset_of_names = True\nautorenew = False\n"
	  "installer = nginx\npre_hook = a\npost_hook = b\nrenew_hook = c\n"
	  "http01_port = 5002\nhttp01_address = ::1\nuser_agent = me/1\n"
	  "config_dir = /c\nwork_dir = /w\nlogs_dir = /l\n"
	  "preferred_chain = ISRG Root X1\npreferred_profile = shortlived\n"
	  "[acme_renewal_info]\nari_retry_after = 2026-01-01\n",
		"account = \"abc\"\nserver = \"https://ca.test/dir\"\n"
		"authenticator = \"standalone\"\nhttp-01-port = \"5002\"\n"
		"http-01-address = \"::1\"\nuser-agent = \"me/1\"\n"
		"config-dir = \"/c\"\nwork-dir = \"/w\"\nlogs-dir = \"/l\"\n"
		"preferred-chain = \"ISRG Root X1\"\n"
		"preferred-profile = \"shortlived\"\n" },
	/* plugin options, also hooks of the authenticator itself */
	{ "[renewalparams]\nauthenticator = manual\n"
	  "manual_auth_hook = '''/a \"b c\" # d'''\n"
	  "manual_cleanup_hook = \"x, y\"\nmanual_public_ip_logging_ok = True\n"
	  "nginx_server_root = /etc/nginx\n",
		"authenticator = \"manual\"\n"
		"manual-auth-hook = '/a \"b c\" # d'\n"
		"manual-cleanup-hook = \"x, y\"\n" },
	{ "[renewalparams] # c\nauthenticator = dns-rfc2136 # comment\n"
	  "dns_rfc2136_credentials = /etc/a=b.ini\n"
	  "dns_rfc2136_propagation_seconds = 60\n"
	  "dns_cloudflare_credentials = /other\ndns_rfc2136_x = None\n"
	  "pref_challs = dns-01, http-01\n",
		"authenticator = \"dns-rfc2136\"\n"
		"dns-rfc2136-credentials = \"/etc/a=b.ini\"\n"
		"dns-rfc2136-propagation-seconds = \"60\"\n"
		"preferred-challenges = \"dns-01,http-01\"\n" },
	/* one challenge has a trailing comma; the old default CA is dropped */
	{ "[renewalparams]\npref_challs = dns-01,\nauthenticator = standalone\n"
	  "server = https://acme-v01.api.letsencrypt.org/directory\n"
	  "standalone_empty = ,\n",
		"preferred-challenges = \"dns-01\"\n"
		"authenticator = \"standalone\"\n" },
	/* the map, less names that the certificate has not; the path first */
	{ "[renewalparams]\nauthenticator = webroot\n"
	  "webroot_path = /srv/a, /srv/b,\n[[webroot_map]]\n" NAME
	  " = /srv/it's \\\"\ngone.test = /srv/old\nb.test = /srv/b\n",
		"authenticator = \"webroot\"\nwebroot-path = \"/srv/b\"\n"
		"webroot-map = \"{\"" NAME "\":\"/srv/it's \\\\\\\"\","
		"\"b.test\":\"/srv/b\"}\"\n" },
	/* a quote that would end the value early takes the other one */
	{ "[renewalparams]\nauthenticator = manual\n"
	  "manual_auth_hook = 'a\" # b'\n",
		"authenticator = \"manual\"\nmanual-auth-hook = 'a\" # b'\n" },
	/* configobj leaves a quote before the closing ones */
	{ "[renewalparams]\nauthenticator = manual\n"
	  "manual_auth_hook = '''\"a\" 'b'''' # c\n",
		"authenticator = \"manual\"\n"
		"manual-auth-hook = \"\"a\" 'b'\"\n" },
	/* several lines in three quotes belong to one hook that is dropped */
	{ "[renewalparams]\nrenew_hook = '''a\n[b]\nauthenticator = no\n'''\n"
	  "authenticator = standalone\n",
		"authenticator = \"standalone\"\n" },
	/* not carried over unharmed: refused */
	{ "[renewalparams]\nauthenticator = manual\n"
	  "manual_auth_hook = '''a\" # b' # c'''\n",
		NULL },
	{ "[renewalparams]\nauthenticator = manual\n"
	  "manual_auth_hook = '''a\nb'''\n",
		NULL },
	{ "[renewalparams]\nauthenticator = manual\nmanual_x = [a]\n", NULL },
	{ "[renewalparams]\nauthenticator = manual\nmanual_x = %(home)s\n",
		NULL },
	{ "[renewalparams]\nauthenticator = a\na_b c = d\n", NULL },
	/* broken */
	{ "[renewalparams]\nserver = x\n", NULL },
	{ "[renewalparams]\nauthenticator = None\n", NULL },
	{ "", NULL },
	{ "[renewalparams\nauthenticator = standalone\n", NULL },
	{ "[[renewalparams]]\nauthenticator = standalone\n", NULL },
	{ "[renewalparams]\nauthenticator = standalone\nnonsense\n", NULL },
	{ "[renewalparams]\nauthenticator = 'standalone\n", NULL },
	{ "[renewalparams]\nauthenticator = 'a' b\n", NULL },
	{ "[renewalparams]\nauthenticator = '''a\n", NULL },
	{ "[renewalparams]\nauthenticator = '''a''' b\n", NULL },
	{ "[a]\n[b]\nauthenticator = standalone\n", NULL },
};

static void csr_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(opt_rows) / sizeof(opt_rows[0]); i++) {
		const struct opt_row *r = &opt_rows[i];
		auto_buf ini = BUF_INIT(TEXT_MAX);
		struct err err = ERR_INIT;
		enum status st;

		write_conf(r->conf);
		st = lineage_csr_options(in_dir(LIVE), &ini, &err);
		if (r->want == NULL) {
			if (st != ST_REFUSED || ini.len != 0)
				fail_msg("row %zu: %s, not refused: %s", i,
					status_name(st), buf_str(&ini));
			continue;
		}
		if (st != ST_OK)
			fail_msg("row %zu: %s", i, err.text);
		assert_string_equal(buf_str(&ini), r->want);
	}
}

#define LINEAGE_TEST(f) cmocka_unit_test_setup(f, make_lineage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAGE_TEST(reads),
		LINEAGE_TEST(not_there),
		LINEAGE_TEST(half_switched),
		LINEAGE_TEST(switched_while_reading),
		LINEAGE_TEST(wrong_key),
		LINEAGE_TEST(plain_files),
		LINEAGE_TEST(no_plain_file),
		LINEAGE_TEST(fingerprints),
		LINEAGE_TEST(imports),
		LINEAGE_TEST(keeps_rights),
		LINEAGE_TEST(killed_imports),
		LINEAGE_TEST(foreign_half_version),
		LINEAGE_TEST(killed_certbot),
		LINEAGE_TEST(lock_held),
		LINEAGE_TEST(import_refuses),
		LINEAGE_TEST(spellings),
		LINEAGE_TEST(csr_options),
	};

	return cmocka_run_group_tests(tests, make_pki, dir_teardown);
}
