package check_test

import (
	"os"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// A transform's lines for a connector's file.
func ExampleTemplate() {
	check.Template(os.Stdout, wit.Component{Name: "example.Mask", Kind: wit.ComponentTransformation,
		Documentation: "Hides fields.",
		Settings: []wit.SettingSpec{
			setting.Spec("fields", wit.KindListOfText, wit.High, nil, "Which.", setting.Required()),
			setting.Spec("with", wit.KindText, wit.Low, setting.Is("***"), "What stands there instead."),
		}})
	// Output:
	// # Hides fields.
	// transforms=one
	// transforms.one.type=example.Mask
	//
	// # Which. (required, list)
	// transforms.one.fields=
	//
	// # What stands there instead. (string)
	// #transforms.one.with=***
}
