package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/cluster/configtopic"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/shown"
)

// Cluster is the group of workers that this one belongs to, as REST needs it. Methods are called by many goroutines;
// those without a context do not wait.
type Cluster interface {
	// Seat is this worker's place in the group at the moment.
	Seat() Seat
	// Owner is the worker that runs a task of a connector, with task -1 the connector itself. One that does not know it
	// names the leader, which does (Kafka Connect's forward goes the same way). Where there is no such connector or
	// task it is this worker, which answers 404. known is false for what nobody runs at the moment.
	Owner(connector string, task int) (url string, me, known bool)
	// Overview is what the leader knows of the group; ok is false on a worker that does not lead.
	Overview() (o Group, ok bool)
	// Drain has others run what this worker runs, and returns when they do; nothing more is given to it. A [Refusal]
	// says that there are none.
	Drain(ctx context.Context) error
	// Tell writes a record of what all workers are to do.
	Tell(ctx context.Context, r configtopic.Record) error
	// Choose has all workers run a version of a plugin, by the hash of its file; "" is the version before. Only the
	// leader can. The error is plugin.ErrUnknownVersion where no worker has it.
	Choose(ctx context.Context, plugin, hash string) error
}

// Seat is a worker's place in its group. URLs are those that workers advertise in the group's metadata,
// http://HOST:PORT or https://HOST:PORT. A request, which includes the Authorization of its user, is forwarded to no
// other URL.
type Seat struct {
	// URL is what this worker advertises. Leader is what the leader advertises; it is not used if Leads, which means
	// that this worker leads. Led is false while no leader is known.
	URL, Leader string
	Leads, Led  bool
	// Pending means that a rebalance is expected, after which tasks and connectors may have other owners.
	Pending bool
	// Barred is why the group runs nothing, for example because its config topic belongs to another group. Nil means
	// that it may.
	Barred error
}

// Group is what the leader knows of its group.
type Group struct {
	// Group is group.id.
	Group      string `json:"group"`
	Generation int32  `json:"generation"`
	// Leader is the worker id of the member that leads.
	Leader  string        `json:"leader"`
	Members []GroupMember `json:"members"`
	// Unplaced says why connectors, or tasks of them, are given to no worker, by the names of connectors.
	Unplaced map[string]string `json:"unplaced"`
	// Problems are what is wrong with the group, as where another one runs what its config topic has.
	Problems []string `json:"problems"`
	// Plugins is what the group runs, by the names of plugins.
	Plugins map[string]GroupPin `json:"plugins"`
	// Waits says why the group does not run another version that workers have, by the names of plugins.
	Waits map[string]string `json:"waits"`
}

// GroupPin is which version of a plugin all workers of a group run, with the first digits of the SHA-256 of files: a
// worker that does not have it is given no tasks with the plugin. It is what stands in the config topic, too.
type GroupPin struct {
	Version string `json:"version"`
	Hash    string `json:"hash"`
	// Before ran before, and runs again where this one breaks.
	Before string `json:"before,omitempty"`
	// Passed are not taken unless somebody asks for it: they broke, or somebody chose another.
	Passed []string `json:"passed,omitempty"`
}

// GroupMember is what the leader knows of a member: what it said of itself when it joined the generation, and how
// much it was given.
type GroupMember struct {
	WorkerID string `json:"worker_id"`
	URL      string `json:"url"`
	// Leaving: it hands over what it runs, and is given nothing.
	Leaving bool `json:"leaving"`
	// Connectors and Tasks are how many it was given.
	Connectors int `json:"connectors"`
	Tasks      int `json:"tasks"`
	// Digest is that of its folder of connectors, "" without one.
	Digest  string        `json:"folder_digest,omitempty"`
	Plugins []GroupPlugin `json:"plugins"`
}

// GroupPlugin is a plugin that a member has, with the first digits of the SHA-256 of its file.
type GroupPlugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
}

// answerer is which worker of a cluster answers a route; a worker that is alone answers all.
type answerer uint8

const (
	// anyone: what is asked for stands in topics that each worker reads, or is about the worker itself.
	anyone answerer = iota
	// leader alone writes connectors, tasks and offsets.
	leader
	// owner runs the task that the path names, or else the connector.
	owner
	// restarter is the leader where parameters say what is restarted, which may run anywhere, else the owner.
	restarter
	// sampler runs the first task of the connector, or else the connector; where nobody runs either, anyone.
	sampler
	// gatherer is the leader, which asks all others for what they run, where it is about that; else anyone, who answers
	// also what is only read while no leader is known.
	gatherer
	// named is the worker whose id is ?worker=, by way of the leader, which knows the URLs of members; without it
	// anyone. It answers no request that is [Restricted].
	named
)

// refusals are what a route may answer, by who answers it, since that worker is not known, or not reached.
var refusals = map[answerer][]int{leader: {409, 500, 503}, owner: {409, 500, 503}, restarter: {409, 500, 503},
	sampler: {409, 500, 503}, gatherer: {409, 500, 503}, named: {404, 409, 500, 503}}

