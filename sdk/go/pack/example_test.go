package pack_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/pack"
)

// A source that pages through several collections returns a context from open, and each later call decodes it. Done
// reports an error for bytes that this version did not write.
func Example() {
	var context []byte
	context = pack.String(context, "https://example.com/api")
	context = pack.Strings(context, []string{"tickets", "users"})
	context = pack.Int(context, 500)
	context = pack.Bool(context, true)

	r := pack.NewReader(context)
	address := r.String()
	collections := r.Strings()
	size := r.Int()
	etags := r.Bool()
	fmt.Println(address, collections, size, etags, r.Done())

	r = pack.NewReader(context[:len(context)-1]) // truncated
	_ = r.String()
	_ = r.Strings()
	_ = r.Int()
	_ = r.Bool()
	fmt.Println(r.Done())
	// Output:
	// https://example.com/api [tickets users] 500 true true
	// false
}

// Lists of more than texts are written with their length first, which Count reads. A length that the remaining bytes
// cannot contain is an error, and allocates nothing.
func ExampleReader_Count() {
	ranges := [][2]int{{1, 5}, {8, 9}}
	state := pack.Int(nil, len(ranges))
	for _, r := range ranges {
		state = pack.Int(pack.Int(state, r[0]), r[1])
	}

	r := pack.NewReader(state)
	for range r.Count() {
		fmt.Println(r.Int(), r.Int())
	}
	fmt.Println(r.Done())

	r = pack.NewReader(pack.Int(nil, 1_000_000_000))
	fmt.Println(r.Count(), r.Failed)
	// Output:
	// 1 5
	// 8 9
	// true
	// 0 true
}
