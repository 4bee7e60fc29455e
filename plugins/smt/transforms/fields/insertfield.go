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
		"Field name for Kafka offset - only applicable to sink connectors.<br/>"+optionality[1:]),
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
	static *string // the fixed text
}

// insertion is a field to insert.
type insertion struct {
	attribute object.Attribute
	name      string
	optional  bool
	nodes     []wit.SchemaNode
}

// insertSettings are the settings by attribute. Static is last, see newInsertField.
var insertSettings = [...]string{
	object.Topic:     "topic.field",
	object.Partition: "partition.field",
	object.Offset:    "offset.field",
	object.Timestamp: "timestamp.field",
	object.Static:    "static.field",
}

func newInsertField(target record.Target, values settings.Values) (operation.Operation, *wit.Error) {
	transform := &insertField{FieldOptions: operation.FieldOptions{Target: target, Purpose: insertPurpose}}
	if err := transform.Configure(values); err != nil {
		return nil, err
	}
	for attribute, setting := range insertSettings {
		name, isSet := values.Find(setting)
		if !isSet {
			continue
		}
		field := insertion{attribute: object.Attribute(attribute), name: name, optional: true}
		if fieldName, ok := strings.CutSuffix(name, "!"); ok {
			field.name = fieldName
			field.optional = false
		} else {
			field.name = strings.TrimSuffix(name, "?")
		}
		field.nodes = []wit.SchemaNode{field.node()}
		transform.fields = append(transform.fields, field)
	}
	if staticValue, isSet := values.Find("static.value"); isSet {
		transform.static = &staticValue
	}
	if len(transform.fields) == 0 {
		return nil, settings.Error("", "No field insertion configured")
	}
	if last := transform.fields[len(transform.fields)-1]; last.attribute == object.Static && transform.static == nil {
		return nil, settings.Invalid("static.value", "null", "No value specified for static field: "+last.name)
	}
	return transform, nil
}

// node returns the schema of the field.
func (i insertion) node() wit.SchemaNode {
	node := wit.SchemaNode{Kind: wit.String, Optional: i.optional}
	switch i.attribute {
	case object.Partition:
		node.Kind = wit.Int32
	case object.Offset:
		node.Kind = wit.Int64
	case object.Timestamp:
		node.Kind = wit.Int64
		node.Name = wit.Ptr(wit.NameTimestamp)
		node.Version = wit.Ptr(int32(1))
	}
	return node
}

// text returns the value of a field that is a string.
func (f *insertField) text(field insertion, topic string) string {
	if field.attribute == object.Topic {
		return topic
	}
	return *f.static
}

func notSinkRecord(stage int) *rowerror.Failure {
	return rowerror.Data(stage, "Only SinkRecord supported for ["+insertPurpose+
		"], found: org.apache.kafka.connect.source.SourceRecord")
}

// Apply returns a failure to add a field, and records the failure of a value with [object.Object.Fail].
func (f *insertField) Apply(obj *object.Object, step operation.Step) *rowerror.Failure {
	if !obj.IsMap { // a map has neither defaults nor a schema
		if f.ReplaceNull {
			obj.ReplaceNulls(step.Stage)
		}
		obj.ResetRoot()
	}
	var valueFailure *rowerror.Failure
	for i := range f.fields {
		spec := &f.fields[i]
		field := object.Field{Name: spec.name, Nodes: spec.nodes,
			Source: object.Source{Kind: object.FromConstant, Attribute: spec.attribute}}
		switch spec.attribute {
		case object.Topic, object.Static:
			branch := []byte{connectdata.TagString}
			if !obj.IsMap {
				branch = schemas.Branch(&spec.nodes[0])
			}
			field.Bytes = connectdata.AppendString(branch, f.text(*spec, step.Topic))
		default:
			exists, failure := setAttribute(&field, spec, obj, step)
			if failure != nil && (valueFailure == nil || spec.attribute == object.Offset) {
				valueFailure = failure // Kafka checks the offset in the transform, the others in the converter
			}
			if !exists {
				continue
			}
		}
		if obj.IsMap {
			obj.Put(spec.name, field)
		} else if failure := obj.AddField(field, step.Stage); failure != nil {
			return failure
		}
	}
	if valueFailure != nil {
		obj.Fail(valueFailure)
	}
	return nil
}

// setAttribute sets a field to an attribute of the row, to null if the row has none. exists is false if a map has no
// entry for it.
func setAttribute(field *object.Field, spec *insertion, obj *object.Object,
	step operation.Step) (exists bool, failure *rowerror.Failure) {
	field.Kind = object.FromAttribute
	field.Optional = spec.optional && !obj.IsMap
	value := object.AttributeOf(spec.attribute, step.Row) // negative if the row has none
	switch {
	case value >= 0:
		// the row has the attribute
	case spec.attribute == object.Offset:
		failure = notSinkRecord(step.Stage)
	case obj.IsMap:
		return false, nil
	case !spec.optional:
		failure = rowerror.RequiredNull(step.Stage)
	}
	field.Bytes = object.AppendAttribute(nil, field.Optional, value)
	if obj.IsMap {
		field.Bytes = append([]byte{object.AttributeTags[spec.attribute]}, field.Bytes...)
	}
	if obj.Trace != nil && !obj.IsMap && (!spec.optional || spec.attribute == object.Offset) {
		obj.Trace.Required = append(obj.Trace.Required, spec.attribute)
	}
	return true, failure
}
