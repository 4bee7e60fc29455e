package wit_test

import (
	"fmt"

	"github.com/culvert-project/culvert/wit"
)

// A variant of the contract is a struct of pointers, of which exactly one is set.
func Example() {
	outcomes := []wit.CallResult{
		{Pending: &wit.RequestBatch{Requests: []wit.Request{{Method: "POST", Target: "/hooks"}}}},
		{Done: new(string)},
	}
	for _, a := range outcomes {
		switch {
		case a.Pending != nil:
			fmt.Println("asks for", a.Pending.Requests[0].Target)
		case a.Done != nil:
			fmt.Println("is done")
		}
	}
	// Output:
	// asks for /hooks
	// is done
}
