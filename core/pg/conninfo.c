/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection parameters. libpq itself resolves the DSN, PG* environment and service file, by a
 * connection attempt with an impossible gssencmode, which ends before any network is touched.
 * Called by whichever thread opens a session; no state.
 */
#include "pg/conninfo.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/assert.h"
#include "config/secret.h"

/* In the startup packet, after the user's own options, so that neither they nor ALTER ROLE ... SET
 * can change how values look or end a session that waits. Nor is anything compiled: queries of the
 * catalog look dear where there are many tables, and took ten times as long. Known to every version
 * since 14. */
#define PINNED                                                                                     \
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3"           \
    " -c bytea_output=hex -c search_path=pg_catalog -c lc_monetary=C -c statement_timeout=0"       \
    " -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"        \
    " -c row_security=off -c standard_conforming_strings=on -c quote_all_identifiers=off"          \
    " -c jit=off"

/* Where distributions keep the CA bundle: Debian, Fedora, openSUSE, Alpine, Arch. */
static const char *const ca_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
};

static nw_status no_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "no memory for connection parameters");
}

/* NULL when not set or empty. Nobody calls setenv() while threads run. */
static const char *environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

void nw_conninfo_fini(struct nw_conninfo *info)
{
    for (int i = 0; i < info->count; i++) {
        free(info->keywords[i]);
        wipe(info->values[i]);
    }
    *info = (struct nw_conninfo){0};
}

static int find(const struct nw_conninfo *info, const char *keyword)
{
    for (int i = 0; i < info->count; i++) {
        if (strcmp(info->keywords[i], keyword) == 0) {
            return i;
        }
    }
    return -1;
}

const char *nw_conninfo_get(const struct nw_conninfo *info, const char *keyword)
{
    int index = find(info, keyword);

    return index < 0 || info->values[index][0] == '\0' ? NULL : info->values[index];
}

/* Set or replace. value may be one of info's own. */
static bool set(struct nw_conninfo *info, const char *keyword, const char *value)
{
    int index = find(info, keyword);
    char *copy = strdup(value);

    if (copy != NULL && index < 0 && info->count < NW_CONNINFO_MAX) {
        info->keywords[info->count] = strdup(keyword);
        index = info->keywords[info->count] == NULL ? -1 : info->count++;
    }
    if (copy == NULL || index < 0) {
        wipe(copy);
        return false;
    }
    wipe(info->values[index]);
    info->values[index] = copy;
    return true;
}

static bool set_missing(struct nw_conninfo *info, const char *keyword, const char *value)
{
    return nw_conninfo_get(info, keyword) != NULL || set(info, keyword, value);
}

static bool add_options(struct nw_conninfo *info, const PQconninfoOption *options)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val != NULL && option->val[0] != '\0' &&
            !set(info, option->keyword, option->val)) {
            return false;
        }
    }
    return true;
}

/* The DSN alone. libpq's own message may quote a part of the password, so it is not passed on. */
static nw_status parse_dsn(struct nw_conninfo *info, const char *dsn, struct nw_error *err)
{
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    bool added = false;

    if (options == NULL) {
        return nw_fail(
            err, NW_FATAL,
            "NW1012 the DSN cannot be read: write postgresql://user@host:port/database or "
            "\"host=h dbname=d user=u\" with options that libpq %d knows; values with "
            "blanks need quotes, special characters in a URI need %%-encoding",
            PQlibVersion() / 10000);
    }
    added = add_options(info, options);
    PQconninfoFree(options);
    return added ? NW_OK : no_memory(err);
}

/* Let libpq add environment, service file and defaults. */
static nw_status resolve(struct nw_conninfo *info, struct nw_error *err)
{
    struct nw_conninfo probe = {0};
    PQconninfoOption *options = NULL;
    PGconn *connection = NULL;
    nw_status status = NW_OK;

    for (int i = 0; i < info->count; i++) {
        if (!set(&probe, info->keywords[i], info->values[i])) {
            status = no_memory(err);
            goto out;
        }
    }
    if (!set(&probe, "gssencmode", "narwal-resolves-only")) {
        status = no_memory(err);
        goto out;
    }
    connection = PQconnectStartParams((const char *const *)probe.keywords,
                                      (const char *const *)probe.values, 0);
    options = connection == NULL ? NULL : PQconninfo(connection);
    if (options == NULL || !add_options(info, options)) {
        status = no_memory(err);
    } else if (strstr(PQerrorMessage(connection), "gssencmode") == NULL) {
        const char *text = PQerrorMessage(connection);

        status = nw_fail(err, NW_FATAL, "NW1012 the DSN has a value that libpq refuses: %.*s",
                         (int)strcspn(text, "\n"), text);
    }
out:
    PQconninfoFree(options);
    PQfinish(connection);
    nw_conninfo_fini(&probe);
    return status;
}

