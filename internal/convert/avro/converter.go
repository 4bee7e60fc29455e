package avro

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registered"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Converter is Confluent's AvroConverter: a zero byte, the schema registry's ID of the schema, and Avro binary. The
// bytes in a batch are Avro binary by the same mapping, so that a value is copied if its schema has no unions of
// several types, enums or fixed types.
//
// It reads what any writer has written, and rejects what would be changed silently: a number that does not fit its
// annotated type (which Kafka Connect narrows), a string that is not UTF-8, bytes after the value.
type Converter struct {
	registered.Schemas
	o Options

	budget   conversion.Budget
	programs conversion.Cache[uint32, *program] // as many as `schemas.cache.config` permits, like readings
	last     *program
	anything *program

	registered.Readings[*reading]
}

// program is a schema compiled for Encode.
type program struct {
	schema *record.Schema
	text   string
	// name is the full name of a record, for subjects.
	name string
	step *step
	// raw means that the schema is just bytes, which are written without their length.
	raw bool
	ids registered.TopicIDs
}

// reading is a schema compiled for Decode.
type reading struct {
	schema *record.Schema
	step   *step
	// raw is as in program. anything means a value without a schema, null a null schema.
	raw, anything, null bool
}

// DecodedSchema implements registered.compiled.
func (r *reading) DecodedSchema() *record.Schema { return r.schema }

// New creates a converter from [Settings].
func New(v setting.Values, u conversion.Options) (conversion.Converter, error) {
	r, err := registered.New(v, u, registry.Avro)
	if err != nil {
		return nil, err
	}
	kept := v.Int("schemas.cache.config")
	c := &Converter{Schemas: r, programs: conversion.NewCache[uint32, *program](kept),
		o: OptionsOf(v)}
	c.Readings = registered.NewReadings(kept, &c.Schemas, c.compile, (*reading).read)
	return c, nil
}

// Encode implements [conversion.Converter].
func (c *Converter) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
	d wit.ValueSlice) (out []byte, null bool, err error) {
	in := b.Bytes(d)
	p, null, err := c.programOf(ctx, d, in)
	if err != nil || null {
		return dst, null, err
	}
	id, known := p.ids[topic]
	if !known {
		if id, err = c.ID(ctx, topic, p.name, p.text, checkSameBinaryForm); err != nil {
			return dst, false, err
		}
		p.ids.Keep(topic, id)
	}
	out = binary.BigEndian.AppendUint32(append(dst, 0), id)
	c.budget.Start(ctx, dst, maxBytes)
	if p.raw {
		content, size := connectdata.LengthPrefixed(in)
		if size != len(in) || size <= 0 {
			return dst, false, fault.Malformed(0, "expected bytes and nothing after them")
		}
		in = content
	}
	if p.raw || p.step != nil && p.step.same {
		if err := c.budget.CheckRoom(out, len(in)); err != nil {
			return dst, false, err
		}
		return append(out, in...), false, nil
	}
	if out, err = p.transcode(ctx, &c.budget, out, in); err != nil {
		return dst, false, err
	}
	return out, false, nil
}

// programOf returns the program for a value, or that the value is null.
func (c *Converter) programOf(ctx context.Context, d wit.ValueSlice, in []byte) (p *program, null bool, err error) {
	switch d.Encoding {
	case wit.Absent:
		return nil, true, nil
	case wit.Schemaless:
		return c.schemaless(), false, nil
	case wit.WithSchema:
		if p = c.last; p == nil || p.schema.ID != d.Schema {
			if p, err = c.program(ctx, d.Schema); err != nil {
				return nil, false, err
			}
		}
		null, _, ok := connectdata.IsNull(p.schema.Root(), in)
		if !ok {
			return nil, false, fault.Malformed(0, "expected the branch 00 or 02 of an optional value")
		}
		return p, null, nil
	}
	return nil, false, fault.Data("AvroConverter: expected a value with a schema or a schemaless one, found "+
		"encoding %d",
		d.Encoding)
}

func (p *program) transcode(ctx context.Context, k *conversion.Budget, out, in []byte) ([]byte, error) {
	w := transcoder{ctx: ctx, in: in, most: k.MaxLen}
	out = p.write(&w, out)
	failed := w.err
	if failed == nil && w.i != len(in) {
		failed = fault.Malformed(w.i, "bytes left over")
	}
	if failed == nil {
		failed = k.CheckRoom(out, 0)
	}
	if failed != nil {
		return nil, fault.ContextError(ctx, failed)
	}
	return out, nil
}

func (p *program) write(w *transcoder, dst []byte) []byte {
	if p.step == nil {
		return writeAnything(w, dst)
	}
	return p.step.run(w, dst)
}

func (c *Converter) schemaless() *program {
	if c.anything == nil {
		c.anything = &program{text: anythingSchema, name: namespace + ".Anything", ids: registered.TopicIDs{}}
	}
	return c.anything
}

func (c *Converter) program(ctx context.Context, id uint32) (*program, error) {
	p := c.programs.Get(id)
	if p == nil {
		s, err := conversion.FindSchema(c.Use.Schemas, "AvroConverter", id)
		if err != nil {
			return nil, err
		}
		var k conversion.Budget
		k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		text, name, steps, err := write(&k, s.Nodes, c.o)
		if err != nil {
			return nil, fault.SchemaError(err)
		}
		root := s.Root()
		p = &program{schema: s, text: string(text), step: steps, ids: registered.TopicIDs{}}
		p.raw = root.Kind == wit.Bytes && !root.Optional && steps.op == bytesStep
		if !root.Optional {
			p.name = name
		}
		size := conversion.CompiledBytes(s) + len(text)
		c.programs.Put(id, p, size)
	}
	c.last = p
	return p, nil
}

