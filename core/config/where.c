/* SPDX-License-Identifier: Apache-2.0 */
/* See where.h. A token at a time, without looking back. */
#include "config/where.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NEAR_SIZE 24 /* bytes of the text that a message shows */

enum token_kind { END, NAME, QUOTED_NAME, NUMBER, TEXT, SIGN, WRONG };

struct token {
    enum token_kind kind;
    const char *start; /* in the text, for messages */
    const char *text;  /* unquoted; of a SIGN and a NAME as it stands */
};

struct parser {
    const char *at;
    struct token token; /* the next, not taken yet */
    struct nw_arena *arena;
    struct nw_error *err;
};

static nw_status no_memory(struct parser *parser)
{
    return nw_fail(parser->err, NW_FATAL, "out of memory reading the configuration");
}

static nw_status expected(struct parser *parser, const char *what)
{
    const char *near = parser->token.start;

    if (parser->token.kind == END) {
        return nw_fail(parser->err, NW_FATAL, "%s is expected at its end", what);
    }
    return nw_fail(parser->err, NW_FATAL, "%s is expected at \"%.*s%s\"", what, NEAR_SIZE, near,
                   strlen(near) > NEAR_SIZE ? "..." : "");
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Up to the closing quote, which doubled stands for itself. NULL: there is none, or no memory. */
static const char *quoted_take(struct parser *parser, char quote)
{
    const char *from = parser->at + 1;
    char *text = nw_arena_alloc(parser->arena, strlen(from) + 1);
    size_t size = 0;

    for (; text != NULL && *from != '\0'; from++) {
        if (*from == quote) {
            if (from[1] != quote) {
                parser->at = from + 1;
                return text;
            }
            from++;
        }
        text[size++] = *from;
    }
    return NULL;
}

static size_t number_size(const char *at)
{
    const char *start = at;

    at += *at == '-' || *at == '+' ? 1 : 0;
    at += strspn(at, "0123456789.");
    if ((*at == 'e' || *at == 'E') && strspn(at + 1, "+-0123456789") > 0) {
        at += 1 + strspn(at + 1, "+-0123456789");
    }
    return (size_t)(at - start);
}

static size_t name_size(const char *at)
{
    size_t size = 0;

    while (is_name_byte(at[size])) {
        size++;
    }
    return size;
}

static size_t sign_size(const char *at)
{
    static const char *const signs[] = {"<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ","};

    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strncmp(at, signs[i], strlen(signs[i])) == 0) {
            return strlen(signs[i]);
        }
    }
    return 0;
}

static bool is_number(const char *at)
{
    return isdigit((unsigned char)*at) ||
           (*at != '\0' && strchr("-+.", *at) != NULL && number_size(at) > 1);
}

/* What begins here, and how long it is; size 0: nothing that is known. Quoted texts apart. */
static enum token_kind token_look(const char *at, size_t *size)
{
    if (is_number(at)) {
        *size = number_size(at);
        return NUMBER;
    }
    *size = name_size(at);
    if (*size > 0) {
        return NAME;
    }
    *size = sign_size(at);
    return *size > 0 ? SIGN : WRONG;
}

/* Reads the next token. */
static void advance(struct parser *parser)
{
    struct token *token = &parser->token;
    size_t size = 0;

    parser->at += strspn(parser->at, " \t\r\n");
    *token = (struct token){.kind = WRONG, .start = parser->at};
    if (*parser->at == '\0') {
        token->kind = END;
        return;
    }
    if (*parser->at == '"' || *parser->at == '\'') {
        token->kind = *parser->at == '"' ? QUOTED_NAME : TEXT;
        token->text = quoted_take(parser, *parser->at);
    } else {
        token->kind = token_look(parser->at, &size);
        token->text = nw_arena_text_of(parser->arena, parser->at, size);
        parser->at += size;
    }
    token->kind = token->text == NULL ? WRONG : token->kind;
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == NAME && strcasecmp(parser->token.text, word) == 0;
}

static bool is_sign(const struct parser *parser, const char *sign)
{
    return parser->token.kind == SIGN && strcmp(parser->token.text, sign) == 0;
}

static bool word_take(struct parser *parser, const char *word)
{
    bool is = is_word(parser, word);

    if (is) {
        advance(parser);
    }
    return is;
}

static bool sign_take(struct parser *parser, const char *sign)
{
    bool is = is_sign(parser, sign);

    if (is) {
        advance(parser);
    }
    return is;
}

static nw_status constant_take(struct parser *parser, struct nw_where_constant *constant)
{
    bool word = is_word(parser, "true") || is_word(parser, "false");

    if (parser->token.kind != NUMBER && parser->token.kind != TEXT && !word) {
        return expected(parser, is_word(parser, "null")
                                    ? "a value (IS NULL asks whether there is none)"
                                    : "a value (a number, 'text', true or false)");
    }
    constant->text = word ? (is_word(parser, "true") ? "true" : "false") : parser->token.text;
    constant->quoted = parser->token.kind == TEXT;
    advance(parser);
    return NW_OK;
}

