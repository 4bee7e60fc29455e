package cluster

import (
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/assert"
)

// assigned is a herder that keeps what it is assigned, by connector.
type assigned struct {
	holder
	shares map[string]connect.Share
	before func() // is called first, where it is there
}

func (a *assigned) Assign(name string, share connect.Share) error {
	if a.before != nil {
		a.before()
	}
	a.shares[name] = share
	return nil
}

// A worker remembers nothing of connectors that are no more, however many there were.
func TestDeletedConnectorsAreForgotten(t *testing.T) {
	t.Parallel()
	herder := &assigned{shares: map[string]connect.Share{}}
	w := NewWorker(WorkerOptions{Herder: herder})
	for offset, name := range []string{"a", "b", "c"} {
		w.Brought(config.Snapshot{Connectors: []*config.Connector{{Name: name}},
			Written: map[string]int64{name: int64(offset)}}) // the first is the topic's first record
		w.bring()
		assert.Equal(t, 1, len(w.shares))
	}
	assert.Equal(t, 3, len(herder.shares))
}

// What a worker is about to run is what it has, though an assignment without it has come meanwhile.
func TestWhatIsAboutToBeginIsHeld(t *testing.T) {
	t.Parallel()
	herder := &assigned{shares: map[string]connect.Share{}}
	w := NewWorker(WorkerOptions{Herder: herder})
	given := []Held{{Connector: KeyOf("a"), Units: units(0)}}
	w.assignment.Target = given
	herder.before = func() {
		w.mu.Lock()
		w.assignment = Assignment{}
		w.mu.Unlock()
		assert.Equal(t, given, w.holds())
	}
	w.Brought(config.Snapshot{Connectors: []*config.Connector{{Name: "a"}}, Written: map[string]int64{"a": 0}})
	w.bring()
	assert.Equal(t, true, herder.shares["a"].Plans)
	assert.Equal(t, 0, len(w.holds()))
}
