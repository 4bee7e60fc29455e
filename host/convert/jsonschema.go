package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// jsonSchemaConverter is Confluent's JsonSchemaConverter: a zero byte, the id that a schema registry has for the JSON
// Schema, and JSON.
//
// Schemas and values are those of Confluent's JsonSchemaData, and are read as it reads them. It refuses what that class
// would lose without a word: a value of another type, a number that does not fit, a required field that is not there.
type jsonSchemaConverter struct {
	registered
	o      jsonSchemaOptions
	strict bool

	budget   budget
	programs cache[uint32, *jsonSchemaProgram] // as many as `schemas.cache.config` says, as of readings
	last     *jsonSchemaProgram

	parser parser
	readings[*jsonSchemaReading]
}

// jsonSchemaOptions are JsonSchemaDataConfig's, and `json.fail.invalid.schema`.
type jsonSchemaOptions struct {
	// open: objects may have properties that their schema does not name (`object.additional.properties`).
	open bool
	// optional: properties that are not required are optional (`use.optional.for.nonrequired`).
	optional bool
	flatten  bool
	// sums: unions and enumerations by Kafka's own names (`generalized.sum.type.support`).
	sums bool
	// validate: documents are held against their schemas.
	validate bool
	writes   form
}

// reads is the form in which values are read: a default stands in for every null.
func (o jsonSchemaOptions) reads() form { return form{replaceNull: true, ofSchema: true} }

// jsonSchemaProgram is what Encode needs for a schema.
type jsonSchemaProgram struct {
	schema *record.Schema
	writer *writer
	// text is the JSON Schema, title its name for subjects.
	text, title string
	ids         topicIDs
	// valid holds what documents are held against, nil: nothing.
	valid *jsonschema.Schema
}

// jsonSchemaReading is what Decode needs for an id.
type jsonSchemaReading struct {
	reader *reader
	valid  *jsonschema.Schema
}

func (r *jsonSchemaReading) from() *record.Schema { return r.reader.schema }

