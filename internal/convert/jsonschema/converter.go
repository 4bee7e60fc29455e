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
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Converter is Confluent's JsonSchemaConverter: values are a zero byte, the registry's ID of the JSON Schema, and JSON.
// It converts like Confluent's JsonSchemaData, but rejects what that class silently loses: values of another type,
// numbers that do not fit, missing required fields.
type Converter struct {
	conversion.Schemas
	options options
	strict  bool // `latest.compatibility.strict`

	budget      conversion.Budget
	encoders    conversion.Cache[uint32, *encoder] // `schemas.cache.config` bounds them, as it does decoders
	lastEncoder *encoder

	parser connectjson.Parser
	conversion.DecoderCache[*decoder]
}

// options are the settings that JsonSchemaDataConfig has in Confluent's converter, and `json.fail.invalid.schema`.
type options struct {
	// additionalProperties allows properties without a schema (`object.additional.properties`).
	additionalProperties bool
	// optionalProperties reads properties that are not required as optional (`use.optional.for.nonrequired`).
	optionalProperties bool
	flatten            bool // `flatten.singleton.unions`
	sumTypes           bool // Kafka's names for unions and enums (`generalized.sum.type.support`)
	validate           bool // documents are validated
	writeForm          connectjson.Form
}

// readForm returns the form of values that are read: nulls become defaults.
func (o options) readForm() connectjson.Form {
	return connectjson.Form{ReplaceNull: true, JSONSchema: true}
}

// encoder encodes the values of one schema.
type encoder struct {
	schema *record.Schema
	writer *connectjson.Writer
	text   string // the JSON Schema
	title  string // its name for subjects
	ids    conversion.TopicIDs
	// validator validates documents. Nil means that they are not validated.
	validator *jsonschema.Schema
}

// decoder decodes the values of one schema.
type decoder struct {
	schema *record.Schema
	reader *connectjson.Reader
	// validator validates documents. Nil means that they are not validated.
	validator *jsonschema.Schema
}

// From returns the schema of decoded values.
func (d *decoder) From() *record.Schema { return d.schema }

