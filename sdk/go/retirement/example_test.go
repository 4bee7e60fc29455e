package retirement_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/wit"
)

// leaving deletes what a connector has created at its service.
type leaving struct{}

// Retire is called after the connector was deleted: first without responses, then with the responses to its requests.
// addresses contains the addresses of its subscriptions.
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

// A source registers its retirement in an init function, in addition to itself. The host calls Retire until it is done.
func ExampleRegister() {
	retirement.Register(leaving{})

	inquiry, _ := leaving{}.Retire("example.Orders", nil, []string{"/orders"}, nil, nil)
	fmt.Println(inquiry.Pending.Requests[0].Target)
	// Output: /hooks?path=/orders
}
