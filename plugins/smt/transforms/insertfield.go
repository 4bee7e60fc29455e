package transforms

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const optionality = " Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it " +
	"optional (the default)."

var insertFieldKeys = []wit.ConfigKey{
	optionalKey("topic.field", wit.KindString, nil, "Field name for Kafka topic."+optionality),
	optionalKey("partition.field", wit.KindString, nil, "Field name for Kafka partition."+optionality),
	optionalKey("offset.field", wit.KindString, nil,
		"Field name for Kafka offset - only applicable to sink connectors.<br/>"+optionality[1:]),
	optionalKey("timestamp.field", wit.KindString, nil, "Field name for record timestamp."+optionality),
	optionalKey("static.field", wit.KindString, nil, "Field name for static data field."+optionality),
	optionalKey("static.value", wit.KindString, nil, "Static field value, if field name configured."),
	replaceNullKey,
}

const insertPurpose = "field insertion"

// insertField inserts attributes of the record, or a fixed text.
type insertField struct {
	FieldOptions
	fields []insertion
	static *string // the fixed text
}

// insertion is a field to insert.
type insertion struct {
	attribute record.Attribute
	name      string
	optional  bool
	nodes     []wit.SchemaNode
}

// insertSettings are the settings by attribute. Static is last, see newInsertField.
var insertSettings = [...]string{
	record.TopicAttribute:     "topic.field",
	record.PartitionAttribute: "partition.field",
	record.OffsetAttribute:    "offset.field",
	record.TimestampAttribute: "timestamp.field",
	record.StaticAttribute:    "static.field",
}

func newInsertField(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &insertField{FieldOptions: FieldOptions{Target: target, Purpose: insertPurpose}}
	if err := transform.configure(values); err != nil {
		return nil, err
	}
	for attribute, setting := range insertSettings {
		name, isSet := values.Find(setting)
		if !isSet {
			continue
		}
		field := insertion{attribute: record.Attribute(attribute), name: name, optional: true}
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
		return nil, settingError("", "No field insertion configured")
	}
	last := transform.fields[len(transform.fields)-1]
	if last.attribute == record.StaticAttribute && transform.static == nil {
		return nil, invalidSetting("static.value", "null", "No value specified for static field: "+last.name)
	}
	return transform, nil
}

// node returns the schema of the field.
func (i insertion) node() wit.SchemaNode {
	node := wit.SchemaNode{Kind: wit.String, Optional: i.optional}
	switch i.attribute {
	case record.PartitionAttribute:
		node.Kind = wit.Int32
	case record.OffsetAttribute:
		node.Kind = wit.Int64
	case record.TimestampAttribute:
		node.Kind = wit.Int64
		node.Name = wit.Ptr(wit.NameTimestamp)
		node.Version = wit.Ptr(int32(1))
	}
	return node
}

// text returns the value of a field that is a string.
func (f *insertField) text(field insertion, topic string) string {
	if field.attribute == record.TopicAttribute {
		return topic
	}
	return *f.static
}

// Apply returns a failure to add a field, and records the failure of a value with [record.Object.Fail].
func (f *insertField) Apply(obj *record.Object, step Step) *record.Failure {
	if !obj.IsMap { // a map has neither defaults nor a schema
		if f.ReplaceNull {
			obj.ReplaceNulls(step.Stage)
		}
		obj.ResetRoot()
	}
	var valueFailure *record.Failure
	for i := range f.fields {
		spec := &f.fields[i]
		field := record.Field{Name: spec.name, Nodes: spec.nodes,
			Source: record.Source{Kind: record.FromConstant, Attribute: spec.attribute}}
		switch spec.attribute {
		case record.TopicAttribute, record.StaticAttribute:
			branch := []byte{connectdata.TagString}
			if !obj.IsMap {
				branch = record.Branch(&spec.nodes[0])
			}
			field.Bytes = connectdata.AppendString(branch, f.text(*spec, step.Topic))
		default:
			exists, failure := setAttribute(&field, spec, obj, step)
			if failure != nil && (valueFailure == nil || spec.attribute == record.OffsetAttribute) {
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
func setAttribute(field *record.Field, spec *insertion, obj *record.Object,
	step Step) (exists bool, failure *record.Failure) {
	field.Kind = record.FromAttribute
	field.Optional = spec.optional && !obj.IsMap
	value := record.AttributeOf(spec.attribute, step.Row) // negative if the row has none
	switch {
	case value >= 0:
		// the row has the attribute
	case spec.attribute == record.OffsetAttribute:
		failure = record.DataFailure(step.Stage, "Only SinkRecord supported for ["+insertPurpose+
			"], found: org.apache.kafka.connect.source.SourceRecord")
	case obj.IsMap:
		return false, nil
	case !spec.optional:
		failure = record.RequiredNull(step.Stage)
	}
	field.Bytes = record.AppendAttribute(nil, field.Optional, value)
	if obj.IsMap {
		field.Bytes = append([]byte{record.AttributeTags[spec.attribute]}, field.Bytes...)
	}
	if obj.Trace != nil && !obj.IsMap && (!spec.optional || spec.attribute == record.OffsetAttribute) {
		obj.Trace.Required = append(obj.Trace.Required, spec.attribute)
	}
	return true, failure
}
