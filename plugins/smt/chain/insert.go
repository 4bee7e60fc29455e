package chain

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const optionality = " Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it " +
	"optional (the default)."

var insertSpecs = []wit.ConfigKey{
	spec("topic.field", wit.KindString, nil, "Field name for Kafka topic."+optionality),
	spec("partition.field", wit.KindString, nil, "Field name for Kafka partition."+optionality),
	spec("offset.field", wit.KindString, nil, "Field name for Kafka offset - only applicable to sink connectors.<br/>"+
		optionality[1:]),
	spec("timestamp.field", wit.KindString, nil, "Field name for record timestamp."+optionality),
	spec("static.field", wit.KindString, nil, "Field name for static data field."+optionality),
	spec("static.value", wit.KindString, nil, "Static field value, if field name configured."),
	replaceNullSpec,
}

const insertPurpose = "field insertion"

// insert is InsertField: fields from what a record is besides its key and value, or a fixed text.
type insert struct {
	target
	fields []insertion
	static *string
}

// insertion is one field to insert.
type insertion struct {
	what     what
	name     string
	optional bool
	nodes    []wit.SchemaNode
}

var insertNames = [...]string{"topic.field", "partition.field", "offset.field", "timestamp.field", "static.field"}

func newInsert(at side, s settings) (operation, *wit.Error) {
	o := &insert{target: target{at: at, purpose: insertPurpose}}
	if err := o.configure(s); err != nil {
		return nil, err
	}
	for w, setting := range insertNames {
		name, given := s.find(setting)
		if !given {
			continue
		}
		f := insertion{what: what(w), name: name, optional: true}
		if text, mandatory := strings.CutSuffix(name, "!"); mandatory {
			f.name, f.optional = text, false
		} else {
			f.name = strings.TrimSuffix(name, "?")
		}
		f.nodes = []wit.SchemaNode{f.node()}
		o.fields = append(o.fields, f)
	}
	if text, given := s.find("static.value"); given {
		o.static = &text
	}
	if len(o.fields) == 0 {
		return nil, fail("", "No field insertion configured")
	}
	if last := o.fields[len(o.fields)-1]; last.what == theStatic && o.static == nil {
		return nil, invalid("static.value", "null", "No value specified for static field: "+last.name)
	}
	return o, nil
}

// node is the schema of an inserted field.
func (f insertion) node() wit.SchemaNode {
	n := wit.SchemaNode{Kind: wit.String, Optional: f.optional}
	switch f.what {
	case thePartition:
		n.Kind = wit.Int32
	case theOffset:
		n.Kind = wit.Int64
	case theTimestamp:
		n.Kind, n.Name, n.Version = wit.Int64, wit.Ptr(wit.NameTimestamp), wit.Ptr(int32(1))
	}
	return n
}

// text is what a field holds that is the same for all rows of a route.
func (o *insert) text(f insertion, topic string) string {
	if f.what == theTopic {
		return topic
	}
	return *o.static
}

// tags are those of inserted values in maps.
var tags = [...]byte{thePartition: connectdata.TagInt32, theOffset: connectdata.TagInt64,
	theTimestamp: connectdata.TagInt64}

func noSinkRecord(stage int) *failure {
	return &failure{stage, dataException, "Only SinkRecord supported for [" + insertPurpose +
		"], found: org.apache.kafka.connect.source.SourceRecord"}
}

func (o *insert) apply(x *object, s step) *failure {
	if !x.isMap {
		if o.replaceNull {
			x.replaceNulls(s.stage)
		}
		x.renew()
	}
	var wrong *failure
	for i := range o.fields {
		f := &o.fields[i]
		made := field{name: f.name, nodes: f.nodes, origin: origin{from: constant, what: f.what}}
		lead := []byte{connectdata.TagText}
		if !x.isMap {
			lead = branchOf(&f.nodes[0])
		}
		if f.what == theTopic || f.what == theStatic {
			made.bytes = connectdata.AppendString(lead, o.text(*f, s.topic))
		} else {
			made.from, made.optional = attribute, f.optional && !x.isMap
			n := attributeOf(f.what, s.row)
			switch {
			case n < 0 && f.what == theOffset: // it fails in Kafka's transform, the others in the converter
				wrong = noSinkRecord(s.stage)
			case n < 0 && x.isMap:
				continue
			case n < 0 && !f.optional && wrong == nil:
				wrong = requiredNull(s.stage)
			}
			made.bytes = appendAttribute(nil, made.optional, n)
			if x.isMap {
				made.bytes = append([]byte{tags[f.what]}, made.bytes...)
			}
			if x.trace != nil && !x.isMap && (!f.optional || f.what == theOffset) {
				x.trace.required = append(x.trace.required, f.what)
			}
		}
		if x.isMap {
			x.put(f.name, made)
		} else if f := x.addMember(made, s.stage); f != nil {
			return f
		}
	}
	if wrong != nil {
		x.fail(wrong)
	}
	return nil
}

// attributeOf is a number that the row has, negative if it has none.
func attributeOf(w what, row *wit.Row) int64 {
	switch w {
	case thePartition:
		return int64(row.Partition)
	case theOffset:
		return row.Offset
	}
	return row.Timestamp
}

func appendAttribute(dst []byte, optional bool, n int64) []byte {
	if optional && n < 0 {
		return append(dst, 0)
	}
	if optional {
		dst = append(dst, 2)
	}
	return connectdata.AppendNumber(dst, n)
}
