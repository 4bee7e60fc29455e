package operate

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

const properties = "text/x-java-properties"

// texts asks a worker for configurations with headers.
type texts struct {
	*e2etest.Followed
	t *testing.T
}

// ask sends a request with headers; where a file is to be changed over a version, ETag is in tag.
func (x texts) ask(want int, method, path, body string, headers ...string) (answer, tag string) {
	x.t.Helper()
	r, err := http.NewRequest(method, x.Url+path, strings.NewReader(body))
	e2etest.NoError(x.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	e2etest.NoError(x.t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	e2etest.NoError(x.t, err)
	if a.StatusCode != want {
		x.t.Fatalf("%s %s: expected %d, found %d %s", method, path, want, a.StatusCode, text)
	}
	return string(text), a.Header.Get("ETag")
}

func (x texts) compared(body any, texts ...string) rest.Comparison {
	x.t.Helper()
	return e2etest.As[rest.Comparison](x.t, x.Must(200, "POST", "/culvert/diff", e2etest.AsJSON(x.t, body), texts...))
}

// What a change of a connector means is told before: for its tasks and its offsets, and nothing is started. A file's
// connector is changed there; of two who change one of REST's the second is told so.
func TestTextsOfConnectors(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "u", Password: "hush-hush",
		Switches: odatatest.Switches{Delta: "links"}})
	p.File("conf/orders.properties", append(e2etest.Source("orders", address, "Orders"), "# was sap.odata.user.pwd=quiet-quiet",
		"sap.odata.user.name : u", "sap.odata.user.pwd = hush-hush", "sap.odata#00.track-changes=1",
		"sap.odata#00.exec-period=3600")...)
	x := texts{p.Follows("conf", "offset.flush.interval.ms=100"), t}
	x.Ready()
	x.Until(200, "GET", "/connectors/orders/offsets", "", "fingerprint")
	const at = "/connectors/orders/config"

	shown, _ := x.ask(200, "GET", at, "", "Accept", properties)
	e2etest.Contains(t, "the text", shown, "# was sap.odata.user.pwd=[hidden]\nsap.odata.user.name : u\n")
	late := strings.Replace(shown, "sap.odata.max.retries=0", "sap.odata.max.retries=2", 1)
	answer, _ := x.ask(409, "PUT", at, late, "Content-Type", properties, "If-Match", `"1"`)
	e2etest.Contains(t, "the answer", answer, "conf/orders.properties", "change it there")
	if found := x.compared(map[string]any{"name": "orders", "text": late}); found.Version != "" ||
		found.Effect != config.InPlace || len(found.Differences) != 1 || len(found.Warnings) > 0 ||
		!strings.Contains(found.Kept, "conf/orders.properties") {
		t.Errorf("found %+v", found)
	}

	changed := strings.Replace(shown, "sap.odata#00.exec-period=3600", "sap.odata#00.exec-period=3600\n"+
		"sap.odata#00.filter#00.property=OrderID\nsap.odata#00.filter#00.option=ge\nsap.odata#00.filter#00.low=10250\n", 1)
	found := x.compared(map[string]any{"name": "orders", "text": changed + "sap.odata#00.query.change=reload\n"})
	if found.Effect != config.Restart || len(found.Feeds) != 1 || found.Feeds[0].Feed != "Orders" ||
		found.Feeds[0].Effect != "reload" || strings.Join(found.Feeds[0].Differs, " ") != "filter" {
		t.Errorf("found %+v", found)
	}
	if found := x.compared(map[string]any{"name": "orders", "text": changed}); len(found.Feeds) != 1 ||
		found.Feeds[0].Effect != "fail" {
		t.Errorf("found %+v", found)
	}
	found = x.compared(map[string]any{"name": "orders", "text": changed + "sap.odata.host.adress=x\n"},
		"the nearest known one is sap.odata.host.address")
	if found.Effect != config.Refuse || !found.GoesOn {
		t.Errorf("found %+v", found)
	}
	for _, text := range []string{"connector.class=Nope", "connector.class=${env:CLASS}"} {
		if found := x.compared(map[string]any{"name": "orders", "text": text}, "connector"); found.Effect != config.Refuse ||
			len(found.Problems) != 1 {
			t.Errorf("%s: found %+v", text, found)
		}
	}
	x.compared(map[string]any{"name": "orders", "text": shown + "unknown.settings=warn\nunknown.setting=1\n"},
		`"warnings":["unknown.setting: unknown setting; the nearest known one is unknown.settings"`)
	new := append(e2etest.Source("new", address, "Customers"), "sap.odata.user.pwd=hush-hush")
	for _, d := range x.compared(map[string]any{"name": "new", "text": strings.Join(new, "\n")},
		`"effect":"create"`).Differences {
		if d.Before != nil || d.Secret != strings.HasSuffix(d.Setting, ".pwd") || d.Secret && *d.After != "[hidden]" {
			t.Errorf("found %+v", d)
		}
	}
	if x.Started("orders") != 1 {
		t.Error("expected that a comparison starts nothing")
	}

	// What REST makes of a text are settings, with a version.
	text := "# mine\n" + strings.Join(append(e2etest.Source("made", address, "Customers"), "sap.odata.user.name=u",
		"sap.odata.user.pwd=hush-hush"), "\n") + "\n"
	x.compared(map[string]any{"name": "made", "text": text}, "comments and the order of lines are lost")
	const made = "/connectors/made/config"
	x.ask(201, "PUT", made, text, "Content-Type", properties, "If-None-Match", "*")
	shown, version := x.ask(200, "GET", made, "", "Accept", properties)
	e2etest.Lacks(t, "the text", shown, "# mine")
	settings := x.Shown("made")
	settings["sap.odata.max.retries"] = "1"
	x.ask(200, "PUT", made, e2etest.AsJSON(t, settings), "Content-Type", "application/json", "If-Match", version)
	late = strings.Replace(shown, "sap.odata.max.retries=0", "sap.odata.max.retries=2", 1)
	answer, _ = x.ask(412, "PUT", made, late, "Content-Type", properties, "If-Match", version)
	e2etest.Contains(t, "the answer", answer, "Connector made was changed meanwhile, and nothing was written")
	if found := x.Shown("made"); found["sap.odata.max.retries"] != "1" {
		t.Errorf("found %v", found)
	}
	mine := p.File("made.properties", strings.TrimSuffix(text, "\n")+"\nsap.odata#00.exec-period=7200")
	r := p.Run("connectors", "diff", mine, "--url", x.Url).Exits(0).Prints("made: its tasks are created again",
		"  sap.odata#00.exec-period: (not set) -> 7200\n", "version ")
	_, is, _ := strings.Cut(strings.TrimSpace(r.Stdout), "version ")
	p.Run("connectors", "apply", mine, "--if-version", "stale", "--url", x.Url).Exits(1).Says("was changed meanwhile")
	p.Run("connectors", "apply", mine, "--if-version", is, "--url", x.Url).Exits(0).Prints("made is changed")
	if found := x.Shown("made"); found["sap.odata#00.exec-period"] != "7200" {
		t.Errorf("found %v", found)
	}
	e2etest.Lacks(t, "the log", x.Stderr.String(), "hush-hush")
}

