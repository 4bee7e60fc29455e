package transport

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"
)

// Another client wants the connection in the moment in which net/http counts it as idle, before it hands over the answer: the answer
// arrives all the same.
func TestConnectionsAreEndedBehindTheirAnswers(t *testing.T) {
	service(t, func(http.ResponseWriter, *http.Request) {}, nil, func(t *testing.T, c *Client, w *wires) {
		idle := 0
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{PutIdleConn: func(error) {
			idle++
			c.at.Load().closeIdle()
			time.Sleep(time.Millisecond) // everybody else goes on
		}})
		for range 10 {
			a, err := c.Do(ctx, post("/"))
			if err != nil || a.Status != 200 {
				t.Fatalf("expected an answer, found %v", err)
			}
			a.Body.Close()
		}
		if idle < 10 {
			t.Errorf("expected each connection to be idle once, found %d", idle)
		}
	})
}
