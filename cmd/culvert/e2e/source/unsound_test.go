package source

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// unsound is a service that takes $orderby and ignores it, and heeds $filter: going by key hides its row 150, which its
// count shows at the end. Requests 1 to 5 are the first page, the question for two keys, two pages by key and the
// question for the count; with the sixth the set is read again.
func unsound(asked func(number int)) *oddService {
	var rows []int
	for row := range 300 {
		if row+1 != 150 {
			rows = append(rows, row+1)
		}
	}
	rows = append(rows, 150)
	return &oddService{rows: rows, page: 100, asked: asked}
}

const restart = 6

// reader is a worker with settings that reads the service, and is killed at a request.
type reader struct {
	p                        *e2etest.Place
	servers, worker, address string
	held, goOn               chan struct{}
}

func newReader(t *testing.T, killAt int, settings ...string) *reader {
	r := &reader{p: e2etest.NewPlace(t), held: make(chan struct{}), goOn: make(chan struct{})}
	r.address = e2etest.Serve(t, unsound(func(number int) {
		if number == killAt {
			close(r.held)
			<-r.goOn
		}
	}))
	r.servers = r.p.Broker()
	r.worker = r.p.Plain(r.servers, append(settings, "group.id=unsound", "offset.flush.interval.ms=20")...)
	return r
}

func (r *reader) start(more ...string) *e2etest.Command {
	file := r.p.File("odd.properties", oddRows("odd", r.address, more...)...)
	return r.p.StartOnce(e2etest.Plugins(r.p.T), r.worker, file)
}

// killed has the worker killed at its request.
func (r *reader) killed(more ...string) {
	r.p.T.Helper()
	w := r.start(more...)
	select {
	case <-r.held:
	case <-time.After(e2etest.ComesAbout):
		r.p.T.Fatalf("the request was not made; stderr:\n%s", w.Stderr.String())
	}
	w.Kill()
	close(r.goOn)
}

// came counts the rows of the topic: how often each came, and those of the reload.
func (r *reader) came() (came map[int]int, reload []string) {
	r.p.T.Helper()
	out := r.p.MustRun("consume", "rows", "--bootstrap-servers", r.servers)
	came = map[int]int{}
	for line := range strings.Lines(out.Stdout) {
		var id int
		if _, after, ok := strings.Cut(line, `"key":{"ID":`); !ok {
			r.p.T.Fatalf("a record without a key: %s", line)
		} else if _, err := fmt.Sscanf(after, "%d", &id); err != nil {
			r.p.T.Fatal(err, line)
		}
		if came[id]++; strings.Contains(line, "culvert.snapshot") {
			reload = append(reload, line)
		}
	}
	return came, reload
}

// A load whose rows turn out not to be all, after some were written, begins again: its rows are marked as a reload, and
// a worker that is killed before or after the verdict ends with all of them.
func TestKilledBehindAVerdictAtLeastOnce(t *testing.T) {
	t.Parallel()
	for _, at := range []int{restart - 1, restart, restart + 1} {
		t.Run(fmt.Sprint("request ", at), func(t *testing.T) {
			r := newReader(t, at)
			r.killed()
			result := r.start().Wait()
			came, reload := r.came()
			if result.Code != 0 || len(came) != 300 {
				t.Errorf("exit %d, %d of 300 rows\n%s", result.Code, len(came), result.Stderr)
			}
			begins, ends := 0, 0
			for _, line := range reload {
				begins += strings.Count(line, `"begin"`)
				ends += strings.Count(line, `"end"`)
			}
			if begins == 0 || ends == 0 || len(reload) < 300 {
				t.Errorf("%d rows of the reload, %d begin and %d end it: %v", len(reload), begins, ends,
					reload[:min(len(reload), 2)])
			}
		})
	}
}

// With exactly-once such a load fails and names the setting by which it begins again all the same; no row is written
// twice without it, however often the worker is killed and started.
func TestKilledBehindAVerdictExactlyOnce(t *testing.T) {
	t.Parallel()
	r := newReader(t, restart-1, "exactly.once.source.support=enabled")
	r.killed()
	for range 2 {
		result := r.start().Wait()
		result.Exits(1).Says("sap.odata#00.unsound = reload")
	}
	came, reload := r.came()
	for id, n := range came {
		if n > 1 {
			t.Errorf("row %d came %d times", id, n)
		}
	}
	if len(came) != 299 || len(reload) > 0 {
		t.Errorf("%d rows came before the verdict, %d of them marked", len(came), len(reload))
	}
	result := r.start("sap.odata#00.unsound=reload").Wait()
	if came, reload = r.came(); result.Code != 0 || len(came) != 300 || len(reload) != 300 {
		t.Errorf("exit %d, %d of 300 rows, %d marked\n%s", result.Code, len(came), len(reload), result.Stderr)
	}
}
