package convert_test

import (
	"context"
	"fmt"
	"math"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/record"
)

// A value of a record is read by one converter and written by another.
func ExampleNew() {
	schemas := record.NewRegistry()
	from, err := convert.New("JsonConverter", nil, convert.Use{Schemas: schemas})
	if err != nil {
		panic(err)
	}
	to, err := convert.New("JsonConverter", map[string]string{"schemas.enable": "false"}, convert.Use{Schemas: schemas})
	if err != nil {
		panic(err)
	}
	ctx, batch := context.Background(), &record.Batch{Registry: schemas}
	value, err := from.Decode(ctx, "orders",
		[]byte(`{"schema":{"type":"struct","fields":[{"field":"id","type":"int32"}]},`+
			`"payload":{"id":7}}`), batch)
	if err != nil {
		panic(err)
	}
	text, null, err := to.Encode(ctx, nil, math.MaxInt32, "orders", batch, value)
	fmt.Printf("%s %t %v\n", text, null, err)
	// Output: {"id":7} false <nil>
}

// What a converter takes, and what is wrong with settings for it.
func ExampleFind() {
	json, err := convert.Find("JsonConverter", false)
	if err != nil {
		panic(err)
	}
	for _, s := range json.Examine(map[string]string{"schemas.cache.size": "many"}, false) {
		for _, text := range s.Errors {
			fmt.Println(text)
		}
	}
	fmt.Println(json.Unknown("schema.enable"))
	// Output:
	// Invalid value many for configuration schemas.cache.size: Not a number of type INT
	// unknown setting; the nearest known one is schemas.enable
}