// Settings declares the converter's settings, including [conversion.RegistrySettings].
func Settings() *setting.Table {
	t := conversion.RegistrySettings()
	t.Declare(
		conversion.BoolSetting("latest.compatibility.strict", wit.Low, "true",
			"Write with the newest schema of the subject, or with that of use.schema.id, only if it equals the "+
				"record's schema."),
		conversion.BoolSetting("object.additional.properties", wit.Medium, "true",
			"Allow further properties in the schemas of objects."),
		conversion.BoolSetting("use.optional.for.nonrequired", wit.Medium, "false",
			"Read properties that are not required as optional."),
		setting.Define("decimal.format", wit.KindString, wit.Low, setting.Default("BASE64"),
			"Format of decimals: BASE64 or NUMERIC.", setting.Allowed("BASE64", "NUMERIC")),
		conversion.BoolSetting("json.fail.invalid.schema", wit.Medium, "false",
			"Validate every document against its schema."),
		conversion.BoolSetting("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		conversion.BoolSetting("generalized.sum.type.support", wit.Low, "false",
			"Name unions and enumerations as Kafka Connect does."),
		conversion.BoolSetting("ignore.default.for.nullables", wit.Low, "false",
			"Write null as null where the field has a default."),
		conversion.BoolSetting("ignore.modern.dialects", wit.Low, "false",
			"Read every schema as draft 7, which is always the case here."),
	)
	// Settings of Confluent's converter that must have their default.
	for _, name := range []string{"preserve.additional.properties", "json.indent.output", "json.write.dates.iso8601"} {
		t.DeclareUnsupported(conversion.BoolSetting(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}

// New creates the converter of [Settings].
func New(values setting.Values, use conversion.Options) (conversion.Converter, error) {
	schemas, err := conversion.NewSchemas(values, use, registry.JSON)
	if err != nil {
		return nil, err
	}
	cacheSize := values.Int("schemas.cache.config")
	c := &Converter{Schemas: schemas, strict: values.Bool("latest.compatibility.strict"),
		encoders: conversion.NewCache[uint32, *encoder](cacheSize),
		options: options{additionalProperties: values.Bool("object.additional.properties"),
			optionalProperties: values.Bool("use.optional.for.nonrequired"),
			flatten:            values.Bool("flatten.singleton.unions"),
			sumTypes:           values.Bool("generalized.sum.type.support"),
			validate:           values.Bool("json.fail.invalid.schema"),
			writeForm: connectjson.Form{JSONSchema: true, NumericDecimals: values.Lower("decimal.format") == "numeric",
				ReplaceNull: !values.Bool("ignore.default.for.nullables")}}}
	c.DecoderCache = conversion.NewDecoderCache(cacheSize, &c.Schemas, c.compileDecoder, c.read)
	return c, nil
}

// Encode implements [conversion.Converter].
func (c *Converter) Encode(ctx context.Context, dst []byte, maxSize int, topic string, b *record.Batch,
	value wit.ValueSlice) ([]byte, bool, error) {
	switch value.Encoding {
	case wit.Absent:
		return dst, true, nil
	case wit.WithSchema: // continues below
	default:
		return dst, false, fault.Data("JsonSchemaConverter: expected a value with a schema, which the registry gets, " +
			"found one without")
	}
	enc, err := c.encoderFor(ctx, value.Schema)
	if err != nil {
		return dst, false, err
	}
	id, ok := enc.ids[topic]
	if !ok {
		if id, err = c.ID(ctx, topic, enc.title, enc.text, c.checkSchema(enc)); err != nil {
			return dst, false, err
		}
		enc.ids.Keep(topic, id)
	}
	k := &c.budget
	k.Start(ctx, dst, maxSize)
	input := b.Bytes(value)
	start := len(dst) + conversion.IDBytes
	out, i, problem := enc.writer.Write(k, binary.BigEndian.AppendUint32(append(dst, 0), id), input, 0)
	if err := k.CheckEnd(out, input, i, problem); err != nil {
		return dst, false, err
	}
	if c.options.validate {
		if err := validate(enc.validator, out[start:]); err != nil {
			return dst, false, err
		}
	}
	return out, false, nil
}

// encoderFor returns the encoder of a schema from the cache, or a new one.
func (c *Converter) encoderFor(ctx context.Context, schemaID uint32) (*encoder, error) {
	if c.lastEncoder != nil && c.lastEncoder.schema.ID == schemaID {
		return c.lastEncoder, nil
	}
	enc := c.encoders.Get(schemaID)
	if enc == nil {
		schema, err := conversion.FindSchema(c.Use.Schemas, "JsonSchemaConverter", schemaID)
		if err != nil {
			return nil, err
		}
		enc = &encoder{schema: schema, ids: conversion.TopicIDs{}}
		var budget conversion.Budget
		budget.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		if enc.writer, err = connectjson.NewWriter(&budget, schema.Nodes, 0, c.options.writeForm); err != nil {
			return nil, fault.SchemaError(err)
		}
		budget.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		schemaText, err := writeSchema(&budget, schema.Nodes, enc.writer, c.options)
		if err != nil {
			return nil, fault.SchemaError(err)
		}
		enc.text = string(schemaText)
		if !schema.Root().Optional { // the schema of an optional struct is a oneOf, which has no title
			enc.title = conversion.NameOf(schema.Root())
		}
		if c.options.validate {
			if enc.validator, err = newValidator([]registry.NamedSchema{{Text: enc.text}}); err != nil {
				return nil, err
			}
		}
		c.encoders.Put(schemaID, enc, conversion.CompiledBytes(schema)+len(schemaText))
	}
	c.lastEncoder = enc
	return enc, nil
}

// checkSchema returns a check that rejects another schema than the record's, unless latest.compatibility.strict=false;
// then documents are validated against the other schema.
func (c *Converter) checkSchema(enc *encoder) func(string, []registry.NamedSchema, string) error {
	return func(recordSchema string, texts []registry.NamedSchema, source string) error {
		otherText := texts[len(texts)-1].Text
		var other, own any
		if json.Unmarshal([]byte(otherText), &other) != nil || json.Unmarshal([]byte(recordSchema), &own) != nil {
			return &fault.Fatal{Err: fmt.Errorf("%s is no JSON", source)}
		}
		if !reflect.DeepEqual(other, own) && c.strict {
			return &fault.Fatal{Err: fmt.Errorf(
				"%s differs from the record's schema, and latest.compatibility.strict=true: expected %s, found %s",
				source, fault.TruncateTo(recordSchema, fault.MaxErrorBytes),
				fault.TruncateTo(otherText, fault.MaxErrorBytes))}
		}
		if c.options.validate {
			var err error
			if enc.validator, err = newValidator(texts); err != nil {
				return &fault.Fatal{Err: fmt.Errorf("%s: %w", source, err)}
			}
		}
		return nil
	}
}

// read decodes a document with the decoder of its schema.
func (c *Converter) read(d *decoder, ctx context.Context, topic string, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if c.options.validate {
		if err := validate(d.validator, data); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	start := len(b.Data)
	p := &c.parser
	p.Reset(ctx, data, start+conversion.MaxDecodedBytes)
	result := wit.ValueSlice{Encoding: wit.WithSchema, Schema: d.schema.ID, Start: uint32(start)}
	b.Data = d.reader.Read(p, b.Data)
	p.End()
	if p.Err != nil {
		return wit.ValueSlice{},
			fault.NotJSON("Converting byte[] to Kafka Connect data failed due to serialization error of "+
				"topic "+topic+": ", fault.ContextError(ctx, p.Err))
	}
	b.Retain(d.schema)
	result.Size = uint32(len(b.Data) - start)
	return result, nil
}

// compileDecoder creates the decoder of the last of several schemas, which may refer to those before it.
func (c *Converter) compileDecoder(ctx context.Context, topic string, texts []registry.NamedSchema) (*decoder, error) {
	source := &schemaSource{ctx: ctx, options: c.options, documents: map[string]*document{},
		openReferences: map[schemaLocation]bool{}, defaultBytes: connectdata.MaxSchemaBytes}
	for _, named := range texts {
		if len(named.Text) > 6*connectdata.MaxSchemaBytes { // an escape has up to six characters
			return nil, fault.Data("schema: expected at most %d bytes, found a text of %d", connectdata.MaxSchemaBytes,
				len(named.Text))
		}
		root, err := conversion.ParseSchemaText(named.Text)
		if err != nil {
			return nil, fault.Data("the JSON Schema: %v", err)
		}
		doc := &document{root: root, anchors: map[string]any{}}
		doc.indexAnchors(doc.root)
		source.root = doc
		source.documents[named.Name] = doc
	}
	var err error
	if len(texts) == 1 { // with references a lookup by text would not find it
		if source.version, err = c.Version(ctx, topic, source.title(), texts[0].Text); err != nil {
			return nil, err
		}
	}
	nodes, err := source.readNodes()
	if err != nil {
		return nil, err
	}
	schema, err := c.Use.Schemas.Intern(nodes)
	if err != nil {
		return nil, fault.Data("%v", err)
	}
	d := &decoder{schema: schema}
	if d.reader, err = connectjson.CompileReader(schema.Nodes, 0, c.options.readForm()); err != nil {
		return nil, err
	}
	if c.options.validate {
		d.validator, err = newValidator(texts)
	}
	return d, err
}

// newValidator compiles the last of several schemas, which may refer to those before it.
func newValidator(texts []registry.NamedSchema) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is fetched
	const base = "registry:///"
	for _, schema := range texts {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Text))
		if err == nil {
			err = compiler.AddResource(base+schema.Name, doc)
		}
		if err != nil {
			return nil, fault.Data("the JSON Schema: %v", err)
		}
	}
	s, err := compiler.Compile(base)
	if err != nil {
		return nil, fault.Data("the JSON Schema: %v", err)
	}
	return s, nil
}

// validate validates a document against a schema.
func validate(s *jsonschema.Schema, document []byte) error {
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
