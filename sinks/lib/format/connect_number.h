/* SPDX-License-Identifier: Apache-2.0 */
/* numeric and money in Connect's model: see connect.h and connect_form.h. */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_NUMBER_H
#define NW_SINKS_LIB_FORMAT_CONNECT_NUMBER_H

#include "lib/format/connect_form.h"
#include "lib/format/connect_text.h"

/** A value of a column whose form is one of NW_HOW_DECIMAL to NW_HOW_MONEY. */
nw_status nw_number_convert(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to);

#endif
