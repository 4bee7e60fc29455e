package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// soaking tells whether the long forms are asked for.
func soaking() bool { return os.Getenv("CULVERT_SOAK") != "" }

// oneOf is the first of two where the long form is asked for.
func oneOf[T any](long, short T) T {
	if soaking() {
		return long
	}
	return short
}

// toldOf is the settings of a connector that is told of changes of Products at a port.
func toldOf(name, address, port string, more ...string) []string {
	return append(append(source(name, address), "sap.odata#00.service="+service.SAPPath,
		"sap.odata#00.entityset=Products", "sap.odata#00.topic="+name,
		"sap.odata#00.exec-period=-1", "sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports="+port,
		"sap.odata.subscription.address=127.0.0.1",
		"sap.odata.subscription.url=http://127.0.0.1:"+port), more...)
}

// subscribing is a place with a broker of its own, and a port for notifications.
func subscribing(t *testing.T) (p *place, worker, port string) {
	p = newPlace(t)
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	worker = p.file("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	_, port, _ = net.SplitHostPort(porttest.Address(t))
	return p, worker, port
}

// edit makes so many changes by chance, or as many as there is time for.
func (a *author) edit(seed uint64, changes int, until time.Time) {
	a.t.Helper()
	r, mine := rand.New(rand.NewPCG(seed, 2)), []int{}
	for n := 0; n < changes || time.Now().Before(until); n++ {
		if n >= changes { // those who listen in full mode take a while for each
			<-time.After(200 * time.Millisecond)
		}
		switch i := r.IntN(4); {
		case i == 0 || len(mine) == 0:
			id := int(seed)*1_000_000 + n
			mine = append(mine, id)
			a.send("POST", "Products", map[string]any{"ProductID": id, "ProductName": fmt.Sprint("New ", id),
				"Discontinued": false})
		case i == 1:
			last := len(mine) - 1
			a.send("DELETE", fmt.Sprintf("Products(%d)", mine[last]), nil)
			mine = mine[:last]
		case i == 2:
			a.send("MERGE", fmt.Sprintf("Products(%d)", mine[r.IntN(len(mine))]),
				map[string]any{"ProductName": fmt.Sprint("Mine ", seed, " ", n)})
		default: // what all writers change
			a.send("MERGE", fmt.Sprintf("Products(%d)", 1+r.IntN(70)), map[string]any{"ProductName": fmt.Sprint("Ours ",
				seed, " ", n)})
		}
	}
}

// TestSoakToldUnderLoad: rows are created, changed and deleted by several writers, for a minute in the long form, while
// one connector follows the changes and another reads what notifications name; the same with a worker that is killed
// again and again. Each topic, folded by key, equals the service in the end.
func TestSoakToldUnderLoad(t *testing.T) {
	t.Parallel()
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", kills), func(t *testing.T) {
			t.Parallel()
			p, worker, port := subscribing(t)
			s, address := demo(t, service.Options{Rows: 300, PageSize: 60, Subscriptions: true,
				Switches: service.Switches{CSRF: true}})
			files := []string{worker, p.file("full.properties", toldOf("full", address, port)...),
				p.file("delta.properties", toldOf("delta", address, port, "sap.odata#00.track-changes=1")...)}
			start := func() *command {
				return p.start(append([]string{"run", "--data", p.data, "--plugins", plugins(t)}, files...)...)
			}
			c := start()
			c.equals(p, s, "full", "at first")
			c.equals(p, s, "delta", "at first")
			until := time.Now().Add(oneOf(time.Minute, 0))
			var writers sync.WaitGroup
			for seed := range uint64(4) {
				writers.Go(func() { newAuthor(t, address).edit(seed+1, 30, until) })
			}
			for round := 0; kills && (round < 2 || time.Now().Before(until)); round++ {
				before := s.Ledger().Notified
				c.eventually("notifications that were taken", func() bool {
					return s.Ledger().Notified > before ||
						s.Pushed()
				})
				<-time.After(oneOf(5*time.Second, 0))
				c.signal(syscall.SIGKILL)
				c.wait()
				c = start()
			}
			writers.Wait()
			c.eventually("the end of the queue", s.Pushed)
			c.equals(p, s, "full", "in the end")
			c.equals(p, s, "delta", "in the end")
			if l := s.Ledger(); l.Undelivered != 0 || l.Subscribed != 6 {
				t.Errorf("%d notifications were given up, %d subscriptions made", l.Undelivered, l.Subscribed)
			}
			t.Logf("%d notifications, %d requests for changes", s.Ledger().Notified, s.Ledger().Deltas)
			c.signal(syscall.SIGTERM)
			if r := c.wait(); r.code != 0 {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}

// T8: many notifications come during a load. Their sender's queue is empty before the load goes on, and they come to a
// few requests for changes; as many more come to nobody while the worker is down, and are told again.
func TestSoakNotificationsAmidALoad(t *testing.T) {
	t.Parallel()
	p, worker, port := subscribing(t)
	s := service.New(service.Options{Rows: 300, PageSize: 60, Subscriptions: true,
		Switches: service.Switches{CSRF: true}})
	h := &holdup{inner: s, after: -1}
	h.arm(20_000)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	files := []string{worker, p.file("delta.properties", toldOf("delta", address, port, "sap.odata#00.track-changes=1",
		silent)...)}
	start := func() *command {
		return p.start(append([]string{"run", "--data", p.data, "--plugins", plugins(t)}, files...)...)
	}
	c := start()
	c.eventually("a page that is being read", func() bool {
		select {
		case <-h.held:
			return true
		default:
			return false
		}
	})
	changes := oneOf(10_000, 600)
	newAuthor(t, address).edit(1, changes, time.Time{})
	c.eventually("the end of the queue", s.Pushed)
	if l := s.Ledger(); l.Deltas != 0 || l.Notified < changes || l.Undelivered != 0 {
		t.Errorf("%d requests for changes during the load, %d notifications taken", l.Deltas, l.Notified)
	}
	close(h.goOn)
	c.equals(p, s, "delta", "after the load")
	requests := 0
	for _, r := range s.Ledger().Requests {
		if strings.Contains(r.Query, "deltatoken") && !strings.Contains(r.Query, "skiptoken") {
			requests++
		}
	}
	if requests > 5 {
		t.Errorf("%d notifications led to %d requests for changes", changes, requests)
	}
	c.signal(syscall.SIGKILL)
	c.wait()
	newAuthor(t, address).edit(2, changes/10, time.Time{})
	c = start()
	c.equals(p, s, "delta", "after a restart")
	c.eventually("the end of the queue", s.Pushed)
	if l := s.Ledger(); l.Undelivered != 0 {
		t.Errorf("%d notifications were given up", l.Undelivered)
	}
}

// TestStoredNotifications: what the service tells nobody while the worker is down is found in its store.
func TestStoredNotifications(t *testing.T) {
	t.Parallel()
	p, worker, port := subscribing(t)
	s, address := demo(t, service.Options{Rows: 300, PageSize: 60, Subscriptions: true,
		Switches: service.Switches{CSRF: true}})
	file := p.file("full.properties", toldOf("full", address, port, "sap.odata.notification.catchup=store")...)
	run := func() *command {
		return p.start("run", "--data", p.data, "--plugins", plugins(t), worker, file)
	}
	c := run()
	c.equals(p, s, "full", "at first")
	a := newAuthor(t, address)
	a.change(1)
	c.equals(p, s, "full", "when told")
	c.signal(syscall.SIGKILL)
	c.wait()
	if err := s.Set("notify-off", "true"); err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		a.send("MERGE", fmt.Sprintf("Products(%d)", 10+n), map[string]any{"ProductName": fmt.Sprint("In silence ", n)})
	}
	a.change(2)
	c = run()
	c.equals(p, s, "full", "after a restart")
	if err := s.Set("notify-off", "false"); err != nil {
		t.Fatal(err)
	}
	a.change(3)
	c.equals(p, s, "full", "when told again")
}

// TestListenerTakesTLS: with a key store the listener takes TLS and nothing else, with a trust store only from those
// who show a certificate that it vouches for.
func TestListenerTakesTLS(t *testing.T) {
	t.Parallel()
	p, worker, port := subscribing(t)
	s, address := demo(t, service.Options{Rows: 10, Subscriptions: true})
	of := func(kind, name string) []string {
		prefix := "sap.odata.subscription." + kind + "."
		return []string{prefix + "location=" + filepath.Join(stores(t), name), prefix + "password=" + storePassword,
			prefix + "type=jks"}
	}
	lines := append(toldOf("delta", address, port, "sap.odata#00.track-changes=1"), of("truststore", "trust.jks")...)
	c := p.start("run", "--data", p.data, "--plugins", plugins(t), worker, p.file("delta.properties", lines...))
	c.says("sap.odata.subscription.truststore.location: certificates of senders are asked for by TLS only")
	c.signal(syscall.SIGTERM)
	c.wait()
	c = p.start("run", "--data", p.data, "--plugins", plugins(t), worker,
		p.file("delta.properties", append(lines, of("keystore", "client.jks")...)...))
	c.equals(p, s, "delta", "at first")
	post := func(url string, certificates ...tls.Certificate) (int, error) {
		roots := x509.NewCertPool()
		leaf, err := x509.ParseCertificate(localhost(t).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
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
	if status, err := post("https://", localhost(t)); status != 204 {
		t.Errorf("a sender with the right certificate: %d, %v", status, err)
	}
	if status, err := post("https://"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a sender without a certificate: %d, %v", status, err)
	}
	if status, err := post("http://"); status != 400 {
		t.Errorf("a sender without TLS: %d, %v", status, err)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// T14: connectors are made and deleted by REST: with `terminate` no subscription and no queue of changes is left, with
// `keep` all remain.
func TestSoakDeletedConnectors(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10, Subscriptions: true})
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	p.subfolder("conf")
	f := p.follows("conf")
	queue := func() string {
		r, err := http.Get("http://" + address + service.ODPPath + "SubscribedToFactsOfProducts?$format=json")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body := make([]byte, 1000)
		n, _ := r.Body.Read(body)
		return string(body[:n])
	}
	open := func() bool { return strings.Contains(queue(), `"SubscribedFlag":true`) }
	connectors := oneOf(50, 4)
	for _, c := range []struct {
		onDelete string
		left     int
	}{{"terminate", 0}, {"keep", 3 * connectors}} {
		var names []string
		create := func(name string, lines []string) {
			lines = append(lines, "on.delete="+c.onDelete)
			f.must(201, "POST", "/connectors", fmt.Sprintf(`{"name": %q, "config": %s}`, name,
				asJSON(t, configuration(lines))))
			names = append(names, name)
		}
		for i := range connectors {
			name := fmt.Sprint(c.onDelete, i)
			create(name, toldOf(name, address, port, "sap.odata#00.track-changes=1", "sap.odata.user.name="+name))
		}
		create(c.onDelete+"-queue", tracked(c.onDelete+"-queue", address, service.ODPPath, "FactsOfProducts",
			"sap.odata.delta.takeover=true"))
		for _, name := range names {
			f.await(name, "runs", runs)
		}
		f.eventually("all subscriptions and a queue", func() bool {
			return s.SubscriptionCount() == 3*connectors &&
				open()
		})
		for _, name := range names {
			f.must(204, "DELETE", "/connectors/"+name, "")
		}
		f.eventually("connectors that are gone", func() bool {
			var list []string
			get(t, f.url+"/connectors", &list)
			return len(list) == 0
		})
		f.eventually(fmt.Sprintf("%d subscriptions", c.left), func() bool {
			return s.SubscriptionCount() == c.left && open() == (c.left > 0)
		})
	}
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if s.SubscriptionCount() != 3*connectors || !open() {
		t.Errorf("%d subscriptions are left, the queue: %s", s.SubscriptionCount(), queue())
	}
	if files, err := filepath.Glob(filepath.Join(p.dir, "conf", "*")); err != nil || len(files) > 1 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// T7: an ODP service takes longer for its first byte than it may be silent elsewhere, and the worker is killed
// meanwhile: the one job goes on, and its end is waited for.
func TestSoakFirstByteComesLate(t *testing.T) {
	t.Parallel()
	p, worker, _ := subscribing(t)
	s, address := demo(t, service.Options{Rows: 300,
		Switches: service.Switches{Job: oneOf(90*time.Second, 3*time.Second)}})
	lines := tracked("late", address, service.ODPPath, "FactsOfProducts",
		fmt.Sprint("sap.odata.connection.read.timeout.ms=", oneOf(30*time.Second, time.Second).Milliseconds()))
	for i, line := range lines {
		if strings.HasPrefix(line, "sap.odata.max.retries=") {
			lines[i] = "sap.odata.max.retries=1000" // other requests may be slow on a busy machine
		}
	}
	file := p.file("late.properties", lines...)
	run := func() *command {
		return p.start("run", "--data", p.data, "--plugins", plugins(t), worker, file)
	}
	c := run()
	c.eventually("a job", func() bool { return s.Ledger().Jobs == 1 })
	<-time.After(oneOf(60*time.Second, 0))
	c.signal(syscall.SIGKILL)
	c.wait()
	c = run()
	c.equals(p, s, "late", "in the end")
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if l := s.Ledger(); l.Jobs != 1 || l.Terminated != 0 {
		t.Errorf("%d jobs were begun, %d ended", l.Jobs, l.Terminated)
	}
}
