package setting_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// One declaration checks a setting, with Kafka Connect's messages, and parses it.
func Example() {
	table := setting.NewTable(
		setting.Define("shop.address", wit.KindString, wit.High, nil, "Host of the shop.", setting.Required()),
		setting.Define("shop.size", wit.KindInt, wit.Low, setting.Default("5"), "Rows of a page.", setting.AtLeast(1)),
		setting.Define("shop#{n}.table", wit.KindString, wit.High, nil, "A table."))
	table.Prefixes = []string{"shop.", "shop#{n}."}
	config := []wit.Setting{{Name: "shop.size", Value: "0"}, {Name: "shop#01.table", Value: "orders"},
		{Name: "shop#01.tabel"}}
	for _, e := range table.Validate(config) {
		for _, text := range e.Errors {
			fmt.Println(e.Key.Name+":", text)
		}
	}
	values := table.Values([]wit.Setting{{Name: "shop#01.table", Value: "orders"}})
	fmt.Println(values.Int("shop.size"), values.Groups("shop#{n}.", "")[0].String("table"))
	// Output:
	// shop.address: Missing required configuration "shop.address" which has no default value.
	// shop.size: Invalid value 0 for configuration shop.size: Value must be at least 1
	// shop#01.tabel: unknown setting; the nearest known one is shop#01.table
	// 5 orders
}

// Settings of numbered groups: a setting that a group omits has the value of the setting for all groups.
func ExampleValues_Groups() {
	table := setting.NewTable(
		setting.Define("shop.size", wit.KindInt, wit.Low, setting.Default("5"), "Rows of a page, for all tables."),
		setting.Define("shop#{n}.table", wit.KindString, wit.High, nil, "A table.", setting.Required()),
		setting.Define("shop#{n}.size", wit.KindInt, wit.Low, nil, "Rows of its pages."))
	values := table.Values([]wit.Setting{{Name: "shop.size", Value: "100"}, {Name: "shop#02.table", Value: "orders"},
		{Name: "shop#01.table", Value: "items"}, {Name: "shop#01.size", Value: "7"}})
	for _, group := range values.Groups("shop#{n}.", "shop.") {
		fmt.Println(group.Digits, group.String("table"), group.Int("size"), "by", group.Source("size"))
	}
	// Output:
	// 01 items 7 by shop#01.size
	// 02 orders 100 by shop.size
}
