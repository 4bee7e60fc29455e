package transport

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// cursors is a service whose tokens belong to the session that issued them, like those of SAP SuccessFactors with
// paging=snapshot.
type cursors struct {
	mu       sync.Mutex
	opened   int
	sessions map[string]bool // open ones
	issued   map[string]int  // the next page, by session and read
	rejected int             // pages with a token of another session
	delay    time.Duration
	// reopens means that the service opens a new session in place of one that has ended.
	reopens bool
	// counts means that each response sets another value of a second cookie, as some load balancers do.
	counts bool
	// answers is the number of responses.
	answers int
}

func newCursors(delay time.Duration) *cursors {
	return &cursors{delay: delay, sessions: map[string]bool{}, issued: map[string]int{}}
}

// ServeHTTP responds to /NAME/PAGE, where page 0 issues the first token, and with 401 in a session that has ended,
// unless the service reopens it.
func (cu *cursors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(cu.delay)
	cu.mu.Lock()
	defer cu.mu.Unlock()
	id := ""
	if c, err := r.Cookie("SID"); err == nil {
		id = c.Value
	}
	cu.answers++
	if cu.counts {
		http.SetCookie(w, &http.Cookie{Name: "BALANCER", Value: fmt.Sprint(cu.answers), Path: "/"})
	}
	switch {
	case id == "", cu.reopens && !cu.sessions[id]:
		cu.opened++
		id = fmt.Sprint(cu.opened)
		cu.sessions[id] = true
		http.SetCookie(w, &http.Cookie{Name: "SID", Value: id, Path: "/"})
	case !cu.sessions[id]:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var name string
	var page int
	fmt.Sscan(strings.ReplaceAll(r.URL.Path, "/", " "), &name, &page)
	key := id + " " + name
	if page > 0 && cu.issued[key] != page {
		cu.rejected++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	cu.issued[key] = page + 1
}

// send reads one page of a read.
func (cu *cursors) send(ctx context.Context, t *testing.T, c *Client, affinity *Affinity, target string) *Answer {
	t.Helper()
	answer, err := c.Do(WithAffinity(ctx, affinity), get(target))
	require.NoError(t, err)
	answer.discard()
	return answer
}

// Pages of one read use one session, next to other reads and writes, and there are not more sessions than requests.
func TestPagesOfReadUseOneSession(t *testing.T) {
	for _, reads := range []int{1, 2, 4, 10} {
		t.Run(fmt.Sprint(reads, " reads"), func(t *testing.T) {
			s := newCursors(10 * time.Millisecond)
			four := func(c *Config) { sessioned(c); c.Limits = limits.Limits{Concurrent: 4, Connections: 4} }
			service(t, s.ServeHTTP, four, func(t *testing.T, c *Client) {
				together(reads+2, func(i int) {
					affinity := &Affinity{}
					for page := range 25 {
						if i >= reads {
							wantStatus(t, c, get(fmt.Sprintf("/other%d/0", i)), 200)
							continue
						}
						answer := s.send(t.Context(), t, c, affinity, fmt.Sprintf("/read%d/%d", i, page))
						assert.Equal(t, uint16(200), answer.Status, "read", i, "page", page)
					}
				})
				assert.Equal(t, 0, s.rejected, "rejected pages")
				if s.opened > 4 {
					t.Errorf("expected at most 4 sessions, found %d", s.opened)
				}
			})
		})
	}
}

// If the session has ended, the next page is sent in another one, and the answer that rejects its token says so. A
// token that is rejected in its session is not lost with it.
func TestLostSessionOfRead(t *testing.T) {
	for name, k := range map[string]struct {
		ends    bool
		reopens bool
		counts  bool
		// others means that another request meets the end of the session first.
		others bool
	}{
		"lasts":                            {},
		"lasts, with a counting cookie":    {counts: true},
		"ends":                             {ends: true},
		"is replaced":                      {ends: true, reopens: true},
		"is replaced in another request":   {ends: true, reopens: true, others: true},
		"is replaced, with another cookie": {ends: true, reopens: true, counts: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCursors(0)
			s.reopens = k.reopens
			s.counts = k.counts
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				affinity := &Affinity{}
				s.send(t.Context(), t, c, affinity, "/read/0")
				s.send(t.Context(), t, c, affinity, "/read/1")
				third := "/read/7" // the service has not issued its token
				if k.ends {
					clear(s.sessions)
					third = "/read/2"
				}
				if k.others {
					wantStatus(t, c, get("/other/0"), 200)
				}
				for range 2 { // the answer to a repetition says so, too
					answer := s.send(t.Context(), t, c, affinity, third)
					assert.Equal(t, uint16(400), answer.Status)
					assert.Equal(t, k.ends, answer.SessionLost, "lost")
				}
				s.send(t.Context(), t, c, affinity, "/read/0")
				answer := s.send(t.Context(), t, c, affinity, "/read/1")
				assert.Equal(t, uint16(200), answer.Status, "after the load began again")
			})
		})
	}
}

// A page waits for its session while another request uses it, until its own context ends, or the session does.
func TestPageWaitsForItsSession(t *testing.T) {
	for name, k := range map[string]struct {
		cancels bool
		ends    bool
	}{"until it is free": {}, "until the context ends": {cancels: true}, "until the session ends": {ends: true}} {
		t.Run(name, func(t *testing.T) {
			s := newCursors(0)
			service(t, s.ServeHTTP, sessioned, func(t *testing.T, c *Client) {
				affinity := &Affinity{}
				s.send(t.Context(), t, c, affinity, "/read/0")
				s.delay = time.Minute
				var wg sync.WaitGroup
				wg.Go(func() { wantStatus(t, c, get("/other/0"), 200) }) // takes the only session
				synctest.Wait()
				s.delay = 0
				if k.ends {
					s.mu.Lock()
					clear(s.sessions)
					s.mu.Unlock()
				}
				ctx, cancel := context.WithCancel(t.Context())
				if k.cancels {
					time.AfterFunc(time.Second, cancel)
				}
				defer cancel()
				began := time.Now()
				answer, err := c.Do(WithAffinity(ctx, affinity), get("/read/1"))
				assert.Equal(t, k.cancels, err != nil, "error", err)
				if err == nil {
					assert.Equal(t, map[bool]uint16{false: 200, true: 400}[k.ends], answer.Status)
					answer.discard()
				}
				waited := map[bool]time.Duration{false: time.Minute, true: time.Second}[k.cancels]
				assert.Equal(t, waited, time.Since(began), "waited")
				wg.Wait()
				wantStatus(t, c, &wit.Request{Method: "GET", Target: "/other/0", Repeatable: true}, 200)
			})
		})
	}
}
