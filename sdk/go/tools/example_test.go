package tools_test

import (
	"fmt"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/wit"
)

// topics is the command `culvert topics -p FILE`: it requests a document from the service that the connector's file
// configures, and shows it.
type topics struct{}

func (topics) Commands() []wit.Command {
	return []wit.Command{{Name: "topics", Usage: "List what the service has."}}
}

// Run is called until it returns a reply: first without responses, then with the responses to its requests and the
// state that it returned with them.
func (topics) Run(_ string, _, _ []wit.Setting, _ []byte, answers []wit.Response) (wit.CommandResult, error) {
	if len(answers) == 0 {
		return wit.CommandResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Method: "GET",
			Target: "/topics"}}}}, nil
	}
	if status := answers[0].Status; status != 200 {
		return wit.CommandResult{}, sdk.NewError(wit.ErrorData, fmt.Sprintf("/topics: answered %d", status))
	}
	return wit.CommandResult{Document: wit.Ptr(string(answers[0].Body))}, nil
}

// A plugin calls Register in an init function. The host then calls Run and sends its requests.
func ExampleRegister() {
	tools.Register(topics{})

	inquiry, _ := topics{}.Run("topics", nil, nil, nil, nil)
	fmt.Println(inquiry.Pending.Requests[0].Method, inquiry.Pending.Requests[0].Target)
	reply, _ := topics{}.Run("topics", nil, nil, inquiry.Pending.State,
		[]wit.Response{{Status: 200, Body: []byte(`["a"]`)}})
	fmt.Println(*reply.Document)
	_, err := topics{}.Run("topics", nil, nil, inquiry.Pending.State, []wit.Response{{Status: 404}})
	fmt.Println(err)
	// Output:
	// GET /topics
	// ["a"]
	// /topics: answered 404
}
