/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See log.h. One lock guards the secrets and the choice of output; a line is formatted on the
 * caller's stack and written at once, so lines of threads never mix.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 4096
#define SECRETS_MAX 256
#define SECRET_SIZE_MIN 4

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static int output = STDERR_FILENO;
static enum nw_log_level level_max = NW_LOG_INFO;
static bool as_json;
static char *secrets[SECRETS_MAX];
static unsigned secrets_count;

void nw_log_setup(int descriptor, enum nw_log_level level, bool json)
{
    (void)pthread_mutex_lock(&mutex);
    output = descriptor;
    level_max = level;
    as_json = json;
    (void)pthread_mutex_unlock(&mutex);
}

void nw_log_secret(const char *secret)
{
    (void)pthread_mutex_lock(&mutex);
    if (secret != NULL && strlen(secret) >= SECRET_SIZE_MIN && secrets_count < SECRETS_MAX) {
        bool known = false;

        for (unsigned i = 0; i < secrets_count; i++) {
            known = known || strcmp(secrets[i], secret) == 0;
        }
        if (!known) {
            secrets[secrets_count] = strdup(secret);
            secrets_count += secrets[secrets_count] != NULL;
        }
    }
    (void)pthread_mutex_unlock(&mutex);
}

static void redact_locked(char *text)
{
    for (unsigned i = 0; i < secrets_count; i++) {
        size_t size = strlen(secrets[i]);

        for (char *at = strstr(text, secrets[i]); at != NULL; at = strstr(at, secrets[i])) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + size, strlen(at + size) + 1);
            at += 3;
        }
    }
}

void nw_redact(char *text)
{
    (void)pthread_mutex_lock(&mutex);
    redact_locked(text);
    (void)pthread_mutex_unlock(&mutex);
}

static const char *level_name(enum nw_log_level level)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug"};

    return names[level];
}

/* JSON's escapes; bytes over 0x7f are passed on. */
static size_t json_escape(char *out, size_t out_size, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + 7 < out_size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            out[used++] = '\\';
            out[used++] = (char)c;
        } else if (c < 0x20) {
            used += (size_t)snprintf(out + used, out_size - used, "\\u%04x", c);
        } else {
            out[used++] = (char)c;
        }
    }
    out[used] = '\0';
    return used;
}

static size_t line_format(char *line, size_t size, enum nw_log_level level, const char *text)
{
    char stamp[40];
    struct timespec now;
    struct tm parts;
    int used = 0;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    used = (int)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(stamp + used, sizeof stamp - (size_t)used, ".%03ldZ", now.tv_nsec / 1000000);
    if (as_json) {
        used = snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", stamp,
                        level_name(level));
        used += (int)json_escape(line + used, size - (size_t)used - 3, text);
        used += snprintf(line + used, size - (size_t)used, "\"}\n");
    } else {
        used = snprintf(line, size - 1, "%s %-5s %s", stamp, level_name(level), text);
        used = used >= (int)size - 1 ? (int)size - 2 : used;
        for (int i = 0; i < used; i++) { /* a line is a line */
            line[i] = line[i] == '\n' || line[i] == '\r' ? ' ' : line[i];
        }
        line[used++] = '\n';
    }
    return (size_t)used;
}

void nw_log(enum nw_log_level level, const char *format, ...)
{
    char text[LINE_SIZE - 256];
    char line[LINE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)pthread_mutex_lock(&mutex);
    if (level <= level_max) {
        redact_locked(text);
        /* A log that cannot be written must not stop the engine. */
        (void)!write(output, line, line_format(line, sizeof line, level, text));
    }
    (void)pthread_mutex_unlock(&mutex);
}
