package rest

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
)

// seat is the group from the point of view of one worker.
type seat struct {
	mu  sync.Mutex
	url string
	// leader and owners are URLs; "" means unknown. owners is by NAME or NAME/TASK; a missing entry means that it
	// does not exist.
	leader  string
	owners  map[string]string
	pending bool
	calls   []string // on all workers
	members []groupview.Member
	former  []groupview.FormerWorker
	blocked error
	// unplaced is known to the leader only.
	unplaced map[string]string
}

func (s *seat) Membership() Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Membership{URL: s.url, Leader: s.leader, IsLeader: s.leader != "" && s.leader == s.url,
		LeaderKnown: s.leader != "", Pending: s.pending, Blocked: s.blocked}
}

func (s *seat) Owner(connector string, task int) (url string, isSelf, isKnown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if task >= 0 {
		connector = fmt.Sprintf("%s/%d", connector, task)
	}
	url, ok := s.owners[connector]
	return url, !ok || (url == s.url && url != ""), url != ""
}

func (s *seat) Publish(_ context.Context, r configtopic.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf("%s %s", r.Key, r.Value))
	return nil
}

func (s *seat) Overview() (o groupview.Group, ok bool) {
	membership := s.Membership()
	leader := membership.Leader
	for _, m := range s.members {
		if m.URL == leader {
			leader = m.WorkerID
		}
	}
	return groupview.Group{Leader: leader, Members: slices.Clone(s.members), Former: slices.Clone(s.former),
		Unplaced: s.unplaced}, membership.IsLeader
}

func (s *seat) Drain(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "drain "+s.url)
	return nil
}

func (s *seat) Choose(_ context.Context, plugin, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "choose "+plugin+" "+hash)
	return nil
}

