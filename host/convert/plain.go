package convert

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/values"
)

// byteArrayConverter is Kafka Connect's ByteArrayConverter: bytes as they are.
type byteArrayConverter struct {
	reg  *record.Registry
	read *record.Schema
}

func newByteArray(_ setting.Values, u Use) (Converter, error) {
	s, err := u.Schemas.Intern([]wit.Node{{Kind: wit.Bytes, Optional: true}})
	return &byteArrayConverter{u.Schemas, s}, err
}

func (c *byteArrayConverter) Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch,
	d wit.Datum) ([]byte, bool, error) {
	in := b.Bytes(d)
	switch d.Form {
	case wit.Absent:
		return dst, true, nil
	case wit.Dynamic:
		if len(in) == 0 || in[0] != datum.TagBytes {
			v, _, err := datum.ReadDynamic(in)
			switch {
			case err != nil:
				return dst, false, dataError("ByteArrayConverter: %v", err)
			case v == nil:
				return dst, true, nil
			}
			return dst, false, noBytes(javaClass(v, nil))
		}
		in = in[1:]
	case wit.Structured:
		s := c.reg.Get(d.Schema)
		if s == nil {
			return dst, false, dataError("ByteArrayConverter: schema %d is not registered", d.Schema)
		}
		if k := s.Root().Kind; k != wit.Bytes {
			return dst, false, dataError("Invalid schema type for ByteArrayConverter: %s", typeName(k))
		}
		null, size, ok := datum.IsNull(s.Root(), in)
		if !ok {
			return dst, false, broken(0, "expected the branch 00 or 02 of an optional value")
		}
		if null {
			return dst, true, nil
		}
		if name := s.Root().Name; name != nil && *name == wit.NameDecimal {
			return dst, false, noBytes("java.math.BigDecimal")
		}
		in = in[size:]
	default:
		return dst, false, dataError("ByteArrayConverter: expected a structured or dynamic datum, found form %d",
			d.Form)
	}
	n, size := length(in, 0)
	if size <= 0 || size+n != len(in) {
		return dst, false, broken(0, "expected bytes and nothing after them")
	}
	var k budget
	k.start(ctx, dst, most)
	if err := k.room(dst, n); err != nil {
		return dst, false, err
	}
	return append(dst, in[size:]...), false, nil
}

func (c *byteArrayConverter) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.Datum,
	error) {
	if data == nil {
		return appendNull(b, c.read), nil
	}
	return appendOptional(b, c.read, data), nil
}

func noBytes(class string) error {
	return dataError("ByteArrayConverter is not compatible with objects of type class %s", class)
}

// appendNull appends a null of an optional type without default: what is not there has a schema all the same, as
// Kafka's converters of texts, bytes and numbers have it.
func appendNull(b *record.Batch, s *record.Schema) wit.Datum {
	b.Hold(s)
	b.Data = append(b.Data, 0)
	return wit.Datum{Form: wit.Structured, Schema: s.ID, Start: uint32(len(b.Data) - 1), Size: 1}
}

// appendOptional appends a value of an optional text or bytes without default.
func appendOptional(b *record.Batch, s *record.Schema, content []byte) wit.Datum {
	b.Hold(s)
	start := len(b.Data)
	b.Data = datum.AppendBytes(append(b.Data, 2), content)
	return wit.Datum{Form: wit.Structured, Schema: s.ID, Start: uint32(start), Size: uint32(len(b.Data) - start)}
}

// stringConverter is Kafka Connect's StringConverter: the value's Java text. Bytes have no text worth storing there (a
// hash), so they are refused here.
type stringConverter struct {
	reg     *record.Registry
	read    *record.Schema
	scratch []byte
	budget  budget
	writer  values.Writer
	// writes and reads are the character sets of what is written and read.
	writes, reads charset
}

func newString(v setting.Values, u Use) (Converter, error) {
	c := &stringConverter{reg: u.Schemas}
	c.writer = values.Writer{Bound: c.budget.bound, ToString: true}
	for _, way := range []struct {
		at    *charset
		named string
	}{{&c.writes, "serializer.encoding"}, {&c.reads, "deserializer.encoding"}} {
		// The converter overrides the serializers' own settings, which name what they are for.
		name := "converter.encoding"
		if own := usedFor(u.Key) + "." + way.named; v.Text(own) != "" {
			name = own
		}
		var known bool
		if *way.at, known = charsetOf(v.Text(name)); !known {
			return nil, configError("%s", setting.Invalid(name, v.Text(name), "expected "+charsetNames()))
		}
	}
	var err error
	c.read, err = u.Schemas.Intern([]wit.Node{{Kind: wit.Text, Optional: true}})
	return c, err
}

func (c *stringConverter) Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch,
	d wit.Datum) ([]byte, bool, error) {
	in := b.Bytes(d)
	k := &c.budget
	k.start(ctx, dst, most)
	if s := c.reg.Get(d.Schema); d.Form == wit.Structured && s != nil && s.Root().Kind == wit.Text {
		if out, done := c.encodeText(dst, s.Root(), in); done {
			return out, false, nil
		}
		if len(in) > most {
			return dst, false, k.room(dst, len(in))
		}
	}
	v, nodes, err := valueOf(c.reg, "StringConverter", d.Form, d.Schema, in)
	if err != nil || v == nil {
		return dst, err == nil, err
	}
	k.most = most // of the text itself
	c.writer.Nodes = nodes
	c.scratch, err = c.writer.Append(c.scratch[:0], v)
	if wrong, is := errors.AsType[*values.Unwritable](err); is {
		err = dataError("StringConverter: %v", wrong)
	}
	if err != nil {
		return dst, false, err
	}
	out := c.writes.encode(dst, c.scratch)
	if k.most += len(dst); len(out) > k.most {
		return dst, false, k.room(out, 0)
	}
	return out, false, nil
}

// encodeText is the short way for what this converter mostly gets: a text, to be written in UTF-8.
func (c *stringConverter) encodeText(dst []byte, root *wit.Node, in []byte) ([]byte, bool) {
	if c.writes != utf8Charset {
		return dst, false
	}
	null, i, ok := datum.IsNull(root, in)
	n, size := length(in, min(i, len(in)))
	if null || !ok || size <= 0 || i+size+n != len(in) || n > c.budget.most-len(dst) || !utf8.Valid(in[i+size:]) {
		return dst, false
	}
	return append(dst, in[i+size:]...), true
}

func (c *stringConverter) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.Datum, error) {
	if data == nil {
		return appendNull(b, c.read), nil
	}
	if c.scratch = c.reads.decode(c.scratch[:0], data); len(c.scratch) > maxDecodedBytes {
		return wit.Datum{}, dataError("expected a text of at most %d bytes, found %d", maxDecodedBytes, len(c.scratch))
	}
	return appendOptional(b, c.read, c.scratch), nil
}