// If REST is read-only, it still answers what a change would mean. Nobody can find a password by trying values, and no
// check sends anything.
func TestComparisonsForReaders(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.pwd=hush-hush")
	p.File("conf/orders.properties", lines...)
	x := texts{p.Follows("conf", "rest.read.only=true", "rest.config.masked=true"), t}
	x.Awaits("extraction finished: 10 rows")
	settings := e2etest.Configuration(lines)
	settings["sap.odata.user.pwd"] = "[hidden]"
	x.Until(200, "POST", "/culvert/diff", e2etest.AsJSON(t, map[string]any{"name": "orders", "config": settings}),
		`"effect":"nothing"`)
	for _, guess := range []string{"hush-hush", "other"} {
		settings["sap.odata.user.pwd"] = guess
		if found := x.compared(map[string]any{"name": "orders", "config": settings}); found.Effect != config.InPlace ||
			len(found.Differences) != 1 || *found.Differences[0].Before != "[hidden]" {
			t.Errorf("%s: found %+v", guess, found)
		}
	}
	x.Must(403, "PUT", "/connectors/orders/config", e2etest.AsJSON(t, settings))
	s, elsewhere := e2etest.Demo(t, odatatest.Options{})
	for _, password := range []string{"[hidden]", "hush-hush"} {
		settings = e2etest.Configuration(append(e2etest.Source("orders", elsewhere, "Orders"), "sap.odata.user.name=u",
			"sap.odata.user.pwd="+password))
		x.Must(200, "PUT", "/connector-plugins/ODataSource/config/validate", e2etest.AsJSON(t, settings))
	}
	if n := s.Ledger().Total; n > 0 {
		t.Errorf("expected nothing to be sent, found %d requests", n)
	}
}

// While a comparison asks a service that does not answer, others change connectors.
func TestComparisonHoldsUpNobody(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	asked, goOn := make(chan struct{}, 100), make(chan struct{})
	silent := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
	}))
	p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
	x := texts{p.Follows("conf"), t}
	x.Ready()
	x.Makes(e2etest.Source("other", address, "Customers")...)
	other := x.Shown("other")
	other["sap.odata.max.retries"] = "1"
	compared := make(chan struct{})
	go func() {
		defer close(compared)
		x.compared(map[string]any{"name": "orders", "config": e2etest.Configuration(e2etest.Source("orders", silent, "Orders"))})
	}()
	<-asked
	x.Must(200, "PUT", "/connectors/other/config", e2etest.AsJSON(t, other))
	select {
	case <-compared:
		t.Error("expected that the change waits for no comparison")
	default:
	}
	close(goOn)
	<-compared
}
