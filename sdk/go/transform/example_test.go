package transform_test

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// upper is a transform in the easy form.
type upper struct{}

func (upper) Describe() wit.Description {
	return wit.Description{Name: "upper", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.Upper", Kind: wit.ComponentTransformation, Documentation: "Writes names in upper case."}}}
}

func (upper) New(string, []wit.Setting) (transform.Func, error) {
	return func(r *transform.Record) error {
		if name, ok := r.Value.Text("name"); ok {
			return r.Value.SetText("name", strings.ToUpper(name))
		}
		return nil
	}, nil
}

// A plugin registers itself in an init function; importing the package gives the module its exports.
func ExampleRegisterRecords() {
	transform.RegisterRecords(upper{})
}

// Tree is the whole value, and Set replaces it with its schema: here a structure becomes a map without a schema, of the
// fields that are not null.
func ExampleData_Tree() {
	slim := func(r *transform.Record) error {
		members := r.Value.Nodes()[0].Members
		var kept datum.Map
		for i, value := range r.Value.Tree().(datum.Record) {
			if value != nil {
				kept = append(kept, datum.Entry{Key: members[i].Name, Value: value})
			}
		}
		r.Value.Set(nil, kept)
		return nil
	}
	var r transform.Record
	r.Value.Set([]wit.Node{{Kind: wit.Structure, Members: []wit.Member{{Name: "id", Node: 1}, {Name: "city", Node: 2}}},
		{Kind: wit.Int64}, {Kind: wit.Text, Optional: true}}, datum.Record{int64(7), nil})
	fmt.Println(slim(&r), r.Value.Nodes() == nil, r.Value.Tree())
	// Output: <nil> true [{id 7}]
}
