package retirement_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/wit"
)

// leaving takes away what a connector has left at its service.
type leaving struct{}

// Retire is called when the connector was deleted: first without answers, then with those to what it asked for.
// addresses are those under which it subscribed.
func (leaving) Retire(_ string, _ []wit.Setting, addresses []string, _ []byte,
	answers []wit.Response) (wit.CallResult, error) {
	if len(answers) > 0 || len(addresses) == 0 {
		done := ""
		return wit.CallResult{Done: &done}, nil
	}
	var need wit.RequestBatch
	for _, address := range addresses {
		need.Requests = append(need.Requests, wit.Request{Method: "DELETE", Target: "/hooks?path=" + address,
			Repeatable: true})
	}
	return wit.CallResult{Pending: &need}, nil
}

// A source registers its retirement beside itself, in an init function. The host asks until it is done.
func ExampleRegister() {
	retirement.Register(leaving{})

	asked, _ := leaving{}.Retire("example.Orders", nil, []string{"/orders"}, nil, nil)
	fmt.Println(asked.Pending.Requests[0].Target)
	// Output: /hooks?path=/orders
}