// anyName accepts every name part that is not empty: Avro's Java library accepts all letters.
func anyName(part string) error {
	if part == "" {
		return errEmptyName
	}
	return nil
}

// checkSameBinaryForm rejects another schema for writing if its bytes would differ: the parsing canonical forms must be
// equal.
func checkSameBinaryForm(own string, texts []registry.Text, what string) error {
	mine, err := parse([]registry.Text{{Text: own}})
	if err != nil {
		return fault.Data("the record's schema: %v", err)
	}
	theirs, err := parse(texts)
	if err != nil {
		return &fault.Fatal{Err: fmt.Errorf("%s: %w", what, err)}
	}
	if a, b := mine.Canonical(), theirs.Canonical(); string(a) != string(b) {
		return &fault.Fatal{Err: fmt.Errorf("%s is not that of the record, and records are not rewritten for another "+
			"one: expected %s, found %s",
			what, fault.TruncateTo(string(a), fault.MaxErrorBytes), fault.TruncateTo(string(b), fault.MaxErrorBytes))}
	}
	return nil
}

// parse parses the last of several schemas, which may refer to the others.
func parse(texts []registry.Text) (schema *avro.Schema, err error) {
	var cache avro.SchemaCache
	for _, one := range texts {
		text, err := relaxedText(one.Text)
		if err != nil {
			return nil, err
		}
		if schema, err = cache.Parse(text, avro.WithLaxNames(anyName)); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

func (r *reading) read(ctx context.Context, _ string, in []byte, b *record.Batch) (wit.ValueSlice, error) {
	if r.null {
		return wit.ValueSlice{}, nil
	}
	start := len(b.Data)
	d := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start)}
	if !r.anything {
		d.Encoding, d.Schema = wit.WithSchema, r.schema.ID
		b.Retain(r.schema)
	}
	switch {
	case r.raw:
		w := transcoder{in: in}
		if r.step.op == decimalStep {
			if in = w.decimal(in); w.err != nil {
				return d, w.err
			}
		}
		b.Data = connectdata.AppendBytes(b.Data, in)
	case !r.anything && r.step.same && len(in) <= conversion.MaxDecodedBytes &&
		connectdata.Check(r.schema.Nodes, in) == nil:
		b.Data = append(b.Data, in...)
	default:
		w := transcoder{ctx: ctx, in: in, most: start + conversion.MaxDecodedBytes}
		if b.Data = r.step.run(&w, b.Data); w.i != len(in) {
			w.malformed(fmt.Sprintf("%d bytes after the value", len(in)-w.i))
		}
		if w.err != nil {
			return d, fault.ContextError(ctx, w.err)
		}
	}
	if r.anything && b.Data[start] == connectdata.TagNull {
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, nil
	}
	d.Size = uint32(len(b.Data) - start)
	return d, nil
}

var anythingCanonical = string(avro.MustParse(anythingSchema).Canonical())

// compile compiles the last of several schemas for reading.
func (c *Converter) compile(ctx context.Context, topic string, texts []registry.Text) (*reading, error) {
	schema, err := parse(texts)
	if err != nil {
		// The parser's message repeats each level around the error.
		text := err.Error()
		if len(text) > fault.MaxErrorBytes {
			// The cut may split a character, which shown replaces.
			text = shown.Within(text, fault.MaxQuoted) + " ... " + shown.Line(text[len(text)-fault.MaxErrorBytes/2:])
		}
		return nil, fault.Data("the Avro schema: %s", text)
	}
	root := schema.Root()
	if len(texts) > 1 {
		root = root.ExpandReferences()
	}
	if root.Type == "record" && root.Name == "Anything" && string(schema.Canonical()) == anythingCanonical {
		return &reading{anything: true, step: &step{op: anythingStep}}, nil
	}
	if root.Type == "null" {
		return &reading{null: true}, nil
	}
	var version *int32
	if len(texts) == 1 { // what refers to others is found by the text and the references together
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
	nodes, steps, err := read(root, version, c.o)
	if err != nil {
		return nil, err
	}
	made, err := c.Use.Schemas.Intern(nodes)
	if err != nil {
		return nil, fault.Data("%v", err)
	}
	return &reading{schema: made, step: steps, raw: root.Type == "bytes"}, nil
}

// Settings returns the converter's settings.
func Settings() *setting.Table {
	t := registered.Settings()
	t.Declare(
		conversion.BoolSetting("enhanced.avro.schema.support", wit.Medium, "false",
			"Keep enumerations apart from texts, and packages of records apart from each other."),
		conversion.BoolSetting("connect.meta.data", wit.Low, "true",
			"Add Kafka Connect's own attributes of schemas (connect.name, connect.version, …) to those of Avro."),
		conversion.BoolSetting("scrub.invalid.names", wit.Low, "false",
			"Replace in names what Avro does not allow there."),
		conversion.BoolSetting("allow.optional.map.keys", wit.Low, "false",
			"Write maps whose keys are optional as maps, too."),
		conversion.BoolSetting("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		conversion.BoolSetting("ignore.default.for.nullables", wit.Low, "false",
			"Write null as null where the field has a default."),
		conversion.BoolSetting("latest.compatibility.strict", wit.Low, "true",
			"Makes no difference here: the newest schema of "+
				"use.latest.version has to lay values out as that of the record does, also with false, where "+
				"Confluent's serializer writes by it without looking."),
	)
	for _, name := range []string{"generalized.sum.type.support", "discard.type.doc.default"} {
		t.DeclareUnsupported(conversion.BoolSetting(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}