// Texts of Kafka Connect's answers (HerderRequestHandler, DistributedHerder), by which clients know that they can try
// again. Its workers wait for a leader where they know that there is none, and so do these before the first two.
var (
	errNoLeader = &Refusal{http.StatusServiceUnavailable, "Cannot complete request momentarily due to no known " +
		"leader URL, likely because a rebalance was underway."}
	errStale = &Refusal{http.StatusServiceUnavailable, "Cannot complete request momentarily due to stale " +
		"configuration (typically caused by a concurrent config change)"}
	errHops = &Refusal{http.StatusConflict,
		"Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}
)

// errNoWorker answers what is asked of a worker that is not there.
func errNoWorker(id string) error {
	return &Refusal{http.StatusNotFound, fmt.Sprintf("expected the id of a worker of the group, found %q",
		shown.Within(id, 100))}
}

// waitEvery is the pause between two looks whether the worker has started, and knows its leader.
const waitEvery = 50 * time.Millisecond

// waits returns the answerer once the worker has started and, for what changes something, knows its leader: Kafka
// Connect's requests wait in its herder's queue. The body is read after that, with all the time that it has.
func (x *exchange) waits() (to string, err error) {
	if open(x.r) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), cmp.Or(x.within, changeTimeout))
	defer cancel()
	for {
		if err = x.worker.Now().Starting; err == nil {
			to, err = x.answerer()
			if err != error(errNoLeader) && err != error(errStale) || x.route.method == http.MethodGet {
				return to, err
			}
		} else {
			err = &Refusal{http.StatusServiceUnavailable, Starting.Message + ". " + err.Error()}
		}
		if pause.For(ctx, waitEvery) != nil {
			return "", err
		}
		if x.r.Body != http.NoBody {
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
	}
}

// serve answers a request, or has the worker answer that its route belongs to.
func (x *exchange) serve() {
	switch to, err := x.waits(); {
	case err != nil:
		x.failed(err)
	case to == "":
		x.route.serve(x)
	default:
		x.forward(to)
	}
}

// answerer is the URL of the worker that answers, "" for this one.
func (x *exchange) answerer() (to string, err error) {
	by, c := x.route.by, x.cluster
	id, own := x.first("worker"), x.worker.Now().ID
	if why := Restricted(x.r.Context()); (by == named || by == sampler) && why != "" {
		return "", &Refusal{http.StatusForbidden, why}
	}
	if c == nil && by == named && id != "" && id != own {
		return "", errNoWorker(id)
	}
	if c == nil || by == anyone || by == gatherer && !x.gathers() || by == named && (id == "" || id == own) {
		return "", nil
	}
	seat := c.Seat()
	to, me, known, err := x.answers(by, seat)
	if err != nil || me || by == gatherer && !known && x.route.method == http.MethodGet {
		return "", err
	}
	switch hops := x.asked("forward"); {
	case hops != nil && !strings.EqualFold(hops[0], "true"):
		return "", errHops
	case !known:
		return "", cmp.Or(seat.Barred, error(errNoLeader))
	}
	if to, err = workerURL(to); err != nil {
		return "", err
	}
	if own, _ := workerURL(seat.URL); to == own {
		return "", fmt.Errorf("another worker of the cluster is to answer, and it advertises the URL of this one, %s: "+
			"set rest.advertised.host.name and rest.advertised.port of each worker to an address of its own", own)
	}
	return to, nil
}

// answers tells which worker of the cluster answers: me, or the one at a URL, where it is known.
func (x *exchange) answers(by answerer, seat Seat) (to string, me, known bool, err error) {
	c, id := x.cluster, x.first("worker")
	switch pending := by != leader && by != gatherer && by != named && seat.Pending; {
	case by == named:
		group, leads := c.Overview()
		at := slices.IndexFunc(group.Members, func(m GroupMember) bool { return m.WorkerID == id })
		if leads && at >= 0 {
			to, known = group.Members[at].URL, true
		} else if leads {
			err = errNoWorker(id)
		} else if to, me, known = seat.Leader, seat.Leads, seat.Led; me { // it begins to lead, or ends
			err = errNoLeader
		}
	case pending:
		err = errStale
	case by == leader || by == gatherer || by == restarter && (x.flag("includeTasks") || x.flag("onlyFailed")):
		to, me, known = seat.Leader, seat.Leads, seat.Led
	case by == sampler:
		if to, me, known = c.Owner(x.name(), 0); !known {
			to, me, known = c.Owner(x.name(), -1)
		}
		me = me || !known
	default:
		task := -1
		if x.r.PathValue("task") != "" {
			n, ok := x.number()
			if !ok {
				return "", true, true, nil // its handler says what is wrong
			}
			task = n
		}
		if to, me, known = c.Owner(x.name(), task); !known {
			err = cmp.Or(seat.Barred, x.unowned(task, seat))
		}
	}
	return to, me, known, err
}

