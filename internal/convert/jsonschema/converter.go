package jsonschema

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/culvert-project/culvert/internal/convert/connectjson"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registered"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Converter is Confluent's JsonSchemaConverter: a zero byte, the schema registry's ID of the JSON Schema, and JSON.
// Schemas and values are those of Confluent's JsonSchemaData. It rejects what that class would change silently: a value
// of another type, a number that does not fit, a missing required field.
type Converter struct {
	registered.Schemas
	o      options
	strict bool

	budget   conversion.Budget
	programs conversion.Cache[uint32, *program] // as many as `schemas.cache.config` permits, like readings
	last     *program

	parser connectjson.Parser
	registered.Readings[*reading]
}

// options are the settings of JsonSchemaDataConfig, and json.fail.invalid.schema.
type options struct {
	// open permits properties that the schema does not name (`object.additional.properties`).
	open bool
	// optional makes properties that are not required optional (`use.optional.for.nonrequired`).
	optional bool
	flatten  bool
	// sums names unions and enumerations like Kafka does (`generalized.sum.type.support`).
	sums bool
	// validate checks documents by their schemas.
	validate bool
	writes   connectjson.Form
}

// readForm returns the form of values that are read: a default replaces each null.
func (o options) readForm() connectjson.Form {
	return connectjson.Form{ReplaceNull: true, JSONSchema: true}
}

// program is a schema compiled for Encode.
type program struct {
	schema *record.Schema
	writer *connectjson.Writer
	// text is the JSON Schema, title its name for subjects.
	text, title string
	ids         registered.TopicIDs
	// valid validates documents; nil accepts all.
	valid *jsonschema.Schema
}

// reading is a schema compiled for Decode.
type reading struct {
	schema *record.Schema
	reader *connectjson.Reader
	valid  *jsonschema.Schema
}

// DecodedSchema implements registered.compiled.
func (r *reading) DecodedSchema() *record.Schema { return r.schema }

