package fields

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const optionality = " Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it " +
	"optional (the default)."

var insertFieldKeys = []wit.ConfigKey{
	settings.Key("topic.field", wit.KindString, nil, "Field name for Kafka topic."+optionality),
	settings.Key("partition.field", wit.KindString, nil, "Field name for Kafka partition."+optionality),
	settings.Key("offset.field", wit.KindString, nil,
		"Field name for Kafka offset - only applicable to sink connectors.<br/>"+
			optionality[1:]),
	settings.Key("timestamp.field", wit.KindString, nil, "Field name for record timestamp."+optionality),
	settings.Key("static.field", wit.KindString, nil, "Field name for static data field."+optionality),
	settings.Key("static.value", wit.KindString, nil, "Static field value, if field name configured."),
	settings.ReplaceNull,
}

const insertPurpose = "field insertion"

// insertField inserts attributes of the record, or a fixed text.
type insertField struct {
	operation.FieldOptions
	fields []insertion
	static *string
}

type insertion struct {
	attribute object.Attribute
	name      string
	optional  bool
	nodes     []wit.SchemaNode
}

var insertSettings = [...]string{"topic.field", "partition.field", "offset.field", "timestamp.field", "static.field"}

func newInsertField(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &insertField{FieldOptions: operation.FieldOptions{Target: at, Purpose: insertPurpose}}
	if err := o.Configure(s); err != nil {
		return nil, err
	}
	for w, setting := range insertSettings {
		name, isSet := s.Find(setting)
		if !isSet {
			continue
		}
		f := insertion{attribute: object.Attribute(w), name: name, optional: true}
		if text, mandatory := strings.CutSuffix(name, "!"); mandatory {
			f.name, f.optional = text, false
		} else {
			f.name = strings.TrimSuffix(name, "?")
		}
		f.nodes = []wit.SchemaNode{f.node()}
		o.fields = append(o.fields, f)
	}
	if text, isSet := s.Find("static.value"); isSet {
		o.static = &text
	}
	if len(o.fields) == 0 {
		return nil, settings.Error("", "No field insertion configured")
	}
	if last := o.fields[len(o.fields)-1]; last.attribute == object.Static && o.static == nil {
		return nil, settings.Invalid("static.value", "null", "No value specified for static field: "+last.name)
	}
	return o, nil
}

func (f insertion) node() wit.SchemaNode {
	n := wit.SchemaNode{Kind: wit.String, Optional: f.optional}
	switch f.attribute {
	case object.Partition:
		n.Kind = wit.Int32
	case object.Offset:
		n.Kind = wit.Int64
	case object.Timestamp:
		n.Kind, n.Name, n.Version = wit.Int64, wit.Ptr(wit.NameTimestamp), wit.Ptr(int32(1))
	}
	return n
}

func (o *insertField) text(f insertion, topic string) string {
	if f.attribute == object.Topic {
		return topic
	}
	return *o.static
}

func notSinkRecord(stage int) *rowerror.Failure {
	return rowerror.Data(stage, "Only SinkRecord supported for ["+insertPurpose+
		"], found: org.apache.kafka.connect.source.SourceRecord")
}

func (o *insertField) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	if !x.IsMap {
		if o.ReplaceNull {
			x.ReplaceNulls(s.Stage)
		}
		x.NewStruct()
	}
	var failure *rowerror.Failure
	for i := range o.fields {
		f := &o.fields[i]
		result := object.Field{Name: f.name, Nodes: f.nodes, Source: object.Source{Kind: object.FromConstant,
			Attribute: f.attribute}}
		lead := []byte{connectdata.TagString}
		if !x.IsMap {
			lead = schemas.Branch(&f.nodes[0])
		}
		if f.attribute == object.Topic || f.attribute == object.Static {
			result.Bytes = connectdata.AppendString(lead, o.text(*f, s.Topic))
		} else {
			result.Kind, result.Optional = object.FromAttribute, f.optional && !x.IsMap
			n := object.AttributeOf(f.attribute, s.Row)
			switch {
			case n < 0 && f.attribute == object.Offset: // fails in the transform, others in the converter
				failure = notSinkRecord(s.Stage)
			case n < 0 && x.IsMap:
				continue
			case n < 0 && !f.optional && failure == nil:
				failure = rowerror.RequiredNull(s.Stage)
			}
			result.Bytes = object.AppendAttribute(nil, result.Optional, n)
			if x.IsMap {
				result.Bytes = append([]byte{object.AttributeTags[f.attribute]}, result.Bytes...)
			}
			if x.Trace != nil && !x.IsMap && (!f.optional || f.attribute == object.Offset) {
				x.Trace.Required = append(x.Trace.Required, f.attribute)
			}
		}
		if x.IsMap {
			x.Put(f.name, result)
		} else if f := x.AddField(result, s.Stage); f != nil {
			return f
		}
	}
	if failure != nil {
		x.Fail(failure)
	}
	return nil
}
