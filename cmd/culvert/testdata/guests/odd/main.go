// Odd is a guest whose transforms and predicate handle one record at a time, as authors write them. The predicate
// matches records whose field is odd, one transform writes its version into a field, another one never returns from
// some records.
package main

import (
	"fmt"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

// version is set by the linker.
var version = "1.0.0"

func init() { transform.RegisterRecords(odd{}) }

func main() {}

type odd struct{}

func (odd) Describe() wit.Description {
	field := []wit.ConfigKey{{Name: "field", Kind: wit.KindString, Rules: []wit.Rule{{Required: wit.Set}}}}
	return wit.Description{Name: "odd", Version: version, Components: []wit.Component{
		{Name: "example.Odd", Kind: wit.ComponentPredicate, Settings: field},
		{Name: "example.NoteVersion", Kind: wit.ComponentTransformation, Settings: field},
		{Name: "example.Stuck", Kind: wit.ComponentTransformation, Settings: field},
	}}
}

func (odd) NewPredicate(_ string, settings []wit.Setting) (transform.Predicate, error) {
	name := settings[0].Value
	return func(r *transform.Record) (bool, error) {
		value, ok := r.Value.Field(name)
		n, whole := value.(int32)
		if !ok || !whole {
			return false, sdk.NewError(wit.ErrorData, fmt.Sprintf("field %s: expected a whole number, found %v", name,
				value))
		}
		return n%2 != 0, nil
	}, nil
}

func (odd) New(component string, settings []wit.Setting) (transform.Func, error) {
	name := settings[0].Value
	if component == "example.Stuck" {
		return stuck(name), nil
	}
	return func(r *transform.Record) error { return r.Value.SetField(name, version) }, nil
}

// stuck returns a transform that never returns from records whose field is a multiple of 37.
func stuck(name string) transform.Func {
	return func(r *transform.Record) error {
		value, _ := r.Value.Field(name)
		n, _ := value.(int32)
		for n%37 == 0 {
		}
		return nil
	}
}
