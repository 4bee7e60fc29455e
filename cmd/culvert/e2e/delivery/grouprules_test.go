package delivery

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// StartBalancer starts a load balancer for the listeners of the workers and returns its address. ports are the ports of
// the listeners, separated by commas: each worker of one machine uses one.
func StartBalancer(t *testing.T, workers int) (address, ports string) {
	t.Helper()
	var listeners []string
	for range workers {
		_, port, _ := net.SplitHostPort(porttest.Address(t))
		listeners = append(listeners, port)
	}
	var n atomic.Int64
	return e2etest.Serve(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + listeners[int(n.Add(1))%workers]})
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}), strings.Join(listeners, ",")
}

// put writes the configuration of a connector through one of the workers.
func (g *Group) put(by int, name string, settings map[string]string) {
	g.T.Helper()
	status, answer := g.workers[by].Call("PUT", "/connectors/"+name+"/config", e2etest.AsJSON(g.T, settings))
	require.True(g.T, status <= 201, "%s: %d %s", name, status, answer)
}

// owner returns the worker that runs the only task of a connector; by is a worker that runs.
func (g *Group) owner(by int, name string) (n int) {
	g.T.Helper()
	g.workers[by].Eventually("a worker that runs "+name, func() bool {
		task := e2etest.TaskOf(g.T, g.ids[by], name)
		n = slices.Index(g.ids, task.WorkerID)
		return task.State == connect.Running && n >= 0
	})
	return n
}

// Notifications arrive at the listeners of three workers in turn, one of which runs the feed's task: during a load, and
// while that worker is killed. Each must reach the task (RATIONALE.md P9).
func TestSoakNotificationsOfAGroup(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 300, PageSize: 60, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	h := &e2etest.Holdup{Inner: s, After: -1}
	h.Arm(20_000)
	address := e2etest.Serve(t, h)
	balancer, ports := StartBalancer(t, 3)
	require.NoError(t, s.Set("notify-user", "sap:geheim"))
	g := embeddedGroup(t, 3)
	p := g.Place
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	settings := e2etest.SettingsOf(e2etest.NotificationSource("delta", address, ports, "sap.odata#00.track-changes=1",
		e2etest.NoReadTimeout, "sap.odata.subscription.user=sap", "sap.odata.subscription.password=geheim"))
	settings["sap.odata.subscription.url"] = "http://" + balancer
	g.put(0, "delta", settings)
	g.workers[0].Eventually("a page that is being read", func() bool {
		select {
		case <-h.Held:
			return true
		default:
			return false
		}
	})
	changes := e2etest.LongOrShort(10_000, 600)
	began := time.Now()
	e2etest.NewAuthor(t, address).Edit(1, changes, time.Time{})
	g.workers[0].Eventually("the end of the queue", s.Pushed)
	l := s.Ledger()
	assert.True(t, l.Deltas == 0 && l.Notified >= changes && l.Undelivered == 0,
		"expected no request for changes during the load, and all of %d notifications, found %d and %d", changes,
		l.Deltas, l.Notified)
	t.Logf("%d notifications within %v, answered with %v", l.Notified, time.Since(began), l.NotifyStatuses)
	close(h.Release)
	g.workers[0].AwaitEqual(p, s, "delta", "after the load")
	requests := 0
	for _, r := range s.Ledger().Requests {
		if strings.Contains(r.Query, "deltatoken") && !strings.Contains(r.Query, "skiptoken") {
			requests++
		}
	}
	assert.AtMost(t, 5, requests, "requests for changes: for", changes, "notifications")

	killed := g.owner(0, "delta")
	survivor := (killed + 1) % 3
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		e2etest.NewAuthor(t, address).Edit(2, changes/10, time.Time{})
	}()
	notified := s.Ledger().Notified
	g.workers[survivor].Eventually("notifications", func() bool { return s.Ledger().Notified > notified+20 })
	g.workers[killed].Kill()
	<-writing
	began = time.Now()
	g.workers[survivor].Eventually("the end of the queue", s.Pushed)
	t.Logf("the queue is empty %v after the owner's end, answered with %v", time.Since(began),
		s.Ledger().NotifyStatuses)
	g.workers[survivor].AwaitEqual(p, s, "delta", "after the owner's end")
	if l := s.Ledger(); l.Undelivered != 0 || l.Subscribed != 3 {
		t.Errorf("expected no lost notification and 3 subscriptions, found %d and %d", l.Undelivered, l.Subscribed)
	}
	assert.True(t, g.owner(survivor, "delta") != killed, "expected another worker to run the task")
	checkPauseClosesListeners(g.workers[survivor], s, address, ports)
}

