package transform_test

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// upper is a transform in the simple form.
type upper struct{}

func (upper) Describe() wit.Description {
	return wit.Description{Name: "upper", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.Upper", Kind: wit.ComponentTransformation, Documentation: "Writes names in upper case."}}}
}

func (upper) New(string, []wit.Setting) (transform.Func, error) {
	return func(r *transform.Record) error {
		if name, ok := r.Value.String("name"); ok {
			return r.Value.SetString("name", strings.ToUpper(name))
		}
		return nil
	}, nil
}

// A plugin registers itself in an init function. Importing the package adds the exports to the module.
func ExampleRegisterRecords() {
	transform.RegisterRecords(upper{})
}

// Tree returns the whole value, and Set replaces it and its schema: here a structure becomes a map without a schema
// that contains the fields that are not null.
func ExampleData_Tree() {
	slim := func(r *transform.Record) error {
		members := r.Value.Nodes()[0].Fields
		var entries connectdata.Map
		for i, value := range r.Value.Tree().(connectdata.Struct) {
			if value != nil {
				entries = append(entries, connectdata.Entry{Key: members[i].Name, Value: value})
			}
		}
		r.Value.Set(nil, entries)
		return nil
	}
	var r transform.Record
	r.Value.Set([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "id", Node: 1},
		{Name: "city", Node: 2}}},
		{Kind: wit.Int64}, {Kind: wit.String, Optional: true}}, connectdata.Struct{int64(7), nil})
	fmt.Println(slim(&r), r.Value.Nodes() == nil, r.Value.Tree())
	// Output: <nil> true [{id 7}]
}

// AddField adds the field's schema too. A field of a schemaless map needs none.
func ExampleData_AddField() {
	var r transform.Record
	r.Value.Set([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "id", Node: 1}}}, {Kind: wit.Int64}},
		connectdata.Struct{int64(7)})
	err := r.Value.AddField("source", []wit.SchemaNode{{Kind: wit.String}}, "sap")
	fmt.Println(err, r.Value.Tree(), r.Value.Nodes()[0].Fields)
	// Output: <nil> [7 sap] [{id 1} {source 2}]
}

// SetHeader replaces headers of that name.
func ExampleRecord_SetHeader() {
	var r transform.Record
	for _, system := range []string{"old", "S4H"} {
		if err := r.SetHeader("source", []wit.SchemaNode{{Kind: wit.String}}, system); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(r.Header("source"))
	r.DropHeader("source")
	fmt.Println(r.Header("source"))
	// Output:
	// S4H true
	// <nil> false
}

// items emits a record for each item of a list.
type items struct{ upper }

func (items) New(string, []wit.Setting) (transform.Func, error) {
	return func(r *transform.Record) error {
		list, _ := r.Value.Field("items")
		for _, item := range list.(connectdata.List) {
			r.Value.Set(nil, item)
			r.Emit()
		}
		r.Drop()
		return nil
	}, nil
}

// Emit emits the record in its current state.
func ExampleRecord_Emit() {
	p := transform.Records(items{})
	data, err := connectdata.AppendSchemaless(nil, connectdata.Map{{Key: "items", Value: connectdata.List{"a", "b"}}})
	if err != nil {
		fmt.Println(err)
	}
	context, err := p.Prepare([]wit.Stage{{Component: "example.Upper"}})
	if err != nil {
		fmt.Println(err)
	}
	out, err := p.Apply(context, nil, []string{"orders"}, []wit.Row{{Value: wit.ValueSlice{Encoding: wit.Schemaless,
		Size: uint32(len(data))}}}, data)
	for _, row := range out.Rows {
		item, _, err := connectdata.ReadSchemaless(out.Data[row.Value.Start:])
		fmt.Println(row.RowIndex, item, err)
	}
	fmt.Println(err)
	// Output:
	// 0 a <nil>
	// 0 b <nil>
	// <nil>
}
