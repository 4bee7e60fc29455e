package retirement_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/wit"
)

// hookRemover deletes what a connector has created at its service.
type hookRemover struct{}

// Retire is called after the connector was deleted: first without responses, then with the responses to its requests.
// addresses contains the addresses of its subscriptions.
func (hookRemover) Retire(_ string, _ []wit.Setting, addresses []string, _ []byte,
	responses []wit.Response) (wit.CallResult, error) {
	if len(responses) > 0 || len(addresses) == 0 {
		message := "" // nothing to report
		return wit.CallResult{Done: &message}, nil
	}
	var batch wit.RequestBatch
	for _, address := range addresses {
		batch.Requests = append(batch.Requests, wit.Request{Method: "DELETE", Target: "/hooks?path=" + address,
			Repeatable: true})
	}
	return wit.CallResult{Pending: &batch}, nil
}

// A source registers its retirement in an init function, in addition to itself. The host calls Retire until it is done.
func ExampleRegister() {
	retirement.Register(hookRemover{})

	first, _ := hookRemover{}.Retire("example.Orders", nil, []string{"/orders"}, nil, nil)
	fmt.Println(first.Pending.Requests[0].Target)
	// Output: /hooks?path=/orders
}
