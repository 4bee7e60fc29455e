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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/shown"
)

// Cluster is the group of workers that this one belongs to, as REST needs it. Methods are called by many goroutines;
// those without a context do not wait.
type Cluster interface {
	// Membership returns this worker's current place in the group.
	Membership() Membership
	// Owner is the worker that runs a task of a connector, with task -1 the connector itself. One that does not know it
	// names the leader, which does (Kafka Connect's forward goes the same way). Where there is no such connector or
	// task it is this worker, which answers 404. known is false for what nobody runs at the moment.
	Owner(connector string, task int) (url string, me, known bool)
	// Overview returns what the leader knows of the group; ok is false on other workers.
	Overview() (o Group, ok bool)
	// Drain has others run what this worker runs, and returns when they do; nothing more is given to it. A [Refusal]
	// says that there are none.
	Drain(ctx context.Context) error
	// Publish writes a record of what all workers are to do.
	Publish(ctx context.Context, r configtopic.Record) error
	// Choose has all workers run a version of a plugin, by the hash of its file; "" is the version before. Only the
	// leader can. The error is plugin.ErrUnknownVersion where no worker has it.
	Choose(ctx context.Context, plugin, hash string) error
}

// Membership is a worker's place in its group. URLs are those that workers advertise in the group's metadata,
// http://HOST:PORT or https://HOST:PORT. A request, which includes the Authorization of its user, is forwarded to no
// other URL.
type Membership struct {
	// URL is what this worker advertises. Leader is what the leader advertises; it is not used if Leads, which means
	// that this worker leads. Led is false while no leader is known.
	URL, Leader           string
	IsLeader, LeaderKnown bool
	// Pending means that a rebalance is expected, after which tasks and connectors may have other owners.
	Pending bool
	// Blocked is why the group runs nothing, for example because its config topic belongs to another group. Nil means
	// that it may.
	Blocked error
}

// Group is what the leader knows of its group.
type Group struct {
	// Group is group.id.
	Group      string `json:"group"`
	Generation int32  `json:"generation"`
	// Leader is the worker id of the member that leads.
	Leader  string        `json:"leader"`
	Members []GroupMember `json:"members"`
	// Unplaced has the reason why connectors, or tasks of them, are assigned to no worker, by connector name.
	Unplaced map[string]string `json:"unplaced"`
	// Problems are problems of the group, for example another group that uses the same config topic.
	Problems []string `json:"problems"`
	// Plugins has the versions that the group runs, by plugin name.
	Plugins map[string]GroupPin `json:"plugins"`
	// Waits has the reason why the group does not run another available version, by plugin name.
	Waits map[string]string `json:"waits"`
}

// GroupPin is which version of a plugin all workers of a group run, with the first digits of the SHA-256 of files: a
// worker that does not have it is given no tasks with the plugin. It is what stands in the config topic, too.
type GroupPin struct {
	Version string `json:"version"`
	Hash    string `json:"hash"`
	// Before ran before, and runs again where this one breaks.
	Before string `json:"before,omitempty"`
	// Passed lists versions that are used only on request: they failed, or an operator chose another.
	Passed []string `json:"passed,omitempty"`
}

// GroupMember is what the leader knows of a member: what it said of itself when it joined the generation, and how
// much it was given.
type GroupMember struct {
	WorkerID string `json:"worker_id"`
	URL      string `json:"url"`
	// Leaving means that it hands over what it runs and receives no assignment.
	Leaving bool `json:"leaving"`
	// Connectors and Tasks count its assignment.
	Connectors int `json:"connectors"`
	Tasks      int `json:"tasks"`
	// Digest is the digest of its connector folder, "" without one.
	Digest  string        `json:"folder_digest,omitempty"`
	Plugins []GroupPlugin `json:"plugins"`
}

// GroupPlugin is a plugin that a member has, with the first digits of the SHA-256 of its file.
type GroupPlugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
}

type target uint8

const (
	// local is any worker: the answer is in topics that each worker reads, or is about the worker itself.
	local target = iota
	// leader is the only worker that writes connectors, tasks and offsets.
	leader
	// owner runs the task in the path, or else the connector.
	owner
	// restartTarget is the leader if parameters select what to restart, which may run anywhere, else the owner.
	restartTarget
	// firstTaskOwner runs the first task of the connector, or else the connector; where nobody runs either, anyone.
	firstTaskOwner
	// fanOut is the leader, which asks all others for what they run, where it is about that; else anyone, who answers
	// also what is only read while no leader is known.
	fanOut
	// namedWorker is the worker whose id is ?worker=, by way of the leader, which knows the URLs of members; without it
	// anyone. It answers no request that is [ReadOnlyReason].
	namedWorker
)

