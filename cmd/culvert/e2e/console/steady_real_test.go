//go:build real

package console

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// silent is a service that can hold its responses.
type silent struct {
	inner http.Handler

	mu    sync.Mutex
	held  chan struct{} // closed when answers are let go; nil: none is held
	asked int           // requests that came while answers were held
}

func (s *silent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	held := s.held
	if held != nil {
		s.asked++
	}
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	s.inner.ServeHTTP(w, r)
}

// hold holds responses until the returned function is called.
func (s *silent) hold() (let func()) {
	held := make(chan struct{})
	s.mu.Lock()
	s.held = held
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.held = nil
		s.mu.Unlock()
		close(held)
	})
}

// asks counts the requests during the hold.
func (s *silent) asks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

const (
	set      = `[name="f.sap.odata#00.entityset"]`
	topic    = `[name="f.sap.odata#00.topic"]`
	password = `[name="f.sap.odata.user.pwd"]`
	calm     = `document.querySelector("form[data-step]").getAttribute("aria-busy") === null`
)

// asked counts the updates that a page has requested.
func asked(tab *Tab) (n int) {
	for _, r := range tab.Requests() {
		if strings.Contains(r, "fragments=") {
			n++
		}
	}
	return n
}

// says returns the condition that the form's text has a line.
func says(line string) string {
	return fmt.Sprintf(`document.getElementById("text").value.split("\n").includes(%q)`, line)
}

// With a service that does not answer the form stays usable: keys show at once, fields and text follow each other, the
// differences are shown, and nothing typed is lost.
func TestRealServiceThatIsSilent(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := &silent{inner: odatatest.New(odatatest.Options{Rows: 5})}
	address := e2etest.Serve(t, s)
	f := p.StartWorker("conf")
	f.Create(e2etest.Source("orders", address, "Orders")...)
	f.AwaitStderr("extraction finished: 5 rows")
	f.Steer("orders", "pause")
	let := s.hold()
	defer let()
	tab := NewBrowser(t).Open(nil)
	began := time.Now()
	tab.Load(f.URL + "/console/form?name=orders#step-sets")
	opened := time.Since(began)
	const typed = "sold-in-many-places"
	tab.Type(topic, "")
	var slowest time.Duration
	for i := range typed {
		began := time.Now()
		tab.Press(typed[i : i+1])
		if got := tab.Value(topic); !strings.HasSuffix(got, typed[:i+1]) {
			t.Fatalf("expected %q in the field, found %q", typed[:i+1], got)
		}
		slowest = max(slowest, time.Since(began))
	}
	// Another field and the text are edited while the first request is in progress.
	tab.Type(set, "Products")
	tab.Await("a question on its way", "!("+calm+")")
	tab.Type(topic, "again-"+typed)
	following := tab.Await("text in step with the fields",
		says("sap.odata#00.topic=again-"+typed)+" && "+says("sap.odata#00.entityset=Products")+" && "+calm)
	Eval[bool](tab, `document.getElementById("as-text").open = true`)
	Eval[bool](tab, `(e => { e.focus(); e.setSelectionRange(0, 0); return true })(document.getElementById("text"))`)
	tab.Press("# a note\rsap.odata.min.retry.backoff.ms=70\r")
	tab.Await("fields in step with the text",
		calm+` && document.querySelector('[name="f.sap.odata.min.retry.backoff.ms"]').value === "70"`)
	if text := tab.Value("#text"); !strings.HasPrefix(text, "# a note\nsap.odata.min.retry.backoff.ms=70\n") {
		t.Errorf("found %q", text)
	}
	tab.Click(`button[value="review"]`)
	reviewed := tab.Await("the differences",
		`document.getElementById("compared")?.innerText.includes("again-`+typed+`")`)
	tab.AwaitText("Products")
	if s.asks() == 0 {
		t.Error("nobody asked the service while it was silent")
	}
	t.Logf("opened in %v, a key seen in at most %v, in step after %v, differences after %v", opened, slowest,
		following, reviewed)
	if slowest > 2*time.Second || opened > 15*time.Second {
		t.Error("the form waits for the service")
	}
	let()
	tab.Click(`button[value="apply"]`)
	tab.Await("the connector's page", `location.pathname.endsWith("/console/connector")`)
	if got := f.Config("orders"); got["sap.odata#00.topic"] != "again-"+typed ||
		got["sap.odata#00.entityset"] != "Products" {
		t.Errorf("found %v", got)
	}
	tab.CheckQuiet(host(f))
}