/* ( constant, ... ) */
static nw_status list_take(struct parser *parser, struct nw_where_term *term)
{
    struct nw_where_constant *constants =
        nw_arena_array(parser->arena, NW_WHERE_CONSTANTS_MAX, sizeof *constants);
    nw_status status = NW_OK;

    if (constants == NULL) {
        return no_memory(parser);
    }
    term->constants = constants;
    if (!sign_take(parser, "(")) {
        return expected(parser, "( after IN");
    }
    do {
        if (term->constants_count == NW_WHERE_CONSTANTS_MAX) {
            return nw_fail(parser->err, NW_FATAL, "more than %u values in a list",
                           NW_WHERE_CONSTANTS_MAX);
        }
        status = constant_take(parser, &constants[term->constants_count++]);
    } while (status == NW_OK && sign_take(parser, ","));
    if (status == NW_OK && !sign_take(parser, ")")) {
        status = expected(parser, ", or )");
    }
    return status;
}

/* = <> != < <= > >= and a constant. */
static nw_status comparison_take(struct parser *parser, struct nw_where_term *term)
{
    static const struct {
        const char *sign;
        enum nw_where_op op;
    } ops[] = {
        {"=", NW_WHERE_EQUAL},          {"<>", NW_WHERE_NOT_EQUAL},  {"!=", NW_WHERE_NOT_EQUAL},
        {"<", NW_WHERE_LESS},           {"<=", NW_WHERE_LESS_EQUAL}, {">", NW_WHERE_GREATER},
        {">=", NW_WHERE_GREATER_EQUAL},
    };
    struct nw_where_constant *constant = NULL;

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (sign_take(parser, ops[i].sign)) {
            constant = nw_arena_alloc(parser->arena, sizeof *constant);
            if (constant == NULL) {
                return no_memory(parser);
            }
            term->op = ops[i].op;
            term->constants = constant;
            term->constants_count = 1;
            return constant_take(parser, constant);
        }
    }
    return expected(parser, "a comparison (=, <>, <, <=, >, >=, IN, IS NULL)");
}

static nw_status column_take(struct parser *parser, struct nw_where_term *term)
{
    char *name = NULL;

    if (parser->token.kind != NAME && parser->token.kind != QUOTED_NAME) {
        return expected(parser, "a column");
    }
    name = nw_arena_text(parser->arena, parser->token.text);
    if (name == NULL) {
        return no_memory(parser);
    }
    for (char *c = name; parser->token.kind == NAME && *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    term->column = name;
    advance(parser);
    return NW_OK;
}

static nw_status term_take(struct parser *parser, struct nw_where_term *term)
{
    nw_status status = column_take(parser, term);

    if (status != NW_OK) {
        return status;
    }
    if (word_take(parser, "is")) {
        term->op = word_take(parser, "not") ? NW_WHERE_NOT_NULL : NW_WHERE_NULL;
        return word_take(parser, "null") ? NW_OK : expected(parser, "NULL or NOT NULL after IS");
    }
    if (word_take(parser, "not")) {
        term->op = NW_WHERE_NOT_IN;
        return word_take(parser, "in") ? list_take(parser, term) : expected(parser, "IN after NOT");
    }
    if (word_take(parser, "in")) {
        term->op = NW_WHERE_IN;
        return list_take(parser, term);
    }
    return comparison_take(parser, term);
}

nw_status nw_where_parse(const char *text, struct nw_arena *arena, struct nw_where *where,
                         struct nw_error *err)
{
    struct parser parser = {.at = text, .arena = arena, .err = err};
    struct nw_where_term *terms = nw_arena_array(arena, NW_WHERE_TERMS_MAX, sizeof *terms);
    nw_status status = NW_OK;

    *where = (struct nw_where){.terms = terms};
    if (terms == NULL) {
        return no_memory(&parser);
    }
    advance(&parser);
    do {
        if (where->terms_count == NW_WHERE_TERMS_MAX) {
            return nw_fail(err, NW_FATAL, "more than %u conditions", NW_WHERE_TERMS_MAX);
        }
        status = term_take(&parser, &terms[where->terms_count++]);
    } while (status == NW_OK && word_take(&parser, "and"));
    if (status == NW_OK && parser.token.kind != END) {
        status =
            is_word(&parser, "or")
                ? nw_fail(err, NW_FATAL, "OR is not possible here: for one column IN (...) says it")
                : expected(&parser, "AND or nothing more");
    }
    return status;
}
