package operate

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
)

// sapSource returns a configuration for the demo's SAP service, which requires a logon.
func sapSource(address, password string, more ...string) map[string]string {
	host, port, _ := net.SplitHostPort(address)
	settings := map[string]string{"name": "new", "connector.class": "ODataSource", "sap.odata.host.protocol": "http",
		"sap.odata.host.address": host,
		"sap.odata.host.port":    port, "sap.odata.user.name": "me", "sap.odata.user.pwd": password}
	maps.Copy(settings, e2etest.SettingsOf(more))
	return settings
}

// Validation by REST queries the service: it recommends values, lists the settings that come next and reports errors.
// It tries a wrong password once, because a running connector has proven another one.
func TestValidationAsksTheService(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "geheim",
		Switches: odatatest.Switches{Catalogue: 10_000}})
	p.File("conf/known.properties", e2etest.WithSettings(e2etest.Source("known", address, "Suppliers"),
		"sap.odata.user.name=me",
		"sap.odata.user.pwd=geheim", "sap.odata#00.exec-period=-1")...)
	f := p.StartWorker("conf")
	f.AwaitReady()
	f.Eventually("rows", func() bool { return f.Rows("known") == s.Count("Suppliers") })

	root := strings.TrimSuffix(odatatest.SAPPath, "/")
	v, byName := f.ValidateInTime(sapSource(address, "geheim"), func(byName map[string]check.Validated) bool {
		return len(byName["sap.odata#00.service"].Value.RecommendedValues) > 0
	})
	c := byName["sap.odata#00.service"]
	assert.True(t, c.Value.Visible && slices.Contains(c.Value.RecommendedValues, root) &&
		len(c.Value.RecommendedValues) == 1000, "expected 1000 visible services with %s, found %d errors, %v, %.300v",
		root, v.ErrorCount, c.Value.Visible, c.Value.RecommendedValues)
	set := []string{"sap.odata#00.service=" + root, "sap.odata#00.entityset=Orders", "sap.odata#00.topic=orders"}
	v, byName = f.ValidateInTime(sapSource(address, "geheim", set...), func(byName map[string]check.Validated) bool {
		return len(byName["sap.odata#00.select"].Value.RecommendedValues) > 0
	})
	if c := byName["sap.odata#00.select"]; v.ErrorCount != 0 ||
		!slices.Contains(c.Value.RecommendedValues, "ShipCity") || !byName["sap.odata#01.service"].Value.Visible ||
		byName["sap.odata#00.deletes"].Value.Visible || !slices.Contains(v.Groups, "Entity set 01") {
		t.Errorf("expected no error and ShipCity, found %d errors, %v", v.ErrorCount, c.Value.RecommendedValues)
	}
	v, byName = f.Validate(sapSource(address, "geheim", append(set, "sap.odata#00.entityset=Ordres",
		"sap.odata#00.filter#00.property=x",
		"sap.odata#00.filter#00.option=eq", "sap.odata#00.filter#00.low=1")...))
	problem := strings.Join(byName["sap.odata#00.entityset"].Value.Errors, "")
	assert.True(t, v.ErrorCount == 1 && strings.Contains(problem, "the nearest name is Orders"),
		"expected one error with the nearest name, found %d, %s", v.ErrorCount, problem)

	// A wrong password is tried once, and the rejection is reported at its setting.
	f.ValidateWith("?logon=check", sapSource(address, "falsch", set...))
	for range 4 {
		v, byName = f.Validate(sapSource(address, "falsch", set...))
		problem := strings.Join(byName["sap.odata.user.pwd"].Value.Errors, "")
		if v.ErrorCount != 1 || !strings.Contains(problem, "me") || strings.Contains(fmt.Sprint(byName), "falsch") {
			t.Errorf("expected one error at the password, found %d, %q", v.ErrorCount, problem)
		}
	}
	assert.Equal(t, 1, s.Ledger().FailedLogonsOf["me"], "refused logon")

	// The user of an accepted logon is named if the logon was to be checked.
	for query, user := range map[string]string{"": "", "?logon=check": "me"} {
		v, _ = f.ValidateWith(query, sapSource(address, "geheim", set...))
		assert.True(t, v.User == user, "%s: expected the user %q, found %q", query, user, v.User)
	}

	// Without a password nothing is sent.
	requests := s.Ledger().Total
	v, _ = f.Validate(sapSource(address, "", set...))
	assert.True(t, v.ErrorCount == 0 && s.Ledger().Total == requests,
		"expected no errors and no further request after %d, found %d and %d", requests, v.ErrorCount, s.Ledger().Total)
	f.Stop()
}

