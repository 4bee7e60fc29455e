package plugintest_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

// upper is the transform that is tested: it writes a field in upper case.
type upper struct{}

func (upper) Describe() wit.Description {
	return wit.Description{Name: "upper", Version: "1.0.0", Components: []wit.Component{{Name: "example.Upper",
		Kind: wit.ComponentTransformation, Documentation: "Writes a field in upper case.",
		Settings: []wit.SettingSpec{{Name: "field", Kind: wit.KindText, Documentation: "Name of the field."}}}}}
}

func (upper) New(_ string, settings []wit.Setting) (transform.Func, error) {
	field := ""
	for _, s := range settings {
		field = s.Value
	}
	return func(r *transform.Record) error {
		if text, ok := r.Value.Text(field); ok {
			return r.Value.SetText(field, strings.ToUpper(text))
		}
		return nil
	}, nil
}

// A test of a transform is a line and a file for each case. testdata/upper.txt:
//
//	[example.Upper]
//	field=name
//
//	{"topic":"people","value":{"name":"Ada","city":"London"}}
//	{"topic":"people","key":"1"}
//
//	-----
//	{"topic":"people","value":{"name":"ADA","city":"London"}}
//	{"topic":"people","key":"1"}
func ExampleTransform() {
	_ = func(t *testing.T) { // as TestUpper in a file of tests
		plugintest.Transform(t, transform.Records(upper{}), "testdata/*.txt")
	}
}

// The example is true.
func TestUpper(t *testing.T) {
	plugintest.Transform(t, transform.Records(upper{}), "testdata/*.txt")
}
