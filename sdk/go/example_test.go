package sdk_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// shop declares its settings once. [setting.Table.Validate] checks them one by one.
type shop struct{}

var settings = setting.NewTable(
	setting.Define("shop.from", wit.KindInt, wit.High, setting.Default("1"), "First order.", setting.AtLeast(1)),
	setting.Define("shop.to", wit.KindInt, wit.High, nil, "Last order."))

func (shop) Describe() wit.Description {
	return wit.Description{Name: "shop", Version: "1.0.0", Components: []wit.Component{{Name: "example.Shop",
		Kind: wit.ComponentSource, Documentation: "Reads orders.", Settings: settings.Keys()}}}
}

// Validate checks combinations of settings. Online it can request documents first: it returns requests as pending and
// receives the responses with the next call.
func (shop) Validate(_ string, config []wit.Setting, _ bool, _ []byte, _ []wit.Response) (wit.ValidateResult, error) {
	examined := settings.Validate(config)
	v := settings.Values(config)
	if to, ok := v.Lookup("shop.to"); ok && v.Int("shop.to") < v.Int("shop.from") {
		setting.AddError(examined, "shop.to", setting.Invalid("shop.to", to, "expected no less than shop.from"))
	}
	return wit.ValidateResult{Done: &examined}, nil
}

// A plugin that checks combinations of settings also implements [sdk.Validator].
func ExampleValidator() {
	var v sdk.Validator = shop{}
	inquiry, err := v.Validate("example.Shop", []wit.Setting{{Name: "shop.from", Value: "9"},
		{Name: "shop.to", Value: "5"}}, false, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range *inquiry.Done {
		for _, text := range e.Errors {
			fmt.Println(text)
		}
	}
	// Output: Invalid value 5 for configuration shop.to: expected no less than shop.from
}
