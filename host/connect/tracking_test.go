package connect

import (
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
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
	assert.Equal(t, []string{"a", "b", "c"}, all.names())
	all.reset()
	all.add("b")
	assert.Equal(t, []string{"b"}, all.names())
}
