package source

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestSubscriptions: rows that are created, changed and deleted arrive because the service says so, in full mode and in
// delta mode without a period, whatever form notifications have; twice, after garbage, and when the worker was killed
// meanwhile. The subscriptions that there are serve again. One port serves two connectors.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.Subscribing(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 400, PageSize: 60, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	listener := "http://127.0.0.1:" + port
	for name, value := range map[string]string{"notify-to": listener, "notify-user": "sap:pä:ss"} {
		e2etest.NoError(t, s.Set(name, value))
	}
	lines := func(name string, more ...string) []string {
		return append(append(e2etest.Source(name, address), "sap.odata#00.service="+odatatest.SAPPath,
			"sap.odata#00.entityset=Products", "sap.odata#00.topic="+name,
			"sap.odata#00.exec-period=-1", "sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports="+port,
			"sap.odata.subscription.address=127.0.0.1",
			"sap.odata.subscription.user=sap", "sap.odata.subscription.password=pä:ss"), more...)
	}
	files := []string{worker, p.File("full.properties", lines("full", "sap.odata.subscription.dest=CULVERT")...),
		p.File("delta.properties", lines("delta", "sap.odata#00.track-changes=1",
			"sap.odata.subscription.url="+listener)...)}
	start := func() *e2etest.Command {
		return p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
	}
	c := start()
	c.Equals(p, s, "full", "at first")
	c.Equals(p, s, "delta", "at first")
	if l := s.Ledger(); l.Subscribed != 6 || s.SubscriptionCount() != 6 {
		t.Errorf("expected a subscription for each of three types of changes, twice, found %d made, %d there",
			l.Subscribed, s.SubscriptionCount())
	}
	a := e2etest.NewAuthor(t, address)
	n := 0
	change := func(when string) {
		t.Helper()
		n++
		a.Change(n)
		c.Equals(p, s, "full", when)
		c.Equals(p, s, "delta", when)
	}
	pages := func() (n int) {
		for _, r := range s.Ledger().Requests {
			if r.Path == odatatest.SAPPath+"Products" && r.Method == "GET" && !strings.Contains(r.Query, "deltatoken") {
				n++
			}
		}
		return n
	}
	before := pages()
	for _, form := range []string{"via", "inline", "entry", "feed", "json", "json-entry", "poke"} {
		e2etest.NoError(t, s.Set("notify-form", form))
		n++
		a.Change(n)
		c.Eventually("the end of the queue in the form "+form, s.Pushed)
	}
	change("in all forms")
	e2etest.NoError(t, s.Set("notify-form", "via"))
	for name, value := range map[string]string{"notify-twice": "true", "notify-garbage": "2"} {
		e2etest.NoError(t, s.Set(name, value))
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
	e2etest.NoError(t, s.Set("notify-off", "true"))
	two := ""
	for id := 71; id <= 72; id++ {
		a.Send("MERGE", fmt.Sprintf("Products(%d)", id), map[string]any{"ProductName": "Told together"})
		two += fmt.Sprintf("<entry><id>Products(%d)</id></entry>", id)
	}
	answer := notify(t, "POST", listener+"/full/Products", "pä:ss", `<entry xmlns="http://www.w3.org/2005/Atom"
		xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">
		<category term="X.Notification"/><link rel="via" href=""><m:inline><feed>`+two+`</feed></m:inline></link>
		<content><m:properties><d:ID>two</d:ID></m:properties></content></entry>`)
	if answer != http.StatusNoContent {
		t.Errorf("expected that a notification of two entities is taken, found %d", answer)
	}
	c.Equals(p, s, "full", "told of two entities at once")
	e2etest.NoError(t, s.Set("notify-off", "false"))

	c.Kill()
	n++
	a.Change(n) // nobody listens: the service sends again
	c = start()
	c.Equals(p, s, "full", "after a crash")
	c.Equals(p, s, "delta", "after a crash")
	change("after a restart")
	if l := s.Ledger(); l.Subscribed != 6 {
		t.Errorf("expected the subscriptions that there were to serve, found %d made", l.Subscribed)
	}
	c.Eventually("the end of the queue", s.Pushed)
	if l := s.Ledger(); l.Undelivered != 0 {
		t.Errorf("%d notifications were not delivered", l.Undelivered)
	}
	c.MustStop()
	if s.SubscriptionCount() != 6 {
		t.Errorf("a stop ends no subscription, found %d", s.SubscriptionCount())
	}
	active := p.MustRun("active-subscriptions", "-p", files[1], "-s", odatatest.SAPPath, "--json", "--plugins",
		e2etest.Plugins(t))
	if strings.Count(active.Stdout, "urn:sap-com:channel:CULVERT:/full/Products") != 3 {
		t.Errorf("expected three subscriptions of full, found\n%s", active.Stdout)
	}
	for _, one := range e2etest.As[[]struct{ URL, DeliveryAddress string }](t, active.Stdout) {
		if strings.Contains(one.DeliveryAddress, "/delta/") {
			p.MustRun("delete-subscription", "-p", files[1], "-u", one.URL, "--plugins", e2etest.Plugins(t))
			break
		}
	}
	if r := p.Run("delete-subscription", "-p", files[1], "-u", odatatest.SAPPath+"Products(1)", "--plugins",
		e2etest.Plugins(t)); r.Code == 0 {
		t.Error("a product was deleted as a subscription")
	}
	if r := p.Run("retire", "-p", files[1], "--plugins", e2etest.Plugins(t)); r.Code != 0 || s.SubscriptionCount() != 2 {
		t.Errorf("exit %d, %d subscriptions are left, expected 2 of the other connector\n%s%s", r.Code,
			s.SubscriptionCount(), r.Stdout, r.Stderr)
	}
}

// notify sends a notification, as user sap where there is a password.
func notify(t *testing.T, method, url, password, body string) (status int) {
	t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	e2etest.NoError(t, err)
	if password != "" {
		q.SetBasicAuth("sap", password)
	}
	answer, err := http.DefaultClient.Do(q)
	e2etest.NoError(t, err)
	answer.Body.Close()
	return answer.StatusCode
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
		if status := notify(t, c.method, listener+c.path, c.password, c.body); status != c.status {
			t.Errorf("a notification %s: expected %d, found %d", name, c.status, status)
		}
	}
}

// TestListenersThatTakeAnybody: a connector whose listener asks senders for neither a logon nor a certificate says so
// once at its start, however many feeds it has, and names the settings.
func TestListenersThatTakeAnybody(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.Subscribing(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	second := []string{"sap.odata#01.service=" + odatatest.SAPPath, "sap.odata#01.entityset=Orders",
		"sap.odata#01.topic=orders", "sap.odata#01.exec-period=-1", "sap.odata#01.subscription.enable=1"}
	files := []string{worker, p.File("anybody.properties", e2etest.Notified("anybody", address, port, second...)...),
		p.File("known.properties", e2etest.Notified("known", address, port, "sap.odata.subscription.user=sap",
			"sap.odata.subscription.password=secret")...)}
	c := p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
	c.Eventually("subscriptions", func() bool { return strings.Count(c.Stderr.String(), " msg=subscribed") == 3 })
	var warned []string
	for line := range strings.Lines(c.Stderr.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "sap.odata.subscription.user") {
			warned = append(warned, line)
		}
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "connector=anybody") ||
		!strings.Contains(warned[0], "sap.odata.subscription.truststore.location") {
		t.Errorf("expected one line about the listener of anybody, found %q", warned)
	}
}