// unowned returns why no worker answers for a task, or for the connector itself (-1). Without a leader that may change
// soon. A leader has given it to nobody, which Kafka Connect answers at once, with the same status.
func (x *exchange) unowned(task int, seat Seat) error {
	if !seat.Led {
		return errNoLeader
	}
	what := "connector " + x.name()
	if task >= 0 {
		what = fmt.Sprintf("task %d of %s", task, what)
	}
	why := ", likely because a rebalance was underway."
	if group, leads := x.cluster.Overview(); leads && group.Unplaced[x.name()] != "" {
		why = ": " + group.Unplaced[x.name()]
	}
	return &Refusal{http.StatusConflict, "Cannot complete request momentarily since " + what + " is given to no " +
		"worker of the group" + why}
}

// workerURL is a URL of a worker in the one form that URLs are compared and signed in.
func workerURL(advertised string) (string, error) {
	u, err := url.Parse(advertised)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.TrimPrefix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("expected http://HOST:PORT or https://HOST:PORT as the URL that a worker of the cluster "+
			"advertises, found %q", advertised)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// relayed are the headers of an answer that its client sees, as net/http writes them: the others are about the
// connection between the workers.
var relayed = []string{"Content-Type", "Content-Length", "Etag", "Retry-After", "Www-Authenticate"}

// forward has another worker answer: it gets the request with one hop less. What that worker answers is passed on as it
// comes, no byte of it held for longer than that takes.
func (x *exchange) forward(to string) {
	data, ok := x.content(bodyBytes)
	if !ok {
		return
	}
	ctx := x.limited()
	r, err := x.handed(ctx, to, x.hop(), data)
	if err != nil {
		x.fail(http.StatusInternalServerError, err.Error())
		return
	}
	if n, ok := x.w.(*noted); ok {
		n.about = append(n.about, "forwarded_to", to)
	}
	answer, err := x.peers.Do(r)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		x.failed(ctx.Err())
		return
	case err != nil:
		x.fail(http.StatusInternalServerError, "IO Error trying to forward REST request: "+err.Error())
		return
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified:
	case answer.StatusCode >= 300 && answer.StatusCode < 400: // no worker leads elsewhere, with its client's password
		x.fail(http.StatusInternalServerError, fmt.Sprintf("Unexpected status code when handling forwarded request: "+
			"%d from %s", answer.StatusCode, to))
		return
	case answer.ContentLength < 0: // of which nobody could see that it was cut
		x.fail(http.StatusInternalServerError, "expected an answer that states its length from "+to+", found none")
		return
	}
	for _, name := range relayed {
		if values := answer.Header[name]; values != nil {
			x.w.Header()[name] = values
		}
	}
	if at, err := answer.Location(); err == nil { // this client may not reach the other worker
		x.w.Header().Set("Location", x.origin()+at.EscapedPath())
	}
	x.w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(x.w, answer.Body) // what is cut is shorter than stated, so that its connection is closed
}

// handed is the request for another worker. Of its headers it has those that say who asks, what is sent, and over which
// version.
func (x *exchange) handed(ctx context.Context, to, query string, data []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, x.r.Method, to+x.r.URL.EscapedPath()+"?"+query, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Authorization", "Content-Type", "If-Match", "If-None-Match"} {
		if values := x.r.Header[name]; values != nil {
			r.Header[name] = values
		}
	}
	r.Header.Set("Accept", "application/json")
	if x.masks() {
		r.Header.Set(maskedHeader, "true")
	}
	if x.withheld() != "" {
		r.Header.Set(withheldHeader, "true")
	}
	return r, nil
}

// hop is the query of a request that is handed on: after the first hop one more is allowed, as in Kafka Connect.
func (x *exchange) hop() string {
	var query []string
	for one := range strings.SplitSeq(x.r.URL.RawQuery, "&") {
		if name, _, _ := strings.Cut(one, "="); one != "" && plain(name) != "forward" {
			query = append(query, one)
		}
	}
	return strings.Join(append(query, fmt.Sprintf("forward=%t", x.asked("forward") == nil)), "&")
}

// dialWithin is how long another worker may take to be reached, TLS included.
const dialWithin = 10 * time.Second

// newPeers makes the client that asks other workers, by the settings of listeners of https. Each request has a
// connection of its own: one that its server closes meanwhile would leave it open whether a change was made.
func newPeers(settings map[string]string, log *slog.Logger) (*http.Client, error) {
	secure, err := peerTLS(settings, log)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialWithin}
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: headerBytes,
			DialContext:            dialer.DialContext,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				d := tls.Dialer{NetDialer: dialer, Config: keystore.ForHost(secure, host)}
				return d.DialContext(ctx, network, address)
			}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
