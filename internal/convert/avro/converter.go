package avro

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Converter is Confluent's AvroConverter: values are a zero byte, the registry's ID of the schema, and Avro binary. The
// structured bytes of a batch are Avro binary, too, so that most values are only copied: all but those with enums,
// fixed or unions of several types.
//
// It reads what any writer has written, but rejects what AvroConverter silently changes: numbers that do not fit their
// annotated type, text that is not UTF-8, bytes after the value.
type Converter struct {
	conversion.Schemas
	options Options

	budget            conversion.Budget
	encoders          conversion.Cache[uint32, *encoder] // `schemas.cache.config` bounds them, as it does decoders
	lastEncoder       *encoder
	schemalessEncoder *encoder

	conversion.DecoderCache[*decoder]
}

// encoder encodes the values of one schema, or schemaless ones if step is nil.
type encoder struct {
	schema *record.Schema
	text   string // the Avro schema
	name   string // full name of a record, for subjects
	step   *step  // nil means that values are schemaless
	isRaw  bool   // the schema is bytes, which are written without their length
	ids    conversion.TopicIDs
}

// decoder decodes the values of one schema.
type decoder struct {
	schema     *record.Schema
	step       *step
	isRaw      bool // the schema is bytes, which are read without a length
	isAnything bool // the schema is anythingSchema, so that values are schemaless
	isNull     bool // the schema is null, which has no values
}

// From returns the schema of decoded values, nil for schemaless values and nulls.
func (d *decoder) From() *record.Schema { return d.schema }

// New creates the converter of [Settings].
func New(v setting.Values, use conversion.Options) (conversion.Converter, error) {
	schemas, err := conversion.NewSchemas(v, use, registry.Avro)
	if err != nil {
		return nil, err
	}
	cacheSize := v.Int("schemas.cache.config")
	c := &Converter{Schemas: schemas, encoders: conversion.NewCache[uint32, *encoder](cacheSize), options: OptionsOf(v)}
	c.DecoderCache = conversion.NewDecoderCache(cacheSize, &c.Schemas, c.compileDecoder, (*decoder).read)
	return c, nil
}

// Encode implements [conversion.Converter]. The prefix is a zero byte and the schema's ID.
func (c *Converter) Encode(ctx context.Context, dst []byte, maxSize int, topic string, b *record.Batch,
	value wit.ValueSlice) (out []byte, isNull bool, err error) {
	input := b.Bytes(value)
	enc, err := c.encoderFor(ctx, value, input)
	if err != nil || enc == nil {
		return dst, err == nil, err
	}
	id, ok := enc.ids[topic]
	if !ok {
		if id, err = c.ID(ctx, topic, enc.name, enc.text, checkSameEncoding); err != nil {
			return dst, false, err
		}
		enc.ids.Keep(topic, id)
	}
	c.budget.Start(ctx, dst, maxSize)
	out, err = enc.appendValue(ctx, &c.budget, binary.BigEndian.AppendUint32(append(dst, 0), id), input)
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}

// encoderFor returns the encoder of a value, nil for null.
func (c *Converter) encoderFor(ctx context.Context, value wit.ValueSlice, input []byte) (enc *encoder, err error) {
	switch value.Encoding {
	case wit.Absent:
		return nil, nil
	case wit.Schemaless:
		if c.schemalessEncoder == nil {
			c.schemalessEncoder = &encoder{text: anythingSchema, name: namespace + ".Anything",
				ids: conversion.TopicIDs{}}
		}
		return c.schemalessEncoder, nil
	case wit.WithSchema: // continues below
	default:
		return nil, fault.Data("AvroConverter: expected a value with a schema or a schemaless one, found "+
			"encoding %d", value.Encoding)
	}
	if enc = c.lastEncoder; enc == nil || enc.schema.ID != value.Schema {
		if enc = c.encoders.Get(value.Schema); enc == nil {
			if enc, err = c.compileEncoder(ctx, value.Schema); err != nil {
				return nil, err
			}
		}
		c.lastEncoder = enc
	}
	null, _, ok := connectdata.IsNull(enc.schema.Root(), input)
	switch {
	case !ok:
		return nil, fault.Malformed(0, "expected the branch 00 or 02 of an optional value")
	case null:
		return nil, nil
	}
	return enc, nil
}

