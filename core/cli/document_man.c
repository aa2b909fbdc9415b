/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manual pages in mdoc(7). A command's help is taken apart by its layout: calls up to the first
 * empty line, paragraphs, and lines of two blanks, a term, two blanks and a text, which may go on
 * in lines that are indented further.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/document.h"

#define WIDTH     76 /* of the lines that are written */
#define LINE_SIZE 512

/* ---- text ---- */

struct text {
    FILE *out;
    size_t column;
    bool sentence_ends; /* with the last word */
    bool literal;       /* where lines stay as they are, one that goes on is indented */
};

/* mdoc wants each sentence to begin a line. */
static bool sentence_ends(const char *word, size_t size)
{
    while (size > 1 && strchr(")\"'", word[size - 1]) != NULL) {
        size--;
    }
    return strchr(".!?", word[size - 1]) != NULL;
}

/* One byte of a word. "f()" would have to be marked as C's function, and a minus is no hyphen. */
static void byte_put(FILE *out, const char *at, size_t left)
{
    const char *before = "";

    if (*at == '\\') {
        (void)fputs("\\e", out);
        return;
    }
    if (*at == '-') {
        before = "\\";
    } else if (left > 1 && at[0] == '(' && at[1] == ')') {
        before = "\\&";
    }
    (void)fprintf(out, "%s%c", before, *at);
}

/* Before a word: a blank, or the next line. */
static void gap_put(struct text *text, size_t size)
{
    if (text->column == 0) {
        return;
    }
    if (text->sentence_ends || text->column + 1 + size > WIDTH) {
        (void)fputs(text->literal ? "\n    " : "\n", text->out);
        text->column = text->literal ? 4 : 0;
    } else {
        (void)fputc(' ', text->out);
        text->column++;
    }
}

static void word_put(struct text *text, const char *word, size_t size)
{
    gap_put(text, size);
    if (text->column == 0 && (word[0] == '.' || word[0] == '\'')) {
        (void)fputs("\\&", text->out); /* else it is a request */
    }
    for (size_t i = 0; i < size; i++) {
        byte_put(text->out, word + i, size - i);
    }
    text->column += size;
    text->sentence_ends = !text->literal && sentence_ends(word, size);
}

static void words_put(struct text *text, const char *line, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t length = 0;

        while (at < size && line[at] == ' ') {
            at++;
        }
        while (at + length < size && line[at + length] != ' ') {
            length++;
        }
        if (length > 0) {
            word_put(text, line + at, length);
        }
        at += length;
    }
}

static void line_end(struct text *text)
{
    if (text->column > 0) {
        (void)fputc('\n', text->out);
        text->column = 0;
    }
}

/* A term of a list: quoted, so that no word of it is taken for a macro. */
static void term_put(FILE *out, const char *term, size_t size)
{
    (void)fputs(".It \"", out);
    for (size_t i = 0; i < size; i++) {
        if (term[i] == '"') {
            (void)fputs("\\(dq", out);
        } else if (term[i] == '\\') {
            (void)fputs("\\e", out);
        } else {
            (void)fprintf(out, "%s%c", term[i] == '-' ? "\\" : "", term[i]);
        }
    }
    (void)fputs("\"\n", out);
}

/* ---- a command's help ---- */

struct page {
    struct text text;
    bool in_list, in_paragraph;
};

static void list_end(struct page *page)
{
    line_end(&page->text);
    if (page->in_list) {
        (void)fputs(".El\n", page->text.out);
    }
    page->in_list = false;
}

/* "  --name NAME   text": where the text begins; size: there is none. */
static size_t term_size(const char *line, size_t size, size_t *text_at)
{
    size_t end = 2;

    while (end + 1 < size && !(line[end] == ' ' && line[end + 1] == ' ')) {
        end++;
    }
    if (end + 1 >= size) {
        *text_at = size;
        return size - 2;
    }
    *text_at = end;
    return end - 2;
}

static void item_put(struct page *page, const char *line, size_t size)
{
    size_t text_at = 0;
    size_t term = term_size(line, size, &text_at);

    line_end(&page->text);
    if (!page->in_list) {
        (void)fputs(".Bl -tag -width Ds\n", page->text.out);
        page->in_list = true;
    }
    term_put(page->text.out, line + 2, term);
    words_put(&page->text, line + text_at, size - text_at);
}

