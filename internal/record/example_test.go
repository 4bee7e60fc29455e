package record_test

import (
	"fmt"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A batch stores all bytes of its rows in one arena, and rows point into it. Equal schemas get one number, whoever
// registers them and however often.
func Example() {
	registry := record.NewRegistry()
	product := []wit.SchemaNode{
		{Kind: wit.Struct, Name: wit.Ptr("Product"), Fields: []wit.Field{{Name: "Name", Node: 1}}},
		{Kind: wit.String},
	}
	schema, err := registry.Intern(product)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _ := registry.Intern(product)

	batch := record.Batch{Registry: registry}
	batch.Retain(schema) // a schema of rows stays registered as long as the batch exists
	for _, name := range []string{"Chai", "Chang"} {
		start := uint32(len(batch.Data))
		batch.Data = connectdata.AppendString(batch.Data, name) // a struct is encoded as its members in order
		batch.Rows = append(batch.Rows, wit.Row{Topic: batch.TopicIndex("Products"),
			Value: wit.ValueSlice{Encoding: wit.WithSchema,
				Schema: schema.ID, Start: start, Size: uint32(len(batch.Data)) - start}})
	}
	for _, row := range batch.Rows {
		name, _ := connectdata.LengthPrefixed(batch.Bytes(row.Value))
		fmt.Printf("%s %s: %s\n", batch.Topics[row.Topic], *registry.Get(row.Value.Schema).Root().Name, name)
	}
	fmt.Println(schema == again)
	// Output:
	// Products Product: Chai
	// Products Product: Chang
	// true
}
