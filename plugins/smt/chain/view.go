package chain

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
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
	form   wit.Encoding
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
		return &wit.Error{Kind: wit.ErrorInternal, Message: "a datum that runs past the call's data"}
	}
	return nil
}

// load takes a datum of a call; it is false of one that runs past the data.
func (c *column) load(d *wit.ValueSlice, data []byte) bool {
	c.form, c.schema, c.changed, c.missing, c.class = d.Encoding, d.Schema, false, nil, ""
	if d.Encoding == wit.Absent {
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
func (c *column) set(form wit.Encoding, schema uint32, bytes []byte) {
	*c = column{form: form, schema: schema, bytes: bytes, changed: true}
}

// setMissing makes the column a null of a type that has none; nodes are the type's.
func (c *column) setMissing(s *schemas, nodes []wit.SchemaNode, stage int) {
	made := append([]wit.SchemaNode(nil), nodes...)
	made[0].Optional = true
	c.set(wit.WithSchema, s.declare(made), connectdata.AppendBranch(nil, &made[0], true))
	c.missing = requiredNull(stage)
}

// settle makes a value of a null that the column's type has none of, at the end of a chain: the type's default, as
// converters do by default, or the failure of the record.
func (c *column) settle(s *schemas) *failure {
	if c.missing == nil {
		return nil
	}
	nodes := append([]wit.SchemaNode(nil), s.known[c.schema]...)
	if nodes[0].DefaultValue == nil {
		return c.missing
	}
	nodes[0].Optional = false
	c.set(wit.WithSchema, s.declare(nodes), *nodes[0].DefaultValue)
	return nil
}

// null tells whether Kafka Connect holds a null for the column, with a schema or without. Bytes that are bad are none.
func (c *column) null(schemas *schemas) (bool, error) {
	if c.form != wit.WithSchema {
		return c.form == wit.Absent, nil
	}
	nodes, err := schemas.of(c.schema)
	if err != nil {
		return false, err
	}
	isNull, _, ok := connectdata.IsNull(&nodes[0], c.bytes)
	return isNull && ok, nil
}

// named is a failure that names the class of a value, with the class that Kafka holds that value in.
func (v *view) named(s *schemas, f *failure) *failure {
	for at := keySide; at <= valueSide; at++ {
		c := &v.columns[at]
		if c.class == "" || c.form != wit.WithSchema {
			continue
		}
		text, is := strings.CutSuffix(f.text, javaClass(&s.known[c.schema][0]))
		if is && strings.HasSuffix(text, found) {
			return &failure{f.stage, f.class, text + c.class}
		}
	}
	return f
}
