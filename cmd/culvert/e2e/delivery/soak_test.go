package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestSoakNotifiedUnderLoad: rows are created, changed and deleted by several writers, for a minute in the long form,
// one connector follows the changes and another reads what notifications name; the same with a worker that is killed
// again and again. Each topic, folded by key, equals the service in the end.
func TestSoakNotifiedUnderLoad(t *testing.T) {
	t.Parallel()
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", kills), func(t *testing.T) {
			t.Parallel()
			p, worker, port := e2etest.Subscribing(t)
			s, address := e2etest.Demo(t, odatatest.Options{Rows: 300, PageSize: 60, Subscriptions: true,
				Switches: odatatest.Switches{CSRF: true}})
			files := []string{worker, p.File("full.properties", e2etest.Notified("full", address, port)...),
				p.File("delta.properties", e2etest.Notified("delta", address, port, "sap.odata#00.track-changes=1")...)}
			start := func() *e2etest.Command {
				return p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
			}
			c := start()
			c.Equals(p, s, "full", "at first")
			c.Equals(p, s, "delta", "at first")
			until := time.Now().Add(e2etest.OneOf(time.Minute, 0))
			var writers sync.WaitGroup
			for seed := range uint64(4) {
				writers.Go(func() { e2etest.NewAuthor(t, address).Edit(seed+1, 30, until) })
			}
			for round := 0; kills && (round < 2 || time.Now().Before(until)); round++ {
				before := s.Ledger().Notified
				c.Eventually("notifications that were taken", func() bool {
					return s.Ledger().Notified > before ||
						s.Pushed()
				})
				<-time.After(e2etest.OneOf(5*time.Second, 0))
				c.Kill()
				c = start()
			}
			writers.Wait()
			c.Eventually("the end of the queue", s.Pushed)
			c.Equals(p, s, "full", "in the end")
			c.Equals(p, s, "delta", "in the end")
			if l := s.Ledger(); l.Undelivered != 0 || l.Subscribed != 6 {
				t.Errorf("%d notifications were given up, %d subscriptions made", l.Undelivered, l.Subscribed)
			}
			t.Logf("%d notifications, %d requests for changes", s.Ledger().Notified, s.Ledger().Deltas)
			c.MustStop()
		})
	}
}

// TestStoredNotifications: what the service tells nobody while the worker is down is found in its store.
func TestStoredNotifications(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.Subscribing(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 300, PageSize: 60, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	file := p.File("full.properties", e2etest.Notified("full", address, port, "sap.odata.notification.catchup=store")...)
	run := func() *e2etest.Command {
		return p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker, file)
	}
	c := run()
	c.Equals(p, s, "full", "at first")
	a := e2etest.NewAuthor(t, address)
	a.Change(1)
	c.Equals(p, s, "full", "when told")
	c.Kill()
	e2etest.NoError(t, s.Set("notify-off", "true"))
	for n := range 60 {
		a.Send("MERGE", fmt.Sprintf("Products(%d)", 10+n), map[string]any{"ProductName": fmt.Sprint("In silence ", n)})
	}
	a.Change(2)
	c = run()
	c.Equals(p, s, "full", "after a restart")
	e2etest.NoError(t, s.Set("notify-off", "false"))
	a.Change(3)
	c.Equals(p, s, "full", "when told again")
}

// TestListenerTakesTLS: with a key store the listener takes TLS and nothing else, with a trust store only from those
// who show a certificate that it vouches for.
func TestListenerTakesTLS(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.Subscribing(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, Subscriptions: true})
	of := func(kind, name string) []string {
		prefix := "sap.odata.subscription." + kind + "."
		return []string{prefix + "location=" + filepath.Join(e2etest.Stores(t), name), prefix + "password=" + e2etest.StorePassword,
			prefix + "type=jks"}
	}
	lines := append(e2etest.Notified("delta", address, port, "sap.odata#00.track-changes=1"), of("truststore", "trust.jks")...)
	c := p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker, p.File("delta.properties", lines...))
	c.Awaits("sap.odata.subscription.truststore.location: certificates of senders are asked for by TLS only")
	c.Stop()
	c = p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker,
		p.File("delta.properties", append(lines, of("keystore", "client.jks")...)...))
	c.Equals(p, s, "delta", "at first")
	post := func(url string, certificates ...tls.Certificate) (int, error) {
		roots := x509.NewCertPool()
		leaf, err := x509.ParseCertificate(e2etest.Localhost(t).Certificate[0])
		e2etest.NoError(t, err)
		roots.AddCert(leaf)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates}}}
		answer, err := client.Post(url+"127.0.0.1:"+port+"/delta/Products", "application/atom+xml",
			strings.NewReader(`<entry xmlns="http://www.w3.org/2005/Atom"><id>Products(1)</id></entry>`))
		if err != nil {
			return 0, err
		}
		answer.Body.Close()
		return answer.StatusCode, nil
	}
	if status, err := post("https://", e2etest.Localhost(t)); status != 204 {
		t.Errorf("a sender with the right certificate: %d, %v", status, err)
	}
	if status, err := post("https://"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a sender without a certificate: %d, %v", status, err)
	}
	if status, err := post("http://"); status != 400 {
		t.Errorf("a sender without TLS: %d, %v", status, err)
	}
	c.MustStop()
}

