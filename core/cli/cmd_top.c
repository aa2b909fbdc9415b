/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal top`: the running process, redrawn each second. On the terminal's other screen, which is
 * given back as it was; without a terminal it prints once.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/top_print.h"
#include "serve/control.h"

#define REDRAW_MS  1000
#define WIDTH      80u
#define HEIGHT_ALL 100000u

static const char HELP[] =
    "usage: narwal top FILE.yaml | --name NAME | --state-dir DIR   [PATTERN]\n\n"
    "Shows the narwal that runs with this configuration, name or state folder, redrawn each "
    "second:\nlag and rate of each sink and table, what is held on the server, the latest error. "
    "q quits.\nPATTERN, over schema.table, chooses tables. Where the output is no terminal it "
    "prints once.\n"
    "exit codes: 0 it was shown, 1 none runs, 2 called wrongly\n";

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

static void on_resize(int number)
{
    (void)number; /* ends the wait, so that it is drawn anew */
}

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- asking ---- */

struct session {
    const char *folder;
    struct nw_top top;
    double answered_s, tables_asked_s;
    struct nw_error err; /* why it does not answer */
};

/* A new reference; NULL: it does not answer. */
static json_t *ask(struct session *s, const char *line)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    json_t *root = NULL;

    if (out == NULL) {
        s->err.status = nw_fail(&s->err, NW_FATAL, "NW2901 out of memory");
        return NULL;
    }
    s->err.status = nw_control_ask(s->folder, line, out, &s->err);
    if (fclose(out) == 0 && s->err.status == NW_OK) {
        root = json_loadb(text, size, 0, NULL);
    }
    free(text);
    return root;
}

static void tables_ask(struct session *s)
{
    double at_s = now_s();
    json_t *tables = ask(s, "tables");

    if (json_object_get(tables, "tables") == NULL) {
        json_decref(tables);
        return;
    }
    json_decref(s->top.tables_before);
    s->top.tables_before = s->top.tables;
    s->top.tables = tables;
    s->top.tables_s = at_s - s->tables_asked_s;
    s->tables_asked_s = at_s;
}

static void all_ask(struct session *s)
{
    json_t *status = ask(s, "status");
    const char *phase = json_string_value(json_object_get(status, "phase"));

    s->top.lost_s = phase == NULL ? now_s() - s->answered_s : 0;
    if (phase == NULL) {
        json_decref(status);
        return;
    }
    s->answered_s = now_s();
    if (json_object_get(status, "time") == NULL ||
        !json_equal(json_object_get(status, "time"), json_object_get(s->top.status, "time"))) {
        json_decref(s->top.status_before);
        s->top.status_before = s->top.status;
        s->top.status = status;
    } else { /* the same report */
        json_decref(status);
    }
    if (strcmp(phase, "starting") != 0 && strcmp(phase, "draining") != 0) { /* else it may wait */
        tables_ask(s);
    }
}

/* ---- the terminal ---- */

static void screen_fit(struct nw_top *top)
{
    struct winsize size = {0};

    top->width = WIDTH;
    top->height = HEIGHT_ALL;
    if (top->redraws && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        top->width = size.ws_col;
        top->height = size.ws_row > 1 ? size.ws_row - 1u : 1;
    }
}

static void draw(struct nw_top *top)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    screen_fit(top);
    if (out != NULL) {
        if (top->redraws) {
            (void)fputs("\033[H", out);
        }
        nw_top_print(top, out);
        if (fclose(out) == 0) { /* at once, so that nothing flickers */
            (void)fwrite(text, 1, size, stdout);
            (void)fflush(stdout);
        }
    }
    free(text);
}

/* @return whether to go on */
static bool key_wait(void)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    char key = '\0';

    if (poll(&keys, 1, REDRAW_MS) == 1) {
        return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && stop_asked == 0;
    }
    return stop_asked == 0;
}

static void signals_setup(void)
{
    struct sigaction action = {.sa_handler = on_stop};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    action.sa_handler = on_resize;
    (void)sigaction(SIGWINCH, &action, NULL);
}

static void terminal_run(struct session *s)
{
    struct termios former;
    struct termios raw;
    bool keys = tcgetattr(STDIN_FILENO, &former) == 0;

    signals_setup();
    if (keys) {
        raw = former;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    (void)fputs("\033[?1049h\033[?25l", stdout); /* the other screen, without a cursor */
    do {
        draw(&s->top);
        if (!key_wait()) {
            break;
        }
        all_ask(s);
    } while (stop_asked == 0);
    (void)fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout);
    if (keys) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &former);
    }
}

static int show(struct session *s)
{
    s->answered_s = now_s();
    all_ask(s);
    if (s->top.status == NULL) {
        nw_complain("%s",
                    s->err.status != NW_OK ? s->err.text : "the running narwal did not answer");
        return NW_EXIT_FAILED;
    }
    s->top.redraws = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    if (s->top.redraws) {
        terminal_run(s);
    } else {
        draw(&s->top);
    }
    json_decref(s->top.status);
    json_decref(s->top.status_before);
    json_decref(s->top.tables);
    json_decref(s->top.tables_before);
    return 0;
}

int nw_cmd_top(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    char folder[NW_FOLDER_SIZE];
    const char *rest[2] = {NULL, NULL};
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = NULL}};
    struct session s = {.folder = folder};
    bool named = false;
    int code = nw_arguments_read(argc, argv, known, HELP, rest, 2);

    if (code != NW_GO_ON) {
        return code;
    }
    named = arguments.name != NULL || arguments.state_dir != NULL;
    if (named && rest[1] != NULL) {
        nw_complain("NW1501 narwal top [PATTERN], or narwal top FILE.yaml [PATTERN]");
        return NW_EXIT_USAGE;
    }
    arguments.file = named ? NULL : rest[0];
    s.top.pattern = named ? rest[0] : rest[1];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON ? show(&s) : code;
}