static void body_line_put(struct page *page, const char *line, size_t size)
{
    size_t indent = strspn(line, " ");

    if (size == 0) {
        list_end(page);
        page->in_paragraph = false;
        return;
    }
    if (indent == 2) {
        item_put(page, line, size);
        return;
    }
    if (indent == 0 && page->in_list) {
        list_end(page);
        page->in_paragraph = false;
    }
    if (!page->in_list && !page->in_paragraph) {
        (void)fputs(".Pp\n", page->text.out);
        page->in_paragraph = true;
    }
    words_put(&page->text, line, size);
}

/* The calls, each on a line of its own. @return where they end */
static const char *calls_put(struct page *page, const char *help)
{
    const char *at = help;

    (void)fputs(".Bd -literal -compact\n", page->text.out);
    while (*at != '\0' && *at != '\n') {
        size_t size = strcspn(at, "\n");
        const char *line = strncmp(at, "usage: ", 7) == 0 ? at + 7 : at + strspn(at, " ");
        struct text text = {.out = page->text.out, .literal = true};

        words_put(&text, line, size - (size_t)(line - at));
        line_end(&text);
        at += size + (at[size] == '\n');
    }
    (void)fputs(".Ed\n", page->text.out);
    return at;
}

static void command_put(void *context, const struct nw_command *command,
                        const struct nw_command_text *text)
{
    struct page page = {.text = {.out = context}};
    const char *at = NULL;

    if (command->help == NULL) {
        return;
    }
    (void)fprintf(page.text.out, ".Ss narwal %s\n", command->name);
    at = calls_put(&page, text->help);
    while (*at != '\0') {
        size_t size = strcspn(at, "\n");

        body_line_put(&page, at, size);
        at += size + (at[size] == '\n');
    }
    list_end(&page);
}

static void paragraph_put(FILE *out, const char *text)
{
    struct text to = {.out = out};

    words_put(&to, text, strlen(text));
    line_end(&to);
}

/* mdoc wants "November 9, 2026"; the compiler gives "Nov  9 2026", reproducible builds included. */
static void date_put(FILE *out)
{
    struct tm day = {0};
    char text[64];

    if (strptime(__DATE__, "%b %d %Y", &day) != NULL &&
        strftime(text, sizeof text, "%B %e, %Y", &day) > 0) {
        (void)fputs(".Dd ", out);
        words_put(&(struct text){.out = out}, text, strlen(text));
        (void)fputc('\n', out);
    }
}

bool nw_document_commands(FILE *out)
{
    bool whole = true;

    date_put(out);
    (void)fputs(".Dt NARWAL 1\n.Os\n.Sh NAME\n.Nm narwal\n"
                ".Nd copy a live PostgreSQL into files and other sinks, and follow it\n"
                ".Sh SYNOPSIS\n.Nm narwal\n.Ar command\n.Op Ar argument ...\n.Sh DESCRIPTION\n",
                out);
    paragraph_put(
        out, "copies the tables of a running PostgreSQL into sinks and then follows every "
             "committed change. A configuration file says what, from where and to where; "
             "narwal.yaml(5) lists its keys. A pipeline that runs is reached through its state "
             "folder, which a configuration file, a name or the folder itself names.");
    (void)fputs(".Sh COMMANDS\n", out);
    for (const struct nw_command *command = NW_COMMANDS; command->name != NULL; command++) {
        whole = nw_command_ask(command, command_put, out) && whole;
    }
    (void)fputs(
        ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
        ".It Ev NARWAL_PLUGIN_DIR\nThe folder of the sink plugins.\n"
        ".It Ev PGPASSWORD , PGPASSFILE , PGSERVICEFILE\n"
        "These and the others of libpq hold for every connection.\n"
        ".It Ev CREDENTIALS_DIRECTORY\n"
        "Where ${credential:NAME} in a configuration looks; systemd sets it.\n"
        ".It Ev NOTIFY_SOCKET , WATCHDOG_USEC\n"
        "The service manager is told there how narwal is; see\n.Xr sd_notify 3 .\n.El\n"
        ".Sh FILES\n.Bl -tag -width Ds\n"
        ".It Pa /etc/narwal/NAME.yaml\nThe configuration of\n.Pa narwal@NAME.service .\n"
        ".It Pa /var/lib/narwal/NAME\n"
        "Its state, and its control socket; of other users\n"
        ".Pa ~/.local/state/narwal/NAME .\n.El\n"
        ".Sh EXIT STATUS\n0 done, 1 failed or something was found, 2 called wrongly or a "
        "mistake in the\nconfiguration; of\n.Cm wait ,\n3 the time is over; of\n.Cm run ,\n4 "
        "another narwal has taken over.\n"
        ".Sh SEE ALSO\n.Xr narwal.yaml 5 ,\n.Xr systemd.service 5\n",
        out);
    return whole;
}

