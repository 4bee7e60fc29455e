package notifications_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/notifications"
	"github.com/culvert-project/culvert/wit"
)

// webhook handles the notifications of a service that calls a URL when orders have changed.
type webhook struct{}

// HandleNotification triggers a poll of the feed. context is the source's context from open. The notification contains
// the request.
func (webhook) HandleNotification(_ []byte, n wit.Notification) ([]wit.Trigger, error) {
	if len(n.Body) == 0 {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: "expected a body"} // the sender receives 400
	}
	return []wit.Trigger{{Feed: 0, Token: "changed"}}, nil // several pending triggers become one poll
}

// Subscribe returns one request, and is called again with its response. address is a path at the host's listener.
func (webhook) Subscribe(_ []byte, _ uint32, address string, _ []byte,
	responses []wit.Response) (wit.CallResult, error) {
	if len(responses) == 0 {
		return wit.CallResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Method: "POST", Target: "/hooks",
			Body: []byte(`{"url":"https://culvert.example` + address + `"}`)}}}}, nil
	}
	if responses[0].Status != 201 {
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorTransient, Message: "the service makes no hook"}
	}
	name := string(responses[0].Body)
	return wit.CallResult{Done: &name}, nil
}

// A source registers its notifications in an init function, in addition to itself. The host calls Subscribe until it is
// done.
func ExampleRegister() {
	notifications.Register(webhook{})

	first, _ := webhook{}.Subscribe(nil, 0, "/orders", nil, nil)
	fmt.Println(first.Pending.Requests[0].Target)
	done, _ := webhook{}.Subscribe(nil, 0, "/orders", nil, []wit.Response{{Status: 201, Body: []byte("hook 7")}})
	fmt.Println(*done.Done)
	// Output:
	// /hooks
	// hook 7
}