func (s *seat) set(change func(*seat)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// rejectingWorker rejects every request with its name, which shows where the request arrived.
type rejectingWorker struct {
	standIn
	name string
}

func (r *rejectingWorker) worker() Worker {
	r.parts.Once = true
	w := r.with(r)
	refusal := &Refusal{http.StatusGone, r.name}
	w.Write = func(context.Context, string, ConfigRequest) (WriteResult, error) { return WriteResult{}, refusal }
	w.Compare = func(context.Context, string, ConfigRequest, bool) (Comparison, error) { return Comparison{}, refusal }
	w.Delete = func(context.Context, string) error { return refusal }
	return w
}

func (r *rejectingWorker) Status(string) (connect.Status, error) {
	return connect.Status{Tasks: []connect.TaskStatus{{ID: 3}}}, nil
}

func (r *rejectingWorker) ListDeadLetters(context.Context, string, deadletters.Query,
	func(deadletters.ListedLetter) error) (deadletters.Page, error) {
	return deadletters.Page{}, &Refusal{http.StatusGone, r.name}
}

func (r *rejectingWorker) DiscardDeadLetters(context.Context, string, deadletters.Filter) (deadletters.Result, error) {
	return deadletters.Result{}, &Refusal{http.StatusGone, r.name}
}

// trio is three workers: the first gets the requests, the second leads, the third runs connector a and its task 3.
type trio struct {
	seats [3]*seat
	urls  [3]string
	mu    sync.Mutex
	// path lists the workers that got the request, with the remaining hops: "0 1:true".
	path []string
}

// startGroup serves workers as a group whose second member leads. startTimeout is how long a request waits for a
// leader; zero means the default. intercept sees each request to worker n first, and reports whether it has responded.
func startGroup(t *testing.T, workers []Worker, startTimeout time.Duration,
	intercept func(w http.ResponseWriter, r *http.Request, n int) bool) (urls []string, seats []*seat) {
	t.Helper()
	peers, err := NewWorkerClient(nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	var members []groupview.Member
	for n, worker := range workers {
		s := &seat{}
		h := common{worker: worker, bodies: new(inbound.Bodies), validations: make(chan struct{}, maxValidations),
			seen: new(seenWorkers), cluster: s, workerClient: peers, requiresLogon: true,
			startTimeout: startTimeout}.handler(func(string) bool { return true })
		logged := logChanges(h, slog.New(slog.DiscardHandler), true)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !intercept(w, r, n) {
				logged.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
		seats = append(seats, s)
		members = append(members, groupview.Member{WorkerID: worker.Now().ID, URL: server.URL})
	}
	for n, s := range seats {
		s.url = urls[n]
		s.leader = urls[1]
		s.members = members
	}
	return urls, seats
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	group := &trio{}
	var workers []Worker
	for i := range group.seats {
		workers = append(workers, (&rejectingWorker{name: fmt.Sprintf("worker %d", i)}).worker())
	}
	urls, seats := startGroup(t, workers, time.Millisecond, func(_ http.ResponseWriter, r *http.Request, i int) bool {
		group.mu.Lock()
		defer group.mu.Unlock()
		group.path = append(group.path, strings.TrimSuffix(fmt.Sprintf("%d:%s", i, r.URL.Query().Get("forward")), ":"))
		return false
	})
	group.urls = [3]string(urls)
	group.seats = [3]*seat(seats)
	for i, s := range group.seats {
		s.members = nil
		s.owners = map[string]string{"a": group.urls[1], "a/0": group.urls[1], "a/3": group.urls[1], "nobody's": "",
			"nobody's/0": ""}
		if i > 0 { // a follower knows only the leader
			s.owners = map[string]string{"a": group.urls[2], "a/0": group.urls[2], "a/3": group.urls[2], "nobody's": ""}
		}
	}
	return group
}

// send sends a request to the first worker, and returns the response and the workers that got the request.
func (tr *trio) send(t *testing.T, method, target string) (status int, body string, visited []string) {
	t.Helper()
	requestBody := `{"level":"INFO"}`
	switch name := path.Base(target); {
	case name == "swap", name == "accept":
		requestBody = `{"hash":"x"}`
	case name == "diff", name == "chain", method == "POST" && target == "/connectors":
		requestBody = `{"config":{}}`
	case name == "samples", name == "peek", name == "replay":
		requestBody = `{}`
	case name == "config" && method != "GET":
		requestBody = `{"a":"b"}`
	case method == "PATCH":
		requestBody = `{"offsets":[{"partition":{"a":1}}]}`
	}
	tr.mu.Lock()
	tr.path = nil
	tr.mu.Unlock()
	answer, body := exchange(t, http.DefaultClient, newRequest(t, method, tr.urls[0]+target, requestBody,
		"Content-Type", "application/json"))
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return answer.StatusCode, body, slices.Clone(tr.path)
}

// The leader responds with the group's state, whichever worker gets the request. A standalone worker has no group.
func TestOverviewOfGroup(t *testing.T) {
	group := newTrio(t)
	status, body, path := group.send(t, "GET", "/culvert/cluster")
	assert.Equal(t, 200, status, body)
	assert.Equal(t, []string{"0", "1:true"}, path)
	assert.Equal(t, true, strings.Contains(body, `"leader":"`+group.urls[1]+`"`), body)
	alone := httptest.NewServer(Handler((&rejectingWorker{name: "alone"}).worker()))
	defer alone.Close()
	assertStatus(t, http.DefaultClient, alone.URL+"/culvert/cluster", 404)
}

// A worker drains itself, whichever worker leads, but not if it is standalone, read-only, or without a generation.
func TestDrain(t *testing.T) {
	drain := func(o Options) (status int, calls []string) {
		t.Helper()
		thisSeat, _ := o.Cluster.(*seat)
		s := startServerFor(t, o, slog.New(slog.DiscardHandler), &standIn{})
		a := fetch(t, http.DefaultClient, "PUT", s.URLs()[0]+"/culvert/drain", "")
		if thisSeat != nil {
			calls = thisSeat.calls
		}
		return a.StatusCode, calls
	}
	status, calls := drain(Options{Cluster: &seat{url: "http://a:1", leader: "http://b:1"}})
	assert.Equal(t, 204, status)
	assert.Equal(t, []string{"drain http://a:1"}, calls)
	status, _ = drain(Options{})
	assert.Equal(t, 404, status)
	for want, o := range map[int]Options{
		503: {Cluster: &seat{url: "http://a:1", pending: true}},
		403: {Cluster: &seat{url: "http://a:1"}, ReadOnly: true},
	} {
		status, calls = drain(o)
		assert.Equal(t, want, status)
		assert.Equal(t, 0, len(calls))
	}
}

// Requests that other workers forward have this worker's advertised URL as their Host. It is accepted, whatever names
// users may use.
func TestAdvertisedHostIsAllowed(t *testing.T) {
	for _, allowed := range [][]string{nil, {"connect.example.com"}} {
		for _, listener := range []string{"http://127.0.0.1:0", "http://:0"} {
			s := startServerFor(t, Options{Listeners: []string{listener}, AllowedHosts: allowed,
				Cluster: &seat{url: "http://culvert-0.culvert.default.svc:8083"}}, slog.New(slog.DiscardHandler),
				&standIn{})
			for host, want := range map[string]int{
				"culvert-0.culvert.default.svc:8083": 200,
				"CULVERT-0.culvert.default.svc":      200,
				"culvert-1.culvert.default.svc:8083": 403,
			} {
				if allowed == nil && listener == "http://:0" {
					want = 200 // without allowed hosts all names are accepted
				}
				status, _ := askWithHost(t, s, "GET /", host)
				assert.Equal(t, want, status, listener, allowed, host)
			}
		}
	}
}

// Each route is handled by the worker in the table, over two hops at most. If that worker is unknown, since a rebalance
// is expected, the request is rejected after a timeout.
func TestEachRouteIsHandledByItsWorker(t *testing.T) {
	group := newTrio(t)
	paths := map[targetKind][]string{
		local:          {"0"},
		leader:         {"0", "1:true"},
		owner:          {"0", "1:true", "2:false"},
		restartTarget:  {"0", "1:true", "2:false"},
		firstTaskOwner: {"0", "1:true", "2:false"},
		fanOut:         {"0", "1:true"},
	}
	compared := 0
	for _, r := range routes {
		isUnsupported := (r.target == fanOut && r.path == "/connectors") || r.path == "/culvert/cluster"
		if r.serve == nil || r.target == local || r.target == namedWorker || isUnsupported {
			continue
		}
		target := strings.NewReplacer("{name}", "a", "{task}", "3", "{feed}", "f", "{id}", "1",
			"{command}", "peek").Replace(r.path)
		path := paths[r.target]
		status, body, hops := group.send(t, r.method, target)
		assert.Equal(t, path, hops, r.method, target)
		assert.True(t, status != 409 && status != 503,
			"%s %s: expected a response by %v, found %d %s", r.method, target, path, status, body)
		statusBefore := status
		group.seats[0].set(func(s *seat) { s.pending = true })
		status, body, _ = group.send(t, r.method, target)
		group.seats[0].set(func(s *seat) { s.pending = false })
		switch r.target {
		case leader, fanOut:
			assert.Equal(t, statusBefore, status, r.method, target)
		default:
			assert.Equal(t, `503 {"error_code":503,"message":"Cannot complete request momentarily due to stale `+
				`configuration (typically caused by a concurrent config change)"}`, fmt.Sprint(status, " ", body),
				target)
		}
		compared++
	}
	assert.AtLeast(t, 20, compared, "forwarded routes")
	for target, path := range map[string][]string{
		"/connectors/a/restart?includeTasks=true":                  {"0", "1:true"},
		"/connectors/a/restart?onlyFailed=TRUE&x":                  {"0", "1:true"},
		"/connectors/a/restart?includeTasks=false&onlyFailed=":     {"0", "1:true", "2:false"},
		"/connectors/a/tasks/3/restart":                            {"0", "1:true", "2:false"},
		"/culvert/connectors/nobody's/samples":                     {"0"}, // it may start here
		"/connectors/a/tasks/4/restart":                            {"0"}, // it does not exist: 404
		"/connectors/unknown/restart":                              {"0"},
		"/connectors/a/tasks/three/restart":                        {"0"},
		"/connectors/a/tasks/3/restart?forward=true":               {"0:true", "1:false"},
		"/connectors/a/restart?includeTasks=true&forward=false":    {"0:false"},
		"/connectors/a/restart?includeTasks=true&%66orward=false":  {"0:false"},
		"/connectors/a/restart?includeTasks=true&forward=maybe":    {"0:maybe"}, // counts as false, as in Java
		"/connectors/a/restart?forward=true&forward=&onlyFailed=1": {"0:true", "1:false"},
	} {
		_, _, hops := group.send(t, "POST", target)
		assert.Equal(t, path, hops, target)
	}
	group.seats[1].calls = nil
	group.send(t, "POST", "/connectors/a/restart?includeTasks=true")
	assert.Equal(t, []string{`restart-connector-a {"include-tasks":true,"only-failed":false}`}, group.seats[1].calls)
}

// Messages of Kafka Connect: no leader is known, and a request was forwarded too often.
const (
	noLeaderError = `{"error_code":503,"message":"Cannot complete request momentarily due to no known leader URL, ` +
		`likely because a rebalance was underway."}`
	hopsError = `{"error_code":409,"message":"Cannot complete request because of a conflicting operation (e.g. ` +
		`worker rebalance)"}`
)

// forgetLeader makes the first worker lose its leader.
func forgetLeader(group *trio) { group.seats[0].set(func(s *seat) { s.leader = "" }) }

var forwardingErrorCases = map[string]struct {
	change func(*trio) // before the request
	method string
	target string
	want   string   // the body of the response
	path   []string // the workers that get the request, as in trio
}{
	"no leader": {
		change: forgetLeader,
		method: "DELETE",
		target: "/connectors/a",
		want:   noLeaderError,
		path:   []string{"0"},
	},
	"another group's topic": {
		change: func(group *trio) {
			group.seats[0].set(func(s *seat) { s.blocked = &Refusal{409, "the topic is that of group others"} })
		},
		method: "POST",
		target: "/connectors/nobody's/restart",
		want:   `{"error_code":409,"message":"the topic is that of group others"}`,
		path:   []string{"0"},
	},
	"no leader, last hop": {
		change: forgetLeader,
		method: "DELETE",
		target: "/connectors/a?forward=false",
		want:   hopsError,
		path:   []string{"0:false"},
	},
	"a connector without a worker": {
		change: func(*trio) {},
		method: "POST",
		target: "/connectors/nobody's/restart",
		want: `{"error_code":409,"message":"Cannot complete request momentarily because connector nobody's is ` +
			`assigned to no worker of the group, likely because a rebalance was underway."}`,
		path: []string{"0"},
	},
	"a task without a worker": {
		change: func(group *trio) {
			group.seats[0].set(func(s *seat) {
				s.leader = s.url
				s.owners["a/3"] = ""
			})
		},
		method: "POST",
		target: "/connectors/a/tasks/3/restart",
		want: `{"error_code":409,"message":"Cannot complete request momentarily because task 3 of connector a is ` +
			`assigned to no worker of the group, likely because a rebalance was underway."}`,
		path: []string{"0"},
	},
	"assigned to no worker": {
		change: func(group *trio) {
			group.seats[0].set(func(s *seat) { s.owners["a"] = s.leader })
			group.seats[1].set(func(s *seat) {
				s.owners["a"] = ""
				s.unplaced = map[string]string{"a": "expected a worker with the plugins of class C"}
			})
		},
		method: "POST",
		target: "/connectors/a/restart",
		want: `{"error_code":409,"message":"Cannot complete request momentarily because ` +
			`connector a is assigned to no worker of the group: expected a worker with the plugins of class C"}`,
		path: []string{"0", "1:true"},
	},
	"the leader knows none": {
		change: func(group *trio) { group.seats[1].set(func(s *seat) { s.leader = "" }) },
		method: "DELETE",
		target: "/connectors/a",
		want:   noLeaderError,
		path:   []string{"0", "1:true"},
	},
	"each names the next": {
		change: func(group *trio) {
			for i, s := range group.seats {
				s.set(func(s *seat) { s.leader = group.urls[(i+1)%3] })
			}
		},
		method: "DELETE",
		target: "/connectors/a",
		want:   hopsError,
		path:   []string{"0", "1:true", "2:false"},
	},
	"two name each other": {
		change: func(group *trio) { group.seats[1].set(func(s *seat) { s.leader = group.urls[0] }) },
		method: "PUT",
		target: "/connectors/a/stop",
		want:   hopsError,
		path:   []string{"0", "1:true", "0:false"},
	},
	"stale at the second": {
		change: func(group *trio) { group.seats[1].set(func(s *seat) { s.pending = true }) },
		method: "POST",
		target: "/connectors/a/restart",
		want: `{"error_code":503,"message":"Cannot complete request momentarily due to stale ` +
			`configuration (typically caused by a concurrent config change)"}`,
		path: []string{"0", "1:true"},
	},
}

// The messages are Kafka Connect's, by which tools recognize that they can retry.
func TestForwardingErrorsOfKafkaConnect(t *testing.T) {
	for name, c := range forwardingErrorCases {
		t.Run(name, func(t *testing.T) {
			group := newTrio(t)
			c.change(group)
			status, body, path := group.send(t, c.method, c.target)
			assert.Equal(t, c.want, body)
			assert.Contains(t, body, fmt.Sprintf(`"error_code":%d,`, status))
			assert.Equal(t, c.path, path)
		})
	}
}

// Without a leader a read gets the state that this worker has, and a change waits for a leader.
func TestRequestsWithoutLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		thisSeat := &seat{url: "http://a:1", pending: true}
		handler := common{worker: (&rejectingWorker{name: "here"}).worker(), bodies: new(inbound.Bodies),
			cluster: thisSeat}.handler(func(string) bool { return true })
		send := func(method, target string) *httptest.ResponseRecorder {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(method, target, nil))
			return answer
		}
		for _, target := range []string{"/connectors", "/connectors/a", "/connectors/a/config", "/connectors/a/tasks",
			"/connectors/a/status", "/connectors/a/offsets", "/culvert/connectors/a"} {
			if began := time.Now(); send("GET", target).Code == 503 || time.Since(began) > 0 {
				t.Errorf("GET %s: expected an immediate response", target)
			}
		}
		began := time.Now()
		go func() {
			time.Sleep(time.Minute)
			thisSeat.set(func(s *seat) {
				s.leader = s.url
				s.pending = false
			})
		}()
		answer := send("DELETE", "/connectors/a")
		assert.Equal(t, 410, answer.Code, answer.Body)
		assert.Equal(t, time.Minute, time.Since(began).Round(time.Second))
		thisSeat.set(func(s *seat) { s.owners = map[string]string{"a": ""} })
		assert.Equal(t, 409, send("POST", "/connectors/a/restart").Code) // no worker runs it, and there is no wait
		assert.Equal(t, time.Minute, time.Since(began).Round(time.Second))
		thisSeat.set(func(s *seat) {
			s.leader = ""
			s.pending = true
		})
		assert.Equal(t, 503, send("POST", "/connectors/a/restart").Code)
		assert.Equal(t, time.Minute+changeTimeout, time.Since(began).Round(time.Second))
	})
}

