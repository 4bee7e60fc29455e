package convert

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// byteArrayConverter is Kafka Connect's ByteArrayConverter, which converts nothing: the bytes stay the same.
type byteArrayConverter struct {
	reg    *record.Registry
	schema *record.Schema // of decoded values
}

func newByteArray(_ setting.Values, u conversion.Options) (conversion.Converter, error) {
	s, err := u.Schemas.Intern([]wit.SchemaNode{{Kind: wit.Bytes, Optional: true}})
	return &byteArrayConverter{u.Schemas, s}, err
}

// Encode implements [conversion.Converter]. It rejects values that are not bytes.
func (c *byteArrayConverter) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	in := b.Bytes(d)
	switch d.Encoding {
	case wit.Absent:
		return dst, true, nil
	case wit.Schemaless:
		if len(in) == 0 || in[0] != connectdata.TagBytes {
			v, _, err := connectdata.ReadSchemaless(in)
			switch {
			case err != nil:
				return dst, false, fault.Data("ByteArrayConverter: %v", err)
			case v == nil:
				return dst, true, nil
			}
			return dst, false, notBytesError(conversion.JavaClass(v, nil))
		}
		in = in[1:] // without the tag
	case wit.WithSchema:
		s := c.reg.Get(d.Schema)
		if s == nil {
			return dst, false, fault.Data("ByteArrayConverter: schema %d is not registered", d.Schema)
		}
		if k := s.Root().Kind; k != wit.Bytes {
			return dst, false, fault.Data("Invalid schema type for ByteArrayConverter: %s", conversion.TypeName(k))
		}
		null, size, ok := connectdata.IsNull(s.Root(), in)
		if !ok {
			return dst, false, fault.Malformed(0, "expected the branch 00 or 02 of an optional value")
		}
		if null {
			return dst, true, nil
		}
		if name := s.Root().Name; name != nil && *name == wit.NameDecimal {
			return dst, false, notBytesError("java.math.BigDecimal")
		}
		in = in[size:] // without the branch of an optional value
	default:
		return dst, false, fault.Data("ByteArrayConverter: expected a value with a schema or a schemaless one, "+
			"found encoding %d", d.Encoding)
	}
	content, size := connectdata.LengthPrefixed(in)
	if size <= 0 || size != len(in) {
		return dst, false, fault.Malformed(0, "expected bytes and nothing after them")
	}
	var k conversion.Budget
	k.Start(ctx, dst, maxBytes)
	if err := k.CheckRoom(dst, len(content)); err != nil {
		return dst, false, err
	}
	return append(dst, content...), false, nil
}

// Decode implements [conversion.Converter].
func (c *byteArrayConverter) Decode(ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return appendNull(b, c.schema), nil
	}
	return appendOptional(b, c.schema, data), nil
}

func notBytesError(class string) error {
	return fault.Data("ByteArrayConverter is not compatible with objects of type class %s", class)
}

// appendNull appends a null of an optional type without default. Kafka's converters give missing values a schema, too.
func appendNull(b *record.Batch, s *record.Schema) wit.ValueSlice {
	b.Retain(s)
	b.Data = append(b.Data, 0) // the branch of null
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Start: uint32(len(b.Data) - 1), Size: 1}
}

// appendOptional appends a value of type optional string or bytes without default.
func appendOptional(b *record.Batch, s *record.Schema, content []byte) wit.ValueSlice {
	b.Retain(s)
	start := len(b.Data)
	const valueBranch = 2
	b.Data = connectdata.AppendBytes(append(b.Data, valueBranch), content)
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Start: uint32(start),
		Size: uint32(len(b.Data) - start)}
}

// stringConverter is Kafka Connect's StringConverter: Java's toString of the value. It rejects bytes, whose toString is
// a hash code.
type stringConverter struct {
	reg          *record.Registry
	schema       *record.Schema // of decoded values
	scratch      []byte         // one text, reused
	budget       conversion.Budget
	writer       values.Writer
	writeCharset conversion.Charset
	readCharset  conversion.Charset
}

func newString(v setting.Values, u conversion.Options) (conversion.Converter, error) {
	c := &stringConverter{reg: u.Schemas}
	c.writer = values.Writer{Limit: c.budget.CheckItem, ToString: true}
	for _, encoding := range []struct {
		charset *conversion.Charset
		suffix  string // of the setting's name
	}{{&c.writeCharset, "serializer.encoding"}, {&c.readCharset, "deserializer.encoding"}} {
		// A setting of the serializer for keys or values takes precedence over converter.encoding.
		name := "converter.encoding"
		if specific := conversion.ConverterType(u.IsKey) + "." + encoding.suffix; v.String(specific) != "" {
			name = specific
		}
		var ok bool
		if *encoding.charset, ok = conversion.FindCharset(v.String(name)); !ok {
			return nil, fault.Config("%s", setting.Invalid(name, v.String(name), "expected "+conversion.CharsetNames()))
		}
	}
	var err error
	c.schema, err = u.Schemas.Intern([]wit.SchemaNode{{Kind: wit.String, Optional: true}})
	return c, err
}

// Encode implements [conversion.Converter]. It bounds the text, and the bytes in the character set, by maxBytes.
func (c *stringConverter) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	in := b.Bytes(d)
	k := &c.budget
	k.Start(ctx, dst, maxBytes)
	if s := c.reg.Get(d.Schema); d.Encoding == wit.WithSchema && s != nil && s.Root().Kind == wit.String {
		if out, done := c.encodeText(dst, s.Root(), in); done {
			return out, false, nil
		}
		if len(in) > maxBytes { // a text that is too long is not decoded first
			return dst, false, k.CheckRoom(dst, len(in))
		}
	}
	v, nodes, err := conversion.DecodeValue(c.reg, "StringConverter", d.Encoding, d.Schema, in)
	if err != nil || v == nil {
		return dst, err == nil, err
	}
	k.MaxLen = maxBytes // of the text itself
	c.writer.Nodes = nodes
	c.scratch, err = c.writer.Append(c.scratch[:0], v)
	if unwritable, ok := errors.AsType[*values.UnwritableError](err); ok {
		err = fault.Data("StringConverter: %v", unwritable)
	}
	if err != nil {
		return dst, false, err
	}
	out := c.writeCharset.Encode(dst, c.scratch)
	if k.MaxLen += len(dst); len(out) > k.MaxLen {
		return dst, false, k.CheckRoom(out, 0)
	}
	return out, false, nil
}

// encodeText is a fast path for a string that is written as UTF-8. done is false for other values.
func (c *stringConverter) encodeText(dst []byte, root *wit.SchemaNode, in []byte) (_ []byte, done bool) {
	if c.writeCharset != conversion.UTF8 {
		return dst, false
	}
	null, i, ok := connectdata.IsNull(root, in)
	content, size := connectdata.LengthPrefixed(in[min(i, len(in)):])
	if null || !ok || size <= 0 || i+size != len(in) || len(content) > c.budget.MaxLen-len(dst) ||
		!utf8.Valid(content) {
		return dst, false
	}
	return append(dst, content...), true
}

// Decode implements [conversion.Converter].
func (c *stringConverter) Decode(ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return appendNull(b, c.schema), nil
	}
	if c.scratch = c.readCharset.Decode(c.scratch[:0], data); len(c.scratch) > conversion.MaxDecodedBytes {
		return wit.ValueSlice{}, fault.Data("expected a text of at most %d bytes, found %d", conversion.MaxDecodedBytes,
			len(c.scratch))
	}
	return appendOptional(b, c.schema, c.scratch), nil
}
