package source

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	logins   int
	problems []string // of rejected requests
	pages    int
	check    func(r *http.Request) (problem string)  // checks a request for a page; "" means that it is accepted
	login    func(r *http.Request, body string) bool // reports whether a login is accepted; nil means no logins
	next     func(page int) string                   // returns the link to the next page; nil or "" means a cursor
	lifetime string                                  // more members of the response to a login
}

const ticketPages = 4

func (s *ticketService) start(t *testing.T) {
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
}

func (s *ticketService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if s.login != nil && r.URL.Path == "/session" {
		s.logins++
		if !s.login(r, string(body)) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"no such logon: %s"}`, body)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"result":{"session":"tok-%d"%s}}`, s.logins, s.lifetime)
		return
	}
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

// requests returns the number of logins and of pages so far, and the problems of rejected requests.
func (s *ticketService) requests() (logins, pages int, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins, s.pages, slices.Clone(s.problems)
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

// The host logs on by a request of its own, sends the token in the header that the user specifies, and renews a
// rejected token once. A rejected login is not repeated, neither by the same command nor by another one; with another
// password it is sent at once.
func TestLoginExchange(t *testing.T) {
	t.Parallel()
	const user, secret, wrong = `me&you`, `p"w\&{user}=1+ü`, "wrong-one-indeed"
	dir := ticketPlugins(t)
	p := e2etest.NewPlace(t)
	uses := map[string]int{} // of a token
	s := &ticketService{lifetime: `,"seconds":3600`}
	s.login = func(r *http.Request, body string) bool {
		var b struct {
			U      string
			Secret struct{ P string }
		}
		return json.Unmarshal([]byte(body), &b) == nil && r.Header.Get("Content-Type") == "application/json" &&
			r.Method == http.MethodPost && b.U == user && b.Secret.P == secret && r.Header.Get("Authorization") == ""
	}
	s.check = func(r *http.Request) string {
		token := fmt.Sprintf("tok-%d", s.logins)
		if got := r.Header.Get("X-Session"); got != "T "+token {
			return fmt.Sprintf("expected X-Session: T %s, found %q", token, got)
		}
		uses[token]++
		if uses[token] > 2 {
			return token + " has ended"
		}
		return ""
	}
	s.start(t)
	run := func(password string) e2etest.Result {
		r := p.RunOnceWith(dir, "--log-level", "debug", p.File("c.properties", ticketSource(s.URL, "tickets.user="+user,
			"tickets.password="+password, "tickets.login.path=/session",
			`tickets.login.body={"u":"{user}","secret":{"p":"{password}"}}`, "tickets.login.token=result.session",
			"tickets.login.lifetime=result.seconds", "tickets.login.header=X-Session: T {token}")...))
		for _, hidden := range []string{wrong, secret, "tok-1", "tok-2"} {
			p.CheckSecretAbsent(hidden, r.Stdout+r.Stderr)
		}
		return r
	}
	for range 2 {
		run(wrong).WantCode(1)
		if logins, pages, _ := s.requests(); logins != 1 || pages != 0 || len(p.Refusals()) != 1 {
			t.Fatalf("expected one login in all, and one refusal, found %d, %d pages, %v", logins, pages, p.Refusals())
		}
	}
	r := run(strings.ReplaceAll(secret, `\`, `\\`))
	logins, pages, problems := s.requests()
	require.True(t, r.Code == 0 && logins == 1+2 && pages == ticketPages && len(problems) == 1,
		"expected exit 0, 2 more logins and 1 ended token, found %d, %d, %v of %d pages\n%s", r.Code, logins, problems,
		pages, r.Stderr)
	assert.Len(t, ticketPages, p.Records("Tickets"), "records")
}

// A login with status 200 but without a token is not repeated either.
func TestLoginWithoutAToken(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	var logins atomic.Int32
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logins.Add(1)
		io.WriteString(w, `{"success":false,"result":null}`)
	}))
	file := p.File("c.properties", ticketSource("http://"+address, "tickets.user=me", "tickets.password=right",
		"tickets.login.path=/session", `tickets.login.body={"u":"{user}","p":"{password}"}`,
		"tickets.login.token=result.session")...)
	for range 2 {
		p.RunOnceWith(ticketPlugins(t), file).WantCode(1)
		assert.Equal(t, int32(1), logins.Load(), "logins")
	}
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
	if _, pages, problems := s.requests(); r.Code != 0 || pages != ticketPages || len(problems) != 0 {
		t.Fatalf("expected exit 0 and %d pages, found %d, %d, %v\n%s", ticketPages, r.Code, pages, problems, r.Stderr)
	}
	p.CheckSecretAbsent(secret, r.Stdout+r.Stderr)
	// A wrong one is sent once by two commands, and the service's error is shown without it.
	q := e2etest.NewPlace(t)
	const wrong = "wrong-key-and-long"
	file = q.File("c.properties", ticketSource(s.URL, "tickets.query.api_key="+wrong)...)
	for i := range 2 {
		r := q.RunOnceWith(dir, "--log-level", "debug", file)
		_, _, problems := s.requests()
		require.True(t, r.Code == 1 && strings.Contains(r.Stderr, "401") && len(problems) == 1,
			"run %d: expected exit 1 and one refusal in all, found %d and %v\n%s", i, r.Code, problems, r.Stderr)
		q.CheckSecretAbsent(wrong, r.Stdout+r.Stderr)
	}
}