/* libpq's message would quote it, and "postgresql://user:password" makes the password a port. */
static nw_status check_port(const struct nw_conninfo *info, struct nw_error *err)
{
    const char *port = nw_conninfo_get(info, "port");

    if (port != NULL && strspn(port, "0123456789, ") != strlen(port)) {
        return nw_fail(err, NW_FATAL,
                       "NW1012 the port in the DSN is not a number (a URI with a password is "
                       "postgresql://user:password@host:port/database)");
    }
    return NW_OK;
}

/* Whether one element of a host list is this machine. */
static bool is_local(const char *host, size_t size)
{
    return size == 0 || host[0] == '/' || host[0] == '@' ||
           (size == 9 && strncasecmp(host, "localhost", size) == 0) ||
           (size == 3 && memcmp(host, "::1", size) == 0) ||
           (size > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size);
}

static bool all_local(const struct nw_conninfo *info)
{
    const char *list = nw_conninfo_get(info, "hostaddr");

    if (list == NULL) {
        list = nw_conninfo_get(info, "host");
    }
    while (list != NULL) {
        size_t size = strcspn(list, ",");

        if (!is_local(list, size)) {
            return false;
        }
        list = list[size] == ',' ? list + size + 1 : NULL;
    }
    return true;
}

/* Whether a service file says sslmode for a service. */
static bool file_says_sslmode(const char *path, const char *service)
{
    FILE *file = path[0] == '\0' ? NULL : fopen(path, "re");
    size_t size = strlen(service);
    char line[1024];
    bool inside = false;
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strspn(line, " \t");

        if (*at == '[') {
            inside = strncmp(at + 1, service, size) == 0 && at[1 + size] == ']';
        }
        found = inside && strncmp(at, "sslmode", 7) == 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

/* Whether the service says sslmode; its "prefer" looks like libpq's default otherwise. */
static bool service_says_sslmode(const struct nw_conninfo *info)
{
    const char *service = nw_conninfo_get(info, "service");
    const char *folder = environment("PGSYSCONFDIR");
    const char *home = environment("HOME");
    const char *named = environment("PGSERVICEFILE");
    char own[512] = "";
    char system[512] = "/etc/postgresql-common/pg_service.conf";

    service = service == NULL ? environment("PGSERVICE") : service;
    if (service == NULL) {
        return false;
    }
    if (named != NULL) {
        (void)snprintf(own, sizeof own, "%s", named);
    } else if (home != NULL) {
        (void)snprintf(own, sizeof own, "%s/.pg_service.conf", home);
    }
    if (folder != NULL) {
        (void)snprintf(system, sizeof system, "%s/pg_service.conf", folder);
    }
    return file_says_sslmode(own, service) || file_says_sslmode(system, service);
}

/* libpq's default place for trusted CAs. */
static bool has_own_root(void)
{
    const char *home = environment("HOME");
    char path[1024];
    char buffer[2048];
    struct passwd entry;
    struct passwd *user = NULL;

    if (home == NULL) {
        if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &user) != 0 || user == NULL) {
            return false;
        }
        home = user->pw_dir;
    }
    (void)snprintf(path, sizeof path, "%s/.postgresql/root.crt", home);
    return access(path, F_OK) == 0;
}

static bool set_tls(struct nw_conninfo *info, bool user_says_sslmode)
{
    const char *mode = NULL;
    const char *root = nw_conninfo_get(info, "sslrootcert");

    if (!user_says_sslmode) {
        bool local = all_local(info);

        if (!set(info, "sslmode", local ? "prefer" : "verify-full")) {
            return false;
        }
    }
    mode = nw_conninfo_get(info, "sslmode");
    if (mode == NULL || strncmp(mode, "verify-", 7) != 0) {
        return true;
    }
    /* "system" means the distribution's CAs; libpq knows the word since 16. */
    if (root != NULL ? strcmp(root, "system") != 0 || PQlibVersion() >= 160000 : has_own_root()) {
        return true;
    }
    for (size_t i = 0; i < sizeof ca_bundles / sizeof ca_bundles[0]; i++) {
        if (access(ca_bundles[i], R_OK) == 0) {
            return set(info, "sslrootcert", ca_bundles[i]);
        }
    }
    return true;
}

