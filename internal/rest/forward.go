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
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/shown"
)

// targetKind specifies which worker answers a route.
type targetKind uint8

const (
	// local is any worker: the answer is in topics that each worker reads, or is about the worker itself.
	local targetKind = iota
	// leader is the only worker that writes connectors, tasks and offsets.
	leader
	// owner runs the task in the path, or else the connector.
	owner
	// restartTarget is the leader if parameters select what to restart, which may run anywhere, else the owner.
	restartTarget
	// firstTaskOwner runs the first task of the connector, or else the connector. If no worker runs either, any worker
	// answers.
	firstTaskOwner
	// fanOut is the leader, which queries all other workers. GET is answered by any worker while no leader is known.
	fanOut
	// namedWorker is the worker with the id ?worker=, reached through the leader, which knows the members' URLs.
	// Without ?worker= any worker answers. Read-only requests ([ReadOnlyReason]) are rejected.
	namedWorker
)

// targetStatuses has the error statuses of requests whose target is unknown or does not answer, for the OpenAPI
// document.
var targetStatuses = map[targetKind][]int{leader: {409, 500, 503}, owner: {409, 500, 503},
	restartTarget: {409, 500, 503}, firstTaskOwner: {409, 500, 503}, fanOut: {409, 500, 503},
	namedWorker: {404, 409, 500, 503}}

