package connectdata_test

import (
	"fmt"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A schema is a list of nodes that refer to each other by position, the root first. The bytes are Avro binary of that
// schema.
func ExampleAppend() {
	nodes := []wit.SchemaNode{
		{Kind: wit.Array, Element: 1},
		{Kind: wit.String, Optional: true},
	}
	b, err := connectdata.Append(nil, nodes, 0, connectdata.List{"a", nil})
	if err != nil {
		panic(err)
	}
	fmt.Printf("% x\n", b)
	v, size, err := connectdata.Read(nodes, 0, b)
	fmt.Println(v, size == len(b), err)
	// Output:
	// 04 02 02 61 00 00
	// [a <nil>] true <nil>
}

// A value without a schema contains its type.
func ExampleAppendSchemaless() {
	b, err := connectdata.AppendSchemaless(nil, connectdata.List{int32(7), "x"})
	if err != nil {
		panic(err)
	}
	v, _, err := connectdata.ReadSchemaless(b)
	fmt.Printf("%v %T %v\n", v, v.(connectdata.List)[0], err)
	// Output: [7 x] int32 <nil>
}
