// The bytes of wit/encoding.md, written from the page alone.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transform_plugin.h"

typedef struct { uint8_t *at; size_t size, room; } buffer;

void append(buffer *b, const void *bytes, size_t size);
void append_byte(buffer *b, uint8_t byte);

// append_example appends example i of the page, wrapped as the content of a `bytes` value; behind the last one they begin anew.
void append_example(buffer *b, size_t i);

enum outcome { SAME, CHANGED, BROKEN };

// append_text copies a structure, appending a suffix to one text field; SAME when it has no such field, or it is null.
enum outcome append_text(culvert_connect_types_list_schema_node_t *nodes, const char *field, const char *suffix, const uint8_t *from, size_t size, buffer *out);
