/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h. */
#include "sink/figures.h"

#include <string.h>

/* What a name of a metric may end in. A counter's ends in _total, and no other one's. */
static bool is_name(const char *name, enum nw_figure_kind kind)
{
    static const char total[] = "_total";
    size_t size = strnlen(name, NW_FIGURE_NAME_SIZE);
    bool totals = size > sizeof total - 1 && strcmp(name + size - (sizeof total - 1), total) == 0;

    return size > 0 && size < NW_FIGURE_NAME_SIZE && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == size &&
           totals == (kind == NW_FIGURE_COUNTER) &&
           (kind == NW_FIGURE_GAUGE || kind == NW_FIGURE_COUNTER);
}

/* One line without what a metric's text would have to escape. */
static void text_take(char to[static NW_FIGURE_TEXT_SIZE], const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + 1 < NW_FIGURE_TEXT_SIZE; text++) {
        to[used++] = *text < ' ' || *text > '~' || *text == '\\' ? '?' : *text;
    }
    to[used] = '\0';
}

uint32_t nw_figures_add(struct nw_figures *figures, const char *name, const char *text,
                        enum nw_figure_kind kind)
{
    uint32_t count = atomic_load_explicit(&figures->count, memory_order_relaxed);

    if (!is_name(name, kind)) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(figures->list[i].name, name) == 0) {
            return i + 1;
        }
    }
    if (count == NW_FIGURES_MAX) {
        return 0;
    }
    memcpy(figures->list[count].name, name, strlen(name) + 1);
    text_take(figures->list[count].text, text);
    figures->list[count].kind = kind;
    /* Pairs with the acquire in nw_figures_read(): what it is called is there. */
    atomic_store_explicit(&figures->count, count + 1, memory_order_release);
    return count + 1;
}

void nw_figures_set(struct nw_figures *figures, uint32_t figure, double value)
{
    uint64_t bits = 0;

    if (figure == 0 || figure > atomic_load_explicit(&figures->count, memory_order_relaxed)) {
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&figures->list[figure - 1].bits, bits, memory_order_relaxed);
    /* Pairs with the acquire in nw_figures_read(): there is a value. */
    atomic_store_explicit(&figures->list[figure - 1].set, true, memory_order_release);
}

uint32_t nw_figures_read(const struct nw_figures *figures, struct nw_figure_value *values)
{
    uint32_t count = atomic_load_explicit(&figures->count, memory_order_acquire);
    uint32_t read = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct nw_figure *figure = &figures->list[i];
        struct nw_figure_value *to = &values[read];
        uint64_t bits = 0;

        if (!atomic_load_explicit(&figure->set, memory_order_acquire)) {
            continue;
        }
        bits = atomic_load_explicit(&figure->bits, memory_order_relaxed);
        memcpy(to->name, figure->name, sizeof to->name);
        memcpy(to->text, figure->text, sizeof to->text);
        to->counts = figure->kind == NW_FIGURE_COUNTER;
        memcpy(&to->value, &bits, sizeof to->value);
        read++;
    }
    return read;
}
