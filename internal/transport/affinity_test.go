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

// cursorService is a service whose tokens belong to the session that issued them, like those of SAP SuccessFactors with
// paging=snapshot.
type cursorService struct {
	mu       sync.Mutex
	opened   int             // sessions so far
	sessions map[string]bool // open sessions
	nextPage map[string]int  // by session and read
	rejected int             // pages with a token of another session
	delay    time.Duration
	// reopens means that the service opens a new session in place of one that has ended.
	reopens bool
	// changesCookie means that each response sets another value of a second cookie, as some load balancers do.
	changesCookie bool
	responses     int
}

func newCursorService(delay time.Duration) *cursorService {
	return &cursorService{delay: delay, sessions: map[string]bool{}, nextPage: map[string]int{}}
}

// ServeHTTP responds to /NAME/PAGE, where page 0 issues the first token, and with 401 in a session that has ended,
// unless the service reopens it.
func (cu *cursorService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(cu.delay)
	cu.mu.Lock()
	defer cu.mu.Unlock()
	id := ""
	if c, err := r.Cookie("SID"); err == nil {
		id = c.Value
	}
	cu.responses++
	if cu.changesCookie {
		http.SetCookie(w, &http.Cookie{Name: "BALANCER", Value: fmt.Sprint(cu.responses), Path: "/"})
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
	if page > 0 && cu.nextPage[key] != page {
		cu.rejected++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	cu.nextPage[key] = page + 1
}

// send reads one page of a read.
func (cu *cursorService) send(ctx context.Context, t *testing.T, c *Client, affinity *Affinity, target string) *Answer {
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
			s := newCursorService(10 * time.Millisecond)
			change := func(c *Config) {
				enableSessions(c)
				c.Limits = limits.Limits{Concurrent: 4, Connections: 4}
			}
			service(t, s.ServeHTTP, change, func(t *testing.T, c *Client) {
				runConcurrently(reads+2, func(i int) {
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
				assert.AtMost(t, 4, s.opened, "sessions")
			})
		})
	}
}

// If the session has ended, the next page is sent in another one, and the answer that rejects its token reports
// SessionLost. A token that is rejected in its own session does not.
func TestLostSessionOfRead(t *testing.T) {
	for name, k := range map[string]struct {
		ends    bool
		reopens bool
		// changesCookie is the field of cursorService.
		changesCookie bool
		// isFoundByOther means that another request is the first in the session that has ended.
		isFoundByOther bool
	}{
		"lasts":                            {},
		"lasts, with a counting cookie":    {changesCookie: true},
		"ends":                             {ends: true},
		"is replaced":                      {ends: true, reopens: true},
		"is replaced in another request":   {ends: true, reopens: true, isFoundByOther: true},
		"is replaced, with another cookie": {ends: true, reopens: true, changesCookie: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCursorService(0)
			s.reopens = k.reopens
			s.changesCookie = k.changesCookie
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
				affinity := &Affinity{}
				s.send(t.Context(), t, c, affinity, "/read/0")
				s.send(t.Context(), t, c, affinity, "/read/1")
				third := "/read/7" // the service has not issued its token
				if k.ends {
					clear(s.sessions)
					third = "/read/2"
				}
				if k.isFoundByOther {
					wantStatus(t, c, get("/other/0"), 200)
				}
				for range 2 { // the answer to a repetition reports it, too
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
	}{
		"until it is free":       {},
		"until the context ends": {cancels: true},
		"until the session ends": {ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCursorService(0)
			service(t, s.ServeHTTP, enableSessions, func(t *testing.T, c *Client) {
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
				wantStatusCode := uint16(200)
				if k.ends {
					wantStatusCode = 400
				}
				if err == nil {
					assert.Equal(t, wantStatusCode, answer.Status)
					answer.discard()
				}
				wantWait := time.Minute
				if k.cancels {
					wantWait = time.Second
				}
				assert.Equal(t, wantWait, time.Since(began), "waited")
				wg.Wait()
				wantStatus(t, c, &wit.Request{Method: "GET", Target: "/other/0", Repeatable: true}, 200)
			})
		})
	}
}