func jsonSchemaSettings() *setting.Table {
	t := registeredSettings()
	t.Declare(
		flag("latest.compatibility.strict", wit.Low, "true", "Write by the newest schema of the subject or by that of "+
			"use.schema.id only where it is that of the record."),
		flag("object.additional.properties", wit.Medium, "true", "Allow further properties in the schemas of objects."),
		flag("use.optional.for.nonrequired", wit.Medium, "false", "Read properties that are not required as optional."),
		setting.Spec("decimal.format", wit.KindText, wit.Low, setting.Is("BASE64"), "How decimals are written: as "+
			"BASE64 or NUMERIC.", setting.Allowed("BASE64", "NUMERIC")),
		flag("json.fail.invalid.schema", wit.Medium, "false", "Hold every document against its schema."),
		flag("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		flag("generalized.sum.type.support", wit.Low, "false", "Name unions and enumerations as Kafka Connect does."),
		flag("ignore.default.for.nullables", wit.Low, "false", "Write null as null where the field has a default."),
		flag("ignore.modern.dialects", wit.Low, "false", "Read every schema as one of draft 7, as is done anyway."),
	)
	for _, name := range []string{"preserve.additional.properties", "json.indent.output", "json.write.dates.iso8601"} {
		t.Later(flag(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}

func newJSONSchema(v setting.Values, u Use) (Converter, error) {
	r, err := newRegistered(v, u, registry.JSON)
	if err != nil {
		return nil, err
	}
	kept := v.Number("schemas.cache.config")
	c := &jsonSchemaConverter{registered: r, strict: v.On("latest.compatibility.strict"),
		programs: newCache[uint32, *jsonSchemaProgram](kept),
		o: jsonSchemaOptions{open: v.On("object.additional.properties"), optional: v.On("use.optional.for.nonrequired"),
			flatten: v.On("flatten.singleton.unions"), sums: v.On("generalized.sum.type.support"),
			validate: v.On("json.fail.invalid.schema"),
			writes: form{ofSchema: true, numericDecimals: v.Word("decimal.format") == "numeric",
				replaceNull: !v.On("ignore.default.for.nullables")}}}
	c.readings = newReadings(kept, &c.registered, c.compile, c.value)
	return c, nil
}

func (c *jsonSchemaConverter) Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch,
	d wit.Datum) ([]byte, bool, error) {
	switch d.Form {
	case wit.Absent:
		return dst, true, nil
	case wit.Structured:
	default:
		return dst, false, dataError("JsonSchemaConverter: expected a value with a schema, which the registry gets, " +
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
		if id, err = c.id(ctx, topic, p.title, p.text, c.fits(p)); err != nil {
			return dst, false, err
		}
		p.ids.keep(topic, id)
	}
	k := &c.budget
	k.start(ctx, dst, most)
	in, start := b.Bytes(d), len(dst)+idBytes
	out, i, failed := p.writer.write(k, binary.BigEndian.AppendUint32(append(dst, 0), id), in, 0)
	if failed == nil && i != len(in) {
		failed = broken(i, "bytes left over")
	}
	if failed == nil {
		failed = k.room(out, 0)
	}
	if failed != nil {
		return dst, false, endedBy(ctx, failed)
	}
	if c.o.validate {
		if err := holds(p.valid, out[start:]); err != nil {
			return dst, false, err
		}
	}
	return out, false, nil
}

// program returns what is kept for a schema, making it when it is new.
func (c *jsonSchemaConverter) program(ctx context.Context, id uint32) (*jsonSchemaProgram, error) {
	p := c.programs.get(id)
	if p == nil {
		s, err := schemaOf(c.use.Schemas, "JsonSchemaConverter", id)
		if err != nil {
			return nil, err
		}
		p = &jsonSchemaProgram{schema: s, ids: topicIDs{}}
		var k budget
		k.start(ctx, nil, maxEnvelopeBytes)
		if p.writer, err = newWriter(&k, s.Nodes, 0, c.o.writes); err != nil {
			return nil, schemaFault(err)
		}
		k.start(ctx, nil, maxEnvelopeBytes)
		text, err := jsonSchemaOf(&k, s.Nodes, p.writer, c.o)
		if err != nil {
			return nil, schemaFault(err)
		}
		if p.text = string(text); !s.Root().Optional {
			p.title = nameOf(s.Root())
		}
		if c.o.validate {
			if p.valid, err = validator([]registry.Text{{Text: p.text}}); err != nil {
				return nil, err
			}
		}
		size := compiledBytes(s) + len(text)
		c.programs.put(id, p, size)
	}
	c.last = p
	return p, nil
}

// fits refuses to write by a schema that is not the record's own, unless latest.compatibility.strict=false; documents
// are held against that one then, where they are held against any.
func (c *jsonSchemaConverter) fits(p *jsonSchemaProgram) func(string, []registry.Text, string) error {
	return func(own string, texts []registry.Text, what string) error {
		theirs := texts[len(texts)-1].Text
		var a, b any
		if json.Unmarshal([]byte(theirs), &a) != nil || json.Unmarshal([]byte(own), &b) != nil {
			return &Stop{fmt.Errorf("%s is no JSON", what)}
		}
		if !reflect.DeepEqual(a, b) && c.strict {
			return &Stop{fmt.Errorf("%s is not that of the record, and latest.compatibility.strict=true: expected %s, "+
				"found %s", what, cutTo(own, maxErrorBytes), cutTo(theirs, maxErrorBytes))}
		}
		if c.o.validate {
			var err error
			if p.valid, err = validator(texts); err != nil {
				return &Stop{fmt.Errorf("%s: %w", what, err)}
			}
		}
		return nil
	}
}

// value reads a document of a topic by its schema.
func (c *jsonSchemaConverter) value(r *jsonSchemaReading, ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.Datum, error) {
	if c.o.validate {
		if err := holds(r.valid, data); err != nil {
			return wit.Datum{}, err
		}
	}
	start := len(b.Data)
	p := &c.parser
	p.reset(ctx, data, start+maxDecodedBytes)
	d := wit.Datum{Form: wit.Structured, Schema: r.reader.schema.ID, Start: uint32(start)}
	b.Data = r.reader.read(p, b.Data)
	if p.end(); p.err != nil {
		return wit.Datum{}, unreadable("Converting byte[] to Kafka Connect data failed due to serialization error of "+
			"topic "+topic+": ", endedBy(ctx, p.err))
	}
	b.Hold(r.reader.schema)
	d.Size = uint32(len(b.Data) - start)
	return d, nil
}

// compile makes what reads the values of a schema, the last of several.
func (c *jsonSchemaConverter) compile(ctx context.Context, topic string,
	texts []registry.Text) (*jsonSchemaReading, error) {
	s, err := newSchemaSource(ctx, texts, c.o)
	if err != nil {
		return nil, err
	}
	if len(texts) == 1 { // what refers to others is found by the text and the references together
		if s.version, err = c.version(ctx, topic, s.title(), texts[0].Text); err != nil {
			return nil, err
		}
	}
	nodes, err := s.read()
	if err != nil {
		return nil, err
	}
	schema, err := c.use.Schemas.Intern(nodes)
	if err != nil {
		return nil, dataError("%v", err)
	}
	r := &jsonSchemaReading{}
	if r.reader, err = compileReader(schema.Nodes, 0, c.o.reads()); err != nil {
		return nil, err
	}
	r.reader.schema = schema
	if c.o.validate {
		r.valid, err = validator(texts)
	}
	return r, err
}

// validator compiles the last of several schemas, which may refer to those before it.
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
			return nil, dataError("the JSON Schema: %v", err)
		}
	}
	s, err := c.Compile(base)
	if err != nil {
		return nil, dataError("the JSON Schema: %v", err)
	}
	return s, nil
}

// holds tells what of a document is against its schema.
func holds(s *jsonschema.Schema, document []byte) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(document)))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		return dataError("Validation error in JSON: %s", cutTo(err.Error(), maxErrorBytes))
	}
	return nil
}
