package convert

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// avroConverter is Confluent's AvroConverter: a zero byte, the id that a schema registry has for the schema, and Avro
// binary. The structured bytes of a batch are Avro binary by the same mapping, so that a value is copied after its
// prefix wherever the two agree, which is for every schema without unions of several types, enums and fixed.
//
// What it reads may be of any writer. It refuses what would be changed without a word: a number that does not fit its
// annotated type (narrowed there), text that is not UTF-8, bytes after the value.
type avroConverter struct {
	registered
	o avroOptions

	budget   budget
	programs cache[uint32, *avroProgram] // as many as `schemas.cache.config` says, as of readings
	last     *avroProgram
	anything *avroProgram

	readings[*avroReading]
}

// avroProgram is what Encode needs for a schema.
type avroProgram struct {
	schema *record.Schema
	text   string
	// name is the full name of a record, for subjects.
	name string
	step *step
	// raw: the schema is bytes and nothing else, which are written without their length.
	raw bool
	ids topicIDs
}

// avroReading is what Decode needs for an id.
type avroReading struct {
	schema *record.Schema
	step   *step
	// raw as in avroProgram. anything: the value has no schema; null: there is none.
	raw, anything, null bool
}

func (r *avroReading) from() *record.Schema { return r.schema }

func newAvro(v setting.Values, u Use) (Converter, error) {
	r, err := newRegistered(v, u, registry.Avro)
	if err != nil {
		return nil, err
	}
	kept := v.Number("schemas.cache.config")
	c := &avroConverter{registered: r, programs: newCache[uint32, *avroProgram](kept),
		o: avroOptions{enhanced: v.On("enhanced.avro.schema.support"), scrub: v.On("scrub.invalid.names"),
			meta: v.On("connect.meta.data"), optionalKeys: v.On("allow.optional.map.keys"),
			flatten: v.On("flatten.singleton.unions"), keepNulls: v.On("ignore.default.for.nullables")}}
	c.readings = newReadings(kept, &c.registered, c.compile, (*avroReading).read)
	return c, nil
}

func (c *avroConverter) Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch,
	d wit.Datum) ([]byte, bool, error) {
	var p *avroProgram
	in := b.Bytes(d)
	switch d.Form {
	case wit.Absent:
		return dst, true, nil
	case wit.Dynamic:
		p = c.schemaless()
	case wit.Structured:
		if p = c.last; p == nil || p.schema.ID != d.Schema {
			var err error
			if p, err = c.program(ctx, d.Schema); err != nil {
				return dst, false, err
			}
		}
		null, _, ok := datum.IsNull(p.schema.Root(), in)
		if !ok {
			return dst, false, broken(0, "expected the branch 00 or 02 of an optional value")
		}
		if null {
			return dst, true, nil
		}
	default:
		return dst, false, dataError("AvroConverter: expected a structured or dynamic datum, found form %d", d.Form)
	}
	id, known := p.ids[topic]
	if !known {
		var err error
		if id, err = c.id(ctx, topic, p.name, p.text, layoutsEqual); err != nil {
			return dst, false, err
		}
		p.ids.keep(topic, id)
	}
	out := binary.BigEndian.AppendUint32(append(dst, 0), id)
	c.budget.start(ctx, dst, most)
	k := &c.budget
	switch {
	case p.raw:
		content, size := datum.Block(in)
		if size != len(in) || size <= 0 {
			return dst, false, broken(0, "expected bytes and nothing after them")
		}
		in = content
		fallthrough
	case p.step != nil && p.step.same:
		if err := k.room(out, len(in)); err != nil {
			return dst, false, err
		}
		return append(out, in...), false, nil
	}
	w := walk{ctx: ctx, in: in, most: k.most}
	out = p.write(&w, out)
	failed := w.err
	if failed == nil && w.i != len(in) {
		failed = broken(w.i, "bytes left over")
	}
	if failed == nil {
		failed = k.room(out, 0)
	}
	if failed != nil {
		return dst, false, endedBy(ctx, failed)
	}
	return out, false, nil
}

func (p *avroProgram) write(w *walk, dst []byte) []byte {
	if p.step == nil {
		return writeAnything(w, dst)
	}
	return p.step.run(w, dst)
}

// schemaless is the program of values without a schema.
func (c *avroConverter) schemaless() *avroProgram {
	if c.anything == nil {
		c.anything = &avroProgram{text: anythingSchema, name: avroNamespace + ".Anything", ids: topicIDs{}}
	}
	return c.anything
}

// program returns what is kept for a schema, making it when it is new.
func (c *avroConverter) program(ctx context.Context, id uint32) (*avroProgram, error) {
	p := c.programs.get(id)
	if p == nil {
		s, err := schemaOf(c.use.Schemas, "AvroConverter", id)
		if err != nil {
			return nil, err
		}
		var k budget
		k.start(ctx, nil, maxEnvelopeBytes)
		text, name, steps, err := avroSchemaOf(&k, s.Nodes, c.o)
		if err != nil {
			return nil, schemaFault(err)
		}
		root := s.Root()
		p = &avroProgram{schema: s, text: string(text), step: steps, ids: topicIDs{}}
		p.raw = root.Kind == wit.Bytes && !root.Optional && steps.op == bytesStep
		if !root.Optional {
			p.name = name
		}
		size := compiledBytes(s) + len(text)
		c.programs.put(id, p, size)
	}
	c.last = p
	return p, nil
}

