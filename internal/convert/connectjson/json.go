package connectjson

import (
	"bytes"
	"context"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Converter is Kafka Connect's JsonConverter. It writes the same bytes, with map keys in their original order. It reads
// the same documents, except for testdata/convert/differences.tsv: it rejects what Kafka Connect would change silently
// (0 for a string in a numeric field, numeric overflow, truncated fractions).
type Converter struct {
	reg            *record.Registry
	schemasEnabled bool // schemas.enable
	form           Form

	programs    conversion.Cache[uint32, *program] // by schema ID, as many as schemas.cache.size permits, like readers
	lastProgram *program                           // of the last value with a schema
	schemaless  schemalessWriter                   // values with a schema share its budget

	parser Parser
	wide   []byte // a UTF-16 or UTF-32 document converted to UTF-8
	// readers are keyed by the JSON text of their schema.
	readers    conversion.Cache[string, *Reader]
	lastReader *Reader
	// contentReader is the reader of schema.content. Nil means that it is not set, or schemas are not enabled.
	contentReader *Reader
}

// program is a schema compiled for Encode.
type program struct {
	schema   *record.Schema
	writer   *Writer
	envelope []byte // the text before the payload if schemas are enabled
}

const (
	envelopeSchema   = `{"schema":`
	envelopePayload  = `,"payload":`
	schemalessOpener = envelopeSchema + "null" + envelopePayload
)

// New creates a converter from [Settings].
func New(v setting.Values, options conversion.Options) (conversion.Converter, error) {
	cacheSize := v.Int("schemas.cache.size")
	c := &Converter{reg: options.Schemas, schemasEnabled: v.Bool("schemas.enable"),
		form: Form{ReplaceNull: v.Bool("replace.null.with.default"),
			NumericDecimals: v.Lower("decimal.format") == "numeric"},
		programs: conversion.NewCache[uint32, *program](cacheSize),
		readers:  conversion.NewCache[string, *Reader](cacheSize)}
	if schemaContent := v.String("schema.content"); schemaContent != "" {
		reader, err := c.newReader(context.Background(), []byte(schemaContent))
		if err != nil {
			err = fault.NotJSON("Failed to parse schema in converter config due to serialization error: ", err)
			return nil, fault.New(fault.Class(err), "Invalid value for configuration schema.content: "+err.Error())
		}
		if c.schemasEnabled {
			c.contentReader = reader
		}
	}
	return c, nil
}

// Encode implements [conversion.Converter].
func (c *Converter) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
	d wit.ValueSlice) (out []byte, isNull bool, err error) {
	c.schemaless.start(ctx, dst, maxBytes)
	switch d.Encoding {
	case wit.Absent:
		return dst, true, nil
	case wit.Schemaless:
		out, err = c.encodeSchemaless(ctx, dst, maxBytes, b.Bytes(d))
	case wit.WithSchema:
		out, err = c.encodeWithSchema(ctx, dst, d.Schema, b.Bytes(d))
	default:
		err = fault.Data("JsonConverter: expected a value with a schema or a schemaless one, found encoding %d",
			d.Encoding)
	}
	if err != nil {
		return dst, false, err
	}
	if c.schemasEnabled {
		out = append(out, '}')
	}
	if len(out) > c.schemaless.MaxLen {
		return dst, false, c.schemaless.TooLarge()
	}
	return out, false, nil
}

func (c *Converter) encodeSchemaless(ctx context.Context, dst []byte, maxBytes int, in []byte) ([]byte, error) {
	w := &c.schemaless
	prefix := dst
	if c.schemasEnabled {
		prefix = append(prefix, schemalessOpener...)
	}
	w.objects = true // tried first, since nearly all keys are strings
	out, i, err := w.Write(prefix, in, 0, 0)
	if err == errNonStringKey {
		w.start(ctx, dst, maxBytes)
		if w.scanMaps(in, 0, 0) < 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		out, i, err = w.Write(prefix, in, 0, 0)
	}
	return out, w.CheckEnd(out, in, i, err)
}

func (c *Converter) encodeWithSchema(ctx context.Context, dst []byte, schema uint32, in []byte) ([]byte, error) {
	p := c.lastProgram
	if p == nil || p.schema.ID != schema {
		var err error
		if p, err = c.program(ctx, schema); err != nil {
			return nil, err
		}
	}
	if len(p.envelope) > c.schemaless.MaxLen-len(dst) {
		return nil, c.schemaless.TooLarge()
	}
	out, i, err := p.writer.Write(&c.schemaless.Budget, append(dst, p.envelope...), in, 0)
	return out, c.schemaless.CheckEnd(out, in, i, err)
}