// A configuration that is not stored reads rows with secrets from the request. A stored secret is sent only where the
// stored configuration sends it, and an error of the service is in the response.
func TestPeekWithPostedConfiguration(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "geheim"})
	var logons atomic.Int32
	other := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, sent := r.BasicAuth(); sent {
			logons.Add(1)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	stored := e2etest.WithSettings(e2etest.Source("stored", address, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=geheim")
	f := p.StartWorker("conf")
	f.Create(stored...)
	f.Await("stored", "runs", e2etest.IsRunning)
	_, port, err := net.SplitHostPort(other)
	require.NoError(t, err)
	body := func(set string, settings map[string]string) string {
		return e2etest.AsJSON(t, map[string]any{"config": settings,
			"options": map[string]string{"s": odatatest.SAPPath, "e": set, "n": "3"}})
	}
	edited := func(more ...string) map[string]string {
		settings := e2etest.SettingsOf(append(slices.Clone(stored), "sap.odata.user.pwd="+config.Mask))
		maps.Copy(settings, e2etest.SettingsOf(more))
		return settings
	}
	const path = "/culvert/peek"
	answer := f.MustCall(200, "POST", path, body("Orders", sapSource(address, "geheim")), `"rows":[{`)
	rows := e2etest.Decode[struct{ Document struct{ Rows []any } }](t, answer).Document.Rows
	assert.True(t, len(rows) == 3, "expected 3 rows, found %s", answer)
	f.MustCall(200, "POST", path, body("Orders", edited()), `"rows":[{`)
	f.MustCall(400, "POST", path, body("Ordres", sapSource(address, "geheim")), "the nearest name is Orders")
	f.MustCall(502, "POST", path, body("Orders", sapSource(other, "geheim")), "404")
	f.MustCall(409, "POST", path, body("Orders", sapSource(address, "geheim", "sap.odata.host.port=many")),
		"Connector new")
	logons.Store(0)
	for _, settings := range []map[string]string{edited("sap.odata.host.port=" + port),
		edited("sap.odata.host.port="+port, "sap.odata#00.entityset=Orders")} {
		f.MustCall(400, "POST", path, body("Orders", settings), "expected the secret itself")
	}
	n := logons.Load()
	assert.True(t, n <= 0, "expected no logon at the other service, found %d", n)
	f.MustCall(400, "POST", path, body("Orders", sapSource(address, config.Mask)), "hidden")
	f.Stop()
}

// A form that validates after each keystroke sends no part of a password: a secret that is neither stored nor proven is
// tried only if the caller requests it or if it is a reference. The setting says how to request it, and the connector
// can be created all the same.
func TestTypingAPasswordLocksNoUser(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "sesame",
		Switches: odatatest.Switches{LockAfter: 3}})
	folder := p.Subfolder("secrets")
	f := p.StartWorker("conf", "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths="+folder)
	f.AwaitReady()
	const setting, untried = "sap.odata.user.pwd", "Logon not tried: "
	set := []string{"sap.odata#00.service=" + strings.TrimSuffix(odatatest.SAPPath, "/"),
		"sap.odata#00.entityset=Orders",
		"sap.odata#00.topic=orders"}
	checkUntried := func(settings map[string]string) {
		t.Helper()
		v, byName := f.Validate(settings)
		errors := byName[setting].Value.Errors
		assert.True(t, v.ErrorCount == 0 && len(errors) == 1 && strings.Contains(errors[0], untried) &&
			strings.Contains(errors[0], "logon=check") && strings.Contains(errors[0], "${file:") &&
			len(byName["sap.odata#00.select"].Value.RecommendedValues) == 0 &&
			len(byName["value.converter"].Value.RecommendedValues) != 0,
			"%v: expected no logon to be tried, found %d errors, %q", settings, v.ErrorCount, errors)
	}
	f.Validate(sapSource(address, "", set...)) // a user was typed, and no password yet
	for _, typed := range []string{"s", "ses", "ses", "sesame"} {
		checkUntried(sapSource(address, typed, set...))
	}

	// A reference to a file is tried at once, because a file has no half-typed password. A reference to an unknown
	// provider is never sent.
	p.File("secrets/service.properties", "pw=sesame", "half=ses")
	reference := "${file:" + filepath.Join(folder, "service.properties") + ":pw}"
	f.Validate(sapSource(address, "x"+reference, set...))
	v, byName := f.ValidateWith("?logon=check", sapSource(address, reference+"${vault:sap:pw}", set...))
	if problem := strings.Join(byName[setting].Value.Errors, ""); v.ErrorCount != 1 || !strings.Contains(problem,
		"looks like a reference to an unknown config provider: it is not sent") {
		t.Errorf("expected the unknown provider to be reported, found %d errors, %q", v.ErrorCount, problem)
	}
	if l := s.Ledger(); l.Total != 0 {
		t.Fatalf("expected nothing to be sent, found %d requests, refused logons %v", l.Total, l.FailedLogonsOf)
	}

	// A password that the service has accepted is proven, whoever sends it.
	for _, secret := range []string{reference, "sesame"} {
		if v, byName := f.ValidateInTime(sapSource(address, secret, set...),
			func(byName map[string]check.Validated) bool {
				return slices.Contains(byName["sap.odata#00.select"].Value.RecommendedValues, "ShipCity")
			}); v.ErrorCount != 0 || len(byName[setting].Value.Errors) != 0 {
			t.Errorf("%s: expected no errors, found %d, %q", secret, v.ErrorCount, byName[setting].Value.Errors)
		}
	}

	// A wrong password of another user is rejected at the password and not tried again, whoever sends it.
	other := append(set, "sap.odata.user.name=you")
	for _, query := range []string{"?logon=check", "", "?logon=check"} {
		_, byName := f.ValidateWith(query, sapSource(address, "wrong", other...))
		if c := byName[setting]; len(c.Value.Errors) != 1 || len(byName["sap.odata.user.name"].Value.Errors) != 0 {
			t.Errorf("expected the refusal at the password, found %v, %v", c.Value.Errors,
				byName["sap.odata.user.name"].Value.Errors)
		}
	}
	checkUntried(sapSource(address, "w", other...))
	if l := s.Ledger(); l.FailedLogons != 1 || l.FailedLogonsOf["you"] != 1 {
		t.Errorf("expected one refused logon, found %v", l.FailedLogonsOf)
	}
	f.MustCall(400, "PUT", "/connector-plugins/ODataSource/config/validate?logon=yes",
		e2etest.AsJSON(t, sapSource(address, "w", other...)))

	// A connector can be created although its logon was not tried.
	f.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "new",
		"config": sapSource(address, "sesame", append(set, "sap.odata#00.exec-period=-1")...)}))
	f.Eventually("rows of the new connector", func() bool { return f.Rows("new") == s.Count("Orders") })
	f.Stop()
}

