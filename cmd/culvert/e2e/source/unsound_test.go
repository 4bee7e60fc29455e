package source

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
)

const oddMetadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
	`<EntityType Name="Row"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
	`<EntityContainer Name="C"><EntitySet Name="Rows" EntityType="N.Row"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`

// unsoundService is a service whose pages miss a row, with a worker that reads it and is killed at a request. The
// service accepts $orderby but ignores it, and applies $filter: paging by key misses its row 150, which its count shows
// at the end. Requests 1 to 5 are for the first page, two keys, two pages by key and the count; request 6 reads the set
// again.
type unsoundService struct {
	p       *e2etest.Place
	servers string
	worker  string // file
	address string
	held    chan struct{} // closed when request killAt has arrived
	release chan struct{} // closed to answer that request

	mu       sync.Mutex
	requests int
	killAt   int
}

// reloadRequest is the number of the request that reads the set again.
const reloadRequest = 6

func newUnsoundService(t *testing.T, killAt int, settings ...string) *unsoundService {
	s := &unsoundService{p: e2etest.NewPlace(t), held: make(chan struct{}), release: make(chan struct{}),
		killAt: killAt}
	s.address = e2etest.Serve(t, s)
	s.servers = s.p.StartBroker()
	s.worker = s.p.WritePlainWorker(s.servers, append(settings, "group.id=unsound", "offset.flush.interval.ms=20")...)
	return s
}

// ServeHTTP answers with pages of 100 rows, or of $top rows.
func (s *unsoundService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Header().Set("Content-Type", "application/xml")
		io.WriteString(w, oddMetadata)
		return
	}
	s.requests++
	if s.requests == s.killAt {
		close(s.held)
		<-s.release
	}
	var rows []int
	for row := 1; row <= 300; row++ {
		if row != 150 {
			rows = append(rows, row)
		}
	}
	rows = append(rows, 150)
	query := r.URL.Query()
	for part := range strings.SplitSeq(query.Get("$filter"), " and ") {
		words := strings.Fields(strings.Trim(part, "()"))
		if len(words) != 3 {
			continue
		}
		operator := words[1]
		bound, _ := strconv.Atoi(words[2])
		rows = slices.DeleteFunc(rows, func(row int) bool {
			return (operator == "gt" && row <= bound) || (operator == "ge" && row < bound) ||
				(operator == "le" && row > bound)
		})
	}
	skip, _ := strconv.Atoi(query.Get("$skip"))
	size, err := strconv.Atoi(query.Get("$top"))
	if err != nil {
		size = 100
	}
	count := len(rows)
	rows = rows[min(skip, count):]
	page := rows[:min(size, len(rows))]
	items := make([]string, len(page))
	for i, row := range page {
		items[i] = fmt.Sprintf(`{"ID":%d}`, row)
	}
	next := ""
	if len(rows) > len(page) {
		next = fmt.Sprintf(`,"__next":"%s?$skip=%d`, r.URL.Path, skip+len(page))
		for _, name := range []string{"$filter", "$orderby", "$inlinecount"} {
			if v := query.Get(name); v != "" {
				next += "&" + name + "=" + strings.ReplaceAll(v, " ", "%20")
			}
		}
		next += `"`
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"d":{"__count":"%d","results":[%s]%s}}`, count, strings.Join(items, ","), next)
}

func (s *unsoundService) startWorker(more ...string) *e2etest.Command {
	file := s.p.File("odd.properties", append(append(e2etest.Source("odd", s.address), "sap.odata#00.service=/s",
		"sap.odata#00.entityset=Rows", "sap.odata#00.topic=rows"), more...)...)
	return s.p.StartOnce(e2etest.Plugins(s.p.T), s.worker, file)
}

// killWorker starts a worker and kills it at request killAt.
func (s *unsoundService) killWorker() {
	s.p.T.Helper()
	w := s.startWorker()
	select {
	case <-s.held:
	case <-time.After(e2etest.WaitLimit):
		s.p.T.Fatalf("expected request %d, found none; stderr:\n%s", s.killAt, w.Stderr.String())
	}
	w.Kill()
	close(s.release)
}

// readTopic returns how often the topic contains each row, and the records of the reload.
func (s *unsoundService) readTopic() (counts map[int]int, reload []string) {
	s.p.T.Helper()
	out := s.p.MustRun("consume", "rows", "--bootstrap-servers", s.servers)
	counts = map[int]int{}
	for line := range strings.Lines(out.Stdout) {
		var id int
		if _, after, ok := strings.Cut(line, `"key":{"ID":`); !ok {
			s.p.T.Fatalf("expected a record with a key, found %s", line)
		} else if _, err := fmt.Sscanf(after, "%d", &id); err != nil {
			s.p.T.Fatal(err, line)
		}
		counts[id]++
		if strings.Contains(line, "culvert.snapshot") {
			reload = append(reload, line)
		}
	}
	return counts, reload
}

// A load that turns out to be incomplete after rows were written starts again: its rows are marked as a reload, and a
// worker that is killed before or after that finds all of them.
func TestKilledBehindAVerdictAtLeastOnce(t *testing.T) {
	t.Parallel()
	for _, killAt := range []int{reloadRequest - 1, reloadRequest, reloadRequest + 1} {
		t.Run(fmt.Sprint("request ", killAt), func(t *testing.T) {
			s := newUnsoundService(t, killAt)
			s.killWorker()
			result := s.startWorker().Wait()
			counts, reload := s.readTopic()
			if result.Code != 0 || len(counts) != 300 {
				t.Errorf("expected exit 0 and 300 rows, found exit %d and %d\n%s", result.Code, len(counts),
					result.Stderr)
			}
			begins := 0
			ends := 0
			for _, line := range reload {
				begins += strings.Count(line, `"begin"`)
				ends += strings.Count(line, `"culvert.snapshot.complete","value":"unproven"`)
			}
			if begins == 0 || ends == 0 || len(reload) < 300 {
				t.Errorf("expected a reload of 300 rows with a begin and an end, found %d rows, %d, %d: %v",
					len(reload), begins, ends, reload[:min(len(reload), 2)])
			}
		})
	}
}

// With exactly-once such a load fails and names the setting that allows the reload; without the setting no row is
// written twice, however often the worker is killed and started.
func TestKilledBehindAVerdictExactlyOnce(t *testing.T) {
	t.Parallel()
	s := newUnsoundService(t, reloadRequest-1, "exactly.once.source.support=enabled")
	s.killWorker()
	for range 2 {
		s.startWorker().Wait().WantCode(1).WantStderr("sap.odata#00.incomplete.load = reload")
	}
	counts, reload := s.readTopic()
	for id, n := range counts {
		if n > 1 {
			t.Errorf("expected row %d once, found it %d times", id, n)
		}
	}
	if len(counts) != 299 || len(reload) > 0 {
		t.Errorf("expected 299 rows and no reload, found %d and %d", len(counts), len(reload))
	}
	result := s.startWorker("sap.odata#00.unsound=reload").Wait()
	if counts, reload = s.readTopic(); result.Code != 0 || len(counts) != 300 || len(reload) != 300 {
		t.Errorf("expected exit 0, 300 rows and a reload of 300, found exit %d, %d and %d\n%s", result.Code,
			len(counts), len(reload), result.Stderr)
	}
}
