package transform_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// steps is a plugin whose stages have one or two lines each.
type steps struct{}

func (steps) Describe() wit.Description {
	d := wit.Description{Name: "steps", Version: "1.0.0"}
	for name := range stepFuncs {
		d.Components = append(d.Components, wit.Component{Name: name, Kind: wit.ComponentTransformation})
	}
	return d
}

func (steps) New(name string, _ []wit.Setting) (transform.Func, error) { return stepFuncs[name], nil }

var textSchema = []wit.SchemaNode{{Kind: wit.String}}

var stepFuncs = map[string]transform.Func{
	"Add": func(r *transform.Record) error { return r.Value.AddField("source", textSchema, "sap") },
	"AddMore": func(r *transform.Record) error {
		source, _ := r.Value.String("source")
		if err := r.Value.SetString("source", source+"!"); err != nil {
			return err
		}
		nodes := []wit.SchemaNode{{Kind: wit.Array, Optional: true, Element: 1}, {Kind: wit.String}}
		return r.Value.AddField("tags", nodes, connectdata.List{source, "b"})
	},
	"SetHeader":  func(r *transform.Record) error { return r.SetHeader("origin", textSchema, "sap") },
	"DropHeader": func(r *transform.Record) error { r.DropHeader("trace"); return nil },
	"HeaderToField": func(r *transform.Record) error {
		v, ok := r.Header("trace")
		if raw, ok := v.([]byte); ok {
			v = string(raw)
		}
		if !ok {
			v = nil
		}
		return r.Value.AddField("trace", []wit.SchemaNode{{Kind: wit.String, Optional: true}}, v)
	},
	// Split emits a record for each of the texts in names, and none if there are no texts.
	"Split": func(r *transform.Record) error {
		defer r.Drop()
		names, _ := r.Value.Field("names")
		list, _ := names.(connectdata.List)
		for _, name := range list {
			if err := r.Value.SetField("name", name); err != nil {
				return err
			}
			r.Emit()
		}
		return nil
	},
	"Twice": func(r *transform.Record) error {
		r.Emit()
		r.Topic += ".copy"
		return nil
	},
	"NotB": func(r *transform.Record) error {
		if name, _ := r.Value.String("name"); name == "b" {
			return r.Value.SetField("none", 1)
		}
		return nil
	},
}

// failedResult returns the result of a record that failed.
func failedResult(stage uint32, message string) plugintest.Result {
	return plugintest.Result{Error: &plugintest.Error{Message: message,
		Class: "org.apache.kafka.connect.errors.DataException", Stage: stage}}
}

// resultOf returns the result of a record that becomes records.
func resultOf(records ...plugintest.Record) plugintest.Result {
	return plugintest.Result{Records: records}
}

// valueRecord returns a record of topic t, with a schema if there are nodes.
func valueRecord(v any, nodes ...wit.SchemaNode) plugintest.Record {
	return plugintest.Record{Topic: "t", Value: plugintest.Value{Schema: nodes, Data: v}}
}

// withTopic returns a copy of a record with another topic and headers.
func withTopic(r plugintest.Record, topic string, headers ...plugintest.Header) plugintest.Record {
	r.Topic = topic
	r.Headers = headers
	return r
}

// expectResults runs records through the stages with these names and compares the results.
func expectResults(t *testing.T, stages []string, records []plugintest.Record, want ...plugintest.Result) {
	t.Helper()
	var chain []wit.Stage
	for _, name := range stages {
		chain = append(chain, wit.Stage{Component: name})
	}
	d := cmp.Diff(want, plugintest.RunTransform(t, transform.Records(steps{}), chain, records...))
	assert.True(t, d == "", "%v", d)
}

// structure returns a struct with these fields. Their nodes follow it, and nested nodes follow all of them.
func structure(names []string, nodes ...wit.SchemaNode) []wit.SchemaNode {
	root := wit.SchemaNode{Kind: wit.Struct}
	for i, name := range names {
		root.Fields = append(root.Fields, wit.Field{Name: name, Node: uint32(i + 1)})
	}
	return append([]wit.SchemaNode{root}, nodes...)
}

var (
	text         = wit.SchemaNode{Kind: wit.String}
	optionalText = wit.SchemaNode{Kind: wit.String, Optional: true}
	id           = wit.SchemaNode{Kind: wit.Int64}
	idAndName    = structure([]string{"id", "name"}, id, text)
)