// checkPauseClosesListeners checks that no worker listens for notifications of a paused connector, and that the changes
// after it was resumed arrive.
func checkPauseClosesListeners(w *e2etest.Worker, s *odatatest.Service, address, ports string) {
	w.MustCall(202, "PUT", "/connectors/delta/pause", "")
	for port := range strings.SplitSeq(ports, ",") {
		w.Eventually("listeners that are closed", func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
	w.MustCall(202, "PUT", "/connectors/delta/resume", "")
	e2etest.NewAuthor(w.Place.T, address).Change(7)
	w.AwaitEqual(w.Place, s, "delta", "after a pause")
}

// IsQueueOpen reports whether the demo service keeps a queue of changes of Products.
func IsQueueOpen(t *testing.T, address string) bool {
	t.Helper()
	r, err := http.Get("http://" + address + odatatest.ODPPath + "SubscribedToFactsOfProducts?$format=json")
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return strings.Contains(string(body), `"SubscribedFlag":true`)
}

// Connectors with `terminate` are created on three workers and deleted through any of them: running, paused, stopped,
// or after their worker was killed, before and after the group noticed. Some are created again at once. Everything that
// a deleted connector opened at the service is closed, and what its successor opened stays open.
func TestSoakDeletedInAGroup(t *testing.T) {
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 10, Subscriptions: true})
	balancer, ports := StartBalancer(t, 3)
	g := embeddedGroup(t, 3, "scheduled.rebalance.max.delay.ms=300000")
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	connectors := e2etest.LongOrShort(50, 3)
	n := 0
	live := 3
	for _, state := range []string{"at once", "pause", "stop", "dead", "killed"} {
		settings := map[string]map[string]string{}
		for n := range connectors {
			name := fmt.Sprint(state[:1], n)
			settings[name] = e2etest.SettingsOf(e2etest.NotificationSource(name, address, ports,
				"sap.odata#00.track-changes=1", "sap.odata.user.name="+name, "on.delete=terminate"))
			settings[name]["sap.odata.subscription.url"] = "http://" + balancer
		}
		createAll := func() {
			for name, config := range settings {
				n++
				g.put(n%live, name, config)
			}
			for name := range settings {
				g.workers[0].Await(name, "runs", e2etest.IsRunning)
			}
			g.workers[0].Eventually("all subscriptions", func() bool { return s.SubscriptionCount() == 3*connectors })
		}
		createAll()
		queue := "queue-" + state[:1]
		g.put(0, queue, e2etest.SettingsOf(e2etest.DeltaSource(queue, address, odatatest.ODPPath, "FactsOfProducts",
			"sap.odata.delta.takeover=true", "on.delete=terminate")))
		g.workers[0].Eventually("a queue", func() bool { return IsQueueOpen(t, address) })
		deleteConnector := func(name string) {
			n++
			if state == "pause" || state == "stop" {
				g.workers[n%live].Steer(name, state)
			}
			n++
			g.workers[n%live].AwaitCall(204, "DELETE", "/connectors/"+name, "")
		}
		if state == "at once" {
			for name, config := range settings { // each is created again while it ends
				deleteConnector(name)
				g.put(n%live, name, config)
			}
			createAll()
		}
		if state == "dead" || state == "killed" {
			live--
			g.workers[live].Kill()
		}
		if state == "killed" { // the group notices it before the connectors are deleted
			g.workers[0].Eventually("a group of one", func() bool {
				status, answer := g.workers[0].Call("GET", "/culvert/cluster", "")
				return status == 200 && len(e2etest.Decode[groupview.Group](t, answer).Members) == 1
			})
		}
		deleteConnector(queue)
		for name := range settings {
			deleteConnector(name)
		}
		g.workers[0].Eventually("no subscription and no queue", func() bool {
			return s.SubscriptionCount() == 0 && !IsQueueOpen(t, address)
		})
	}
	for by, w := range g.workers {
		log := w.Stderr.String()
		assert.NotContains(t, log, "could not be ended", "worker", by, "all subscriptions and queues are ended")
	}
}

// Every worker reads a password from a file of its own. A wrong password is sent to the service once, whichever worker
// uses it, because failed logons lock users (RATIONALE.md P10). A changed password is used without a restart. A worker
// without one reports that for its connectors (P25).
func TestSoakSecretsOfAGroup(t *testing.T) {
	passwords := e2etest.NewPasswordService(odatatest.New(odatatest.Options{Rows: 20}), "")
	address := e2etest.Serve(t, passwords)
	g := embeddedGroup(t, 3, "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider")
	sg := &secretsGroup{Group: g, passwords: passwords, address: address}
	sg.write("wrong-secret", 0, 1, 2)
	for _, w := range g.workers {
		w.AwaitChangeable()
	}
	connectors := e2etest.LongOrShort(20, 3)
	validations := e2etest.LongOrShort(100, 6)
	for n := range connectors {
		g.put(n%3, fmt.Sprint("c", n), sg.settings(fmt.Sprint("c", n)))
	}
	var asking sync.WaitGroup
	for n, w := range g.workers {
		asking.Go(func() {
			for i := n; i < validations; i += 3 {
				w.Call("PUT", "/connector-plugins/ODataSource/config/validate",
					e2etest.AsJSON(t, sg.settings(fmt.Sprint("new", i))))
			}
		})
	}
	asking.Wait()
	g.workers[0].Eventually("tasks that have failed", func() bool {
		_, tasks, others := g.countRunning(1)
		hasNotFailed := func(s string) bool { return !strings.Contains(s, " FAILED ") }
		return len(tasks) > 0 && len(others) == 2*connectors && !slices.ContainsFunc(others, hasNotFailed)
	})
	sg.checkOneRefusal("a wrong password")
	// The operator has unlocked the user; --resume-logons lets the next worker try again.
	passwords.Accept("wrong-secret", "newer-secret")
	g.workers[2].MustStop()
	g.Join(2, "--resume-logons")
	g.AwaitSpread(connectors, 2*connectors, 0, 1, 2)
	sg.checkOneRefusal("logons that are resumed")
	sg.checkChangedPasswordNeedsNoRestart(connectors)
	sg.checkMissingSecretIsReported(connectors)
	for n, w := range g.workers {
		assert.True(t, !strings.Contains(w.Stderr.String(), "-secret"),
			"worker %d: expected no secret in the log, found one", n)
	}
}

