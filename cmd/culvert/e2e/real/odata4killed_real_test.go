//go:build real

package real

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// A worker with exactly-once that is killed during a load and during changes delivers each row and each change once.
func TestRealOData4Killed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		start    func(t *testing.T, products int, env ...string) *odata4Service
		settings []string
		inLoad   int // kills
		inChange int
	}{
		{name: "CAP", start: startCAP4, settings: []string{"select=name,sold"}, inLoad: 5},
		{name: "Olingo", start: startOlingo4, settings: []string{"select=Name,Big", "track-changes=1", "exec-period=1"},
			inLoad: 10, inChange: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKilledReader(t, test.start(t, manyRows), test.settings)
			for id := 1; id <= manyRows; id++ {
				k.expect(id, "load")
			}
			for range test.inLoad {
				k.kill()
			}
			for round := range test.inChange {
				if round == 0 {
					k.readToEnd()
				}
				// Two pages of changes of rows that no other round changes.
				first := 1500*round + 1
				deleted := 20_001 + 10*round
				k.service.change(t, fmt.Sprintf("update=%d-%d&delete=%d-%d", first, first+1499, deleted, deleted+9))
				for id := range 1500 {
					k.expect(first+id, "change")
				}
				for id := range 10 {
					k.expect(deleted+id, "deletion")
				}
				k.kill()
			}
			k.readToEnd()
			k.check()
		})
	}
}

// killedReader is a worker with a connector that reads a set by a proxy whose responses can be blocked.
type killedReader struct {
	t         *testing.T
	service   *odata4Service
	place     *e2etest.Place
	servers   string
	held      *e2etest.Holdup
	pageBytes int // size of a page, approximately
	args      []string
	random    *rand.Rand
	expected  map[string]int // how often each row and each change must be in the topic
}

func newKilledReader(t *testing.T, s *odata4Service, settings []string) *killedReader {
	t.Helper()
	p := e2etest.NewPlace(t)
	k := &killedReader{t: t, service: s, place: p, servers: p.StartBroker(), expected: map[string]int{},
		random: rand.New(rand.NewPCG(4, 0))}
	k.pageBytes = len(s.get(t, "Products?$"+settings[0], "application/json"))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.address})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // killed workers cancel requests
	k.held = &e2etest.Holdup{After: -1, Inner: proxy}
	proxied := &odata4Service{address: e2etest.Serve(t, k.held), path: s.path}
	worker := p.WritePlainWorker(k.servers, "group.id=exact", "exactly.once.source.support=enabled")
	file := p.File("killed.properties", append(proxied.reader("killed", append([]string{"Products", "killed"},
		settings...)), "exactly.once.support=required")...)
	k.args = []string{"--data", p.Data, "--plugins", e2etest.Plugins(t), worker, file}
	return k
}

func (k *killedReader) expect(id int, kind string) { k.expected[fmt.Sprint(id, " ", kind)] = 1 }

// kill starts a worker and kills it at a random moment: within a page or shortly after one.
func (k *killedReader) kill() {
	k.t.Helper()
	k.held.Arm(k.pageBytes/4 + k.random.IntN(k.pageBytes*3/2))
	w := k.place.Start(append([]string{"run"}, k.args...)...)
	k.held.Await(w)
	isWithinPage := k.random.IntN(2) == 0
	if !isWithinPage {
		close(k.held.Release)
	}
	<-time.After(time.Duration(k.random.IntN(100)) * time.Millisecond)
	w.Kill()
	if isWithinPage {
		close(k.held.Release)
	}
}

// readToEnd reads what the service has, without interruption.
func (k *killedReader) readToEnd() {
	k.t.Helper()
	k.held.Arm(-1)
	k.place.MustRun(append([]string{"run", "--once"}, k.args...)...)
}

// check compares the topic with the rows and the changes of the service.
func (k *killedReader) check() {
	k.t.Helper()
	missing := len(k.expected)
	repeated := 0
	for line := range strings.Lines(k.place.MustRun("consume", "killed", "--bootstrap-servers", k.servers).Stdout) {
		var record struct {
			Key   struct{ ID int }
			Value struct{ Name, RECORDMODE string }
		}
		require.NoError(k.t, json.Unmarshal([]byte(line), &record))
		kind := "load"
		switch {
		case record.Value.RECORDMODE == "D":
			kind = "deletion"
		case strings.Contains(record.Value.Name, ", change "):
			kind = "change"
		}
		id := fmt.Sprint(record.Key.ID, " ", kind)
		n, ok := k.expected[id]
		switch {
		case !ok:
			k.t.Errorf("expected rows and changes of the service, found %s", line)
		case n == 0:
			repeated++
		default:
			missing--
			k.expected[id] = 0
		}
	}
	assert.True(k.t, missing == 0 && repeated == 0, "expected each of %d rows and changes once, found %d missing, "+
		"%d repeated", len(k.expected), missing, repeated)
}
