package connect

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTopicsAreTracked(t *testing.T) {
	var all topics
	if names := all.names(); len(names) != 0 {
		t.Errorf("found %v", names)
	}
	var wg sync.WaitGroup
	for _, topic := range []string{"b", "a", "b", "c"} {
		wg.Go(func() { all.add(topic) })
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"a", "b", "c"}, all.names()); diff != "" {
		t.Error(diff)
	}
	all.reset()
	all.add("b")
	if diff := cmp.Diff([]string{"b"}, all.names()); diff != "" {
		t.Error(diff)
	}
}
