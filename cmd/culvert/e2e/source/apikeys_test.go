package source

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// ticketPlugins returns a folder with the example's source, which reads services that are not OData.
func ticketPlugins(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	e2etest.WriteFile(t, dir, "tickets.wasm", guesttest.Bytes(t, "../../../../examples/plugin-source"))
	return dir
}

// ticketService is a service of tickets that accepts only the expected requests. Like many services, it repeats the
// request in its errors.
type ticketService struct {
	*httptest.Server

	mu       sync.Mutex
	problems []string // of rejected requests
	pages    int
	check    func(r *http.Request) (problem string) // checks a request for a page; "" means that it is accepted
	next     func(page int) string                  // returns the link to the next page; nil or "" means a cursor
}

const ticketPages = 4

func (s *ticketService) start(t *testing.T) {
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
}

func (s *ticketService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if problem := s.check(r); problem != "" {
		s.problems = append(s.problems, problem)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":%q}`, problem+": "+r.URL.String())
		return
	}
	s.pages++
	var page int
	fmt.Sscan(r.URL.Query().Get("after"), &page)
	page++
	hasMore := page < ticketPages
	next := ""
	if hasMore && s.next != nil {
		next = s.next(page)
	}
	link, _ := json.Marshal(next)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w,
		`{"items":[{"id":%d,"title":"t","customer":{"name":"c","city":null},"tags":[],"updated":"2026-01-01T00:00:00Z"}],"cursor":"%d","next":%s,"more":%v}`,
		page, page, link, hasMore)
}

// requests returns the number of pages so far, and the problems of rejected requests.
func (s *ticketService) requests() (pages int, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages, slices.Clone(s.problems)
}

// ticketSource returns the settings of a connector that reads a ticket service once.
func ticketSource(address string, more ...string) []string {
	u, _ := url.Parse(address)
	host, port, _ := net.SplitHostPort(u.Host)
	return append([]string{"name=tickets", "connector.class=example.TicketsSource", "tickets.protocol=http",
		"tickets.host=" + host,
		"tickets.port=" + port, "tickets.topic=Tickets", "tickets.poll.seconds=0",
		"value.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable=false"}, more...)
}

// A secret of a setting is sent in its header with each request and appears nowhere else. A rejected one is not sent
// again, neither by the same command nor by another one; another secret is sent at once.
func TestSecretInAHeader(t *testing.T) {
	t.Parallel()
	const secret, wrong = `k"e y=1+/`, "wrong-key-and-long"
	dir := ticketPlugins(t)
	p := e2etest.NewPlace(t)
	s := &ticketService{}
	s.check = func(r *http.Request) string {
		if got := r.Header.Get("X-Api-Key"); got != secret {
			return fmt.Sprintf("expected the key, found %q", got)
		}
		return ""
	}
	s.start(t)
	run := func(key string) e2etest.Result {
		r := p.RunOnceWith(dir, "--log-level", "debug",
			p.File("c.properties", ticketSource(s.URL, "tickets.api.key="+key)...))
		for _, hidden := range []string{wrong, secret} {
			p.CheckSecretAbsent(hidden, r.Stdout+r.Stderr)
		}
		return r
	}
	for range 2 {
		run(wrong).WantCode(1)
		if pages, problems := s.requests(); len(problems) != 1 || pages != 0 || len(p.Refusals()) != 1 {
			t.Fatalf("expected one rejected request in all, and one refusal, found %v, %d pages, %v", problems, pages,
				p.Refusals())
		}
	}
	run(secret).WantCode(0)
	pages, problems := s.requests()
	require.True(t, pages == ticketPages && len(problems) == 1, "expected %d pages, found %d, %v", ticketPages, pages,
		problems)
	assert.Len(t, ticketPages, p.Records("Tickets"), "records")
}

// A secret in the query is sent with each request and appears nowhere else, although the service's links repeat it:
// neither in the guest's offsets nor in a log.
func TestSecretInTheQuery(t *testing.T) {
	const secret = "k/e y&+1=ü"
	dir := ticketPlugins(t)
	p := e2etest.NewPlace(t)
	s := &ticketService{}
	s.check = func(r *http.Request) string {
		if values := r.URL.Query()["api_key"]; len(values) != 1 || values[0] != secret {
			return fmt.Sprintf("expected the key once, found %q", values)
		}
		return ""
	}
	s.next = func(page int) string {
		return fmt.Sprintf("%s/api/tickets?api_key=%s&after=%d", s.URL, url.QueryEscape(secret), page)
	}
	s.start(t)
	file := p.File("c.properties", ticketSource(s.URL, "tickets.query.api_key="+secret)...)
	r := p.RunOnceWith(dir, "--log-level", "debug", file)
	if pages, problems := s.requests(); r.Code != 0 || pages != ticketPages || len(problems) != 0 {
		t.Fatalf("expected exit 0 and %d pages, found %d, %d, %v\n%s", ticketPages, r.Code, pages, problems, r.Stderr)
	}
	p.CheckSecretAbsent(secret, r.Stdout+r.Stderr)
	// A wrong one is sent once by two commands, and the service's error is shown without it.
	q := e2etest.NewPlace(t)
	const wrong = "wrong-key-and-long"
	file = q.File("c.properties", ticketSource(s.URL, "tickets.query.api_key="+wrong)...)
	for i := range 2 {
		r := q.RunOnceWith(dir, "--log-level", "debug", file)
		_, problems := s.requests()
		require.True(t, r.Code == 1 && strings.Contains(r.Stderr, "401") && len(problems) == 1,
			"run %d: expected exit 1 and one refusal in all, found %d and %v\n%s", i, r.Code, problems, r.Stderr)
		q.CheckSecretAbsent(wrong, r.Stdout+r.Stderr)
	}
}
