package chain

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// view is a row as stages see it on the plain way: three columns, the topic, and what the row says besides.
type view struct {
	// row is the row as it came: its partition, offset and timestamp hold to the end of the chain.
	row     *wit.Row
	topic   string
	columns [3]column
	dropped bool
}

// column is the key, the value or the headers of a row on their way through the chain.
type column struct {
	form   wit.Form
	schema uint32
	// bytes are the call's until a stage writes others; of an absent column they say nothing.
	bytes []byte
	// changed: form or bytes are no longer the input's. The schema may be another one all the same.
	changed bool
	// missing: the null here is of a type that has none, as Kafka's transforms make it of a field of a null. The schema
	// is that type made optional; the failure is that of the record, unless a later stage makes another value of it.
	missing *failure
	// class is the one that Kafka holds the value in where the form and the schema say another: the number that Cast
	// made of a whole value whose schema keeps the name of a logical type, the map that Flatten made.
	class string
}

// side is the place of a column in a view.
type side uint8

const (
	keySide side = iota
	valueSide
	headerSide
)

// load takes a row of a call.
func (v *view) load(in *wit.Row, topic string, data []byte) error {
	v.row, v.topic, v.dropped = in, topic, false
	if !v.columns[keySide].load(&in.Key, data) || !v.columns[valueSide].load(&in.Value, data) ||
		!v.columns[headerSide].load(&in.Headers, data) {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "a datum that runs past the call's data"}
	}
	return nil
}

// load takes a datum of a call; it is false of one that runs past the data.
func (c *column) load(d *wit.Datum, data []byte) bool {
	c.form, c.schema, c.changed, c.missing, c.class = d.Form, d.Schema, false, nil, ""
	if d.Form == wit.Absent {
		return true
	}
	end := uint64(d.Start) + uint64(d.Size)
	if end > uint64(len(data)) {
		return false
	}
	c.bytes = data[d.Start:end]
	return true
}

// set gives a column other bytes.
func (c *column) set(form wit.Form, schema uint32, bytes []byte) {
	*c = column{form: form, schema: schema, bytes: bytes, changed: true}
}

// setMissing makes the column a null of a type that has none; nodes are the type's.
func (c *column) setMissing(e *Engine, nodes []wit.Node, stage int) {
	made := append([]wit.Node(nil), nodes...)
	made[0].Optional = true
	c.set(wit.Structured, e.schemas.declare(made), datum.AppendBranch(nil, &made[0], true))
	c.missing = requiredNull(stage)
}

// settle makes a value of a null that the column's type has none of, at the end of a chain: the type's default, as
// converters do by default, or the failure of the record.
func (c *column) settle(e *Engine) *failure {
	if c.missing == nil {
		return nil
	}
	nodes := append([]wit.Node(nil), e.schemas.known[c.schema]...)
	if nodes[0].DefaultValue == nil {
		return c.missing
	}
	nodes[0].Optional = false
	c.set(wit.Structured, e.schemas.declare(nodes), *nodes[0].DefaultValue)
	return nil
}

// null tells whether Kafka Connect holds a null for the column, with a schema or without. Bytes that are bad are none.
func (c *column) null(schemas *schemas) (bool, error) {
	if c.form != wit.Structured {
		return c.form == wit.Absent, nil
	}
	nodes, err := schemas.of(c.schema)
	if err != nil {
		return false, err
	}
	isNull, _, ok := datum.IsNull(&nodes[0], c.bytes)
	return isNull && ok, nil
}

// onlyStruct is the failure of a value with schema that is no structure.
func onlyStruct(stage int, purpose, class string) *failure {
	return &failure{stage, dataException, "Only Struct objects supported for [" + purpose + "]" + found + class}
}

// named is a failure that names the class of a value, with the class that Kafka holds that value in.
func (v *view) named(e *Engine, f *failure) *failure {
	for at := keySide; at <= valueSide; at++ {
		c := &v.columns[at]
		if c.class == "" || c.form != wit.Structured {
			continue
		}
		text, is := strings.CutSuffix(f.text, javaClass(&e.schemas.known[c.schema][0]))
		if is && strings.HasSuffix(text, found) {
			return &failure{f.stage, f.class, text + c.class}
		}
	}
	return f
}

// found stands in front of the class of a value that is no structure or map.
const found = ", found: "

// onlyMap is the failure of a value without schema that is no map.
func onlyMap(stage int, purpose, class string) *failure {
	return &failure{stage, dataException,
		"Only Map objects supported in absence of schema for [" + purpose + "]" + found + class}
}

// onColumn is a rowOperation on one column, by what it comes to for the column's schema.
type onColumn[P any] struct {
	side     side
	programs programs[P]
	// compile makes that for a schema. structured and dynamic do a column with a schema and one without, which is
	// there.
	compile    func(e *Engine, nodes []wit.Node, stage int) P
	structured func(e *Engine, c *column, x P, stage int) *failure
	dynamic    func(e *Engine, c *column, stage int) *failure
}

func (o *onColumn[P]) apply(e *Engine, v *view, stage int) (*failure, error) {
	c := &v.columns[o.side]
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Dynamic:
		return o.dynamic(e, c, stage), nil
	}
	x, err := o.programs.of(e, c.schema, func(nodes []wit.Node) P { return o.compile(e, nodes, stage) })
	if err != nil {
		return nil, err
	}
	return o.structured(e, c, x, stage), nil
}

// programs are what an operation compiled, by schema.
type programs[P any] struct {
	known  map[uint32]P
	last   P
	lastID uint32
	any    bool
}

// of returns what was compiled for a schema; compile makes it.
func (p *programs[P]) of(e *Engine, schema uint32, compile func([]wit.Node) P) (P, error) {
	if p.any && p.lastID == schema {
		return p.last, nil
	}
	made, ok := p.known[schema]
	if !ok {
		nodes, err := e.schemas.of(schema)
		if err != nil {
			return made, err
		}
		if p.known == nil || len(p.known) >= maxCached {
			p.known = map[uint32]P{}
		}
		made = compile(nodes)
		p.known[schema] = made
	}
	p.last, p.lastID, p.any = made, schema, true
	return made, nil
}
