// A transform in C on the public bindings (testdata/abi/c): `c.Append` appends a text to a text field of values with a schema,
// `c.Upper` is a predicate that matches topics in upper case, `c.Examples` answers each row with the examples of wit/encoding.md
// that it writes by itself (the host compares them with the page), `c.Echo` hands its input back. The same as the guest in Rust.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"

typedef transform_plugin_string_t string;
typedef transform_plugin_list_u8_t octets;
typedef culvert_connect_types_error_t failure;
typedef culvert_connect_types_value_slice_t value_slice;
typedef culvert_connect_types_row_t row;
typedef culvert_connect_types_row_error_t row_error;
typedef culvert_connect_types_rule_t rule;
typedef culvert_connect_types_config_key_t config_key;
typedef exports_culvert_connect_plugin_component_t component;

// What is returned is freed by the bindings, so nothing in it may be a constant.
static string text(const char *s) {
    string t;
    transform_plugin_string_dup(&t, s);
    return t;
}

static string joined(const char *a, const char *b, size_t size) {
    string t = {.len = strlen(a) + size};
    t.ptr = malloc(t.len + 1);
    memcpy(t.ptr, a, strlen(a));
    memcpy(t.ptr + strlen(a), b, size);
    return t;
}

static bool equal(string s, const char *other) { return s.len == strlen(other) && memcmp(s.ptr, other, s.len) == 0; }

static failure failed(int kind, string message) { return (failure){.kind = kind, .message = message}; }

static config_key setting(const char *name, const char *value, size_t rules) {
    config_key s = {.name = text(name), .kind = CULVERT_CONNECT_TYPES_SETTING_KIND_STRING,
                      .importance = CULVERT_CONNECT_TYPES_IMPORTANCE_MEDIUM, .documentation = joined("The setting ", name, strlen(name))};
    if (value) {
        s.default_value.is_some = true;
        s.default_value.val = text(value);
    }
    s.rules.len = rules;
    s.rules.ptr = calloc(rules, sizeof(rule));
    return s;
}

static component described(const char *name, int kind, size_t settings) {
    component c = {.name = text(name), .kind = kind, .documentation = text("A component in C.")};
    c.settings.len = settings;
    c.settings.ptr = calloc(settings, sizeof(config_key));
    return c;
}

void exports_culvert_connect_plugin_describe(exports_culvert_connect_plugin_description_t *ret) {
    component *c = calloc(4, sizeof(component));
    c[0] = described("c.Append", EXPORTS_CULVERT_CONNECT_PLUGIN_COMPONENT_KIND_TRANSFORMATION, 2);
    config_key field = setting("field", NULL, 4);
    field.rules.ptr[0].tag = CULVERT_CONNECT_TYPES_RULE_REQUIRED;
    field.rules.ptr[1].tag = CULVERT_CONNECT_TYPES_RULE_GROUP;
    field.rules.ptr[1].val.group = text("C");
    field.rules.ptr[2].tag = CULVERT_CONNECT_TYPES_RULE_ORDER;
    field.rules.ptr[2].val.order = 1;
    field.rules.ptr[3].tag = CULVERT_CONNECT_TYPES_RULE_WIDTH;
    field.rules.ptr[3].val.width = 2;
    c[0].settings.ptr[0] = field;
    c[0].settings.ptr[1] = setting("text", "!", 0);
    c[1] = described("c.Echo", EXPORTS_CULVERT_CONNECT_PLUGIN_COMPONENT_KIND_TRANSFORMATION, 0);
    c[2] = described("c.Examples", EXPORTS_CULVERT_CONNECT_PLUGIN_COMPONENT_KIND_TRANSFORMATION, 0);
    c[3] = described("c.Upper", EXPORTS_CULVERT_CONNECT_PLUGIN_COMPONENT_KIND_PREDICATE, 0);
    ret->name = text("c-transform");
    ret->version = text("1.0.0");
    ret->documentation = text("Größe: a plugin made with wit-bindgen.");
    ret->components.ptr = c;
    ret->components.len = 4;
}

