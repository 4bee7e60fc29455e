package console

import (
	"net/url"
	"strings"
	"testing"
)

// A form on which no letter is chosen has none replayed: without names REST would take all of the connector.
func TestReplayOfNone(t *testing.T) {
	f := newFake()
	served(t, over(f), "POST", "/console/act", url.Values{"do": {"replay"}, "name": {"orders"}, "back": {"letters"}})
	if !strings.Contains(f.bodies[0], `"letters":[]`) {
		t.Errorf("found %s with %s", f.said(), f.bodies[0])
	}
}