// Texts of Kafka Connect (HerderRequestHandler, DistributedHerder), by which clients recognize that they can retry.
// Before the first two the request waits for a leader, as in Kafka Connect.
var (
	errNoLeader = &Refusal{http.StatusServiceUnavailable, "Cannot complete request momentarily due to no known " +
		"leader URL, likely because a rebalance was underway."}
	errStale = &Refusal{http.StatusServiceUnavailable, "Cannot complete request momentarily due to stale " +
		"configuration (typically caused by a concurrent config change)"}
	errHops = &Refusal{http.StatusConflict,
		"Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}
)

const startPollInterval = 50 * time.Millisecond

// awaitTarget returns the URL of the target once the worker has started and, for a change, a leader is known: in Kafka
// Connect such requests wait in the herder's queue. The body is read after that, within its full timeout.
func (req *request) awaitTarget() (to string, err error) {
	if req.route.duringStart {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(req.r.Context(), cmp.Or(req.startTimeout, changeTimeout))
	defer cancel()
	for {
		if err = req.worker.Now().Starting; err == nil {
			to, err = req.targetURL()
			if (err != error(errNoLeader) && err != error(errStale)) || req.route.method == http.MethodGet {
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
	target := req.route.target
	id := req.queryValue("worker")
	if why := ReadOnlyReason(req.r.Context()); (target == namedWorker || target == firstTaskOwner) && why != "" {
		return "", &Refusal{http.StatusForbidden, why}
	}
	isForOther := target == namedWorker && id != "" && id != req.worker.Now().ID
	switch {
	case target == local, target == fanOut && !req.needsFanOut(), target == namedWorker && !isForOther:
		return "", nil
	}
	membership := req.cluster.Membership()
	worker, err := req.resolveTarget(membership)
	if err != nil || worker.isSelf || (target == fanOut && !worker.isKnown && req.route.method == http.MethodGet) {
		return "", err
	}
	switch hops := req.queryValues("forward"); {
	case hops != nil && !strings.EqualFold(hops[0], "true"): // this was the last hop, see forwardQuery
		return "", errHops
	case !worker.isKnown:
		return "", cmp.Or(membership.Blocked, error(errNoLeader))
	}
	if to, err = workerURL(worker.url); err != nil {
		return "", err
	}
	if ownURL, _ := workerURL(membership.URL); to == ownURL {
		return "", fmt.Errorf("another worker of the cluster must answer, but it advertises the URL of this one, %s: "+
			"set rest.advertised.host.name and rest.advertised.port of each worker to its own address", ownURL)
	}
	return to, nil
}

// targetWorker is the worker that answers: this one, or the one at a URL if it is known.
type targetWorker struct {
	url     string
	isSelf  bool
	isKnown bool
}

func (m Membership) leader() targetWorker {
	return targetWorker{url: m.Leader, isSelf: m.IsLeader, isKnown: m.LeaderKnown}
}

func (req *request) owner(task int) (w targetWorker) {
	w.url, w.isSelf, w.isKnown = req.cluster.Owner(req.name(), task)
	return w
}

// resolveTarget returns the worker of a target other than local. Owners are unknown while a rebalance is pending.
func (req *request) resolveTarget(membership Membership) (targetWorker, error) {
	switch target := req.route.target; {
	case target == namedWorker:
		return req.resolveNamed(membership)
	case target == leader || target == fanOut:
		return membership.leader(), nil
	case membership.Pending:
		return targetWorker{}, errStale
	case target == restartTarget && (req.queryBool("includeTasks") || req.queryBool("onlyFailed")):
		return membership.leader(), nil
	case target == firstTaskOwner:
		worker := req.owner(0)
		if !worker.isKnown {
			worker = req.owner(-1)
		}
		worker.isSelf = worker.isSelf || !worker.isKnown
		return worker, nil
	}
	task := -1
	if req.r.PathValue("task") != "" {
		number, ok := req.number()
		if !ok {
			return targetWorker{isSelf: true, isKnown: true}, nil // the handler rejects the number
		}
		task = number
	}
	worker := req.owner(task)
	if !worker.isKnown {
		return worker, cmp.Or(membership.Blocked, req.unownedError(task, membership))
	}
	return worker, nil
}

// resolveNamed resolves ?worker= by the leader's overview of the group.
func (req *request) resolveNamed(membership Membership) (targetWorker, error) {
	id := req.queryValue("worker")
	group, isLeader := req.cluster.Overview()
	pos := slices.IndexFunc(group.Members, func(m groupview.Member) bool { return m.WorkerID == id })
	switch {
	case isLeader && pos >= 0:
		return targetWorker{url: group.Members[pos].URL, isKnown: true}, nil
	case isLeader:
		return targetWorker{}, &Refusal{http.StatusNotFound,
			fmt.Sprintf("expected the id of a worker of the group, found %q", shown.LineUpTo(id, 100))}
	case membership.IsLeader: // without an overview: its leadership has just begun, or ends
		return targetWorker{}, errNoLeader
	}
	return membership.leader(), nil
}

// unownedError returns why no worker answers for a task, or for the connector itself (-1). A leader knows that it is
// assigned to nobody, which Kafka Connect answers at once with the same status.
func (req *request) unownedError(task int, membership Membership) error {
	if !membership.LeaderKnown {
		return errNoLeader
	}
	part := "connector " + req.name()
	if task >= 0 {
		part = fmt.Sprintf("task %d of %s", task, part)
	}
	why := ", likely because a rebalance was underway."
	if group, isLeader := req.cluster.Overview(); isLeader && group.Unplaced[req.name()] != "" {
		why = ": " + group.Unplaced[req.name()]
	}
	return &Refusal{http.StatusConflict, "Cannot complete request momentarily because " + part +
		" is assigned to no worker of the group" + why}
}

// workerURL returns a URL that a worker advertises in its normal form, SCHEME://HOST.
func workerURL(advertised string) (string, error) {
	u, err := url.Parse(advertised)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.TrimPrefix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("expected http://HOST:PORT or https://HOST:PORT as the URL that a worker of the cluster "+
			"advertises, found %q", advertised)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// proxiedHeaders are the response headers that are forwarded, in canonical form. Other headers describe the connection
// between the workers.
var proxiedHeaders = []string{"Content-Type", "Content-Length", "Etag", "Retry-After", "Www-Authenticate"}

// leaderTimeout is how long the leader may take to answer for all workers, which it asks within [queryTimeout].
const leaderTimeout = queryTimeout + time.Second

func (req *request) forward(to string) {
	data, ok := req.readBody(maxBodyBytes)
	if !ok {
		return
	}
	ctx := req.timeoutContext()
	isFannedOut := req.route.target == fanOut && req.route.method == http.MethodGet
	stopTimer := func() bool { return true }
	if isFannedOut {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		stopTimer = time.AfterFunc(leaderTimeout, cancel).Stop
	}
	r, err := req.forwardRequest(ctx, to, req.forwardQuery(), data)
	if err != nil {
		req.fail(http.StatusInternalServerError, err.Error())
		return
	}
	req.isForwarded = true
	req.logWith("forwarded_to", to)
	answer, err := req.workerClient.Do(r)
	stopTimer() // the client may take longer to read the answer
	switch {
	case err != nil && isFannedOut: // this worker's own part is better than nothing; what others run is unknown
		req.route.serve(req)
		return
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		req.failErr(ctx.Err())
		return
	case err != nil:
		req.fail(http.StatusInternalServerError, "IO Error trying to forward REST request: "+err.Error())
		return
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified: // it has no body
	case answer.StatusCode >= 300 && answer.StatusCode < 400: // following it could leak the client's password
		req.fail(http.StatusInternalServerError, fmt.Sprintf("Unexpected status code when handling forwarded request: "+
			"%d from %s", answer.StatusCode, to))
		return
	case answer.ContentLength < 0: // a truncated response could not be recognized
		req.fail(http.StatusInternalServerError, "expected a response with Content-Length from "+to+", found none")
		return
	}
	for _, name := range proxiedHeaders {
		if values := answer.Header[name]; values != nil {
			req.w.Header()[name] = values
		}
	}
	req.worker.Now().Events.RecordCopy(req.r.Context(), answer.Header.Get(eventHeader))
	if location, err := answer.Location(); err == nil { // the client may not reach the other worker
		req.w.Header().Set("Location", req.baseURL()+location.EscapedPath())
	}
	req.writeHeader(answer.StatusCode)
	_, _ = io.Copy(req.w, answer.Body) // a truncated response closes the connection
}

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
	if req.withheldInBody() != "" {
		r.Header.Set(shapeOnlyHeader, withheldInAll)
	}
	return r, nil
}

// forwardQuery returns the query of a forwarded request: one further hop is allowed after the first, as in Kafka
// Connect.
func (req *request) forwardQuery() string {
	var query []string
	for pair := range strings.SplitSeq(req.r.URL.RawQuery, "&") {
		if name, _, _ := strings.Cut(pair, "="); pair != "" && unescape(name) != "forward" {
			query = append(query, pair)
		}
	}
	return strings.Join(append(query, fmt.Sprintf("forward=%t", req.queryValues("forward") == nil)), "&")
}

const dialTimeout = 10 * time.Second // including TLS

// NewWorkerClient returns the client for other workers, with the TLS settings of https listeners. It opens a connection
// for each request: if a server closed a reused one, it would be unknown whether a change was made.
func NewWorkerClient(settings map[string]string, log *slog.Logger) (*http.Client, error) {
	// As in Kafka Connect (SSLUtils), an empty algorithm accepts a certificate of another host.
	options, err := keystoreOptions(settings, log)
	if err != nil {
		return nil, err
	}
	algorithm, ok := settings["ssl.endpoint.identification.algorithm"]
	options.SkipHostCheck = ok && strings.TrimSpace(algorithm) == ""
	secure, err := keystore.ClientTLS(options)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: maxHeaderBytes, DialContext: dialer.DialContext,
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