// program returns the compiled schema of an ID from the cache, or compiles it. It becomes the last one.
func (c *Converter) program(ctx context.Context, id uint32) (*program, error) {
	p := c.programs.Get(id)
	if p == nil {
		s, err := conversion.FindSchema(c.reg, "JsonConverter", id)
		if err != nil {
			return nil, err
		}
		p = &program{schema: s}
		var budget conversion.Budget
		budget.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		if p.writer, err = NewWriter(&budget, s.Nodes, 0, c.form); err != nil {
			return nil, fault.SchemaError(err)
		}
		if c.schemasEnabled {
			budget.Start(ctx, nil, conversion.MaxEnvelopeBytes)
			p.envelope, err = AppendSchema(&budget, []byte(envelopeSchema), s.Nodes, p.writer)
			if err != nil {
				return nil, fault.SchemaError(err)
			}
			p.envelope = append(p.envelope, envelopePayload...)
		}
		c.programs.Put(id, p, conversion.CompiledBytes(s)+len(p.envelope))
	}
	c.lastProgram = p
	return p, nil
}

// Decode implements [conversion.Converter].
func (c *Converter) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	start := len(b.Data)
	d, value, err := c.decode(ctx, data, b)
	if err != nil {
		b.Data = b.Data[:start]
		err = c.firstError(ctx, value, b.Data, err)
		return wit.ValueSlice{},
			fault.NotJSON("Converting byte[] to Kafka Connect data failed due to serialization error: ", err)
	}
	return d, nil
}

// failedValue is a value that could not be read. The zero value means that the error is not in a value.
type failedValue struct {
	reader *Reader // nil for a schemaless value
	from   int     // the index of the value in the document
}

// firstError returns the error that Kafka Connect would report for a document with several: Jackson parses the whole
// document before its values are checked.
func (c *Converter) firstError(ctx context.Context, value failedValue, dst []byte, err error) error {
	class := fault.Class(err)
	if class == "" || (class == fault.SerializationException && value.reader == nil) {
		return err // not of the document, or the first syntax error
	}
	p := &c.parser
	p.Reset(ctx, p.data, p.maxLen)
	if p.peek() == 0 && p.i >= len(p.data) { // Jackson reads an empty document as a missing value
		return err
	}
	p.skip()
	if p.Err == nil && p.i < len(p.data) && !bytes.ContainsRune([]byte(`"]}`), rune(p.data[p.i-1])) {
		// Jackson reads only the first value, and one character more to find the end of a number or word.
		if c := p.data[p.i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			p.syntaxError("a blank after the value")
		}
	}
	first := p.Err
	if first == nil && value.reader != nil {
		// Of several errors Kafka Connect reports the first one in schema order, in which it checks the fields.
		p.Reset(p.ctx, p.data, p.maxLen)
		p.i = max(p.i, value.from)
		p.index()
		if p.Err == nil {
			p.mode = modeSchemaOrder
			value.reader.Read(p, dst)
			p.mode = modeValues
			p.ends = nil
		}
		first = p.Err
	}
	if first != nil {
		return fault.ContextError(ctx, first)
	}
	return err
}

// decode is Decode that may change the batch in case of an error. value is the value that has caused the error.
func (c *Converter) decode(ctx context.Context, data []byte,
	b *record.Batch) (d wit.ValueSlice, value failedValue, err error) {
	p := &c.parser
	maxBytes := len(b.Data) + conversion.MaxDecodedBytes
	if len(data) > 1 && (data[0] == 0 || data[1] == 0 || data[0] >= 0xfe) { // UTF-16 or UTF-32
		if c.wide, err = fromWide(c.wide[:0], data); err != nil {
			return d, value, err
		}
		data = c.wide
	}
	p.Reset(ctx, data, maxBytes)
	r := c.contentReader
	payload := 0 // the index of the value in an envelope
	switch {
	case r != nil: // schema.content is the schema of every document
	case c.schemasEnabled:
		if d, ok := c.decodeKnownSchema(b); ok {
			return d, value, nil
		}
		p.Reset(ctx, data, maxBytes)
		if r, payload, err = c.parseEnvelope(ctx, data); err != nil {
			return d, value, err
		}
		// parseEnvelope has validated the whole document.
		p.Reset(ctx, data, maxBytes)
		p.i = payload
	default:
		if p.peek() == 0 && p.i >= len(data) {
			// Jackson reads an empty document as null.
			return d, value, nil
		}
	}
	start := len(b.Data)
	d = wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start)}
	if r != nil {
		d.Encoding = wit.WithSchema
		d.Schema = r.schema.ID
		b.Retain(r.schema)
		b.Data = r.Read(p, b.Data)
	} else {
		b.Data = readDynamic(p, b.Data)
	}
	if payload == 0 { // parseEnvelope has checked the end of an envelope
		p.End()
	}
	if p.Err != nil {
		return d, failedValue{reader: r, from: payload}, fault.ContextError(ctx, p.Err)
	}
	if r == nil && b.Data[start] == 0 { // the tag of null
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, value, nil
	}
	d.Size = uint32(len(b.Data) - start)
	return d, value, nil
}

