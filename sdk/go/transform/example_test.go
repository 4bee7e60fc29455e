package transform_test

import (
	"strings"

	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
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
