package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// author changes Products of the demo service, which wants CSRF tokens.
type author struct {
	t       *testing.T
	address string
	client  http.Client
	token   string
}

func newAuthor(t *testing.T, address string) *author {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &author{t: t, address: address, client: http.Client{Jar: jar}}
	a.token = a.send("GET", "", nil).Header.Get("X-CSRF-Token")
	return a
}

func (a *author) send(method, path string, body any) *http.Response {
	a.t.Helper()
	raw, _ := json.Marshal(body)
	q, err := http.NewRequest(method, "http://"+a.address+service.SAPPath+path, bytes.NewReader(raw))
	if err != nil {
		a.t.Error(err)
		return &http.Response{}
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	if q.Header.Set("X-CSRF-Token", a.token); a.token == "" {
		q.Header.Set("X-CSRF-Token", "Fetch")
	}
	answer, err := a.client.Do(q)
	if err != nil {
		a.t.Errorf("%s %s: %v", method, path, err)
		return &http.Response{}
	}
	answer.Body.Close()
	if answer.StatusCode > 299 {
		a.t.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return answer
}

// change creates one product, changes one and deletes one.
func (a *author) change(n int) {
	a.t.Helper()
	a.send("POST", "Products", map[string]any{"ProductID": 1_000_000 + n, "ProductName": fmt.Sprint("New ", n),
		"Discontinued": false})
	a.send("MERGE", fmt.Sprintf("Products(%d)", 1+2*n), map[string]any{"ProductName": fmt.Sprint("Changed ", n)})
	a.send("DELETE", fmt.Sprintf("Products(%d)", 2+2*n), nil)
}

// equals waits until a topic, folded by key, is what the service has.
func (c *command) equals(p *place, s *service.Service, topic, when string) {
	c.t.Helper()
	c.eventually(topic+" that equals the service, "+when, func() bool {
		if r := p.run("consume", topic, "--data", p.data); r.code != 0 {
			return false // nothing was written yet
		}
		want := map[string]string{}
		s.Each("Products", func(_ string, fields map[string]string) {
			want[fields["ProductID"]] = fields["ProductName"]
		})
		found := folded(p, topic)
		if len(found) != len(want) {
			return false
		}
		for key, name := range want {
			if found[key] != name {
				return false
			}
		}
		return true
	})
}

// TestSubscriptions: rows that are created, changed and deleted arrive because the service says so, in full mode and in
// delta mode without a period, whatever form notifications have; twice, behind garbage, and when the worker was killed
// meanwhile. The subscriptions that there are serve again. One port serves two connectors.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 400, PageSize: 60, Subscriptions: true,
		Switches: service.Switches{CSRF: true}})
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	listener := "http://127.0.0.1:" + port
	for name, value := range map[string]string{"notify-to": listener, "notify-user": "sap:pä:ss"} {
		if err := s.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	lines := func(name string, more ...string) []string {
		return append(append(source(name, address), "sap.odata#00.service="+service.SAPPath,
			"sap.odata#00.entityset=Products", "sap.odata#00.topic="+name,
			"sap.odata#00.exec-period=-1", "sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports="+port,
			"sap.odata.subscription.address=127.0.0.1",
			"sap.odata.subscription.user=sap", "sap.odata.subscription.password=pä:ss"), more...)
	}
	files := []string{worker, p.file("full.properties", lines("full", "sap.odata.subscription.dest=CULVERT")...),
		p.file("delta.properties", lines("delta", "sap.odata#00.track-changes=1",
			"sap.odata.subscription.url="+listener)...)}
	start := func() *command {
		return p.start(append([]string{"run", "--data", p.data, "--plugins", plugins(t)}, files...)...)
	}
	c := start()
	c.equals(p, s, "full", "at first")
	c.equals(p, s, "delta", "at first")
	if l := s.Ledger(); l.Subscribed != 6 || s.SubscriptionCount() != 6 {
		t.Errorf("expected a subscription for each of three types of changes, twice, found %d made, %d there",
			l.Subscribed, s.SubscriptionCount())
	}
	a := newAuthor(t, address)
	n := 0
	change := func(when string) {
		t.Helper()
		n++
		a.change(n)
		c.equals(p, s, "full", when)
		c.equals(p, s, "delta", when)
	}
	pages := func() (n int) {
		for _, r := range s.Ledger().Requests {
			if r.Path == service.SAPPath+"Products" && r.Method == "GET" && !strings.Contains(r.Query, "deltatoken") {
				n++
			}
		}
		return n
	}
	before := pages()
	for _, form := range []string{"via", "inline", "entry", "feed", "json", "json-entry", "poke"} {
		if err := s.Set("notify-form", form); err != nil {
			t.Fatal(err)
		}
		n++
		a.change(n)
		c.eventually("the end of the queue in the form "+form, s.Pushed)
	}
	change("in all forms")
	if err := s.Set("notify-form", "via"); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"notify-twice": "true", "notify-garbage": "2"} {
		if err := s.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	change("twice and behind garbage")
	if l := s.Ledger(); l.NotifyStatuses[http.StatusBadRequest] != 2 {
		t.Errorf("expected 2 notifications to be refused, found %v", l.NotifyStatuses)
	}
	if found := pages(); found != before {
		t.Errorf("expected no page to be read again, found %d before, %d after", before, found)
	}
	badNotifications(t, listener)

	// One notification of two entities, of which the service tells in no other way.
	if err := s.Set("notify-off", "true"); err != nil {
		t.Fatal(err)
	}
	two := ""
	for id := 71; id <= 72; id++ {
		a.send("MERGE", fmt.Sprintf("Products(%d)", id), map[string]any{"ProductName": "Told together"})
		two += fmt.Sprintf("<entry><id>Products(%d)</id></entry>", id)
	}
	q, err := http.NewRequest("POST", listener+"/full/Products", strings.NewReader(`<entry xmlns="http://www.w3.org/2005/Atom"
		xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">
		<category term="X.Notification"/><link rel="via" href=""><m:inline><feed>`+two+`</feed></m:inline></link>
		<content><m:properties><d:ID>two</d:ID></m:properties></content></entry>`))
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth("sap", "pä:ss")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusNoContent {
		t.Errorf("expected that a notification of two entities is taken, found %s", answer.Status)
	}
	c.equals(p, s, "full", "told of two entities at once")
	if err := s.Set("notify-off", "false"); err != nil {
		t.Fatal(err)
	}

	c.signal(syscall.SIGKILL)
	c.wait()
	n++
	a.change(n) // nobody listens: the service sends again
	c = start()
	c.equals(p, s, "full", "after a crash")
	c.equals(p, s, "delta", "after a crash")
	change("after a restart")
	if l := s.Ledger(); l.Subscribed != 6 {
		t.Errorf("expected the subscriptions that there were to serve, found %d made", l.Subscribed)
	}
	c.eventually("the end of the queue", s.Pushed)
	if l := s.Ledger(); l.Undelivered != 0 {
		t.Errorf("%d notifications were not delivered", l.Undelivered)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if s.SubscriptionCount() != 6 {
		t.Errorf("a stop ends no subscription, found %d", s.SubscriptionCount())
	}
	active := p.run("active-subscriptions", "-p", files[1], "-s", service.SAPPath, "--json", "--plugins", plugins(t))
	if active.code != 0 || strings.Count(active.stdout, "urn:sap-com:channel:CULVERT:/full/Products") != 3 {
		t.Errorf("exit %d\n%s%s", active.code, active.stdout, active.stderr)
	}
	var list []struct{ URL, DeliveryAddress string }
	if err := json.Unmarshal([]byte(active.stdout), &list); err != nil {
		t.Fatal(err, active.stdout)
	}
	for _, one := range list {
		if strings.Contains(one.DeliveryAddress, "/delta/") {
			if r := p.run("delete-subscription", "-p", files[1], "-u", one.URL, "--plugins", plugins(t)); r.code != 0 {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			break
		}
	}
	if r := p.run("delete-subscription", "-p", files[1], "-u", service.SAPPath+"Products(1)", "--plugins",
		plugins(t)); r.code == 0 {
		t.Error("a product was deleted as a subscription")
	}
	if r := p.run("retire", "-p", files[1], "--plugins", plugins(t)); r.code != 0 || s.SubscriptionCount() != 2 {
		t.Errorf("exit %d, %d subscriptions are left, expected 2 of the other connector\n%s%s", r.code,
			s.SubscriptionCount(), r.stdout, r.stderr)
	}
}

// badNotifications come from somebody who is wrong here.
func badNotifications(t *testing.T, listener string) {
	t.Helper()
	good := `<entry xmlns="http://www.w3.org/2005/Atom"><id>Products(1)</id></entry>`
	for name, c := range map[string]struct {
		method, path, password, body string
		status                       int
	}{
		"of nobody":             {"POST", "/full/Products", "", good, 401},
		"with a wrong password": {"POST", "/full/Products", "guess", good, 401},
		"to no connector":       {"POST", "/other/Products", "pä:ss", good, 404},
		"to no set":             {"POST", "/full/Orders", "pä:ss", good, 404},
		"of another set": {"POST", "/full/Products", "pä:ss",
			`{"d":{"__metadata":{"type":"X.Notification"},"collection":"Orders","changeType":"created"}}`, 404},
		"that is no document": {"POST", "/full/Products", "pä:ss", "garbage", 400},
		"that is empty":       {"POST", "/delta/Products", "pä:ss", "", 400},
		"of an entity of others": {"POST", "/full/Products", "pä:ss",
			`<entry xmlns="http://www.w3.org/2005/Atom"><id>Orders(1)</id></entry>`, 400},
		"of a key of no kind": {"POST", "/full/Products", "pä:ss",
			`<entry xmlns="http://www.w3.org/2005/Atom"><id>Products('x')</id></entry>`, 400},
		"by GET":            {"GET", "/full/Products", "pä:ss", "", 405},
		"that is too large": {"POST", "/full/Products", "pä:ss", strings.Repeat("x", 4<<20+1), 413},
	} {
		q, err := http.NewRequest(c.method, listener+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.password != "" {
			q.SetBasicAuth("sap", c.password)
		}
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Errorf("a notification %s: %v", name, err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("a notification %s: expected %d, found %s", name, c.status, answer.Status)
		}
	}
}

// TestListenersThatTakeAnybody: a connector whose listener asks senders for neither a logon nor a certificate says so
// once at its start, however many feeds it has, and names the settings.
func TestListenersThatTakeAnybody(t *testing.T) {
	t.Parallel()
	p, worker, port := subscribing(t)
	_, address := demo(t, service.Options{Rows: 10, Subscriptions: true, Switches: service.Switches{CSRF: true}})
	second := []string{"sap.odata#01.service=" + service.SAPPath, "sap.odata#01.entityset=Orders",
		"sap.odata#01.topic=orders", "sap.odata#01.exec-period=-1", "sap.odata#01.subscription.enable=1"}
	files := []string{worker, p.file("anybody.properties", toldOf("anybody", address, port, second...)...),
		p.file("known.properties", toldOf("known", address, port, "sap.odata.subscription.user=sap",
			"sap.odata.subscription.password=secret")...)}
	c := p.start(append([]string{"run", "--data", p.data, "--plugins", plugins(t)}, files...)...)
	c.eventually("subscriptions", func() bool { return strings.Count(c.stderr.String(), " msg=subscribed") == 3 })
	var warned []string
	for line := range strings.Lines(c.stderr.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "sap.odata.subscription.user") {
			warned = append(warned, line)
		}
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "connector=anybody") ||
		!strings.Contains(warned[0], "sap.odata.subscription.truststore.location") {
		t.Errorf("expected one line about the listener of anybody, found %q", warned)
	}
}