// compileEncoder returns a new encoder of a schema, which it caches.
func (c *Converter) compileEncoder(ctx context.Context, schemaID uint32) (*encoder, error) {
	s, err := conversion.FindSchema(c.Use.Schemas, "AvroConverter", schemaID)
	if err != nil {
		return nil, err
	}
	var budget conversion.Budget
	budget.Start(ctx, nil, conversion.MaxEnvelopeBytes)
	schemaText, name, steps, err := writeSchema(&budget, s.Nodes, c.options)
	if err != nil {
		return nil, fault.SchemaError(err)
	}
	root := s.Root()
	enc := &encoder{schema: s, text: string(schemaText), step: steps, ids: conversion.TopicIDs{}}
	enc.isRaw = root.Kind == wit.Bytes && !root.Optional && steps.op == bytesStep
	if !root.Optional { // the Avro schema of an optional record is a union, which has no name
		enc.name = name
	}
	c.encoders.Put(schemaID, enc, conversion.CompiledBytes(s)+len(schemaText))
	return enc, nil
}

// appendValue appends the Avro encoding of a value, which is a copy if both encodings are the same.
func (e *encoder) appendValue(ctx context.Context, budget *conversion.Budget, dst, input []byte) ([]byte, error) {
	if e.isRaw {
		content, size := connectdata.LengthPrefixed(input)
		if size != len(input) || size <= 0 {
			return nil, fault.Malformed(0, "expected bytes and nothing after them")
		}
		input = content
	}
	if e.isRaw || (e.step != nil && e.step.identity) {
		if err := budget.CheckRoom(dst, len(input)); err != nil {
			return nil, err
		}
		return append(dst, input...), nil
	}
	w := rewrite{ctx: ctx, input: input, maxOutput: budget.MaxLen}
	out := e.run(&w, dst)
	return out, budget.CheckEnd(out, input, w.pos, w.err)
}

func (e *encoder) run(w *rewrite, dst []byte) []byte {
	if e.step == nil {
		return writeAnything(w, dst)
	}
	return e.step.run(w, dst)
}

// acceptNonEmpty accepts all names that Avro's Java library writes: it allows any letter.
func acceptNonEmpty(part string) error {
	if part == "" {
		return errEmptyName
	}
	return nil
}

// checkSameEncoding compares the record's schema with another one of the registry, the last of texts, which comes from
// source. It returns an error if their parsing canonical forms differ, since then the bytes of values differ, too.
func checkSameEncoding(recordSchema string, texts []registry.NamedSchema, source string) error {
	ownSchema, err := parse([]registry.NamedSchema{{Text: recordSchema}})
	if err != nil {
		return fault.Data("the record's schema: %v", err)
	}
	otherSchema, err := parse(texts)
	if err != nil {
		return &fault.Fatal{Err: fmt.Errorf("%s: %w", source, err)}
	}
	want := string(ownSchema.Canonical())
	if got := string(otherSchema.Canonical()); want != got {
		return &fault.Fatal{Err: fmt.Errorf(
			"%s differs from the record's schema, and records are not converted to another one: expected %s, found %s",
			source, fault.TruncateTo(want, fault.MaxErrorBytes), fault.TruncateTo(got, fault.MaxErrorBytes))}
	}
	return nil
}

