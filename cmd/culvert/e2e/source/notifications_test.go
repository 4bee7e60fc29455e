package source

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestSubscriptions checks that created, changed and deleted rows arrive by notification, in full mode and in delta
// mode without a period, also after the worker was killed, and that other senders are rejected. Existing subscriptions
// are used again. One port serves two connectors.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.NewPlaceForNotifications(t)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 400, PageSize: 60, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	listener := "http://127.0.0.1:" + port
	for name, value := range map[string]string{"notify-to": listener, "notify-user": "sap:pä:ss"} {
		require.NoError(t, s.Set(name, value))
	}
	lines := func(name string, more ...string) []string {
		return append(append(e2etest.Source(name, address), "sap.odata#00.service="+odatatest.SAPPath,
			"sap.odata#00.entityset=Products", "sap.odata#00.topic="+name, "sap.odata#00.exec-period=-1",
			"sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports="+port,
			"sap.odata.subscription.address=127.0.0.1", "sap.odata.subscription.user=sap",
			"sap.odata.subscription.password=pä:ss"), more...)
	}
	files := []string{worker, p.File("full.properties", lines("full", "sap.odata.subscription.dest=CULVERT")...),
		p.File("delta.properties", lines("delta", "sap.odata#00.track-changes=1",
			"sap.odata.subscription.url="+listener)...)}
	start := func() *e2etest.Command {
		return p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
	}
	c := start()
	c.AwaitEqual(p, s, "full", "at first")
	c.AwaitEqual(p, s, "delta", "at first")
	if l := s.Ledger(); l.Subscribed != 6 || s.SubscriptionCount() != 6 {
		t.Errorf("expected 6 subscriptions, one for each connector and each of three types of changes, found %d "+
			"created, %d active", l.Subscribed, s.SubscriptionCount())
	}
	a := e2etest.NewAuthor(t, address)
	n := 0
	change := func(when string) {
		t.Helper()
		n++
		a.Change(n)
		c.AwaitEqual(p, s, "full", when)
		c.AwaitEqual(p, s, "delta", when)
	}
	pages := func() (n int) {
		for _, r := range s.Ledger().Requests {
			if r.Path == odatatest.SAPPath+"Products" && r.Method == "GET" && !strings.Contains(r.Query, "deltatoken") {
				n++
			}
		}
		return n
	}
	count := pages()
	change("by notification")
	later := pages()
	assert.True(t, later == count, "expected no page to be read again, found %d before, %d after", count, later)
	stranger, err := http.Post(listener+"/full/Products", "application/atom+xml", strings.NewReader("<entry/>"))
	require.NoError(t, err)
	stranger.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, stranger.StatusCode, "the answer to a stranger")

	c.Kill()
	n++
	a.Change(n) // nobody listens: the service sends again
	c = start()
	c.AwaitEqual(p, s, "full", "after a crash")
	c.AwaitEqual(p, s, "delta", "after a crash")
	change("after a restart")
	if l := s.Ledger(); l.Subscribed != 6 {
		t.Errorf("expected the existing 6 subscriptions to be used, found %d created", l.Subscribed)
	}
	c.Eventually("the end of the queue", s.Pushed)
	if l := s.Ledger(); l.Undelivered != 0 {
		t.Errorf("expected that all notifications are delivered, found %d that were not", l.Undelivered)
	}
	c.MustStop()
	assert.True(t, s.SubscriptionCount() == 6,
		"expected that a stop ends none of the 6 subscriptions, found %d", s.SubscriptionCount())
	checkCommandsEndSubscriptions(t, p, s, files[1])
}

// checkCommandsEndSubscriptions lists the six subscriptions of the connectors full and delta, deletes one of delta, and
// ends the subscriptions of full, whose file is given.
func checkCommandsEndSubscriptions(t *testing.T, p *e2etest.Place, s *odatatest.Service, file string) {
	t.Helper()
	active := p.MustRun("active-subscriptions", "-p", file, "-s", odatatest.SAPPath, "--json", "--plugins",
		e2etest.Plugins(t))
	assert.True(t, strings.Count(active.Stdout, "urn:sap-com:channel:CULVERT:/full/Products") == 3,
		"expected three subscriptions of full, found\n%s", active.Stdout)
	for _, subscription := range e2etest.Decode[[]struct{ URL, DeliveryAddress string }](t, active.Stdout) {
		if strings.Contains(subscription.DeliveryAddress, "/delta/") {
			p.MustRun("delete-subscription", "-p", file, "-u", subscription.URL, "--plugins", e2etest.Plugins(t))
			break
		}
	}
	r := p.Run("delete-subscription", "-p", file, "-u", odatatest.SAPPath+"Products(1)", "--plugins",
		e2etest.Plugins(t))
	assert.True(t, r.Code != 0, "expected that a product cannot be deleted as a subscription, found exit 0")
	r = p.Run("retire", "-p", file, "--plugins", e2etest.Plugins(t))
	assert.True(t, r.Code == 0 && s.SubscriptionCount() == 2,
		"expected exit 0 and the 2 subscriptions of the other connector, found exit %d and %d\n%s%s", r.Code,
		s.SubscriptionCount(), r.Stdout, r.Stderr)
}

// TestListenersWithoutAuthentication checks that a connector whose listener requires neither a logon nor a certificate
// warns once at its start, for all feeds, and names the settings. One that requires certificates without TLS does not
// start.
func TestListenersWithoutAuthentication(t *testing.T) {
	t.Parallel()
	p, worker, port := e2etest.NewPlaceForNotifications(t)
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 10, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	second := []string{"sap.odata#01.service=" + odatatest.SAPPath, "sap.odata#01.entityset=Orders",
		"sap.odata#01.topic=orders", "sap.odata#01.exec-period=-1", "sap.odata#01.subscription.enable=1"}
	files := []string{worker, p.File("anybody.properties", e2etest.NotificationSource("anybody", address, port,
		second...)...),
		p.File("known.properties", e2etest.NotificationSource("known", address, port, "sap.odata.subscription.user=sap",
			"sap.odata.subscription.password=secret")...)}
	files = append(files, p.File("plain.properties", e2etest.NotificationSource("plain", address, port,
		"sap.odata.subscription.user=sap", "sap.odata.subscription.password=secret",
		"sap.odata.subscription.truststore.location="+filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"),
		"sap.odata.subscription.truststore.password="+e2etest.StorePassword)...))
	c := p.Start(append([]string{"run", "--data", p.Data, "--plugins", e2etest.Plugins(t)}, files...)...)
	c.Eventually("subscriptions", func() bool { return strings.Count(c.Stderr.String(), " msg=subscribed") == 3 })
	c.AwaitStderr("sap.odata.subscription.truststore.location: client certificates require TLS")
	var warnings []string
	for line := range strings.Lines(c.Stderr.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "sap.odata.subscription.user") {
			warnings = append(warnings, line)
		}
	}
	assert.True(t, len(warnings) == 1 && strings.Contains(warnings[0], "connector=anybody") &&
		strings.Contains(warnings[0], "sap.odata.subscription.truststore.location"),
		"expected one line about the listener of anybody, found %q", warnings)
}