bool exports_culvert_connect_plugin_validate(string *name, exports_culvert_connect_plugin_list_setting_t *settings, bool online,
                                             octets *state, exports_culvert_connect_plugin_list_response_t *answers,
                                             exports_culvert_connect_plugin_validate_result_t *ret, exports_culvert_connect_plugin_error_t *err) {
    exports_culvert_connect_plugin_description_t known;
    exports_culvert_connect_plugin_describe(&known);
    component *found = NULL;
    for (size_t i = 0; i < known.components.len; i++)
        if (known.components.ptr[i].name.len == name->len && memcmp(known.components.ptr[i].name.ptr, name->ptr, name->len) == 0)
            found = &known.components.ptr[i];
    if (found) {
        ret->tag = EXPORTS_CULVERT_CONNECT_PLUGIN_VALIDATE_RESULT_DONE;
        ret->val.done.len = found->settings.len;
        ret->val.done.ptr = calloc(found->settings.len, sizeof(culvert_connect_types_config_value_t));
        for (size_t i = 0; i < found->settings.len; i++) {
            culvert_connect_types_config_value_t *e = &ret->val.done.ptr[i];
            e->key = found->settings.ptr[i];
            e->visible = true;
            for (size_t n = 0; n < settings->len; n++)
                if (equal(settings->ptr[n].name, i == 0 ? "field" : "text")) {
                    e->value.is_some = true;
                    transform_plugin_string_dup_n(&e->value.val, (char *)settings->ptr[n].value.ptr, settings->ptr[n].value.len);
                }
            if (!e->value.is_some && e->key.default_value.is_some) {
                e->value.is_some = true;
                transform_plugin_string_dup_n(&e->value.val, (char *)e->key.default_value.val.ptr, e->key.default_value.val.len);
            }
            if (!e->value.is_some) {
                e->errors.len = 1;
                e->errors.ptr = malloc(sizeof(string));
                e->errors.ptr[0] = text("field is missing");
            }
        }
        free(found->settings.ptr);
        found->settings.len = 0;
    } else {
        *err = failed(CULVERT_CONNECT_TYPES_ERROR_KIND_CONFIG, joined("unknown component ", (char *)name->ptr, name->len));
    }
    exports_culvert_connect_plugin_description_free(&known);
    transform_plugin_string_free(name);
    exports_culvert_connect_plugin_list_setting_free(settings);
    transform_plugin_list_u8_free(state);
    exports_culvert_connect_plugin_list_response_free(answers);
    return found != NULL;
}

// The context: component, then the settings field and text, each with a zero behind it.
bool exports_culvert_connect_transform_prepare(exports_culvert_connect_transform_list_stage_t *chain, octets *ret, exports_culvert_connect_transform_error_t *err) {
    bool ok = chain->len == 1;
    if (ok) {
        exports_culvert_connect_transform_stage_t *stage = &chain->ptr[0];
        string line = joined("prepared ", (char *)stage->component.ptr, stage->component.len);
        culvert_connect_host_log(CULVERT_CONNECT_HOST_LEVEL_INFO, &line);
        transform_plugin_string_free(&line);
        string parts[3] = {stage->component, {(uint8_t *)"", 0}, {(uint8_t *)"!", 1}};
        for (size_t i = 0; i < stage->settings.len; i++)
            parts[equal(stage->settings.ptr[i].name, "field") ? 1 : 2] = stage->settings.ptr[i].value;
        buffer b = {0};
        for (int i = 0; i < 3; i++) {
            append(&b, parts[i].ptr, parts[i].len);
            append_byte(&b, 0);
        }
        *ret = (octets){b.at, b.size};
    } else {
        char message[64];
        snprintf(message, sizeof message, "expected one stage, found %zu", chain->len);
        *err = failed(CULVERT_CONNECT_TYPES_ERROR_KIND_UNSUPPORTED, text(message));
    }
    exports_culvert_connect_transform_list_stage_free(chain);
    return ok;
}

static const value_slice unchanged = {.encoding = CULVERT_CONNECT_TYPES_ENCODING_UNCHANGED};

// Schemas that this instance was given: each comes once, before or with the first row that names it.
static struct { culvert_connect_types_schema_t *at; size_t count; } given;

static void take(exports_culvert_connect_transform_list_schema_t *schemas) {
    if (schemas->len == 0) return;
    given.at = realloc(given.at, (given.count + schemas->len) * sizeof *given.at);
    memcpy(given.at + given.count, schemas->ptr, schemas->len * sizeof *given.at);
    given.count += schemas->len;
    free(schemas->ptr);
}

static culvert_connect_types_list_schema_node_t *nodes_of(uint32_t id) {
    for (size_t i = 0; i < given.count; i++)
        if (given.at[i].id == id) return &given.at[i].nodes;
    return NULL;
}

