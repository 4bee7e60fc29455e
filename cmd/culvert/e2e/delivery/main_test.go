package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m) }

// onEmbedded runs a test on an embedded broker; real tests run the same ones with e2etest.StartKafka.
func onEmbedded(t *testing.T, test func(t *testing.T, p *e2etest.Place, servers string)) {
	t.Helper()
	t.Parallel()
	p := e2etest.NewPlace(t)
	test(t, p, p.StartBroker())
}

// embeddedGroup starts a group of workers on an embedded broker; lines are added to their files, see [Group].
func embeddedGroup(t *testing.T, workers int, lines ...string) *Group {
	t.Helper()
	t.Parallel()
	p := e2etest.NewPlace(t)
	return NewGroup(t, p, p.StartBroker(), workers, lines...)
}