/* ---- the configuration ---- */

void nw_document_configuration_begin(FILE *out)
{
    date_put(out);
    (void)fputs(".Dt NARWAL.YAML 5\n.Os\n.Sh NAME\n.Nm narwal.yaml\n"
                ".Nd configuration of a pipeline of narwal\n.Sh DESCRIPTION\n",
                out);
    paragraph_put(
        out, "A YAML file, as /etc/narwal/orders.yaml, describes one pipeline: a source, the "
             "tables, and the sinks. Sizes, rates and times carry units, as 64MiB, 200MB/s and "
             "250ms. ${file:/path}, ${credential:NAME} and ${env:NAME} inside a value are "
             "replaced, and kept secret. narwal check FILE.yaml --config prints what is in "
             "force.");
    (void)fputs(".Bd -literal -offset indent\n"
                "source:\n  dsn: \"host=db1 dbname=orders user=narwal\"\n"
                "  password: ${file:/etc/narwal/orders.password}\n"
                "tables:\n  exclude: [\"public.tmp_*\"]\n"
                "sinks:\n  \\- {name: archive, type: file, path: /srv/orders, compress: zstd}\n"
                ".Ed\n.Sh KEYS\n",
                out);
}

static void option_put(FILE *out, const struct nw_option *option)
{
    char form[LINE_SIZE];
    char line[2 * LINE_SIZE];

    term_put(out, option->name, strlen(option->name));
    paragraph_put(out, option->help);
    nw_option_form(option, form, sizeof form);
    (void)snprintf(line, sizeof line, "(%s; %s%s%s%s)", form,
                   option->fallback != NULL                    ? "default: "
                   : (option->flags & NW_OPTION_REQUIRED) != 0 ? "required"
                                                               : "no default",
                   option->fallback != NULL ? option->fallback : "",
                   (option->flags & NW_OPTION_SECRET) != 0 ? "; secret" : "",
                   (option->flags & NW_OPTION_RELOADABLE) != 0 ? "; reloadable" : "");
    paragraph_put(out, line);
}

void nw_document_table(FILE *out, const struct nw_option_table *table)
{
    (void)fprintf(out, ".Ss %s\n", table->title);
    if (table->count == 0) {
        (void)fputs("It has no keys of its own.\n", out);
        return;
    }
    (void)fputs(".Bl -tag -width Ds\n", out);
    for (uint32_t i = 0; i < table->count; i++) {
        option_put(out, &table->options[i]);
    }
    (void)fputs(".El\n", out);
}

void nw_document_configuration_end(FILE *out)
{
    (void)fputs(".Sh SEE ALSO\n.Xr narwal 1\n", out);
}

/* ---- asking commands ---- */

struct asking {
    const struct nw_command *command;
    void (*visit)(void *context, const struct nw_command *command,
                  const struct nw_command_text *text);
    void *context;
    bool told;
};

static void told(void *context, const struct nw_argument *known, const char *help)
{
    struct asking *asking = context;

    asking->told = true;
    asking->visit(asking->context, asking->command, &(struct nw_command_text){known, help});
}

bool nw_command_ask(const struct nw_command *command,
                    void (*visit)(void *context, const struct nw_command *command,
                                  const struct nw_command_text *text),
                    void *context)
{
    struct asking asking = {.command = command, .visit = visit, .context = context};
    char name[32];
    char help[] = "--help";
    char *argv[] = {name, help, NULL};

    (void)snprintf(name, sizeof name, "%s", command->name);
    nw_arguments_visit(told, &asking);
    (void)command->run(2, argv);
    nw_arguments_visit(NULL, NULL);
    return asking.told;
}