// parse parses the last of several schemas, which may refer to those before it.
func parse(texts []registry.NamedSchema) (schema *avro.Schema, err error) {
	var cache avro.SchemaCache
	for _, text := range texts {
		v, err := conversion.ParseSchemaText(text.Text)
		if err != nil {
			return nil, err
		}
		if err := normalizeNode(v, 0); err != nil {
			return nil, err
		}
		normalized, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if schema, err = cache.Parse(string(normalized), avro.WithLaxNames(acceptNonEmpty)); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

// read decodes a value and appends it to b.Data.
func (d *decoder) read(ctx context.Context, _ string, input []byte, b *record.Batch) (wit.ValueSlice, error) {
	if d.isNull {
		return wit.ValueSlice{}, nil
	}
	start := len(b.Data)
	value := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start)}
	if !d.isAnything {
		value.Encoding = wit.WithSchema
		value.Schema = d.schema.ID
		b.Retain(d.schema)
	}
	switch {
	case d.isRaw: // all of the input is the content
		w := rewrite{input: input}
		if d.step.op == decimalStep {
			input = w.shortestDecimal(input)
			if w.err != nil {
				return value, w.err
			}
		}
		b.Data = connectdata.AppendBytes(b.Data, input)
	case !d.isAnything && d.step.identity && len(input) <= conversion.MaxDecodedBytes &&
		connectdata.Check(d.schema.Nodes, input) == nil: // a valid value with the same bytes is copied
		b.Data = append(b.Data, input...)
	default: // the steps convert the value, or find its error
		w := rewrite{ctx: ctx, input: input, maxOutput: start + conversion.MaxDecodedBytes}
		b.Data = d.step.run(&w, b.Data)
		if w.pos != len(input) {
			w.failHere(fmt.Sprintf("%d bytes after the value", len(input)-w.pos))
		}
		if w.err != nil {
			return value, fault.ContextError(ctx, w.err)
		}
	}
	if d.isAnything && b.Data[start] == connectdata.TagNull { // a null without a schema is an absent value
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, nil
	}
	value.Size = uint32(len(b.Data) - start)
	return value, nil
}

var anythingCanonical = string(avro.MustParse(anythingSchema).Canonical())

// compileDecoder creates the decoder of the last of several schemas, which may refer to those before it.
func (c *Converter) compileDecoder(ctx context.Context, topic string, texts []registry.NamedSchema) (*decoder, error) {
	schema, err := parse(texts)
	if err != nil {
		// The parser names each level around an error, so the text may be long.
		message := err.Error()
		if len(message) > fault.MaxErrorBytes {
			// shown replaces a character that is cut in two.
			end := message[len(message)-fault.MaxErrorBytes/2:]
			message = shown.LineUpTo(message, fault.MaxQuoted) + " ... " + shown.Line(end)
		}
		return nil, fault.Data("the Avro schema: %s", message)
	}
	root := schema.Root()
	if len(texts) > 1 {
		root = root.ExpandReferences()
	}
	if root.Type == "record" && root.Name == "Anything" && string(schema.Canonical()) == anythingCanonical {
		return &decoder{isAnything: true, step: &step{op: anythingStep}}, nil
	}
	if root.Type == "null" {
		return &decoder{isNull: true}, nil
	}
	// Find the version of the schema, unless the schema contains it.
	var version *int32
	if len(texts) == 1 { // with references a lookup by text would not find it
		name := ""
		if root.Type == "record" {
			name = fullName(root)
		}
		if property(root, "connect.version") == nil {
			if version, err = c.Version(ctx, topic, name, texts[0].Text); err != nil {
				return nil, err
			}
		}
	}
	nodes, steps, err := readSchema(root, version, c.options)
	if err != nil {
		return nil, err
	}
	interned, err := c.Use.Schemas.Intern(nodes)
	if err != nil {
		return nil, fault.Data("%v", err)
	}
	return &decoder{schema: interned, step: steps, isRaw: root.Type == "bytes"}, nil
}

// Settings declares the converter's settings, including [conversion.RegistrySettings].
func Settings() *setting.Table {
	t := conversion.RegistrySettings()
	t.Declare(
		conversion.BoolSetting("enhanced.avro.schema.support", wit.Medium, "false",
			"Keep enums distinct from strings, and records of different namespaces distinct from each other."),
		conversion.BoolSetting("connect.meta.data", wit.Low, "true",
			"Add Kafka Connect's schema attributes (connect.name, connect.version, …) to Avro schemas."),
		conversion.BoolSetting("scrub.invalid.names", wit.Low, "false",
			"Replace characters that Avro does not allow in names."),
		conversion.BoolSetting("allow.optional.map.keys", wit.Low, "false",
			"Write maps whose keys are optional as maps, too."),
		conversion.BoolSetting("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		conversion.BoolSetting("ignore.default.for.nullables", wit.Low, "false",
			"Write null as null where the field has a default."),
		conversion.BoolSetting("latest.compatibility.strict", wit.Low, "true",
			"Has no effect here: with use.latest.version the newest schema must encode values like the record's "+
				"schema. Confluent's serializer does not check that if this is false."),
	)
	// Settings of Confluent's converter that must have their default.
	for _, name := range []string{"generalized.sum.type.support", "discard.type.doc.default"} {
		t.DeclareUnsupported(conversion.BoolSetting(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}