// Fields are added, with and without a schema.
func TestFieldsAreAdded(t *testing.T) {
	const (
		exists   = `the field "source" exists already`
		noFields = `expected a struct or a schemaless map to add the field "source" to`
	)
	tags := connectdata.List{"sap", "b"}
	extended := structure([]string{"id", "name", "source", "tags"}, id, text, text,
		wit.SchemaNode{Kind: wit.Array, Optional: true, Element: 5}, text)
	records := []plugintest.Record{
		valueRecord(connectdata.Struct{int64(1), "a"}, idAndName...),
		valueRecord(connectdata.Struct{int64(2), "b"}, idAndName...),
		valueRecord(connectdata.Map{{Key: "id", Value: int64(1)}}),
		valueRecord(connectdata.Map{{Key: "source", Value: "present"}}),
		valueRecord("text"),
		valueRecord(nil),
	}
	expectResults(t, []string{"Add", "AddMore"}, records,
		resultOf(valueRecord(connectdata.Struct{int64(1), "a", "sap!", tags}, extended...)),
		resultOf(valueRecord(connectdata.Struct{int64(2), "b", "sap!", tags}, extended...)),
		resultOf(valueRecord(connectdata.Map{{Key: "id", Value: int64(1)}, {Key: "source", Value: "sap!"},
			{Key: "tags", Value: tags}})),
		failedResult(0, exists),
		failedResult(0, noFields),
		failedResult(0, noFields))
}

// Headers are read, removed and set.
func TestHeadersOfRecords(t *testing.T) {
	origin := plugintest.Header{Name: "origin", Value: plugintest.Value{Schema: textSchema, Data: "sap"}}
	other := plugintest.Header{Name: "other", Value: plugintest.Value{Data: int64(7)}}
	first := valueRecord(connectdata.Map{{Key: "id", Value: int64(1)}})
	second := valueRecord(connectdata.Map{{Key: "id", Value: int64(2)}})
	typed := valueRecord(connectdata.Struct{int64(1), "a"}, idAndName...)
	trace := plugintest.Header{Name: "trace", Value: plugintest.Value{Schema: textSchema, Data: "x"}}
	rawTrace := plugintest.Header{Name: "trace", Raw: []byte("xy")}
	oldOrigin := plugintest.Header{Name: "origin", Value: plugintest.Value{Data: "old"}}
	expectResults(t, []string{"HeaderToField", "DropHeader", "SetHeader"}, []plugintest.Record{
		withTopic(first, "t", trace, other),
		withTopic(typed, "t", oldOrigin, rawTrace),
		second,
	},
		resultOf(withTopic(valueRecord(connectdata.Map{{Key: "id", Value: int64(1)}, {Key: "trace", Value: "x"}}), "t",
			other, origin)),
		resultOf(withTopic(valueRecord(connectdata.Struct{int64(1), "a", "xy"},
			structure([]string{"id", "name", "trace"}, id, text, optionalText)...), "t", origin)),
		resultOf(withTopic(valueRecord(connectdata.Map{{Key: "id", Value: int64(2)}, {Key: "trace", Value: nil}}), "t",
			origin)))
}

// One record becomes several, or none.
func TestSplitRecord(t *testing.T) {
	h := plugintest.Header{Name: "h", Value: plugintest.Value{Data: int64(1)}}
	array := wit.SchemaNode{Kind: wit.Array, Element: 3}
	inputSchema := structure([]string{"names", "name"}, array, text, text)
	outputSchema := structure([]string{"names", "name", "source"}, array, text, text, text)
	outputSchema[0].Fields[2].Node = 4 // added nodes follow all others
	typed := func(names ...any) plugintest.Record {
		return valueRecord(connectdata.Struct{connectdata.List(names), ""}, inputSchema...)
	}
	schemaless := func(name any, added ...connectdata.Entry) plugintest.Record {
		return valueRecord(append(connectdata.Map{{Key: "names", Value: connectdata.List{"x", "y"}},
			{Key: "name", Value: name}}, added...))
	}
	twice := func(r plugintest.Record, headers ...plugintest.Header) []plugintest.Record {
		return []plugintest.Record{withTopic(r, "t", headers...), withTopic(r, "t.copy", headers...)}
	}
	copiesOf := func(name string) []plugintest.Record {
		return twice(valueRecord(connectdata.Struct{connectdata.List{"a", "c"}, name, "sap"}, outputSchema...), h)
	}
	source := connectdata.Entry{Key: "source", Value: "sap"}
	records := []plugintest.Record{
		withTopic(typed("a", "c"), "t", h),
		typed("a", "b", "c"),
		schemaless(nil),
		valueRecord(connectdata.Map{{Key: "id", Value: int64(1)}}),
	}
	expectResults(t, []string{"Split", "NotB", "Twice", "Add"}, records,
		resultOf(append(copiesOf("a"), copiesOf("c")...)...),
		failedResult(1, `no field "none"`),
		resultOf(append(twice(schemaless("x", source)), twice(schemaless("y", source))...)...),
		resultOf())
}