// Every row's value becomes one of the examples of the page, in the page's order, as the content of a `bytes` value.
static void examples(exports_culvert_connect_transform_apply_result_t *ret) {
    buffer b = {0};
    for (size_t i = 0; i < ret->rows.len; i++) {
        row *r = &ret->rows.ptr[i];
        uint32_t start = b.size;
        append_example(&b, i);
        *r = (row){.row_index = i, .topic = r->topic, .partition = r->partition, .offset = r->offset, .timestamp = r->timestamp, .key = unchanged, .headers = unchanged,
                   .value = {CULVERT_CONNECT_TYPES_ENCODING_WITH_SCHEMA, 0x80000000, start, b.size - start}};
    }
    ret->data = (octets){b.at, b.size};
    culvert_connect_types_schema_node_t *node = calloc(1, sizeof *node);
    node->kind = CULVERT_CONNECT_TYPES_KIND_BYTES;
    ret->schemas.ptr = calloc(1, sizeof *ret->schemas.ptr);
    ret->schemas.len = 1;
    ret->schemas.ptr[0].id = 0x80000000;
    ret->schemas.ptr[0].nodes.ptr = node;
    ret->schemas.ptr[0].nodes.len = 1;
}

// Appends to the field of each row; rows that cannot be read become errors.
static void append_to_rows(exports_culvert_connect_transform_apply_result_t *ret, octets *data, const char *field, const char *suffix) {
    buffer b = {0};
    row_error *errors = calloc(ret->rows.len + 1, sizeof *errors);
    size_t out = 0;
    for (size_t i = 0; i < ret->rows.len; i++) {
        row r = ret->rows.ptr[i];
        value_slice value = {.encoding = CULVERT_CONNECT_TYPES_ENCODING_UNCHANGED, .schema = r.value.schema};
        if (r.value.encoding == CULVERT_CONNECT_TYPES_ENCODING_WITH_SCHEMA) {
            uint32_t start = b.size;
            switch (append_text(nodes_of(r.value.schema), field, suffix, data->ptr + r.value.start, r.value.size, &b)) {
            case CHANGED:
                value = (value_slice){r.value.encoding, r.value.schema, start, b.size - start};
                break;
            case SAME:
                b.size = start;
                break;
            case BROKEN:
                b.size = start;
                errors[ret->errors.len++] = (row_error){.row_index = i, .error_class = text("c.Error"),
                                                        .error = failed(CULVERT_CONNECT_TYPES_ERROR_KIND_DATA, text("the value is not of its schema"))};
                continue;
            }
        }
        r.row_index = i;
        r.value = value;
        r.key = (value_slice){.encoding = CULVERT_CONNECT_TYPES_ENCODING_UNCHANGED, .schema = r.key.schema};
        r.headers = unchanged;
        ret->rows.ptr[out++] = r;
    }
    ret->rows.len = out;
    ret->errors.ptr = errors;
    ret->data = (octets){b.at, b.size};
}

bool exports_culvert_connect_transform_apply(octets *context, exports_culvert_connect_transform_list_schema_t *schemas, transform_plugin_list_string_t *topics,
                                             exports_culvert_connect_transform_list_row_t *rows, octets *data, exports_culvert_connect_transform_apply_result_t *ret,
                                             exports_culvert_connect_transform_error_t *err) {
    bool ok = context->len > 2;
    take(schemas);
    *ret = (exports_culvert_connect_transform_apply_result_t){.rows = *rows, .consumed = rows->len};
    const char *name = (char *)context->ptr;
    if (!ok) {
        *err = failed(CULVERT_CONNECT_TYPES_ERROR_KIND_INTERNAL, text("the context is not of this plugin"));
        exports_culvert_connect_transform_list_row_free(rows);
        transform_plugin_list_u8_free(data);
    } else if (strcmp(name, "c.Echo") == 0) {
        ret->data = *data;
    } else {
        const char *field = name + strlen(name) + 1;
        if (strcmp(name, "c.Examples") == 0)
            examples(ret);
        else
            append_to_rows(ret, data, field, field + strlen(field) + 1);
        transform_plugin_list_u8_free(data);
    }
    transform_plugin_list_u8_free(context);
    transform_plugin_list_string_free(topics);
    return ok;
}

bool exports_culvert_connect_transform_test(octets *context, exports_culvert_connect_transform_list_schema_t *schemas, transform_plugin_list_string_t *topics,
                                            exports_culvert_connect_transform_list_row_t *rows, octets *data, exports_culvert_connect_transform_test_result_t *ret,
                                            exports_culvert_connect_transform_error_t *err) {
    take(schemas);
    *ret = (exports_culvert_connect_transform_test_result_t){.matches = {calloc(rows->len + 1, sizeof(bool)), rows->len}};
    for (size_t i = 0; i < rows->len; i++) {
        string topic = topics->ptr[rows->ptr[i].topic];
        bool upper = true;
        for (size_t c = 0; c < topic.len; c++) upper = upper && !(topic.ptr[c] >= 'a' && topic.ptr[c] <= 'z');
        ret->matches.ptr[i] = upper;
    }
    transform_plugin_list_u8_free(context);
    transform_plugin_list_string_free(topics);
    exports_culvert_connect_transform_list_row_free(rows);
    transform_plugin_list_u8_free(data);
    return true;
}