// follower is a worker with the URL of its leader. send sends it a request and returns the response.
type follower struct {
	url string
	*seat
}

func newFollower(t *testing.T, leader string) *follower {
	t.Helper()
	f := &follower{seat: &seat{leader: leader}}
	s := startServerFor(t, Options{Cluster: f.seat}, slog.New(slog.DiscardHandler), &standIn{})
	f.url = s.URLs()[0]
	f.set(func(s *seat) { s.url = f.url })
	return f
}

func (f *follower) send(t *testing.T, method, target, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(newRequest(t, method, f.url+target, body, headers...))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		text = append(text, err.Error()...)
	}
	return answer, string(text)
}

// A forwarded request has the method, path, query and body of the original, and of its headers the credentials and the
// headers of its body. The client gets the status, the body and their headers, and is not redirected to another worker.
func TestForwardedRequest(t *testing.T) {
	var received *http.Request
	var receivedBody string
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received = r
		receivedBody = string(body)
		w.Header().Set("Location", "http://"+r.Host+"/connectors/a%20b")
		w.Header().Set("Content-Type", "application/json;charset=x")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("ETag", `"9"`)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"name":"a b"}`)
	}))
	defer leader.Close()
	follower := newFollower(t, leader.URL+"/")
	answer, body := follower.send(t, "PUT", "/connectors/a%20b%3Fc@!/config/?x=%2f;y&forward=true&z=&forward=x&z",
		`{"a": "ü"}`,
		"Authorization", "Basic YTpi", "Content-Type", "application/json; charset=utf-8", "Cookie", "c=d", "Accept",
		"*/*", "If-Match", `"7"`, "If-None-Match", `"8"`, "X-Connect-Authorization", "x", "X-Forwarded-For", "y",
		"Origin", follower.url)
	assert.Equal(t, "PUT /connectors/a%20b%3Fc@%21/config?x=%2f;y&z=&z&forward=false",
		received.Method+" "+received.RequestURI)
	assert.Equal(t, `{"a": "ü"}`, receivedBody)
	received.Header.Del("User-Agent")
	received.Header.Del("Connection")
	assert.Equal(t, http.Header{"Authorization": {"Basic YTpi"}, "Content-Type": {"application/json; charset=utf-8"},
		"Accept": {"application/json"}, "If-Match": {`"7"`}, "If-None-Match": {`"8"`}, "Content-Length": {"11"}},
		received.Header)
	assert.Equal(t, strings.TrimPrefix(leader.URL, "http://"), received.Host)
	assert.Equal(t, http.StatusCreated, answer.StatusCode)
	assert.Equal(t, `"9"`, answer.Header.Get("ETag"))
	assert.Equal(t, `{"name":"a b"}`, body)
	assert.Equal(t, follower.url+"/connectors/a%20b", answer.Header.Get("Location"))
	assert.Equal(t, "application/json;charset=x", answer.Header.Get("Content-Type"))
	assert.Equal(t, "", answer.Header.Get("Set-Cookie"))

	follower.send(t, "DELETE", "/connectors/a", "")
	assert.Equal(t, "DELETE /connectors/a?forward=true", received.Method+" "+received.RequestURI)
	assert.True(t, len(received.Header["Authorization"])+len(received.Header["Content-Type"])+len(receivedBody) <= 0,
		"expected neither a logon nor a body, found %v %q", received.Header, receivedBody)
	// Reads have no body, also by HEAD.
	answer, _ = follower.send(t, "HEAD", "/culvert/reload", "")
	assert.Equal(t, "HEAD 201", fmt.Sprint(received.Method, " ", answer.StatusCode))
}

// A forwarded request ends when its client has disconnected.
func TestForwardingEndsWithItsClient(t *testing.T) {
	began := make(chan struct{})
	ended := make(chan struct{})
	leader := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	defer leader.Close()
	follower := newFollower(t, leader.URL)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "PUT", follower.url+"/connectors/a/config", strings.NewReader("{}"))
	require.NoError(t, err)
	go func() {
		<-began
		cancel()
	}()
	_, err = http.DefaultClient.Do(r)
	assert.ErrorIs(t, err, context.Canceled)
	<-ended
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (r roundTripFunc) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A worker that does not respond is given the time of a change, and more for a replay of dead letters.
func TestForwardingTimeouts(t *testing.T) {
	for target, want := range map[string]time.Duration{
		"DELETE /connectors/a":                          90 * time.Second,
		"POST /culvert/connectors/a/deadletters/replay": replayTimeout,
	} {
		synctest.Test(t, func(t *testing.T) {
			peers := &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}
			handler := common{worker: new(standIn).worker(), bodies: new(inbound.Bodies), workerClient: peers,
				cluster: &seat{url: "http://a:1",
					leader: "http://b:1", owners: map[string]string{"a": "http://b:1"}}}.handler(func(string) bool {
				return true
			})
			method, path, _ := strings.Cut(target, " ")
			began := time.Now()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			assert.Equal(t, want, time.Since(began), target)
			assert.Equal(t, `500 {"error_code":500,"message":"Request timed out"}`, fmt.Sprint(w.Code, " ", w.Body))
		})
	}
}

// writeStores writes a key and a CA certificate, and returns settings that name them.
func writeStores(t *testing.T, key, authority *certtest.Issued, more ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	settings := map[string]string{}
	for name, text := range map[string][]byte{"keystore": key.KeyPEM(t), "truststore": authority.PEM()} {
		file := filepath.Join(dir, name+".pem")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		settings["ssl."+name+".location"] = file
	}
	for i := 0; i < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

// listenerOptions are the listeners of a worker, and what it advertises.
type listenerOptions struct {
	listeners []string
	listener  string // rest.advertised.listener
	host      string // rest.advertised.host.name
}

// httpsForwardingCase is a follower that forwards a request to its leader.
type httpsForwardingCase struct {
	follower     listenerOptions
	leader       listenerOptions
	clientStores map[string]string // the settings of the follower's stores
	serverStores map[string]string // the settings of the leader's stores
	want         string            // part of the error, "" if the request is answered
}

// httpsForwardingCases returns the cases. clientStores names stores with workerCert, which authority issued.
func httpsForwardingCases(t *testing.T, authority, workerCert *certtest.Issued,
	clientStores map[string]string) map[string]httpsForwardingCase {
	t.Helper()
	otherHostCert := certtest.Issue(t, "elsewhere", authority, func(c *x509.Certificate) {
		c.DNSNames = []string{"elsewhere.example.com"}
		c.IPAddresses = nil
	})
	strangerCert := certtest.Issue(t, "stranger", nil, nil)
	const plain, secure = "http://127.0.0.1:0", "https://127.0.0.1:0"
	requiringStores := writeStores(t, workerCert, authority, "ssl.client.auth", "required")
	otherHostStores := writeStores(t, otherHostCert, authority)
	onlyPlain := listenerOptions{listeners: []string{plain}}
	onlySecure := listenerOptions{listeners: []string{secure}}
	dual := func(advertised string) listenerOptions {
		return listenerOptions{listeners: []string{plain, secure}, listener: advertised}
	}
	return map[string]httpsForwardingCase{
		// cases of Kafka Connect's RestForwardingIntegrationTest
		"testRestForwardNoSsl": {follower: onlyPlain, leader: onlyPlain},
		"testRestForwardNoSslDualListener": {
			follower:     dual("http"),
			leader:       dual("http"),
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"testRestForwardLeaderSsl": {
			follower:     dual("http"),
			leader:       dual("https"),
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"testRestForwardFollowerSsl": {
			follower:     dual("https"),
			leader:       dual("http"),
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"testRestForwardSslDualListener": {
			follower:     dual("https"),
			leader:       dual("https"),
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"testRestForwardSsl": {
			follower:     onlySecure,
			leader:       onlySecure,
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"a required client certificate": {
			follower:     onlyPlain,
			leader:       onlySecure,
			clientStores: clientStores,
			serverStores: requiringStores,
		},
		"https as the first listener": {
			follower:     onlyPlain,
			leader:       listenerOptions{listeners: []string{secure, plain}},
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"by name": {
			follower:     onlyPlain,
			leader:       listenerOptions{listeners: []string{secure}, host: "localhost"},
			clientStores: clientStores,
			serverStores: clientStores,
		},
		"no client certificate": {
			follower:     onlyPlain,
			leader:       onlySecure,
			clientStores: map[string]string{"ssl.truststore.location": clientStores["ssl.truststore.location"]},
			serverStores: requiringStores,
			want:         "certificate required",
		},
		"a leader of another authority": {
			follower:     onlyPlain,
			leader:       onlySecure,
			clientStores: clientStores,
			serverStores: writeStores(t, strangerCert, authority),
			want:         "certificate",
		},
		"a follower without trusted authorities": {
			follower:     onlyPlain,
			leader:       onlySecure,
			serverStores: clientStores,
			want:         "certificate",
		},
		"a leader with another host's certificate": {
			follower:     onlyPlain,
			leader:       onlySecure,
			clientStores: clientStores,
			serverStores: otherHostStores,
			want:         "certificate",
		},
		"without a check of the host": {
			follower:     onlyPlain,
			leader:       onlySecure,
			clientStores: writeStores(t, workerCert, authority, "ssl.endpoint.identification.algorithm", ""),
			serverStores: otherHostStores,
		},
	}
}

// Workers use https with the stores of their own listeners, while a cluster migrates to https and later.
func TestForwardingByHTTPS(t *testing.T) {
	authority := certtest.Issue(t, "authority", nil, nil)
	workerCert := certtest.Issue(t, "one", authority, nil)
	clientStores := writeStores(t, workerCert, authority)
	for name, c := range httpsForwardingCases(t, authority, workerCert, clientStores) {
		t.Run(name, func(t *testing.T) {
			worker := &standIn{connectors: map[string]*standInConnector{}}
			leaderSeat := &seat{}
			followerSeat := &seat{}
			log := slog.New(slog.DiscardHandler)
			options := func(w listenerOptions, stores map[string]string, cluster Cluster) Options {
				return Options{Listeners: w.listeners, Advertise: Advertise{Listener: w.listener, Host: w.host},
					TLS: stores, Cluster: cluster}
			}
			leaderURL := startServerFor(t, options(c.leader, c.serverStores, leaderSeat), log, worker).Advertised()
			leaderSeat.set(func(s *seat) {
				s.url = leaderURL
				s.leader = leaderURL
			})
			follower := startServerFor(t, options(c.follower, c.clientStores, followerSeat), log, &standIn{})
			followerURL := follower.Advertised()
			followerSeat.set(func(s *seat) {
				s.url = followerURL
				s.leader = leaderURL
			})
			client := &http.Client{}
			if strings.HasPrefix(followerURL, "https") {
				peers, err := NewWorkerClient(clientStores, log)
				require.NoError(t, err)
				client = peers
			}
			answer, text := exchange(t, client, newRequest(t, "POST", followerURL+"/connectors",
				`{"name":"blah","config":{}}`, "Content-Type", "application/json"))
			isCreated := answer.StatusCode == 201 && worker.connectors["blah"] != nil
			fails := answer.StatusCode == 500 && strings.Contains(text, c.want) && strings.Contains(text, leaderURL)
			assert.True(t, (c.want != "" || isCreated) && (c.want == "" || fails),
				"expected 201 or %q, found %d %s", c.want, answer.StatusCode, text)
		})
	}
}

func TestForwardingRejectsStores(t *testing.T) {
	for setting, value := range map[string]string{"ssl.provider": "x", "ssl.truststore.location": "/does/not/exist"} {
		_, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}, TLS: map[string]string{setting: value},
			Cluster: &seat{}}, slog.New(slog.DiscardHandler))
		assert.Error(t, err, "listeners.https."+setting)
	}
}