// Eight tabs of one browser load and follow changes; a hidden one requests nothing until it is visible.
func eightTabs(t *testing.T, f *e2etest.Worker, b *Browser) {
	// The text of each page after loading, and after the connector was paused.
	shows := []struct{ page, at, then string }{
		{"", "orders", "paused"}, {"connector?name=orders", "Time by stage, last minute", "paused"},
		{"?search=orders", "orders", "paused"}, {"?state=failed", "bad", "paused"}, {"log", "INFO", "orders/pause"},
		{"connector?name=bad", "failed", "failed"}, {"plugins", "odata-source", "active"},
		{"origins", "127.0.0.1", "orders"}}
	var tabs []*Tab
	for _, shown := range shows {
		tab := b.Open(nil)
		tab.Load(f.URL + "/console/" + shown.page)
		tab.AwaitText(shown.at)
		tabs = append(tabs, tab)
	}
	hidden := tabs[0]
	seen := tabs[1]
	continues := func(tab *Tab, more int) {
		t.Helper()
		from := asked(tab)
		f.Eventually("more questions", func() bool { return asked(tab) >= from+more })
	}
	for _, tab := range tabs {
		continues(tab, 1)
	}
	hidden.SetHidden(true)
	continues(seen, 2) // what was on its way has come
	requests := asked(hidden)
	f.Steer("orders", "pause")
	for i, shown := range shows {
		if i == 0 {
			continue
		}
		tabs[i].AwaitText(shown.then)
	}
	continues(seen, 3)
	if later := asked(hidden); later != requests {
		t.Errorf("a hidden page has asked %d times", later-requests)
	}
	hidden.SetHidden(false)
	waited := hidden.Await("what has happened meanwhile", `document.body.innerText.includes("paused")`)
	t.Logf("up to date %v after the tab was shown again", waited)
	f.Steer("orders", "resume")
	for _, tab := range tabs {
		tab.CheckQuiet(host(f))
		tab.Close()
	}
}

// A worker is killed and restarted under an open form and an open overview: the typed text stays, including a password,
// the pages report the missing worker as long as it is missing, and the form can be applied afterwards.
func TestRealWorkerKilled(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	f := p.StartWorker("conf")
	f.Create(append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=before")...)
	f.AwaitStderr("extraction finished: 5 rows")
	b := NewBrowser(t)
	list := b.Open(nil)
	form := b.Open(nil)
	list.Load(f.URL + "/console/")
	list.AwaitText("orders")
	form.Load(f.URL + "/console/form?name=orders#step-sets")
	form.Type(topic, "elsewhere")
	form.Click(`.steps a[href="#step-service"]`)
	form.Type(password, "typed-before-the-end")
	form.Await("text in step", says("sap.odata#00.topic=elsewhere")+" && "+calm)
	f.Eventually("all of what was typed to be sent", func() bool {
		return asked(form) >= 2 && Eval[bool](form, calm)
	})
	f.Kill()
	const silent = `document.getElementById("link").checkVisibility() &&
		document.getElementById("link").innerText.includes("does not answer")`
	noticed := list.Await("the line that the worker does not answer", silent)
	requests := asked(form)
	form.Click(`.steps a[href="#step-sets"]`)
	form.Type(set, "Products")
	// One step is sent as the focus moves.
	f.Eventually("steps that nobody answers", func() bool { return asked(form) >= requests+2 })
	form.Await("a line that nobody answers", silent)
	form.AwaitText("What was typed is still here")
	if got := form.Value(password); got != "typed-before-the-end" {
		t.Errorf("the password is %q", got)
	}
	list.AwaitText("orders") // what was known is still shown
	g := p.StartWorkerAt(host(f), "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config", "conf")
	again := list.Await("the line to go", `!document.getElementById("link").checkVisibility()`)
	form.Await("the line to go", `!document.getElementById("link").checkVisibility() && `+calm)
	t.Logf("shown %v after the kill, gone %v after the start", noticed, again)
	g.Await("orders", "runs", e2etest.IsRunning)
	g.AwaitChangeable()
	form.Await("text in step", says("sap.odata#00.entityset=Products")+" && "+says("sap.odata#00.topic=elsewhere"))
	form.Click(`button[value="review"]`)
	form.AwaitText("Effect of this change", "elsewhere", "Products")
	form.Click(`button[value="apply"]`)
	form.Await("the connector's page", `location.pathname.endsWith("/console/connector")`)
	if got := g.Config("orders"); got["sap.odata#00.topic"] != "elsewhere" ||
		got["sap.odata#00.entityset"] != "Products" ||
		got["sap.odata.user.pwd"] != "typed-before-the-end" {
		t.Errorf("found %v", got)
	}
	g.Await("orders", "has settings that were typed", func(s connect.Status) bool { return len(s.Tasks) == 1 })
	for _, tab := range []*Tab{list, form} {
		if tab.RemoveMessages("Failed to load resource: net::ERR_") == 0 {
			t.Error("no question failed while there was no worker")
		}
		tab.RemoveMessages("the server responded with a status of 409") // one that is still starting
		tab.CheckQuiet(host(f))
	}
}