static bool set_pinned(struct nw_conninfo *info, bool replication)
{
    const char *own = nw_conninfo_get(info, "options");
    size_t size = (own == NULL ? 0 : strlen(own)) + sizeof PINNED + 1;
    char *text = malloc(size);
    bool done = false;

    if (text != NULL) {
        (void)snprintf(text, size, "%s%s%s", own == NULL ? "" : own, own == NULL ? "" : " ",
                       PINNED);
        done = set(info, "options", text) && set(info, "client_encoding", "UTF8") &&
               set(info, "gssencmode", "disable") &&
               set(info, "replication", replication ? "database" : "");
    }
    free(text);
    return done;
}

static bool set_ours(struct nw_conninfo *info, const struct nw_pg_options *options)
{
    return (options->application_name == NULL ||
            set(info, "fallback_application_name", options->application_name)) &&
           set_missing(info, "keepalives_idle", "30") &&
           set_missing(info, "keepalives_interval", "10") &&
           set_missing(info, "keepalives_count", "3") &&
           set_missing(info, "tcp_user_timeout", "60000");
}

/* What DSN and password are now. On failure there is a reason to try again. */
static nw_status given(struct nw_conninfo *info, const struct nw_pg_options *options,
                       struct nw_error *err)
{
    char *dsn = NULL;
    char *password = NULL;
    nw_status status = NW_OK;

    if (options->dsn_source != NULL) {
        status = nw_secret_expand(options->dsn_source, &dsn, err);
    }
    if (status == NW_OK && options->password_source != NULL) {
        status = nw_secret_expand(options->password_source, &password, err);
    }
    if (status != NW_OK) {
        status = err->status = NW_RETRY; /* it could be read at the start */
    }
    if (status == NW_OK) {
        status = parse_dsn(info, dsn != NULL ? dsn : options->dsn, err);
    }
    if (status == NW_OK && (password != NULL || options->password != NULL) &&
        !set(info, "password", password != NULL ? password : options->password)) {
        status = no_memory(err);
    }
    wipe(dsn);
    wipe(password);
    return status;
}

nw_status nw_conninfo_init(struct nw_conninfo *info, const struct nw_pg_options *options,
                           bool replication, struct nw_error *err)
{
    bool says_sslmode = false;
    nw_status status;

    *info = (struct nw_conninfo){0};
    status = given(info, options, err);
    if (status == NW_OK) {
        const char *mode = environment("PGSSLMODE");

        says_sslmode =
            nw_conninfo_get(info, "sslmode") != NULL || mode != NULL || service_says_sslmode(info);
        status = check_port(info, err);
    }
    if (status == NW_OK) {
        status = resolve(info, err);
    }
    if (status == NW_OK && !(set_tls(info, says_sslmode) && set_pinned(info, replication) &&
                             set_ours(info, options))) {
        status = no_memory(err);
    }
    if (status != NW_OK) {
        nw_conninfo_fini(info);
    }
    return status;
}

static int elements(const char *list)
{
    int count = 1;

    for (; list != NULL && *list != '\0'; list++) {
        count += *list == ',';
    }
    return count;
}

int nw_conninfo_hosts(const struct nw_conninfo *info)
{
    int hosts = elements(nw_conninfo_get(info, "host"));
    int addresses = elements(nw_conninfo_get(info, "hostaddr"));

    return hosts > addresses ? hosts : addresses;
}

bool nw_conninfo_skip_host(struct nw_conninfo *info)
{
    static const char *const lists[] = {"host", "hostaddr", "port"};

    if (nw_conninfo_hosts(info) == 1) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        int index = find(info, lists[i]);
        char *comma = index < 0 ? NULL : strchr(info->values[index], ',');

        if (comma != NULL) {
            memmove(info->values[index], comma + 1, strlen(comma + 1) + 1);
        }
    }
    return true;
}
