package transform_test

import (
	"testing"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// steps is a plugin whose stages have a line or two each.
type steps struct{}

func (steps) Describe() wit.Description {
	d := wit.Description{Name: "steps", Version: "1.0.0"}
	for name := range stepFuncs {
		d.Components = append(d.Components, wit.Component{Name: name, Kind: wit.ComponentTransformation})
	}
	return d
}

func (steps) New(name string, _ []wit.Setting) (transform.Func, error) { return stepFuncs[name], nil }

var textSchema = []wit.Node{{Kind: wit.Text}}

var stepFuncs = map[string]transform.Func{
	"Add": func(r *transform.Record) error { return r.Value.AddField("source", textSchema, "sap") },
	"AddMore": func(r *transform.Record) error {
		source, _ := r.Value.Text("source")
		if err := r.Value.SetText("source", source+"!"); err != nil {
			return err
		}
		return r.Value.AddField("tags", []wit.Node{{Kind: wit.Array, Optional: true, Element: 1}, {Kind: wit.Text}},
			datum.List{source, "b"})
	},
	"SetHeader":  func(r *transform.Record) error { return r.SetHeader("origin", textSchema, "sap") },
	"DropHeader": func(r *transform.Record) error { r.DropHeader("trace"); return nil },
	"HeaderToField": func(r *transform.Record) error {
		v, ok := r.Header("trace")
		if raw, is := v.([]byte); is {
			v = string(raw)
		}
		if !ok {
			v = nil
		}
		return r.Value.AddField("trace", []wit.Node{{Kind: wit.Text, Optional: true}}, v)
	},
	// Split makes a record for each of the texts in names, and none where there is none.
	"Split": func(r *transform.Record) error {
		defer r.Drop()
		names, _ := r.Value.Field("names")
		list, _ := names.(datum.List)
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
		if name, _ := r.Value.Text("name"); name == "b" {
			return r.Value.SetField("none", 1)
		}
		return nil
	},
}

// Fields and headers are added, and one record becomes several, each in a line, with and without a schema.
func TestRecords(t *testing.T) {
	plugintest.Transform(t, transform.Records(steps{}), "testdata/*.txt")
}