// targetStatuses are the statuses of responses when the target is not known or cannot be reached.
var targetStatuses = map[target][]int{leader: {409, 500, 503}, owner: {409, 500, 503}, restartTarget: {409, 500, 503},
	firstTaskOwner: {409, 500, 503}, fanOut: {409, 500, 503}, namedWorker: {404, 409, 500, 503}}

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

func errNoWorker(id string) error {
	return &Refusal{http.StatusNotFound, fmt.Sprintf("expected the id of a worker of the group, found %q",
		shown.Within(id, 100))}
}

const startPollInterval = 50 * time.Millisecond

// awaitTarget returns the URL of the target once the worker has started and, for what changes something, knows its
// leader: Kafka Connect's requests wait in its herder's queue. The body is read after that, with all the time that it
// has.
func (req *request) awaitTarget() (to string, err error) {
	if isHealthCheck(req.r) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(req.r.Context(), cmp.Or(req.startTimeout, changeTimeout))
	defer cancel()
	for {
		if err = req.worker.Now().Starting; err == nil {
			to, err = req.targetURL()
			if err != error(errNoLeader) && err != error(errStale) || req.route.method == http.MethodGet {
				return to, err
			}
		} else {
			err = &Refusal{http.StatusServiceUnavailable, ErrStarting.Message + ". " + err.Error()}
		}
		if pause.For(ctx, startPollInterval) != nil {
			return "", err
		}
		if req.r.Body != http.NoBody {
			_ = http.NewResponseController(req.w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
	}
}

func (req *request) serve() {
	switch to, err := req.awaitTarget(); {
	case err != nil:
		req.failErr(err)
	case to == "":
		req.route.serve(req)
	default:
		req.forward(to)
	}
}

// targetURL returns the URL of the target, "" for this worker.
func (req *request) targetURL() (to string, err error) {
	target, cluster := req.route.target, req.cluster
	id, own := req.queryValue("worker"), req.worker.Now().ID
	if why := ReadOnlyReason(req.r.Context()); (target == namedWorker || target == firstTaskOwner) && why != "" {
		return "", &Refusal{http.StatusForbidden, why}
	}
	if cluster == nil && target == namedWorker && id != "" && id != own {
		return "", errNoWorker(id)
	}
	if cluster == nil || target == local || target == fanOut && !req.fansOut() || target == namedWorker &&
		(id == "" || id == own) {
		return "", nil
	}
	membership := cluster.Membership()
	to, isSelf, known, err := req.resolveTarget(target, membership)
	if err != nil || isSelf || target == fanOut && !known && req.route.method == http.MethodGet {
		return "", err
	}
	switch hops := req.queryValues("forward"); {
	case hops != nil && !strings.EqualFold(hops[0], "true"):
		return "", errHops
	case !known:
		return "", cmp.Or(membership.Blocked, error(errNoLeader))
	}
	if to, err = workerURL(to); err != nil {
		return "", err
	}
	if own, _ := workerURL(membership.URL); to == own {
		return "", fmt.Errorf("another worker of the cluster is to answer, and it advertises the URL of this one, %s: "+
			"set rest.advertised.host.name and rest.advertised.port of each worker to an address of its own", own)
	}
	return to, nil
}

// resolveTarget tells which worker of the cluster answers: me, or the one at a URL, where it is known.
func (req *request) resolveTarget(target target, membership Membership) (to string, isSelf, known bool, err error) {
	cluster, id := req.cluster, req.queryValue("worker")
	switch pending := target != leader && target != fanOut && target != namedWorker && membership.Pending; {
	case target == namedWorker:
		group, leads := cluster.Overview()
		at := slices.IndexFunc(group.Members, func(m GroupMember) bool { return m.WorkerID == id })
		if leads && at >= 0 {
			to, known = group.Members[at].URL, true
		} else if leads {
			err = errNoWorker(id)
			// it begins to lead, or ends
		} else if to, isSelf, known = membership.Leader, membership.IsLeader, membership.LeaderKnown; isSelf {
			err = errNoLeader
		}
	case pending:
		err = errStale
	case target == leader || target == fanOut || target == restartTarget && (req.queryBool("includeTasks") ||
		req.queryBool("onlyFailed")):
		to, isSelf, known = membership.Leader, membership.IsLeader, membership.LeaderKnown
	case target == firstTaskOwner:
		if to, isSelf, known = cluster.Owner(req.name(), 0); !known {
			to, isSelf, known = cluster.Owner(req.name(), -1)
		}
		isSelf = isSelf || !known
	default:
		task := -1
		if req.r.PathValue("task") != "" {
			number, ok := req.number()
			if !ok {
				return "", true, true, nil // its handler says what is wrong
			}
			task = number
		}
		if to, isSelf, known = cluster.Owner(req.name(), task); !known {
			err = cmp.Or(membership.Blocked, req.unownedError(task, membership))
		}
	}
	return to, isSelf, known, err
}

// unownedError returns why no worker answers for a task, or for the connector itself (-1). Without a leader that may
// change soon. A leader has given it to nobody, which Kafka Connect answers at once, with the same status.
func (req *request) unownedError(task int, membership Membership) error {
	if !membership.LeaderKnown {
		return errNoLeader
	}
	part := "connector " + req.name()
	if task >= 0 {
		part = fmt.Sprintf("task %d of %s", task, part)
	}
	why := ", likely because a rebalance was underway."
	if group, leads := req.cluster.Overview(); leads && group.Unplaced[req.name()] != "" {
		why = ": " + group.Unplaced[req.name()]
	}
	return &Refusal{http.StatusConflict, "Cannot complete request momentarily since " + part + " is given to no " +
		"worker of the group" + why}
}

func workerURL(advertised string) (string, error) {
	u, err := url.Parse(advertised)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.TrimPrefix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("expected http://HOST:PORT or https://HOST:PORT as the URL that a worker of the cluster "+
			"advertises, found %q", advertised)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// proxiedHeaders are the response headers that are forwarded, in canonical form. The others are about the connection
// between the workers.
var proxiedHeaders = []string{"Content-Type", "Content-Length", "Etag", "Retry-After", "Www-Authenticate"}

// forward sends the request to another worker and streams its response to the client.
func (req *request) forward(to string) {
	data, ok := req.readBody(maxBodyBytes)
	if !ok {
		return
	}
	ctx := req.timeoutContext()
	r, err := req.forwardRequest(ctx, to, req.forwardQuery(), data)
	if err != nil {
		req.fail(http.StatusInternalServerError, err.Error())
		return
	}
	if n, ok := req.w.(*loggedResponse); ok {
		n.attributes = append(n.attributes, "forwarded_to", to)
	}
	answer, err := req.workerClient.Do(r)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		req.failErr(ctx.Err())
		return
	case err != nil:
		req.fail(http.StatusInternalServerError, "IO Error trying to forward REST request: "+err.Error())
		return
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified:
	case answer.StatusCode >= 300 && answer.StatusCode < 400: // no worker leads elsewhere, with its client's password
		req.fail(http.StatusInternalServerError, fmt.Sprintf("Unexpected status code when handling forwarded request: "+
			"%d from %s", answer.StatusCode, to))
		return
	case answer.ContentLength < 0: // of which nobody could see that it was cut
		req.fail(http.StatusInternalServerError, "expected an answer that states its length from "+to+", found none")
		return
	}
	for _, name := range proxiedHeaders {
		if values := answer.Header[name]; values != nil {
			req.w.Header()[name] = values
		}
	}
	if at, err := answer.Location(); err == nil { // this client may not reach the other worker
		req.w.Header().Set("Location", req.baseURL()+at.EscapedPath())
	}
	req.w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(req.w, answer.Body) // what is cut is shorter than stated, so that its connection is closed
}

// forwardRequest returns the request for another worker, with the headers for logon, content type and preconditions.
func (req *request) forwardRequest(ctx context.Context, to, query string, data []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, req.r.Method, to+req.r.URL.EscapedPath()+"?"+query, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Authorization", "Content-Type", "If-Match", "If-None-Match"} {
		if values := req.r.Header[name]; values != nil {
			r.Header[name] = values
		}
	}
	r.Header.Set("Accept", "application/json")
	if req.hidesSecrets() {
		r.Header.Set(maskedHeader, "true")
	}
	if req.shapeOnlyReason() != "" {
		r.Header.Set(shapeOnlyHeader, "true")
	}
	return r, nil
}

// forwardQuery returns the query of a forwarded request: after the first hop one more is allowed, as in Kafka
// Connect.
func (req *request) forwardQuery() string {
	var query []string
	for one := range strings.SplitSeq(req.r.URL.RawQuery, "&") {
		if name, _, _ := strings.Cut(one, "="); one != "" && unescape(name) != "forward" {
			query = append(query, one)
		}
	}
	return strings.Join(append(query, fmt.Sprintf("forward=%t", req.queryValues("forward") == nil)), "&")
}

// dialTimeout bounds connecting to another worker, TLS included.
const dialTimeout = 10 * time.Second

// newWorkerClient makes the client that asks other workers, by the settings of listeners of https. Each request has a
// connection of its own: one that its server closes meanwhile would leave it open whether a change was made.
func newWorkerClient(settings map[string]string, log *slog.Logger) (*http.Client, error) {
	secure, err := clientTLS(settings, log)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: maxHeaderBytes,
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
