package main

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// blockedTransport responds to no request.
type blockedTransport struct{}

func (blockedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// The commands wait longer than the 4 minutes for which a worker replays and discards.
func TestDeadLetterCommandsWaitForTheWorker(t *testing.T) {
	for _, args := range [][]string{
		{"discard", "0@17", "--connector", "c", "--url", "http://127.0.0.1:1"},
		{"retry", "0@17", "--connector", "c", "--url", "http://127.0.0.1:1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &remote{transport: blockedTransport{}}
			c := r.newDLQDiscard()
			if args[0] == "retry" {
				c = r.newDLQRetry()
			}
			r.flags(c)
			c.SilenceErrors = true
			c.SilenceUsage = true
			c.SetArgs(args[1:])
			start := time.Now()
			if err := c.ExecuteContext(t.Context()); err == nil || time.Since(start) < 4*time.Minute {
				t.Errorf("%s: expected a timeout after 4 minutes, found %v after %v", args[0], err, time.Since(start))
			}
		})
	}
}