// anyName takes every part of a name that is not empty: Avro's Java library takes all letters, and what it writes is
// read.
func anyName(part string) error {
	if part == "" {
		return errEmptyName
	}
	return nil
}

// layoutsEqual refuses to write by a schema whose bytes are not those of the record's own: Avro's parsing canonical
// forms differ.
func layoutsEqual(own string, texts []registry.Text, what string) error {
	mine, err := parseAvro([]registry.Text{{Text: own}})
	if err != nil {
		return dataError("the record's schema: %v", err)
	}
	theirs, err := parseAvro(texts)
	if err != nil {
		return &Stop{fmt.Errorf("%s: %w", what, err)}
	}
	if a, b := mine.Canonical(), theirs.Canonical(); string(a) != string(b) {
		return &Stop{fmt.Errorf("%s is not that of the record, and records are not rewritten for another one: "+
			"expected %s, found %s",
			what, cutTo(string(a), maxErrorBytes), cutTo(string(b), maxErrorBytes))}
	}
	return nil
}

// parseAvro parses the last of several schemas, which may refer to those before it.
func parseAvro(texts []registry.Text) (schema *avro.Schema, err error) {
	var cache avro.SchemaCache
	for _, one := range texts {
		text, err := relaxed(one.Text)
		if err != nil {
			return nil, err
		}
		if schema, err = cache.Parse(text, avro.WithLaxNames(anyName)); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

func (r *avroReading) read(ctx context.Context, _ string, in []byte, b *record.Batch) (wit.Datum, error) {
	if r.null {
		return wit.Datum{}, nil
	}
	start := len(b.Data)
	d := wit.Datum{Form: wit.Dynamic, Start: uint32(start)}
	if !r.anything {
		d.Form, d.Schema = wit.Structured, r.schema.ID
		b.Hold(r.schema)
	}
	switch {
	case r.raw:
		w := walk{in: in}
		if r.step.op == decimalStep {
			if in = w.decimal(in); w.err != nil {
				return d, w.err
			}
		}
		b.Data = datum.AppendBytes(b.Data, in)
	case !r.anything && r.step.same && len(in) <= maxDecodedBytes && datum.Check(r.schema.Nodes, in) == nil:
		b.Data = append(b.Data, in...)
	default:
		w := walk{ctx: ctx, in: in, most: start + maxDecodedBytes}
		if b.Data = r.step.run(&w, b.Data); w.i != len(in) {
			w.bad(fmt.Sprintf("%d bytes after the value", len(in)-w.i))
		}
		if w.err != nil {
			return d, endedBy(ctx, w.err)
		}
	}
	if r.anything && b.Data[start] == datum.TagNull {
		b.Data = b.Data[:start]
		return wit.Datum{}, nil
	}
	d.Size = uint32(len(b.Data) - start)
	return d, nil
}

var anythingCanonical = string(avro.MustParse(anythingSchema).Canonical())

// compile makes what reads the values of a schema, the last of several.
func (c *avroConverter) compile(ctx context.Context, topic string, texts []registry.Text) (*avroReading, error) {
	schema, err := parseAvro(texts)
	if err != nil {
		// The parser says of each level around a fault that it is wrong.
		text := err.Error()
		if len(text) > maxErrorBytes {
			// What is left of a character at the cut is none of UTF-8, which shown sees to.
			text = shown.Within(text, maxQuoted) + " ... " + shown.Line(text[len(text)-maxErrorBytes/2:])
		}
		return nil, dataError("the Avro schema: %s", text)
	}
	root := schema.Root()
	if len(texts) > 1 {
		root = root.ExpandReferences()
	}
	if root.Type == "record" && root.Name == "Anything" && string(schema.Canonical()) == anythingCanonical {
		return &avroReading{anything: true, step: &step{op: anythingStep}}, nil
	}
	if root.Type == "null" {
		return &avroReading{null: true}, nil
	}
	var version *int32
	if len(texts) == 1 { // what refers to others is found by the text and the references together
		name := ""
		if root.Type == "record" {
			name = fullName(root)
		}
		if property(root, "connect.version") == nil {
			if version, err = c.version(ctx, topic, name, texts[0].Text); err != nil {
				return nil, err
			}
		}
	}
	nodes, steps, err := schemaOfAvro(root, version, c.o)
	if err != nil {
		return nil, err
	}
	made, err := c.use.Schemas.Intern(nodes)
	if err != nil {
		return nil, dataError("%v", err)
	}
	return &avroReading{schema: made, step: steps, raw: root.Type == "bytes"}, nil
}