// secretsGroup is a group whose workers read the password for a service from files of their own.
type secretsGroup struct {
	*Group
	passwords *e2etest.PasswordService
	address   string // of the service
}

// write stores a password on machines.
func (g *secretsGroup) write(password string, machines ...int) {
	g.T.Helper()
	for _, n := range machines {
		g.File(filepath.Join(filepath.Base(g.Machine(n)), "sap.properties"), "pwd="+password)
	}
}

// settings returns the configuration of a connector that uses the password.
func (g *secretsGroup) settings(name string) map[string]string {
	settings := groupSource(g.address, name)
	settings["sap.odata.user.name"] = "me"
	settings["sap.odata.user.pwd"] = "${file:sap.properties:pwd}"
	settings["sap.odata.max.retries"] = "3"
	settings["sap.odata.min.retry.backoff.ms"] = "1"
	return settings
}

// starts returns how often all workers have started connectors.
func (g *secretsGroup) starts() (n int) {
	for _, w := range g.workers {
		n += strings.Count(w.Stderr.String(), `msg="connector started"`)
	}
	return n
}

// checkOneRefusal checks that the service has rejected one logon so far.
func (g *secretsGroup) checkOneRefusal(what string) {
	g.T.Helper()
	n := g.passwords.Refusals("wrong-secret") + g.passwords.Refusals("newer-secret")
	assert.Equal(g.T, 1, n, what, "refused logon")
}

// checkChangedPasswordNeedsNoRestart checks that all workers use another password from their files without a restart.
func (g *secretsGroup) checkChangedPasswordNeedsNoRestart(connectors int) {
	g.T.Helper()
	starts := g.starts()
	g.write("newer-secret", 0, 1, 2)
	uses := 0 // without the older password in between
	g.workers[0].Eventually("the newer password alone", func() bool {
		uses++
		if !g.passwords.IsLastPassword("newer-secret") {
			uses = 0
		}
		return uses == 100
	})
	g.passwords.Accept("newer-secret")
	g.AwaitSpread(connectors, 2*connectors, 0, 1, 2)
	g.checkOneRefusal("another password")
	if n := g.starts(); n != starts {
		g.T.Errorf("expected that no connector starts again for another password, found %d starts", n-starts)
	}
}

// checkMissingSecretIsReported removes the file of a worker that does not lead, because the leader checks requests by
// REST. The connectors and tasks on that worker fail and name the reference, until the file is back.
func (g *secretsGroup) checkMissingSecretIsReported(connectors int) {
	g.T.Helper()
	leader := e2etest.Decode[groupview.Group](g.T, g.workers[0].MustCall(200, "GET", "/culvert/cluster", "")).Leader
	without := (slices.Index(g.ids, leader) + 1) % 3
	require.NoError(g.T, os.Remove(filepath.Join(g.Machine(without), "sap.properties")))
	const late = 6
	var names []string
	for n := range connectors + late { // the first of them run, and change
		name := fmt.Sprint("c", n)
		changed := g.settings(name)
		changed["errors.log.enable"] = "true"
		g.put(n%3, name, changed)
		names = append(names, name)
	}
	g.workers[0].Eventually("what fails where there is no secret", func() bool {
		connectorsFailed := 0
		tasksFailed := 0
		for _, name := range names {
			var s connect.Status
			e2etest.Get(g.T, g.workers[0].URL+"/connectors/"+name+"/status", &s)
			hasFailed := func(state connect.State, worker, trace string) bool {
				return state == connect.Failed && worker == g.ids[without] &&
					strings.Contains(trace, "${file:sap.properties:pwd}")
			}
			if hasFailed(s.Connector.State, s.Connector.WorkerID, s.Connector.Trace) {
				connectorsFailed++
				continue // its tasks have not changed
			}
			for _, task := range s.Tasks {
				switch elsewhere := task.WorkerID != g.ids[without]; {
				case hasFailed(task.State, task.WorkerID, task.Trace):
					tasksFailed++
				case !elsewhere || task.State != connect.Running:
					return false
				}
			}
		}
		return connectorsFailed > 0 && tasksFailed > 0
	})
	g.write("newer-secret", without)
	g.AwaitSpread(connectors+late, 2*(connectors+late), 0, 1, 2)
}
