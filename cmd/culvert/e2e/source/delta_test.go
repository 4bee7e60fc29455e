package source

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// changeProducts changes Products until stop is closed.
func changeProducts(s *odatatest.Service, seed uint64, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 1))
	edits := e2etest.Writer{S: s}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		id := strconv.Itoa(1 + r.IntN(300))
		switch r.IntN(4) {
		case 0:
			edits.Send("POST", "Products", map[string]any{"ProductID": int(seed)*1_000_000 + n,
				"ProductName": fmt.Sprint("New ", seed, " ", n), "Discontinued": false})
		case 1:
			edits.Send("DELETE", "Products("+id+")", nil)
		default:
			edits.Send("MERGE", "Products("+id+")", map[string]any{"ProductName": fmt.Sprint("Changed ", seed, " ", n)})
		}
	}
}

// Several writers create, change and delete rows while three connectors read the changes, in Atom, in JSON with
// tombstones, and from an ODP service with one generation of tokens; the worker is killed repeatedly. Afterwards each
// topic, folded by key, equals the service, ODP has started one extraction, and no token was expired.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 3000, PageSize: 70})
	p.StartBroker()
	worker := p.WritePlainWorker("embedded", "offset.flush.interval.ms=20")
	topics := []string{"atom", "json", "odp"}
	files := []string{worker,
		p.File("atom.properties", e2etest.DeltaSource("atom", address, odatatest.SAPPath, "Products")...),
		p.File("json.properties", e2etest.DeltaSource("json", address, odatatest.SAPPath, "Products",
			"sap.odata#00.format=json", "sap.odata#00.deletes=tombstone", "sap.odata.user.name=other")...),
		p.File("odp.properties", e2etest.DeltaSource("odp", address, odatatest.ODPPath, "FactsOfProducts")...)}
	start := func() *e2etest.Command {
		return p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
	}
	c := start()
	c.Eventually("requests for changes of all connectors", func() bool { return s.Ledger().Deltas >= 2*len(topics) })
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range uint64(4) {
		writers.Go(func() { changeProducts(s, seed+1, stop) })
	}
	for range e2etest.Rounds() / 2 {
		deltas := s.Ledger().Deltas
		c.Eventually("more requests for changes", func() bool { return s.Ledger().Deltas > deltas+len(topics) })
		c.Kill()
		c = start()
	}
	close(stop)
	writers.Wait()
	want := map[string]string{}
	s.Each("Products", func(_ string, fields map[string]string) { want[fields["ProductID"]] = fields["ProductName"] })
	// difference returns how a topic differs from the service, "" if it does not.
	difference := func(topic string) string {
		names := e2etest.FoldByKey(p, topic)
		for key, name := range want {
			if names[key] != name {
				return fmt.Sprintf("%s: product %s: expected %q, found %q", topic, key, name, names[key])
			}
		}
		if len(names) != len(want) {
			return fmt.Sprintf("%s: expected %d products, found %d", topic, len(want), len(names))
		}
		return ""
	}
	for _, topic := range topics {
		c.Eventually("topic "+topic+" that equals the service", func() bool {
			problem := difference(topic)
			if problem != "" && c.Process.ProcessState != nil {
				t.Fatal(problem, c.Stderr.String())
			}
			return problem == ""
		})
	}
	l := s.Ledger()
	assert.True(t, l.Jobs == 1 && l.Refused536 == 0,
		"expected 1 extraction and no expired token, found %d and %d", l.Jobs, l.Refused536)
	t.Logf("%d pages, %d of changes, %d rows, %d products", l.Pages, l.Deltas, l.Rows, len(want))
	c.MustStop()
}
