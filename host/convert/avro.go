package convert

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// avroConverter is Confluent's AvroConverter: a zero byte, the id that a schema registry has for the schema, and Avro
// binary. The structured bytes of a batch are Avro binary by the same mapping, so that a value is copied behind its
// prefix wherever the two agree, which is for every schema without unions of several types, enums and fixed.
//
// What it reads may be of any writer. It refuses what would be changed without a word: a number that does not fit its
// annotated type (narrowed there), text that is not UTF-8, bytes behind the value.
type avroConverter struct {
	use      Use
	o        avroOptions
	subject  func(topic, name string) (string, error)
	client   *registry.Client
	settings registrySettings
	// kept is how many schemas are kept in each direction (`schemas.cache.config`).
	kept int

	budget       budget
	programs     map[uint32]*avroProgram
	last         *avroProgram
	programBytes int
	anything     *avroProgram

	readers     map[readingKey]*avroReading
	readerBytes int
}

// registrySettings are those that decide what is asked of the registry.
type registrySettings struct {
	registry  registry.Settings
	register  bool
	latest    bool
	normalize bool
	fixed     int
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
	// ids are the registry's, by topic.
	ids map[string]uint32
}

// readingKey: the version that a schema gets depends on the topic's subject.
type readingKey struct {
	topic string
	id    int
}

// avroReading is what Decode needs for an id.
type avroReading struct {
	schema *record.Schema
	step   *step
	// raw as in avroProgram. anything: the value has no schema; null: there is none.
	raw, anything, null bool
	// err: the schema cannot be read.
	err error
}

// maxTopicIDs is how many topics a schema's ids are kept for.
const maxTopicIDs = 10_000

func newAvro(v setting.Values, u Use) (Converter, error) {
	c := &avroConverter{use: u, kept: v.Number("schemas.cache.config"), programs: map[uint32]*avroProgram{},
		readers: map[readingKey]*avroReading{},
		o: avroOptions{enhanced: v.On("enhanced.avro.schema.support"), scrub: v.On("scrub.invalid.names"),
			meta: v.On("connect.meta.data"), optionalKeys: v.On("allow.optional.map.keys"),
			flatten: v.On("flatten.singleton.unions"), keepNulls: v.On("ignore.default.for.nullables")},
		settings: registrySettings{register: v.On("auto.register.schemas"), latest: v.On("use.latest.version"),
			normalize: v.On("normalize.schemas"), fixed: v.Number("use.schema.id")}}
	var err error
	if c.subject, err = subjectStrategy(v, u.Key); err != nil {
		return nil, err
	}
	if c.settings.registry, err = registry.Parse(v); err != nil {
		return nil, configError("%v", err)
	}
	if u.Registry != nil {
		if c.client, err = u.Registry(c.settings.registry); err != nil {
			return nil, configError("%v", err)
		}
	}
	return c, nil
}

// subjectPackage is where Confluent's strategies for the names of subjects are.
const subjectPackage = "io.confluent.kafka.serializers.subject."

