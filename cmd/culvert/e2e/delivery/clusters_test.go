package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Connectors whose clients go to another cluster than the worker's have their topics made there, and are done when they
// have come to the ends there.
func TestClientsOfAnotherCluster(t *testing.T) {
	t.Parallel()
	ClientsOfAnotherCluster(t, e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr())
}

// With topic.creation.enable=false it is the broker that makes topics, or does not.
func TestTopicsOfTheBrokersMaking(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	file := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
	p.MustOnce("--set", "topic.creation.enable=false", file)
	p.Holds("Orders", s.Count("Orders"))
}