// T14: connectors are made and deleted by REST: with `terminate` no subscription and no queue of changes is left, with
// `keep` all remain.
func TestSoakDeletedConnectors(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, Subscriptions: true})
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	f := p.Follows("conf")
	open := func() bool { return QueueIsOpen(t, address) }
	connectors := e2etest.OneOf(50, 4)
	for _, c := range []struct {
		onDelete string
		left     int
	}{{"terminate", 0}, {"keep", 3 * connectors}} {
		var names []string
		create := func(name string, lines []string) {
			lines = append(lines, "on.delete="+c.onDelete)
			f.Must(201, "POST", "/connectors", fmt.Sprintf(`{"name": %q, "config": %s}`, name,
				e2etest.AsJSON(t, e2etest.Configuration(lines))))
			names = append(names, name)
		}
		for i := range connectors {
			name := fmt.Sprint(c.onDelete, i)
			create(name, e2etest.Notified(name, address, port, "sap.odata#00.track-changes=1", "sap.odata.user.name="+name))
		}
		create(c.onDelete+"-queue", e2etest.Tracked(c.onDelete+"-queue", address, odatatest.ODPPath, "FactsOfProducts",
			"sap.odata.delta.takeover=true"))
		for _, name := range names {
			f.Await(name, "runs", e2etest.Runs)
		}
		f.Eventually("all subscriptions and a queue", func() bool {
			return s.SubscriptionCount() == 3*connectors &&
				open()
		})
		for _, name := range names {
			f.Must(204, "DELETE", "/connectors/"+name, "")
		}
		f.Eventually("connectors that are gone", func() bool {
			var list []string
			e2etest.Get(t, f.Url+"/connectors", &list)
			return len(list) == 0
		})
		f.Eventually(fmt.Sprintf("%d subscriptions", c.left), func() bool {
			return s.SubscriptionCount() == c.left && open() == (c.left > 0)
		})
	}
	f.MustStop()
	if s.SubscriptionCount() != 3*connectors || !open() {
		t.Errorf("%d subscriptions are left, and the queue: %t", s.SubscriptionCount(), open())
	}
	if files, err := filepath.Glob(filepath.Join(p.Dir, "conf", "*")); err != nil || len(files) > 1 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// T7: an ODP service takes longer for its first byte than it may be silent elsewhere, and the worker is killed
// meanwhile: the one job goes on, and its end is waited for.
func TestSoakFirstByteComesLate(t *testing.T) {
	t.Parallel()
	p, worker, _ := e2etest.Subscribing(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 300,
		Switches: odatatest.Switches{Job: e2etest.OneOf(90*time.Second, 3*time.Second)}})
	lines := e2etest.Tracked("late", address, odatatest.ODPPath, "FactsOfProducts",
		fmt.Sprint("sap.odata.connection.read.timeout.ms=", e2etest.OneOf(30*time.Second, time.Second).Milliseconds()))
	for i, line := range lines {
		if strings.HasPrefix(line, "sap.odata.max.retries=") {
			lines[i] = "sap.odata.max.retries=1000" // other requests may be slow on a busy machine
		}
	}
	file := p.File("late.properties", lines...)
	run := func() *e2etest.Command {
		return p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker, file)
	}
	c := run()
	c.Eventually("a job", func() bool { return s.Ledger().Jobs == 1 })
	<-time.After(e2etest.OneOf(60*time.Second, 0))
	c.Kill()
	c = run()
	c.Equals(p, s, "late", "in the end")
	c.MustStop()
	if l := s.Ledger(); l.Jobs != 1 || l.Terminated != 0 {
		t.Errorf("%d jobs were begun, %d ended", l.Jobs, l.Terminated)
	}
}
