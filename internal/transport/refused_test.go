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

// refusing is a service without sessions that rejects a number of requests, or all after a number.
type refusing struct {
	mu sync.Mutex
	// of the requests since the last change
	from    int
	to      int
	n       int
	refused []time.Time
}

func (r *refusing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if r.n > r.from && r.n <= r.to {
		r.refused = append(r.refused, time.Now())
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Csrf-Token", "t")
}

func (r *refusing) between(from, to int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = from
	r.to = to
	r.n = 0
	r.refused = nil
}

func (r *refusing) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.refused)
}

// The values are those of package lockouts.
const (
	recently    = time.Hour
	openingTurn = 10 * time.Second
	trusted     = time.Minute
)

// isUnauthorized reports whether a request was rejected, or not sent.
func isUnauthorized(status uint16, err error) bool {
	f, _ := errors.AsType[*wit.Error](err)
	return status == 401 || (f != nil && f.Kind == wit.ErrorUnauthorized)
}

// A single 401 among eight concurrent requests without a session, as from a restarting server, stops further requests
// until an operator resumes.
func TestRejectedRequestStopsConcurrentRequests(t *testing.T) {
	for name, request := range map[string]*wit.Request{"read": get("/"), "write": {Method: "POST", Target: "/",
		TokenPath: wit.Ptr("/")}} {
		t.Run(name, func(t *testing.T) {
			s := &refusing{}
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				for range 3 {
					wantStatus(t, c, request, 200)
				}
				time.Sleep(50 * time.Minute)
				s.between(0, 1)
				together(8, func(int) {
					if status, _, err := text(t, c, request); !isUnauthorized(status, err) {
						t.Errorf("expected a refusal, found %d, %v", status, err)
					}
				})
				assert.Equal(t, []int{1, 1}, []int{s.n, s.count()}, "requests, refusals")
				wantFaultOf(t, c, request, wit.ErrorUnauthorized, "is not sent again", "PUT /culvert/lockouts/resume")
				time.Sleep(24 * time.Hour)
				assert.Equal(t, 1, s.n, "requests by the next day")
				n, err := c.target.Load().config.Lockouts.Resume(t.Context())
				require.NoError(t, err)
				assert.Equal(t, 1, n, "refusals")
				together(8, func(int) { wantStatus(t, c, request, 200) })
				assert.Equal(t, 1, s.count(), "refusals")
			})
		})
	}
}

// If a service accepts all reads but rejects writes, the writes in flight are rejected, one of them in a new session,
// too, and no further one is sent.
func TestAcceptedReadsDoNotProveWrites(t *testing.T) {
	for _, lanes := range []int{1, 8} {
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
		}, func(c *Config) { sessioned(c); c.Limits.Concurrent = lanes }, func(t *testing.T, c *Client) {
			text(t, c, get("/Orders"))
			for range 3 {
				together(3*lanes, func(i int) {
					r := &wit.Request{Method: "POST", Target: "/Orders" + string(rune('a'+i%2)),
						TokenPath: wit.Ptr("/")}
					if status, _, err := text(t, c, r); !isUnauthorized(status, err) {
						t.Errorf("status %d, %v", status, err)
					}
					text(t, c, get("/Orders")) // accepted in the meantime
				})
				time.Sleep(time.Minute)
			}
			if writes < 1 || writes > lanes+1 {
				t.Errorf("%d lanes: expected the requests in flight and one more to be rejected, found %d", lanes,
					writes)
			}
			if c.Refusal() == "" {
				t.Error("expected the secret to be rejected")
			}
		})
	}
}

// A 404 may precede the logon: it does not prove that a password is right, and a wrong one is not sent twice.
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
			text(t, c, get(target))
			time.Sleep(time.Minute)
		}
		if refusals != 1 || c.Refusal() == "" {
			t.Errorf("expected one refusal, found %d, %q", refusals, c.Refusal())
		}
	})
}

func TestLogonShowsNoSecret(t *testing.T) {
	const origin = "http://sap.example:8000"
	l := Logon{origin: origin, secrets: []logonSecret{{id: lockouts.Identity{Origin: origin, User: "u",
		Secret: "geheim"}}}}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("logs on", "logon", l)
	if shown := fmt.Sprintf("%v %+v", l, l) + logged.String(); strings.Contains(shown, "geheim") ||
		strings.Count(shown, origin) != 3 {
		t.Errorf("expected the origin and no secret, found %s", shown)
	}
}