// Settings returns the converter's settings.
func Settings() *setting.Table {
	t := registered.Settings()
	t.Declare(
		conversion.BoolSetting("latest.compatibility.strict", wit.Low, "true",
			"Write by the newest schema of the subject or by that of "+
				"use.schema.id only where it is that of the record."),
		conversion.BoolSetting("object.additional.properties", wit.Medium, "true",
			"Allow further properties in the schemas of objects."),
		conversion.BoolSetting("use.optional.for.nonrequired", wit.Medium, "false",
			"Read properties that are not required as optional."),
		setting.Define("decimal.format", wit.KindString, wit.Low, setting.Default("BASE64"),
			"How decimals are written: as "+
				"BASE64 or NUMERIC.", setting.Allowed("BASE64", "NUMERIC")),
		conversion.BoolSetting("json.fail.invalid.schema", wit.Medium, "false",
			"Hold every document against its schema."),
		conversion.BoolSetting("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		conversion.BoolSetting("generalized.sum.type.support", wit.Low, "false",
			"Name unions and enumerations as Kafka Connect does."),
		conversion.BoolSetting("ignore.default.for.nullables", wit.Low, "false",
			"Write null as null where the field has a default."),
		conversion.BoolSetting("ignore.modern.dialects", wit.Low, "false",
			"Read every schema as one of draft 7, as is done anyway."),
	)
	for _, name := range []string{"preserve.additional.properties", "json.indent.output", "json.write.dates.iso8601"} {
		t.DeclareUnsupported(conversion.BoolSetting(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}

// New creates a converter from [Settings].
func New(v setting.Values, u conversion.Options) (conversion.Converter, error) {
	r, err := registered.New(v, u, registry.JSON)
	if err != nil {
		return nil, err
	}
	kept := v.Int("schemas.cache.config")
	c := &Converter{Schemas: r, strict: v.Bool("latest.compatibility.strict"),
		programs: conversion.NewCache[uint32, *program](kept),
		o: options{open: v.Bool("object.additional.properties"), optional: v.Bool("use.optional.for.nonrequired"),
			flatten: v.Bool("flatten.singleton.unions"), sums: v.Bool("generalized.sum.type.support"),
			validate: v.Bool("json.fail.invalid.schema"),
			writes: connectjson.Form{JSONSchema: true, NumericDecimals: v.Lower("decimal.format") == "numeric",
				ReplaceNull: !v.Bool("ignore.default.for.nullables")}}}
	c.Readings = registered.NewReadings(kept, &c.Schemas, c.compile, c.value)
	return c, nil
}

// Encode implements [conversion.Converter].
func (c *Converter) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	switch d.Encoding {
	case wit.Absent:
		return dst, true, nil
	case wit.WithSchema:
	default:
		return dst, false, fault.Data("JsonSchemaConverter: expected a value with a schema, which the registry gets, " +
			"found one without")
	}
	p := c.last
	if p == nil || p.schema.ID != d.Schema {
		var err error
		if p, err = c.program(ctx, d.Schema); err != nil {
			return dst, false, err
		}
	}
	id, known := p.ids[topic]
	if !known {
		var err error
		if id, err = c.ID(ctx, topic, p.title, p.text, c.fits(p)); err != nil {
			return dst, false, err
		}
		p.ids.Keep(topic, id)
	}
	k := &c.budget
	k.Start(ctx, dst, maxBytes)
	in, start := b.Bytes(d), len(dst)+registered.IDBytes
	out, i, failed := p.writer.Write(k, binary.BigEndian.AppendUint32(append(dst, 0), id), in, 0)
	if failed == nil && i != len(in) {
		failed = fault.Malformed(i, "bytes left over")
	}
	if failed == nil {
		failed = k.CheckRoom(out, 0)
	}
	if failed != nil {
		return dst, false, fault.ContextError(ctx, failed)
	}
	if c.o.validate {
		if err := validateDocument(p.valid, out[start:]); err != nil {
			return dst, false, err
		}
	}
	return out, false, nil
}

func (c *Converter) program(ctx context.Context, id uint32) (*program, error) {
	p := c.programs.Get(id)
	if p == nil {
		s, err := conversion.FindSchema(c.Use.Schemas, "JsonSchemaConverter", id)
		if err != nil {
			return nil, err
		}
		p = &program{schema: s, ids: registered.TopicIDs{}}
		var k conversion.Budget
		k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		if p.writer, err = connectjson.NewWriter(&k, s.Nodes, 0, c.o.writes); err != nil {
			return nil, fault.SchemaError(err)
		}
		k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		text, err := write(&k, s.Nodes, p.writer, c.o)
		if err != nil {
			return nil, fault.SchemaError(err)
		}
		if p.text = string(text); !s.Root().Optional {
			p.title = conversion.NameOf(s.Root())
		}
		if c.o.validate {
			if p.valid, err = validator([]registry.Text{{Text: p.text}}); err != nil {
				return nil, err
			}
		}
		size := conversion.CompiledBytes(s) + len(text)
		c.programs.Put(id, p, size)
	}
	c.last = p
	return p, nil
}

// fits rejects another schema for writing, unless latest.compatibility.strict=false: then documents are validated by
// that one, if at all.
func (c *Converter) fits(p *program) func(string, []registry.Text, string) error {
	return func(own string, texts []registry.Text, what string) error {
		theirs := texts[len(texts)-1].Text
		var a, b any
		if json.Unmarshal([]byte(theirs), &a) != nil || json.Unmarshal([]byte(own), &b) != nil {
			return &fault.Fatal{Err: fmt.Errorf("%s is no JSON", what)}
		}
		if !reflect.DeepEqual(a, b) && c.strict {
			return &fault.Fatal{Err: fmt.Errorf("%s is not that of the record, and latest.compatibility.strict=true: "+
				"expected %s, found %s", what, fault.TruncateTo(own, fault.MaxErrorBytes),
				fault.TruncateTo(theirs, fault.MaxErrorBytes))}
		}
		if c.o.validate {
			var err error
			if p.valid, err = validator(texts); err != nil {
				return &fault.Fatal{Err: fmt.Errorf("%s: %w", what, err)}
			}
		}
		return nil
	}
}

// value decodes a document by its schema.
func (c *Converter) value(r *reading, ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if c.o.validate {
		if err := validateDocument(r.valid, data); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	start := len(b.Data)
	p := &c.parser
	p.Reset(ctx, data, start+conversion.MaxDecodedBytes)
	d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: r.schema.ID, Start: uint32(start)}
	b.Data = r.reader.Read(p, b.Data)
	if p.End(); p.Err != nil {
		return wit.ValueSlice{},
			fault.NotJSON("Converting byte[] to Kafka Connect data failed due to serialization error of "+
				"topic "+topic+": ", fault.ContextError(ctx, p.Err))
	}
	b.Retain(r.schema)
	d.Size = uint32(len(b.Data) - start)
	return d, nil
}

// compile compiles the last of several schemas for reading.
func (c *Converter) compile(ctx context.Context, topic string,
	texts []registry.Text) (*reading, error) {
	s, err := newSchemaSource(ctx, texts, c.o)
	if err != nil {
		return nil, err
	}
	if len(texts) == 1 { // what refers to others is found by the text and the references together
		if s.version, err = c.Version(ctx, topic, s.title(), texts[0].Text); err != nil {
			return nil, err
		}
	}
	nodes, err := s.read()
	if err != nil {
		return nil, err
	}
	schema, err := c.Use.Schemas.Intern(nodes)
	if err != nil {
		return nil, fault.Data("%v", err)
	}
	r := &reading{schema: schema}
	if r.reader, err = connectjson.CompileReader(schema.Nodes, 0, c.o.readForm()); err != nil {
		return nil, err
	}
	if c.o.validate {
		r.valid, err = validator(texts)
	}
	return r, err
}

// validator compiles the last of several schemas, which may refer to the others.
func validator(texts []registry.Text) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is fetched
	const base = "registry:///"
	for _, one := range texts {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(one.Text))
		if err == nil {
			err = c.AddResource(base+one.Name, doc)
		}
		if err != nil {
			return nil, fault.Data("the JSON Schema: %v", err)
		}
	}
	s, err := c.Compile(base)
	if err != nil {
		return nil, fault.Data("the JSON Schema: %v", err)
	}
	return s, nil
}

// validateDocument returns an error if a document does not match its schema.
func validateDocument(s *jsonschema.Schema, document []byte) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(document)))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		return fault.Data("Validation error in JSON: %s", fault.TruncateTo(err.Error(), fault.MaxErrorBytes))
	}
	return nil
}

// Names of enumerations: Confluent's and, with generalized.sum.type.support, Kafka's.
const (
	enumName    = connectjson.SchemaNamespace + ".Enum"
	sumEnumName = "org.apache.kafka.connect.data.Enum"
)
