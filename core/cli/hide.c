/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments are seen by every user of the machine (ps). Here what they have of secrets is hidden.
 * Rather too much is hidden than too little: who runs the command knows what he wrote. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command.h"

/* The user and password of a URL. @param host  behind ://. @return their size; 0: it has none */
static size_t credentials_size(const char *text, const char *host)
{
    static const char scheme[] = "postgres";
    const char *begin = host - sizeof "://" + 1;
    size_t size = 0;

    while (begin > text && strchr("=,; ", begin[-1]) == NULL) {
        begin--;
    }
    /* libpq takes all until the @, also what begins a query elsewhere. */
    size = strcspn(host, strncmp(begin, scheme, sizeof scheme - 1) == 0 ? "/" : "/?#");
    while (size > 0 && host[size - 1] != '@') {
        size--;
    }
    return size > 0 ? size - 1 : 0;
}

/* Where a value begins that is nobody's business: of password=, sslpassword=, sasl.password= and
 * so on, with blanks around the =, as libpq takes them. NULL: there is none */
static const char *value_find(const char *text)
{
    static const char *const words[] = {"password", "passphrase", "secret", ".pem"};
    const char *first = NULL;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (const char *at = strstr(text, words[i]); at != NULL; at = strstr(at + 1, words[i])) {
            const char *value = at + strlen(words[i]);

            value += strspn(value, " \t\n");
            if (*value == '=' && (first == NULL || value < first)) {
                first = value;
            }
        }
    }
    return first == NULL ? NULL : first + 1 + strspn(first + 1, " \t\n");
}

/* What is hidden is not printed either, in no message. */
static void secret_register(const char *text, size_t size)
{
    char *secret = strndup(text, size);

    nw_log_secret(secret);
    if (secret != NULL) {
        explicit_bzero(secret, size);
        free(secret);
    }
}

/* @param own  the argument as it was. @param seen  the same, where others see it: with stars */
static void argument_hide(const char *own, char *seen)
{
    const char *value = value_find(own);

    for (const char *at = strstr(own, "://"); at != NULL; at = strstr(at + 1, "://")) {
        size_t size = credentials_size(own, at + 3);

        memset(seen + (at + 3 - own), '*', size);
        if (memchr(at + 3, ':', size) != NULL) {
            secret_register(at + 3, size);
        }
    }
    if (value != NULL) { /* it may have blanks and quotes: to the argument's end */
        size_t quote = *value == '\'' || *value == '"';
        size_t size = strcspn(value + quote, quote != 0 ? "'\"" : " \t\n&,");

        memset(seen + (value - own), '*', strlen(value));
        secret_register(value + quote, size);
    }
}

static bool has_secret(const char *text)
{
    for (const char *at = strstr(text, "://"); at != NULL; at = strstr(at + 1, "://")) {
        if (credentials_size(text, at + 3) > 0) {
            return true;
        }
    }
    return value_find(text) != NULL;
}

void nw_arguments_hide(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *own = has_secret(argv[i]) ? strdup(argv[i]) : NULL;

        if (own != NULL) { /* without memory what follows fails anyway */
            argument_hide(own, argv[i]);
            argv[i] = own;
        }
    }
}
