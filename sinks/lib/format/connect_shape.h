/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry and hstore in Connect's model: see connect.h and connect_form.h. */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_SHAPE_H
#define NW_SINKS_LIB_FORMAT_CONNECT_SHAPE_H

#include "lib/format/connect_form.h"
#include "lib/format/connect_text.h"

/* PostgreSQL's text of each; a segment is a path. EWKB is what PostGIS prints, in hexadecimal. */
nw_status nw_point_convert(const struct nw_convert *convert, const struct nw_value *source,
                           struct nw_connect_value *to);
nw_status nw_box_convert(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to);
nw_status nw_path_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to);
nw_status nw_polygon_convert(const struct nw_convert *convert, const struct nw_value *source,
                             struct nw_connect_value *to);
nw_status nw_circle_convert(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to);
nw_status nw_line_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to);
nw_status nw_ewkb_convert(const struct nw_convert *convert, const struct nw_value *source,
                          struct nw_connect_value *to);

/** An hstore as the text of a JSON object, its keys in the order that Java's HashMap has. */
nw_status nw_hstore_json(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to);

#endif