// decodeKnownSchema reads a document with the same schema as the last one, without parsing that schema. ok is false for
// all others, and the batch is unchanged then.
func (c *Converter) decodeKnownSchema(b *record.Batch) (d wit.ValueSlice, ok bool) {
	p := &c.parser
	r := c.lastReader
	start := len(b.Data)
	if r == nil || !bytes.HasPrefix(p.data, []byte(envelopeSchema)) || !r.isPrefixOf(p.data[len(envelopeSchema):]) {
		return d, false
	}
	p.i = len(envelopeSchema) + len(r.text)
	if !bytes.HasPrefix(p.data[p.i:], []byte(envelopePayload)) {
		return d, false
	}
	p.i += len(envelopePayload)
	p.depth++ // of the envelope
	p.peek()
	dst := r.Read(p, b.Data)
	p.expect('}')
	p.End()
	b.Data = dst[:start]
	if p.Err != nil {
		return d, false
	}
	b.Data = dst
	b.Retain(r.schema)
	d = wit.ValueSlice{Encoding: wit.WithSchema, Schema: r.schema.ID, Start: uint32(start),
		Size: uint32(len(dst) - start)}
	return d, true
}

// parseEnvelope validates an envelope and returns the reader of its schema, nil for none, and the index of the payload.
func (c *Converter) parseEnvelope(ctx context.Context, data []byte) (r *Reader, payload int, err error) {
	p := &c.parser
	var schema []byte
	count := 0            // of the two members
	isLastSchema := false // schema is the text of lastReader
	p.open('{')
	if p.Err != nil {
		return nil, 0, notAnEnvelope()
	}
	for first := true; p.more(first, '}'); first = false {
		name := p.name()
		if p.Err != nil {
			break
		}
		p.peek()
		from := p.i
		switch string(name) {
		case "schema":
			if schema == nil {
				count++
			}
			if r := c.lastReader; r != nil && !isLastSchema && r.isPrefixOf(data[from:]) {
				p.i += len(r.text)
				schema = r.text
				isLastSchema = true
				continue
			}
			p.skip()
			if p.Err == nil {
				schema = data[from:p.i]
				isLastSchema = false
			}
		case "payload":
			if payload == 0 {
				count++
			}
			payload = from
			p.skip()
		default:
			return nil, 0, notAnEnvelope()
		}
	}
	p.End()
	if p.Err != nil {
		return nil, 0, fault.ContextError(ctx, p.Err)
	}
	if count != 2 {
		return nil, 0, notAnEnvelope()
	}
	if isLastSchema {
		return c.lastReader, payload, nil
	}
	if string(schema) == "null" {
		return nil, payload, nil
	}
	r = c.readers.Get(string(schema))
	if r == nil {
		if r, err = c.newReader(ctx, schema); err != nil {
			return nil, 0, err
		}
		c.readers.Put(string(schema), r, conversion.CompiledBytes(r.schema)+2*len(schema)) // as key and in r
	}
	c.lastReader = r
	return r, payload, nil
}

// isPrefixOf reports whether data begins with the text of the reader's schema.
func (r *Reader) isPrefixOf(data []byte) bool {
	n := len(r.text)
	return len(data) > n && (data[n] == ',' || data[n] == '}') && string(data[:n]) == string(r.text)
}

func notAnEnvelope() error {
	return fault.Data("JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not " +
		"contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in " +
		"your converter configuration.")
}

// newReader compiles the JSON text of a schema. The reader is nil for null.
func (c *Converter) newReader(ctx context.Context, text []byte) (*Reader, error) {
	nodes, err := readSchema(ctx, text, c.form)
	if err != nil || nodes == nil {
		return nil, err
	}
	s, err := c.reg.Intern(nodes)
	if err != nil {
		return nil, fault.Data("%v", err)
	}
	r, err := CompileReader(s.Nodes, 0, c.form)
	if err != nil {
		return nil, err
	}
	r.schema = s
	r.text = append([]byte(nil), text...)
	return r, nil
}

// Settings declares the converter's settings.
func Settings() *setting.Table {
	return setting.NewTable(
		conversion.BoolSetting("schemas.enable", wit.High, "true",
			"Include schemas within each of the serialized values and keys.",
			conversion.DisplayRules("Schemas", 0, "Enable Schemas")...),
		setting.Define("schemas.cache.size", wit.KindInt, wit.High, setting.Default("1000"),
			"The maximum number of schemas that can be cached in this converter instance.",
			conversion.DisplayRules("Schemas", 1, "Schema Cache Size")...),
		setting.Define("schema.content", wit.KindString, wit.High, nil, "When set, this is used as the schema for all "+
			"messages, and the schemas within each of the message will be ignored.Otherwise, the schema will be "+
			"included in the content of each message. This configuration applies only 'schemas.enable' is true, and "+
			"it exclusively affects the sink connector.", conversion.DisplayRules("Schemas", 2, "Schema Content")...),
		setting.Define("decimal.format", wit.KindString, wit.Low, setting.Default("BASE64"),
			"Controls which format this converter will serialize decimals in. This value is case insensitive and can "+
				"be either 'BASE64' (default) or 'NUMERIC'",
			append(conversion.DisplayRules("Serialization", 0, "Decimal Format"),
				setting.Allowed("BASE64", "NUMERIC"))...),
		conversion.BoolSetting("replace.null.with.default", wit.Low, "true",
			"Whether to replace fields that have a default value and that are null to the default value. When set to "+
				"true, the default value is used, otherwise null is used.",
			conversion.DisplayRules("Serialization", 1, "Replace null with default")...),
	)
}
