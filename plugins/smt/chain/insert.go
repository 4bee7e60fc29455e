package chain

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

const optionality = " Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it " +
	"optional (the default)."

var insertSpecs = []wit.SettingSpec{
	spec("topic.field", wit.KindText, nil, "Field name for Kafka topic."+optionality),
	spec("partition.field", wit.KindText, nil, "Field name for Kafka partition."+optionality),
	spec("offset.field", wit.KindText, nil, "Field name for Kafka offset - only applicable to sink connectors.<br/>"+
		optionality[1:]),
	spec("timestamp.field", wit.KindText, nil, "Field name for record timestamp."+optionality),
	spec("static.field", wit.KindText, nil, "Field name for static data field."+optionality),
	spec("static.value", wit.KindText, nil, "Static field value, if field name configured."),
	replaceNullSpec,
}

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
}

var insertNames = [...]string{"topic.field", "partition.field", "offset.field", "timestamp.field", "static.field"}

func newInsert(at side, s settings) (operation, *wit.Fault) {
	o := &insert{target: target{at: at, purpose: insertPurpose, appends: true}}
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
		o.fields = append(o.fields, f)
		o.topical = o.topical || f.what == theTopic
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
func (f insertion) node() wit.Node {
	n := wit.Node{Kind: wit.Text, Optional: f.optional}
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

// layout adds the fields to a structure.
func (o *insert) layout(l *structDraft, s step) *failure {
	if o.replaceNull {
		l.replaceNulls()
	}
	l.makeAnew()
	for _, f := range o.fields {
		item := field{name: f.name, nodes: []wit.Node{f.node()}, from: constant}
		switch f.what {
		case theTopic, theStatic:
			item.bytes = datum.AppendText(datum.AppendBranch(nil, &item.nodes[0], false), o.text(f, s.topic))
		default:
			item.from, item.what, item.optional = attribute, f.what, f.optional
			if f.what == theOffset || !f.optional {
				l.checks = append(l.checks, check{f.what, s.stage})
			}
		}
		if err := l.add(item, s.stage); err != nil {
			return err
		}
	}
	return nil
}

// schemaless puts the fields into a map; what a record does not have is left out.
func (o *insert) schemaless(m *entries, s step, row *wit.Row) *failure {
	for _, f := range o.fields {
		e := entry{valueAt: -1, what: f.what, attribute: true}
		switch f.what {
		case theTopic, theStatic:
			e.attribute = false
			e.value = m.keep(datum.AppendText(append(m.room(), datum.TagText), o.text(f, s.topic)))
		case thePartition:
			if row.Partition < 0 {
				continue
			}
			e.value = m.keep(datum.AppendNumber(append(m.room(), datum.TagInt32), int64(row.Partition)))
		case theOffset:
			if row.Offset < 0 {
				return noSinkRecord(s.stage)
			}
			e.value = m.keep(datum.AppendNumber(append(m.room(), datum.TagInt64), row.Offset))
		case theTimestamp:
			if row.Timestamp < 0 {
				continue
			}
			e.value = m.keep(datum.AppendNumber(append(m.room(), datum.TagInt64), row.Timestamp))
		}
		m.put(f.name, e)
	}
	return nil
}