// A silent or missing service delays validation by 3 s at most, and is not an error of the configuration.
func TestValidationOfASilentService(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	f := p.StartWorker("conf")
	f.AwaitReady()
	var requests atomic.Int64
	silent := make(chan struct{})
	silentAddress := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		select {
		case <-silent:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(silent) })
	// Without the limit of 3 s it would wait for an hour.
	set := []string{"sap.odata#00.service=/x", "sap.odata#00.entityset=Orders", "sap.odata#00.topic=orders",
		"sap.odata.connection.read.timeout.ms=3600000"}
	for _, address := range []string{silentAddress, porttest.Address(t)} {
		v, byName := f.ValidateWith("?logon=check", sapSource(address, "geheim", set...))
		hint := byName["sap.odata#00.service"].Definition.Documentation
		assert.True(t, v.ErrorCount == 0 && strings.Contains(hint, "No services are suggested: ") &&
			strings.Contains(hint, "504"),
			"%s: expected no error and the reason in the hint, found %d errors, %s", address, v.ErrorCount, hint)
	}
	assert.True(t, requests.Load() != 0, "expected the silent service to be asked")
	f.Stop()
}

const properties = "text/x-java-properties"

// restClient sends requests about configurations with headers.
type restClient struct {
	*e2etest.Worker
	t *testing.T
}

