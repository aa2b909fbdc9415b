/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See log.h. One lock guards the secrets and the output; a line is formatted on the caller's stack
 * and written at once, so lines of threads never mix. A line that repeats is left out after
 * REPEATS_MAX times in WINDOW_NS; the first line after that says how often. A line that would have
 * to wait is lost (output.h); the first one that goes out again says how many were.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/code.h"
#include "base/output.h"
#include "base/trouble.h"

#define LINE_SIZE        NW_OUTPUT_LINE_MAX
#define SECRETS_MAX      256
#define SECRET_SIZE_MIN  4
#define REPEATS_MAX      10u
#define WINDOW_NS        INT64_C(10000000000)
#define RECENT_MAX       16u
#define RECENT_TEXT_SIZE 256

/* A line that was written lately, and how often it came since. */
struct recent {
    XXH64_hash_t hash; /* of the whole text */
    int64_t since_ns;
    uint32_t count; /* 0: unused */
    enum nw_log_level level;
    char text[RECENT_TEXT_SIZE]; /* its beginning */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct nw_output output;
static bool output_set; /* to standard error, by the first line, when nobody said otherwise */
static bool live;       /* nw_log_live()'s line stands where the next one would go */
static uint64_t lost;   /* lines for which there was no room */
static enum nw_log_level level_max = NW_LOG_INFO;
static bool as_json;
static char *secrets[SECRETS_MAX]; /* longest first: one may begin with another */
static unsigned secrets_count;
static struct recent recents[RECENT_MAX];

void nw_log_setup(int descriptor, enum nw_log_level level, bool json)
{
    (void)pthread_mutex_lock(&mutex);
    nw_output_set(&output, descriptor);
    output_set = true;
    lost = 0;
    level_max = level;
    as_json = json;
    (void)pthread_mutex_unlock(&mutex);
}

static void secret_insert_locked(const char *secret)
{
    unsigned at = 0;
    char *copy = NULL;

    while (at < secrets_count && strlen(secrets[at]) > strlen(secret)) {
        at++;
    }
    for (unsigned i = at; i < secrets_count; i++) {
        if (strcmp(secrets[i], secret) == 0) {
            return;
        }
    }
    copy = secrets_count < SECRETS_MAX ? strdup(secret) : NULL;
    if (copy != NULL) {
        memmove(&secrets[at + 1], &secrets[at], (secrets_count - at) * sizeof *secrets);
        secrets[at] = copy;
        secrets_count++;
    }
}

void nw_log_secret(const char *secret)
{
    if (secret != NULL && strlen(secret) >= SECRET_SIZE_MIN) {
        (void)pthread_mutex_lock(&mutex);
        secret_insert_locked(secret);
        (void)pthread_mutex_unlock(&mutex);
    }
}

/* A text that was cut may end within a secret: its beginning goes too. */
static void tail_redact_locked(char *text)
{
    size_t text_size = strlen(text);

    for (unsigned i = 0; i < secrets_count; i++) {
        size_t size = strlen(secrets[i]) - 1;

        for (size = size < text_size ? size : text_size; size >= SECRET_SIZE_MIN; size--) {
            if (memcmp(text + text_size - size, secrets[i], size) == 0) {
                memcpy(text + text_size - size, "***", 4);
                return;
            }
        }
    }
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
    tail_redact_locked(text);
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

/* Which first bytes begin how long a character, and what its second may be (Unicode, table 3-7). */
struct utf8_form {
    unsigned char first_low, first_high, second_low, second_high, size;
};
static const struct utf8_form UTF8_FORMS[] = {
    {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

/* How many bytes the UTF-8 character here has; 0: it is none. The final NUL ends all looking. */
static size_t character_size(const unsigned char *at)
{
    const struct utf8_form *form = NULL;

    for (size_t i = 0; i < sizeof UTF8_FORMS / sizeof *UTF8_FORMS && form == NULL; i++) {
        if (at[0] >= UTF8_FORMS[i].first_low && at[0] <= UTF8_FORMS[i].first_high) {
            form = &UTF8_FORMS[i];
        }
    }
    if (form == NULL ||
        (form->size > 1 && (at[1] < form->second_low || at[1] > form->second_high))) {
        return 0;
    }
    for (size_t i = 2; i < form->size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return form->size;
}

/* JSON's escapes; what is not UTF-8 becomes question marks. */
static size_t json_escape(char *out, size_t out_size, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + 7 < out_size; text++) {
        unsigned char c = (unsigned char)*text;
        size_t size = character_size((const unsigned char *)text);

        if (size > 1) {
            memcpy(out + used, text, size);
            used += size;
            text += size - 1;
        } else if (c == '"' || c == '\\') {
            out[used++] = '\\';
            out[used++] = (char)c;
        } else if (c < 0x20) {
            used += (size_t)snprintf(out + used, out_size - used, "\\u%04x", c);
        } else {
            out[used++] = size == 1 ? (char)c : '?';
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
        const char *code = nw_code_find(text);

        used = snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",", stamp, level_name(level));
        used += code == NULL ? 0
                             : snprintf(line + used, size - (size_t)used, "\"code\":\"%.*s\",",
                                        NW_CODE_LENGTH, code);
        used += snprintf(line + used, size - (size_t)used, "\"message\":\"");
        used += (int)json_escape(line + used, size - (size_t)used - 3, text);
        used += snprintf(line + used, size - (size_t)used, "\"}\n");
    } else {
        used = snprintf(line, size - 1, "%s %-5s %s", stamp, level_name(level), text);
        used = used >= (int)size - 1 ? (int)size - 2 : used;
        for (int i = 0; i < used; i++) { /* a line is a line, and steers no terminal */
            line[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? ' ' : line[i];
        }
        line[used++] = '\n';
    }
    return (size_t)used;
}

static void output_ready_locked(void)
{
    if (!output_set) {
        nw_output_set(&output, STDERR_FILENO);
        output_set = true;
    }
}

/* Empties the row that the live line stands in. */
static void live_clear_locked(void)
{
    static const char clear[] = "\r\033[K";

    live = live && !nw_output_write(&output, clear, sizeof clear - 1);
}

static void line_write_locked(enum nw_log_level level, const char *text)
{
    char line[LINE_SIZE];
    char count[64];

    output_ready_locked();
    live_clear_locked();
    /* A log that cannot be written must not stop the engine. */
    if (lost > 0) {
        (void)snprintf(count, sizeof count, "NW2007 %llu lines were lost: the log was not read",
                       (unsigned long long)lost);
        if (!nw_output_write(&output, line, line_format(line, sizeof line, NW_LOG_WARN, count))) {
            lost++;
            return;
        }
        lost = 0;
    }
    if (!nw_output_write(&output, line, line_format(line, sizeof line, level, text))) {
        lost++;
    }
}

void nw_log_live(const char *text, size_t columns)
{
    char line[LINE_SIZE];
    size_t size = 0;

    (void)snprintf(line, sizeof line, "%s", text == NULL ? "" : text);
    nw_redact(line);
    size = strlen(line);
    size = columns > 0 && size > columns ? columns : size;
    for (size_t i = 0; i < size; i++) { /* it steers no terminal */
        line[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? ' ' : line[i];
    }
    (void)pthread_mutex_lock(&mutex);
    output_ready_locked();
    live_clear_locked();
    if (size > 0 && !live) {
        live = nw_output_write(&output, line, size);
    }
    (void)pthread_mutex_unlock(&mutex);
}

/* Forgets a line; says how often it was left out. */
static void recent_end_locked(struct recent *recent)
{
    char text[RECENT_TEXT_SIZE + 64];

    if (recent->count > REPEATS_MAX) {
        bool coded = nw_code_find(recent->text) == recent->text;

        (void)snprintf(text, sizeof text, "%.*sleft out %u times: %s",
                       coded ? NW_CODE_LENGTH + 1 : 0, recent->text, recent->count - REPEATS_MAX,
                       nw_code_rest(recent->text));
        line_write_locked(recent->level, text);
    }
    recent->count = 0;
}

/* @return whether this line has been written often enough. */
static bool repeats_locked(enum nw_log_level level, const char *text)
{
    XXH64_hash_t hash = XXH64(text, strlen(text), level);
    struct recent *rarest = &recents[0]; /* and the oldest of these */
    struct recent *same = NULL;
    struct timespec now;
    int64_t now_ns = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    for (unsigned i = 0; i < RECENT_MAX; i++) {
        struct recent *recent = &recents[i];

        if (recent->count > 0 && now_ns - recent->since_ns >= WINDOW_NS) {
            recent_end_locked(recent);
        }
        same = recent->count > 0 && recent->hash == hash ? recent : same;
        if (recent->count < rarest->count ||
            (recent->count == rarest->count && recent->since_ns < rarest->since_ns)) {
            rarest = recent;
        }
    }
    if (same != NULL) {
        return ++same->count > REPEATS_MAX;
    }
    recent_end_locked(rarest);
    *rarest = (struct recent){.hash = hash, .since_ns = now_ns, .count = 1, .level = level};
    (void)snprintf(rarest->text, sizeof rarest->text, "%.*s", RECENT_TEXT_SIZE - 1, text);
    return false;
}

void nw_log_level(enum nw_log_level level)
{
    (void)pthread_mutex_lock(&mutex);
    level_max = level;
    (void)pthread_mutex_unlock(&mutex);
}

void nw_log(enum nw_log_level level, const char *format, ...)
{
    char text[LINE_SIZE - 256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)pthread_mutex_lock(&mutex);
    if (level <= level_max) {
        redact_locked(text);
        nw_trouble_note(level, text);
        if (!repeats_locked(level, text)) {
            line_write_locked(level, text);
        }
    }
    (void)pthread_mutex_unlock(&mutex);
}
