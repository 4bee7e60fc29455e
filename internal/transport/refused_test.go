package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// refusingService is a service without sessions that answers some of its requests with 401.
type refusingService struct {
	mu       sync.Mutex
	first    int // the first and the last request to refuse, see refuse
	last     int
	requests int // number of requests since refuse
	refusals int
}

func (r *refusingService) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if r.requests >= r.first && r.requests <= r.last {
		r.refusals++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Csrf-Token", "t")
}

// refuse makes the service refuse the requests from first to last, counted from 1 after this call.
func (r *refusingService) refuse(first, last int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = first
	r.last = last
	r.requests = 0
	r.refusals = 0
}

func (r *refusingService) refusalCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusals
}

// The names and values are those of package lockouts.
const (
	recentPeriod = time.Hour
	openingWait  = 10 * time.Second
)

// isUnauthorized reports whether a request got 401, or was not sent because its secret was refused before.
func isUnauthorized(status uint16, err error) bool {
	f, _ := errors.AsType[*wit.Error](err)
	return status == 401 || (f != nil && f.Kind == wit.ErrorUnauthorized)
}

// A single 401 among eight concurrent requests without a session, as from a restarting server, stops further requests
// until an operator resumes.
func TestRejectedRequestStopsConcurrentRequests(t *testing.T) {
	for name, request := range map[string]*wit.Request{
		"read":  get("/"),
		"write": {Method: "POST", Target: "/", TokenPath: wit.Ptr("/")},
	} {
		t.Run(name, func(t *testing.T) {
			s := &refusingService{}
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
				for range 3 {
					wantStatus(t, c, request, 200)
				}
				time.Sleep(50 * time.Minute)
				s.refuse(1, 1)
				runConcurrently(8, func(int) {
					status, _, err := readText(t, c, request)
					assert.True(t, isUnauthorized(status, err), "expected a refusal, found %d, %v", status, err)
				})
				assert.Equal(t, []int{1, 1}, []int{s.requests, s.refusalCount()}, "requests, refusals")
				wantFaultOf(t, c, request, wit.ErrorUnauthorized, "is not sent again",
					"culvert connectors lockouts resume")
				time.Sleep(24 * time.Hour)
				assert.Equal(t, 1, s.requests, "requests by the next day")

				refusals, err := c.target.Load().config.Lockouts.Resume(t.Context())
				require.NoError(t, err)
				assert.Equal(t, 1, refusals, "refusals that Resume has forgotten")
				runConcurrently(8, func(int) { wantStatus(t, c, request, 200) })
				assert.Equal(t, 1, s.refusalCount(), "refusals")
			})
		})
	}
}

// A service that accepts all reads may reject writes. Then the writes in flight are rejected, one of them again in a
// new session, and no further write is sent.
func TestAcceptedReadsDoNotProveWrites(t *testing.T) {
	for _, concurrent := range []int{1, 8} {
		var mu sync.Mutex
		writes := 0
		service(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") == "" {
				w.Header().Set("Set-Cookie", "session=1")
			}
			w.Header().Set("X-Csrf-Token", "t")
			if r.Method == http.MethodPost {
				mu.Lock()
				defer mu.Unlock()
				writes++
				w.WriteHeader(401)
			}
		}, func(c *Config) {
			enableSessions(c)
			c.Limits.Concurrent = concurrent
		}, func(t *testing.T, c *Client) {
			readText(t, c, get("/Orders"))
			for range 3 {
				runConcurrently(3*concurrent, func(i int) {
					target := []string{"/OrdersA", "/OrdersB"}[i%2]
					r := &wit.Request{Method: "POST", Target: target, TokenPath: wit.Ptr("/")}
					status, _, err := readText(t, c, r)
					assert.True(t, isUnauthorized(status, err), "expected a refusal, found status %d, %v", status, err)
					readText(t, c, get("/Orders")) // is accepted
				})
				time.Sleep(time.Minute)
			}
			assert.True(t, writes >= 1 && writes <= concurrent+1,
				"%d at a time: expected the requests in flight and one more to be rejected, found %d", concurrent,
				writes)
			assert.True(t, c.Refusal() != "", "expected the secret to be rejected")
		})
	}
}

// A service may answer 404 before it checks the password, so a 404 does not prove the password right. A wrong one is
// not sent twice.
func TestNotFoundDoesNotProveLogon(t *testing.T) {
	refusals := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		refusals++
		w.WriteHeader(http.StatusUnauthorized)
	}, func(c *Config) {
		c.User = "u"
		c.Password = "wrong"
	}, func(t *testing.T, c *Client) {
		for _, target := range []string{"/nothing", "/a", "/nothing", "/a"} {
			readText(t, c, get(target))
			time.Sleep(time.Minute)
		}
		if refusals != 1 || c.Refusal() == "" {
			t.Errorf("expected one refusal, found %d, %q", refusals, c.Refusal())
		}
	})
}

// Printing and logging a Logon shows its origin only.
func TestLogonShowsNoSecret(t *testing.T) {
	const origin = "http://sap.example:8000"
	identity := lockouts.Identity{Origin: origin, User: "u", Secret: "geheim"}
	l := Logon{origin: origin, secrets: []logonSecret{{id: identity}}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("logs on", "logon", l)
	output := fmt.Sprintf("%v %+v", l, l) + log.String()
	assert.True(t, !strings.Contains(output, "geheim") && strings.Count(output, origin) == 3,
		"expected the origin three times and no secret, found %s", output)
}