// call sends a request with headers; tag is the ETag of the response, which a conditional change needs.
func (rc restClient) call(want int, method, path, body string, headers ...string) (answer, tag string) {
	rc.t.Helper()
	r, err := http.NewRequest(method, rc.URL+path, strings.NewReader(body))
	require.NoError(rc.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	require.NoError(rc.t, err)
	defer a.Body.Close()
	content, err := io.ReadAll(a.Body)
	require.NoError(rc.t, err)
	require.True(rc.t, a.StatusCode == want,
		"%s %s: expected %d, found %d %s", method, path, want, a.StatusCode, content)
	return string(content), a.Header.Get("ETag")
}

// compare requests a comparison, whose response must contain texts.
func (rc restClient) compare(body any, texts ...string) rest.Comparison {
	rc.t.Helper()
	return e2etest.Decode[rest.Comparison](rc.t, rc.MustCall(200, "POST", "/culvert/diff", e2etest.AsJSON(rc.t, body),
		texts...))
}

// A comparison reports what a change means for a connector's tasks and offsets, and starts nothing. A connector from a
// file is changed in its file. If two users change a connector that was created by REST, the second one is told.
func TestTextsOfConnectors(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "u", Password: "hush-hush",
		Switches: odatatest.Switches{Delta: "links"}})
	p.File("conf/orders.properties", append(e2etest.Source("orders", address, "Orders"),
		"# was sap.odata.user.pwd=quiet-quiet",
		"sap.odata.user.name : u", "sap.odata.user.pwd = hush-hush", "sap.odata#00.track-changes=1",
		"sap.odata#00.exec-period=3600")...)
	client := restClient{Worker: p.StartWorker("conf", "offset.flush.interval.ms=100"), t: t}
	client.AwaitReady()
	client.AwaitCall(200, "GET", "/connectors/orders/offsets", "", "fingerprint")
	const path = "/connectors/orders/config"

	shown, _ := client.call(200, "GET", path, "", "Accept", properties)
	assert.Contains(t, shown, "# was sap.odata.user.pwd=[hidden]\nsap.odata.user.name : u\n")
	late := strings.Replace(shown, "sap.odata.max.retries=0", "sap.odata.max.retries=2", 1)
	answer, _ := client.call(409, "PUT", path, late, "Content-Type", properties, "If-Match", `"1"`)
	assert.Contains(t, answer, "conf/orders.properties", "change it there")
	comparison := client.compare(map[string]any{"name": "orders", "text": late})
	assert.True(t, comparison.Version == "" && comparison.Effect == resolved.UpdateInPlace &&
		len(comparison.Differences) == 1 && len(comparison.Warnings) == 0 &&
		strings.Contains(comparison.LockedReason, "conf/orders.properties"),
		"expected one difference and a locked file, found %+v", comparison)
	client.checkComparisonsStartNothing(address, shown)
	// REST stores a text as settings with a version.
	text := "# mine\n" + strings.Join(append(e2etest.Source("made", address, "Customers"), "sap.odata.user.name=u",
		"sap.odata.user.pwd=hush-hush"), "\n") + "\n"
	client.compare(map[string]any{"name": "made", "text": text}, "comments and the order of lines are lost")
	const made = "/connectors/made/config"
	client.call(201, "PUT", made, text, "Content-Type", properties, "If-None-Match", "*")
	client.AwaitCall(200, "GET", "/connectors/made/offsets", "", `"done":true`)
	// In another topic, nothing or only changes arrive: as the start would log it.
	client.compare(map[string]any{"name": "made", "text": strings.Replace(text, "topic=Customers", "topic=Other", 1)},
		`"warnings":["comments`, "this start reads nothing into topic Other: the set was read completely at 20",
		"reset the connector's offsets")
	client.compare(map[string]any{"name": "orders", "text": strings.Replace(late, "topic=Orders", "topic=Other", 1)},
		"this start reads nothing but changes into topic Other: the set was read up to 20")
	e2etest.MustNotContain(t, "the log", client.Stderr.String(), "into topic Other")
	client.checkMovedSetsAreNamed(address)
	client.checkLaterChangeIsRefused()
	client.checkCommandAppliesAVersion(p, text)
	e2etest.MustNotContain(t, "the log", client.Stderr.String(), "hush-hush")
}

