#include "encoding.h"

#include <stdlib.h>
#include <string.h>

void append(buffer *b, const void *bytes, size_t size) {
    if (b->size + size > b->room) {
        b->room = 2 * (b->size + size) + 64;
        b->at = realloc(b->at, b->room);
    }
    if (size > 0) memcpy(b->at + b->size, bytes, size);
    b->size += size;
}

void append_byte(buffer *b, uint8_t byte) { append(b, &byte, 1); }

static void number(buffer *b, int64_t n) {
    uint64_t u = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
    for (; u >= 0x80; u >>= 7) append_byte(b, (uint8_t)u | 0x80);
    append_byte(b, (uint8_t)u);
}

static void block(buffer *b, const void *bytes, size_t size) {
    number(b, (int64_t)size);
    append(b, bytes, size);
}

static void text(buffer *b, const char *s) { block(b, s, strlen(s)); }

static void tagged(buffer *b, uint8_t tag, int64_t n) {
    append_byte(b, tag);
    number(b, n);
}

static void little(buffer *b, uint64_t bits, int bytes) {
    for (int i = 0; i < bytes; i++) append_byte(b, (uint8_t)(bits >> 8 * i));
}

static void headers(buffer *b) {
    number(b, 2);
    text(b, "src");
    append_byte(b, 2);
    number(b, 4);
    number(b, 4);
    text(b, "sap");
    text(b, "n");
    append_byte(b, 3);
    number(b, 0);
    block(b, "\0", 1);
}

static void structured(buffer *b, size_t i) {
    switch (i) {
    case 0: number(b, 150); break;
    case 1: number(b, -128); break;
    case 2: append_byte(b, 0); break;
    case 3: append_byte(b, 2); text(b, "Größe"); break;
    case 4: append_byte(b, 0); number(b, 8); break;
    case 5: append_byte(b, 2); break;
    case 6: block(b, "\xff\x7f", 2); break;
    case 7: block(b, "\x00\x80", 2); break;
    case 8: number(b, 1709184496789); break;
    case 9: number(b, -1); break;
    case 10: number(b, 2); number(b, 1); number(b, -1); append_byte(b, 0); break;
    case 11: append_byte(b, 0); break;
    case 12: number(b, 1); text(b, "a"); append_byte(b, 1); append_byte(b, 0); break;
    case 13: number(b, 1); number(b, 5); text(b, "x"); append_byte(b, 0); break;
    case 14: number(b, 1); append_byte(b, 0); little(b, 0x3fe0000000000000, 8); break;
    }
}

static void dynamic(buffer *b, size_t i) {
    switch (i) {
    case 0: append_byte(b, 0); break;
    case 1: append_byte(b, 2); break;
    case 2: tagged(b, 3, 5); break;
    case 3: tagged(b, 6, 5); break;
    case 4: append_byte(b, 7); little(b, 0x7fc00000, 4); break;
    case 5: append_byte(b, 9); text(b, "ü"); break;
    case 6: append_byte(b, 10); block(b, "\x00\xff", 2); break;
    case 7: tagged(b, 11, 2); tagged(b, 6, 1); append_byte(b, 9); text(b, "a"); break;
    case 8: tagged(b, 12, 1); append_byte(b, 9); text(b, "k"); append_byte(b, 0); break;
    case 9: tagged(b, 13, 2); block(b, "\x04\xe2", 2); break;
    case 10: tagged(b, 14, 0); break;
    case 11: tagged(b, 15, 3); block(b, "\x02\x04", 2); break;
    }
}

void append_example(buffer *b, size_t i) {
    buffer example = {0};
    i %= 28;
    if (i < 15)
        structured(&example, i);
    else if (i < 27)
        dynamic(&example, i - 15);
    else
        headers(&example);
    block(b, example.at, example.size);
    free(example.at);
}

typedef struct { const uint8_t *at, *end; bool broken; } reader;

static int64_t read_number(reader *r) {
    uint64_t u = 0;
    for (int shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        uint8_t c = *r->at++;
        u |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
    }
    r->broken = true;
    return 0;
}

static void skip_bytes(reader *r, int64_t n) {
    if (n < 0 || n > r->end - r->at)
        r->broken = true;
    else
        r->at += n;
}

// null reads the branch of an optional node.
static bool null(reader *r, culvert_connect_types_schema_node_t *node) {
    if (!node->optional) return false;
    const uint8_t *at = r->at;
    skip_bytes(r, 1);
    return !r->broken && (*at == 0) == !node->default_value.is_some;
}

static void skip(reader *r, culvert_connect_types_list_schema_node_t *nodes, culvert_connect_types_schema_node_t *node) {
    switch (node->kind) {
    case CULVERT_CONNECT_TYPES_KIND_BOOLEAN: skip_bytes(r, 1); break;
    case CULVERT_CONNECT_TYPES_KIND_INT8:
    case CULVERT_CONNECT_TYPES_KIND_INT16:
    case CULVERT_CONNECT_TYPES_KIND_INT32:
    case CULVERT_CONNECT_TYPES_KIND_INT64: read_number(r); break;
    case CULVERT_CONNECT_TYPES_KIND_FLOAT32: skip_bytes(r, 4); break;
    case CULVERT_CONNECT_TYPES_KIND_FLOAT64: skip_bytes(r, 8); break;
    case CULVERT_CONNECT_TYPES_KIND_STRING:
    case CULVERT_CONNECT_TYPES_KIND_BYTES: skip_bytes(r, read_number(r)); break;
    case CULVERT_CONNECT_TYPES_KIND_STRUCT:
        for (size_t i = 0; i < node->fields.len && !r->broken; i++) {
            culvert_connect_types_schema_node_t *inner = &nodes->ptr[node->fields.ptr[i].node];
            if (!null(r, inner)) skip(r, nodes, inner);
        }
        break;
    default: r->broken = true; // arrays and maps are more than this example reads
    }
}

enum outcome append_text(culvert_connect_types_list_schema_node_t *nodes, const char *field, const char *suffix, const uint8_t *from, size_t size, buffer *out) {
    if (!nodes) return BROKEN;
    culvert_connect_types_schema_node_t *root = &nodes->ptr[0];
    if (root->kind != CULVERT_CONNECT_TYPES_KIND_STRUCT || root->optional) return SAME;
    reader r = {from, from + size, false};
    bool changed = false;
    for (size_t i = 0; i < root->fields.len; i++) {
        culvert_connect_types_field_t *member = &root->fields.ptr[i];
        culvert_connect_types_schema_node_t *node = &nodes->ptr[member->node];
        const uint8_t *start = r.at;
        bool absent = null(&r, node);
        const uint8_t *value = r.at;
        if (!absent) skip(&r, nodes, node);
        if (r.broken) return BROKEN;
        if (absent || node->kind != CULVERT_CONNECT_TYPES_KIND_STRING || member->name.len != strlen(field) || memcmp(member->name.ptr, field, member->name.len) != 0) {
            append(out, start, r.at - start);
            continue;
        }
        reader content = {value, r.end, false};
        int64_t n = read_number(&content);
        append(out, start, value - start);
        number(out, n + (int64_t)strlen(suffix));
        append(out, content.at, r.at - content.at);
        append(out, suffix, strlen(suffix));
        changed = true;
    }
    return changed ? CHANGED : SAME;
}
