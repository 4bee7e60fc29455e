package conversion

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// DecoderCache has a converter's decoders by topic and schema: each schema is requested and compiled once.
type DecoderCache[R decoder] struct {
	Cache   Cache[cacheKey, cachedDecoder[R]]
	schemas *Schemas
	// compile creates the decoder of a schema, the last of texts, which may refer to those before it.
	compile func(ctx context.Context, topic string, texts []registry.NamedSchema) (R, error)
	// read decodes one value and appends it to b.Data. After an error b.Data may have any additional bytes.
	read func(decoder R, ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
	last lastUsed[R]
}

// lastUsed speeds up lookups: values of a topic mostly have one schema.
type lastUsed[R decoder] struct {
	cachedDecoder[R]
	key   cacheKey
	isSet bool
}

type decoder interface {
	// From returns the schema of decoded values, nil if they have no schema.
	From() *record.Schema
}

// cachedDecoder is a decoder, or the reason why its schema cannot be read.
type cachedDecoder[R decoder] struct {
	decoder R
	err     error
}

// cacheKey includes the topic because the version of a schema depends on the topic's subject.
type cacheKey struct {
	topic string
	id    schemaID
}

// NewDecoderCache returns a cache of size decoders. compile creates the decoder of a schema, read decodes one value.
func NewDecoderCache[R decoder](size int, schemas *Schemas,
	compile func(context.Context, string, []registry.NamedSchema) (R, error),
	read func(R, context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error)) DecoderCache[R] {
	return DecoderCache[R]{Cache: NewCache[cacheKey, cachedDecoder[R]](size), schemas: schemas,
		compile: compile, read: read}
}

// Decode implements [Converter] for values that begin with a zero byte and the ID of their schema.
func (c *DecoderCache[R]) Decode(ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	if len(data) < IDBytes || data[0] != 0 {
		prefix := "nothing"
		if len(data) > 0 {
			prefix = fmt.Sprintf("%d bytes that begin with %02x", len(data), data[0])
		}
		return wit.ValueSlice{}, fault.Data("expected a zero byte and the four bytes of a schema's id in front of the "+
			"value, found %s", prefix)
	}
	id := schemaID{id: int(binary.BigEndian.Uint32(data[1:]))}
	return c.decode(ctx, topic, id, data[IDBytes:], b)
}

// guidBytes is the size of a schema's GUID.
const guidBytes = 16

// DecodeBy implements convert.HeaderDecoder.
func (c *DecoderCache[R]) DecodeBy(ctx context.Context, topic string, header, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	var id schemaID
	switch {
	case len(header) == IDBytes && header[0] == 0:
		id.id = int(binary.BigEndian.Uint32(header[1:]))
	case len(header) == 1+guidBytes && header[0] == 1:
		g := header[1:]
		id.guid = fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
	default:
		return wit.ValueSlice{}, fault.Data("expected a zero byte and the four bytes of a schema's id, or a one and "+
			"the 16 bytes of its GUID, in the header of the schema, found %d bytes", len(header))
	}
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	return c.decode(ctx, topic, id, data, b)
}

func (c *DecoderCache[R]) decode(ctx context.Context, topic string, id schemaID, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	r, ok := c.find(topic, id)
	if !ok {
		var err error
		if r, err = c.add(ctx, topic, id); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	if r.err != nil {
		return wit.ValueSlice{}, r.err
	}
	start := len(b.Data)
	d, err := c.read(r.decoder, ctx, topic, data, b)
	if err != nil {
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, err
	}
	return d, nil
}

func (c *DecoderCache[R]) find(topic string, id schemaID) (r cachedDecoder[R], ok bool) {
	key := cacheKey{topic, id}
	if c.last.isSet && key == c.last.key {
		return c.last.cachedDecoder, true
	}
	if r, ok = c.Cache.Entries[key]; ok {
		c.last = lastUsed[R]{cachedDecoder: r, key: key, isSet: true}
	}
	return r, ok
}

// add requests and compiles a schema. Unreadable schemas are cached, too; fatal and transient errors are not.
func (c *DecoderCache[R]) add(ctx context.Context, topic string, id schemaID) (cachedDecoder[R], error) {
	texts, unreadable, err := c.schemas.texts(ctx, id)
	if err != nil {
		return cachedDecoder[R]{}, err
	}
	r := cachedDecoder[R]{err: unreadable}
	if unreadable == nil {
		r.decoder, r.err = c.compile(ctx, topic, texts)
	}
	if ctx.Err() != nil {
		return cachedDecoder[R]{}, context.Cause(ctx)
	}
	if fault.IsFatal(r.err) {
		return cachedDecoder[R]{}, r.err
	}
	size := 1000 // about the topic and the decoder
	if r.err == nil && r.decoder.From() != nil {
		size += CompiledBytes(r.decoder.From())
	}
	c.Cache.Put(cacheKey{topic, id}, r, size)
	return r, nil
}