// checkComparisonsStartNothing compares changes of the connector orders, whose file is shown, with what runs.
func (rc restClient) checkComparisonsStartNothing(address, shown string) {
	rc.t.Helper()
	t := rc.t
	changed := strings.Replace(shown, "sap.odata#00.exec-period=3600", "sap.odata#00.exec-period=3600\n"+
		"sap.odata#00.filter#00.property=OrderID\nsap.odata#00.filter#00.option=ge\nsap.odata#00.filter#00.low=10250\n",
		1)
	comparison := rc.compare(map[string]any{"name": "orders", "text": changed + "sap.odata#00.query.change=reload\n"})
	if comparison.Effect != resolved.Restart || len(comparison.Feeds) != 1 || comparison.Feeds[0].Feed != "Orders" ||
		comparison.Feeds[0].Effect != "reload" || strings.Join(comparison.Feeds[0].ChangedFields, " ") != "filter" {
		t.Errorf("expected a reload because of the filter, found %+v", comparison)
	}
	comparison = rc.compare(map[string]any{"name": "orders", "text": changed})
	assert.True(t, len(comparison.Feeds) == 1 && comparison.Feeds[0].Effect == "fail",
		"expected the feed to fail, found %+v", comparison)
	comparison = rc.compare(map[string]any{"name": "orders", "text": changed + "sap.odata.host.adress=x\n"},
		"the nearest known one is sap.odata.host.address")
	assert.True(t, comparison.Effect == resolved.Reject && comparison.KeepsRunning,
		"expected a rejection that keeps the connector running, found %+v", comparison)
	for _, text := range []string{"connector.class=Nope", "connector.class=${env:CLASS}"} {
		comparison := rc.compare(map[string]any{"name": "orders", "text": text}, "connector")
		assert.True(t, comparison.Effect == resolved.Reject && len(comparison.Problems) == 1,
			"%s: found %+v", text, comparison)
	}
	rc.compare(map[string]any{"name": "orders", "text": shown + "unknown.settings=warn\nunknown.setting=1\n"},
		`"warnings":["unknown.setting: unknown setting; the nearest known one is unknown.settings"`)
	created := append(e2etest.Source("new", address, "Customers"), "sap.odata.user.pwd=hush-hush")
	for _, d := range rc.compare(map[string]any{"name": "new", "text": strings.Join(created, "\n")},
		`"effect":"create"`).Differences {
		assert.True(t, d.Before == nil && d.Secret == strings.HasSuffix(d.Setting, ".pwd") &&
			(!d.Secret || *d.After == "[hidden]"), "expected new settings with a hidden password, found %+v", d)
	}
	assert.True(t, rc.StartCount("orders") == 1, "expected that a comparison starts nothing")
}

// checkMovedSetsAreNamed checks that the answer names the set that a change moves to the topic of another set. A set
// that only gets another number does not move.
func (rc restClient) checkMovedSetsAreNamed(address string) {
	rc.t.Helper()
	t := rc.t
	pair := strings.Join(append(e2etest.Source("pair", address, "Customers", "Suppliers"), "sap.odata.user.name=u",
		"sap.odata.user.pwd=hush-hush"), "\n") + "\n"
	rc.call(201, "PUT", "/connectors/pair/config", pair, "Content-Type", properties, "If-None-Match", "*")
	rc.Eventually("both sets to be read", func() bool {
		return strings.Count(rc.MustCall(200, "GET", "/connectors/pair/offsets", ""), `"done":true`) == 2
	})
	shared := strings.Replace(pair, "topic=Suppliers", "topic=Customers", 1)
	starts := func(properties string) (sets []string) {
		for _, line := range rc.compare(map[string]any{"name": "pair", "text": properties}).Warnings {
			if set, ok := strings.CutPrefix(line, "its start would log: entity set "); ok {
				set, _, _ = strings.Cut(set, " of ")
				sets = append(sets, set)
			}
		}
		return sets
	}
	assert.Equal(t, []string{"Suppliers"}, starts(shared))
	_, second, _ := strings.Cut(pair, "sap.odata#01.")
	head, _, _ := strings.Cut(pair, "sap.odata#00.")
	renumbered := head + strings.ReplaceAll("sap.odata#01."+second, "sap.odata#01.", "sap.odata#00.")
	assert.Equal(t, 0, len(starts(renumbered)))
}

// checkLaterChangeIsRefused checks that the second of two concurrent changes of a connector is refused. The text
// of the connector is stored as settings, without comments.
func (rc restClient) checkLaterChangeIsRefused() {
	rc.t.Helper()
	t := rc.t
	const made = "/connectors/made/config"
	shown, version := rc.call(200, "GET", made, "", "Accept", properties)
	e2etest.MustNotContain(t, "the text", shown, "# mine")
	settings := rc.Config("made")
	settings["sap.odata.max.retries"] = "1"
	rc.call(200, "PUT", made, e2etest.AsJSON(t, settings), "Content-Type", "application/json", "If-Match", version)
	late := strings.Replace(shown, "sap.odata.max.retries=0", "sap.odata.max.retries=2", 1)
	answer, _ := rc.call(412, "PUT", made, late, "Content-Type", properties, "If-Match", version)
	assert.Contains(t, answer, "Connector made has changed in the meantime, and nothing was written")
	stored := rc.Config("made")
	assert.True(t, stored["sap.odata.max.retries"] == "1", "expected 1 retry as before, found %v", stored)
}