// subjectStrategy is how subjects are named, by the class of `key.subject.name.strategy` or
// `value.subject.name.strategy`.
func subjectStrategy(v setting.Values, key bool) (func(topic, name string) (string, error), error) {
	name, suffix := usedFor(key)+".subject.name.strategy", "-"+usedFor(key)
	class := v.Text(name)
	needName := func(record string) error {
		if record == "" {
			return dataError("%s=%s: expected a struct, whose name is the subject's", name, class)
		}
		return nil
	}
	switch simpleName(class) {
	case "", "TopicNameStrategy":
		return func(topic, _ string) (string, error) { return topic + suffix, nil }, nil
	case "RecordNameStrategy":
		return func(_, record string) (string, error) { return record, needName(record) }, nil
	case "TopicRecordNameStrategy":
		return func(topic, record string) (string, error) { return topic + "-" + record, needName(record) }, nil
	}
	return nil, configError("%s", setting.Invalid(name, class, "expected TopicNameStrategy, RecordNameStrategy or "+
		"TopicRecordNameStrategy of "+subjectPackage[:len(subjectPackage)-1]+", others are not built"))
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
		if id, err = c.id(ctx, p, topic); err != nil {
			return dst, false, err
		}
	}
	out := binary.BigEndian.AppendUint32(append(dst, 0), id)
	c.budget.start(ctx, dst, most)
	k := &c.budget
	switch {
	case p.raw:
		content, size := datum.Block(in)
		if size != len(in) || size <= 0 {
			return dst, false, broken(0, "expected bytes and nothing behind them")
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
	out, failed := p.write(&w, out)
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

func (p *avroProgram) write(w *walk, dst []byte) ([]byte, *Error) {
	if p.step == nil {
		return writeAnything(w, dst)
	}
	return p.step.run(w, dst)
}

// schemaless is the program of values without a schema.
func (c *avroConverter) schemaless() *avroProgram {
	if c.anything == nil {
		c.anything = &avroProgram{text: anythingSchema, name: avroNamespace + ".Anything", ids: map[string]uint32{}}
	}
	return c.anything
}

// program returns what is kept for a schema, making it when it is new.
func (c *avroConverter) program(ctx context.Context, id uint32) (*avroProgram, error) {
	p := c.programs[id]
	if p == nil {
		s := c.use.Schemas.Get(id)
		if s == nil {
			return nil, dataError("AvroConverter: schema %d is not registered", id)
		}
		var k budget
		k.start(ctx, nil, MaxEnvelopeBytes)
		text, name, steps, err := avroSchemaOf(&k, s.Nodes, c.o)
		if err != nil {
			return nil, schemaFault(err)
		}
		root := s.Root()
		p = &avroProgram{schema: s, text: string(text), step: steps, ids: map[string]uint32{}}
		p.raw = root.Kind == wit.Bytes && !root.Optional && steps.op == bytesStep
		if !root.Optional {
			p.name = name
		}
		size := compiledBytes(s) + len(text)
		if len(c.programs) >= c.kept || c.programBytes+size > MaxCachedBytes {
			clear(c.programs)
			c.programBytes = 0
		}
		c.programs[id] = p
		c.programBytes += size
	}
	c.last = p
	return p, nil
}

// anyName takes every name: Avro's Java library takes all letters, and what it writes is read.
func anyName(string) error { return nil }

// id asks the registry which id a schema has for a topic.
func (c *avroConverter) id(ctx context.Context, p *avroProgram, topic string) (uint32, error) {
	if c.client == nil {
		return 0, errors.New("AvroConverter: made without a schema registry")
	}
	subject, err := c.subject(topic, p.name)
	if err != nil {
		return 0, err
	}
	var id int
	switch s := &c.settings; {
	case s.register:
		id, err = c.client.Register(ctx, subject, p.text, s.normalize)
	case s.fixed >= 0:
		id, err = s.fixed, c.sameLayout(ctx, p, s.fixed)
	case s.latest:
		var text string
		if id, text, err = c.client.Latest(ctx, subject); err == nil {
			err = layoutsEqual(p.text, []string{text}, fmt.Sprintf("the newest schema of %s", subject))
		}
	default:
		id, _, err = c.client.Lookup(ctx, subject, p.text, s.normalize)
	}
	if err != nil {
		var refused *registry.Refused
		if errors.As(err, &refused) {
			err = &Stop{fmt.Errorf("%w; the schema is %s", err, cutTo(p.text, MaxErrorBytes))}
		}
		return 0, err
	}
	if len(p.ids) >= maxTopicIDs {
		clear(p.ids)
	}
	p.ids[topic] = uint32(id)
	return uint32(id), nil
}

func cutTo(text string, most int) string {
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func (c *avroConverter) sameLayout(ctx context.Context, p *avroProgram, id int) error {
	texts, _, err := c.client.Schema(ctx, id)
	if err != nil {
		return err
	}
	return layoutsEqual(p.text, texts, fmt.Sprintf("schema %d of use.schema.id", id))
}

// layoutsEqual refuses to write by a schema whose bytes are not those of the record's own: Avro's parsing canonical
// forms differ.
func layoutsEqual(own string, texts []string, what string) error {
	mine, err := parseAvro([]string{own})
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
			what, cutTo(string(a), MaxErrorBytes), cutTo(string(b), MaxErrorBytes))}
	}
	return nil
}

