/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/figures.h"

static void a_figure_is_shown_once_it_is_set(void **state)
{
    static struct nw_figures figures;
    struct nw_figure_value values[NW_FIGURES_MAX];
    uint32_t first = nw_figures_add(&figures, "queue_bytes", "Bytes.", NW_FIGURE_GAUGE);
    uint32_t second =
        nw_figures_add(&figures, "sent_total", "Line\n\\ \xc3\xa4.", NW_FIGURE_COUNTER);

    (void)state;
    assert_int_equal(nw_figures_read(&figures, values), 0);
    nw_figures_set(&figures, second, 0);
    nw_figures_set(&figures, 0, 5);
    nw_figures_set(&figures, 3, 5);
    assert_int_equal(nw_figures_read(&figures, values), 1);
    assert_string_equal(values[0].name, "sent_total");
    assert_string_equal(values[0].text, "Line?? ??.");
    assert_true(values[0].counts);
    nw_figures_set(&figures, first, 1.5);
    nw_figures_set(&figures, second, 7);
    assert_int_equal(nw_figures_read(&figures, values), 2);
    assert_false(values[0].counts);
    assert_true(values[0].value >= 1.5 && values[0].value <= 1.5);
    assert_true(values[1].value >= 7 && values[1].value <= 7);
    assert_int_equal(nw_figures_add(&figures, "queue_bytes", "", NW_FIGURE_GAUGE), first);
}

static void names_and_their_number_are_bounded(void **state)
{
    static struct nw_figures figures;
    static const struct {
        const char *name;
        enum nw_figure_kind kind;
    } wrong[] = {
        {"", NW_FIGURE_GAUGE},
        {"1a", NW_FIGURE_GAUGE},
        {"a-b", NW_FIGURE_GAUGE},
        {"aB", NW_FIGURE_GAUGE},
        {"a_total", NW_FIGURE_GAUGE},
        {"a", NW_FIGURE_COUNTER},
        {"_total", NW_FIGURE_COUNTER},
        {"a", (enum nw_figure_kind)3},
        {"a23456789012345678901234567890123456789012345678", NW_FIGURE_GAUGE},
    };
    char name[NW_FIGURE_NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(nw_figures_add(&figures, wrong[i].name, "", wrong[i].kind), 0);
    }
    for (uint32_t i = 0; i < NW_FIGURES_MAX + 1; i++) {
        (void)snprintf(name, sizeof name, "figure_%u", i);
        assert_int_equal(nw_figures_add(&figures, name, "", NW_FIGURE_GAUGE),
                         i < NW_FIGURES_MAX ? i + 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_is_shown_once_it_is_set),
        cmocka_unit_test(names_and_their_number_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