// checkCommandAppliesAVersion checks that the command applies a change to the version of the connector made that it
// has compared, and to no other version.
func (rc restClient) checkCommandAppliesAVersion(p *e2etest.Place, text string) {
	rc.t.Helper()
	mine := p.File("made.properties", strings.TrimSuffix(text, "\n")+"\nsap.odata#00.exec-period=7200")
	r := p.Run("connectors", "diff", mine, "--url", rc.URL).WantCode(0).WantStdout("made: its tasks are created again",
		"  sap.odata#00.exec-period: (not set) -> 7200\n", "version ")
	_, version, _ := strings.Cut(strings.TrimSpace(r.Stdout), "version ")
	p.Run("connectors", "apply", mine, "--if-version", "stale", "--url", rc.URL).
		WantCode(1).WantStderr("has changed in the meantime")
	p.Run("connectors", "apply", mine, "--if-version", version, "--url", rc.URL).WantCode(0).
		WantStdout("made is changed")
	stored := rc.Config("made")
	assert.True(rc.t, stored["sap.odata#00.exec-period"] == "7200", "expected a period of 7200, found %v", stored)
}

// If REST is read-only, it still reports the effect of a change. Nobody can find a password by trying values, and
// nothing is sent.
func TestComparisonsForReaders(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.pwd=hush-hush")
	p.File("conf/orders.properties", lines...)
	client := restClient{Worker: p.StartWorker("conf", "rest.read.only=true", "rest.config.masked=true"), t: t}
	client.AwaitStderr("extraction finished: 10 rows")
	settings := e2etest.SettingsOf(lines)
	settings["sap.odata.user.pwd"] = "[hidden]"
	client.AwaitCall(200, "POST", "/culvert/diff",
		e2etest.AsJSON(t, map[string]any{"name": "orders", "config": settings}),
		`"effect":"nothing"`)
	for _, guess := range []string{"hush-hush", "other"} {
		settings["sap.odata.user.pwd"] = guess
		comparison := client.compare(map[string]any{"name": "orders", "config": settings})
		assert.True(t, comparison.Effect == resolved.UpdateInPlace && len(comparison.Differences) == 1 &&
			*comparison.Differences[0].Before == "[hidden]", "%s: found %+v", guess, comparison)
	}
	client.MustCall(403, "PUT", "/connectors/orders/config", e2etest.AsJSON(t, settings))
	s, elsewhere := e2etest.StartDemo(t, odatatest.Options{})
	for _, password := range []string{"[hidden]", "hush-hush"} {
		settings = e2etest.SettingsOf(append(e2etest.Source("orders", elsewhere, "Orders"), "sap.odata.user.name=u",
			"sap.odata.user.pwd="+password))
		client.MustCall(200, "PUT", "/connector-plugins/ODataSource/config/validate", e2etest.AsJSON(t, settings))
	}
	n := s.Ledger().Total
	assert.True(t, n <= 0, "expected nothing to be sent, found %d requests", n)
}

// While a comparison waits for a silent service, other connectors can be changed.
func TestComparisonBlocksNoRequest(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	requests := make(chan struct{}, 100)
	release := make(chan struct{})
	silent := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
	client := restClient{Worker: p.StartWorker("conf"), t: t}
	client.AwaitReady()
	client.Create(e2etest.Source("other", address, "Customers")...)
	other := client.Config("other")
	other["sap.odata.max.retries"] = "1"
	hasCompared := make(chan struct{})
	go func() {
		defer close(hasCompared)
		client.compare(map[string]any{"name": "orders", "config": e2etest.SettingsOf(append(
			e2etest.Source("orders", silent, "Orders"), "sap.odata#00.query.change=keep"))}) // an offset may be stored
	}()
	<-requests
	client.MustCall(200, "PUT", "/connectors/other/config", e2etest.AsJSON(t, other))
	select {
	case <-hasCompared:
		t.Error("expected that the change waits for no comparison")
	default:
	}
	close(release)
	<-hasCompared
}