// parseAvro parses the last of several schemas, which may refer to those before it.
func parseAvro(texts []string) (schema *avro.Schema, err error) {
	var cache avro.SchemaCache
	for _, text := range texts {
		if text, err = relaxed(text); err != nil {
			return nil, err
		}
		if schema, err = cache.Parse(text, avro.WithLaxNames(anyName)); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

func (c *avroConverter) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.Datum, error) {
	if data == nil {
		return wit.Datum{}, nil
	}
	const head = 5
	if len(data) < head || data[0] != 0 {
		found := "nothing"
		if len(data) > 0 {
			found = fmt.Sprintf("%d bytes that begin with %02x", len(data), data[0])
		}
		return wit.Datum{}, dataError("expected a zero byte and the four bytes of a schema's id in front of the Avro "+
			"value, found %s", found)
	}
	id := int(binary.BigEndian.Uint32(data[1:]))
	r := c.readers[readingKey{topic, id}]
	if r == nil {
		var err error
		if r, err = c.reading(ctx, topic, id); err != nil {
			return wit.Datum{}, err
		}
	}
	if r.err != nil || r.null {
		return wit.Datum{}, r.err
	}
	start := len(b.Data)
	d, err := r.read(ctx, data[head:], b)
	if err != nil {
		b.Data = b.Data[:start]
		return wit.Datum{}, err
	}
	return d, nil
}

func (r *avroReading) read(ctx context.Context, in []byte, b *record.Batch) (wit.Datum, error) {
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
			var err *Error
			if in, err = w.decimal(in); err != nil {
				return d, err
			}
		}
		b.Data = datum.AppendBytes(b.Data, in)
	case !r.anything && r.step.same && len(in) <= MaxDecodedBytes && datum.Check(r.schema.Nodes, in) == nil:
		b.Data = append(b.Data, in...)
	default:
		w := walk{ctx: ctx, in: in, most: start + MaxDecodedBytes}
		out, failed := r.step.run(&w, b.Data)
		if failed == nil && w.i != len(in) {
			failed = w.bad(fmt.Sprintf("%d bytes behind the value", len(in)-w.i))
		}
		if b.Data = out; failed != nil {
			return d, endedBy(ctx, failed)
		}
	}
	if r.anything && b.Data[start] == datum.TagNull {
		b.Data = b.Data[:start]
		return wit.Datum{}, nil
	}
	d.Size = uint32(len(b.Data) - start)
	return d, nil
}

// reading gets the schema of an id and makes the reader of its values. What the registry does not know is the record's
// fault, and asked again for the next one.
func (c *avroConverter) reading(ctx context.Context, topic string, id int) (*avroReading, error) {
	if c.client == nil {
		return nil, errors.New("AvroConverter: made without a schema registry")
	}
	texts, kind, err := c.client.Schema(ctx, id)
	if err != nil {
		var refused *registry.Refused
		switch {
		case errors.As(err, &refused) && refused.NotFound():
			return nil, dataError("%v", err)
		case errors.As(err, &refused):
			return nil, &Stop{err}
		}
		return nil, err
	}
	r := &avroReading{}
	if kind != "AVRO" {
		r.err = dataError("schema %d is of type %s, expected AVRO", id, kind)
	} else if r.err = c.compile(ctx, r, topic, texts); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	} else if Stops(r.err) {
		return nil, r.err
	}
	size := 1000
	if r.schema != nil {
		size += compiledBytes(r.schema)
	}
	if len(c.readers) >= c.kept || c.readerBytes+size > MaxCachedBytes {
		clear(c.readers)
		c.readerBytes = 0
	}
	c.readers[readingKey{topic, id}] = r
	c.readerBytes += size
	return r, nil
}

var anythingCanonical = string(avro.MustParse(anythingSchema).Canonical())

func (c *avroConverter) compile(ctx context.Context, r *avroReading, topic string, texts []string) error {
	for _, text := range texts {
		if len(text) > MaxEnvelopeBytes {
			return dataError("an Avro schema of %d bytes, expected at most %d", len(text), MaxEnvelopeBytes)
		}
	}
	schema, err := parseAvro(texts)
	if err != nil {
		return dataError("the Avro schema: %v", err)
	}
	root := schema.Root()
	if len(texts) > 1 {
		root = root.ExpandReferences()
	}
	if root.Type == "record" && root.Name == "Anything" && string(schema.Canonical()) == anythingCanonical {
		r.anything, r.step = true, &step{op: anythingStep}
		return nil
	}
	if r.null = root.Type == "null"; r.null {
		return nil
	}
	var version *int32
	if len(texts) == 1 { // what refers to others is found by the text and the references together
		if version, err = c.version(ctx, root, topic, texts[0]); err != nil {
			return err
		}
	}
	nodes, steps, err := schemaOfAvro(root, version, c.o)
	if err != nil {
		return err
	}
	if r.schema, err = c.use.Schemas.Intern(nodes); err != nil {
		return dataError("%v", err)
	}
	r.step, r.raw = steps, root.Type == "bytes"
	return nil
}

// version is which version of the topic's subject a schema is; Kafka Connect's schema gets it, where the Avro schema
// says none.
func (c *avroConverter) version(ctx context.Context, root *avro.SchemaNode, topic, text string) (*int32, error) {
	if property(root, "connect.version") != nil {
		return nil, nil
	}
	name := ""
	if root.Type == "record" {
		name = fullName(root)
	}
	subject, err := c.subject(topic, name)
	if err != nil {
		return nil, nil // only structs have a subject then
	}
	_, version, err := c.client.Lookup(ctx, subject, text, false)
	var refused *registry.Refused
	switch {
	case errors.As(err, &refused) && refused.NotFound():
		return nil, nil // a copied topic, for example
	case errors.As(err, &refused):
		return nil, &Stop{err}
	case err != nil:
		return nil, err
	}
	return wit.Ptr(int32(version)), nil
}
