//go:build real

package console

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// holdableService is a service that can hold its responses.
type holdableService struct {
	inner http.Handler

	mu   sync.Mutex
	held chan struct{} // closed to release responses; nil means that no response is held
	// heldRequests counts the requests that came while responses were held.
	heldRequests int
}

func (s *holdableService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	held := s.held
	if held != nil {
		s.heldRequests++
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
func (s *holdableService) hold() (release func()) {
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

// countHeldRequests counts the requests during the hold.
func (s *holdableService) countHeldRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heldRequests
}

const (
	set        = `[name="f.sap.odata#00.entityset"]`
	topic      = `[name="f.sap.odata#00.topic"]`
	password   = `[name="f.sap.odata.user.pwd"]`
	formIsIdle = `document.querySelector("form[data-step]").getAttribute("aria-busy") === null`
)

// countUpdates counts the updates that a page has requested.
func countUpdates(tab *Tab) (n int) {
	for _, r := range tab.Requests() {
		if strings.Contains(r, "fragments=") {
			n++
		}
	}
	return n
}

// textHasLine returns the condition that the form's text has a line.
func textHasLine(line string) string {
	return fmt.Sprintf(`document.getElementById("text").value.split("\n").includes(%q)`, line)
}

// With a service that does not answer the form stays usable: keys show at once, fields and text follow each other, the
// differences are shown, and nothing typed is lost.
func TestRealServiceThatIsSilent(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := &holdableService{inner: odatatest.New(odatatest.Options{Rows: 5})}
	address := e2etest.Serve(t, s)
	worker := p.StartWorker("conf")
	worker.Create(e2etest.Source("orders", address, "Orders")...)
	worker.AwaitStderr("extraction finished: 5 rows")
	worker.Steer("orders", "pause")
	release := s.hold()
	defer release()
	tab := NewBrowser(t).Open(nil)
	began := time.Now()
	tab.Load(worker.URL + "/console/form?name=orders#step-sets")
	opened := time.Since(began)
	const typed = "sold-in-many-places"
	tab.Type(topic, "")
	var slowest time.Duration
	for i := range typed {
		began := time.Now()
		tab.Press(typed[i : i+1])
		got := tab.Value(topic)
		require.True(t, strings.HasSuffix(got, typed[:i+1]), "expected %q in the field, found %q", typed[:i+1], got)
		slowest = max(slowest, time.Since(began))
	}
	// Another field and the text are edited while the first request is in progress.
	tab.Type(set, "Products")
	tab.Await("a request in progress", "!("+formIsIdle+")")
	tab.Type(topic, "again-"+typed)
	followed := tab.Await("text in step with the fields", textHasLine("sap.odata#00.topic=again-"+typed)+" && "+
		textHasLine("sap.odata#00.entityset=Products")+" && "+formIsIdle)
	Eval[bool](tab, `document.getElementById("as-text").open = true`)
	Eval[bool](tab, `(e => { e.focus(); e.setSelectionRange(0, 0); return true })(document.getElementById("text"))`)
	tab.Press("# a note\rsap.odata.min.retry.backoff.ms=70\r")
	tab.Await("fields in step with the text",
		formIsIdle+` && document.querySelector('[name="f.sap.odata.min.retry.backoff.ms"]').value === "70"`)
	if text := tab.Value("#text"); !strings.HasPrefix(text, "# a note\nsap.odata.min.retry.backoff.ms=70\n") {
		t.Errorf("expected the typed lines first, found %q", text)
	}
	tab.Click(`button[value="review"]`)
	differences := tab.Await("the differences",
		`document.getElementById("compared")?.innerText.includes("again-`+typed+`")`)
	tab.AwaitText("Products")
	assert.True(t, s.countHeldRequests() != 0, "expected requests to the service while it was silent, found none")
	t.Logf("opened in %v, a key seen in at most %v, in step after %v, differences after %v", opened, slowest,
		followed, differences)
	assert.True(t, slowest <= 2*time.Second && opened <= 15*time.Second,
		"expected a form that does not wait for the service")
	release()
	tab.Click(`button[value="apply"]`)
	tab.Await("the connector's page", isOnConnectorPage)
	got := worker.Config("orders")
	assert.True(t, got["sap.odata#00.topic"] == "again-"+typed && got["sap.odata#00.entityset"] == "Products",
		"expected what was typed, found %v", got)
	tab.CheckQuiet(hostPort(worker))
}

// testEightTabs checks that eight tabs of one browser load and follow changes, and that a hidden one requests nothing
// until it is visible.
func testEightTabs(t *testing.T, worker *e2etest.Worker, b *Browser) {
	texts := []struct{ page, loaded, paused string }{
		{page: "", loaded: "orders", paused: "paused"},
		{page: "connector?name=orders", loaded: "Time by stage, last minute", paused: "paused"},
		{page: "?search=orders", loaded: "orders", paused: "paused"},
		{page: "?state=failed", loaded: "bad", paused: "paused"},
		{page: "log", loaded: "INFO", paused: "orders/pause"},
		{page: "connector?name=bad", loaded: "failed", paused: "failed"},
		{page: "plugins", loaded: "odata-source", paused: "active"},
		{page: "origins", loaded: "127.0.0.1", paused: "orders"},
	}
	var tabs []*Tab
	for _, text := range texts {
		tab := b.Open(nil)
		tab.Load(worker.URL + "/console/" + text.page)
		tab.AwaitText(text.loaded)
		tabs = append(tabs, tab)
	}
	hidden := tabs[0]
	visible := tabs[1]
	awaitUpdates := func(tab *Tab, more int) {
		t.Helper()
		from := countUpdates(tab)
		worker.Eventually("more questions", func() bool { return countUpdates(tab) >= from+more })
	}
	for _, tab := range tabs {
		awaitUpdates(tab, 1)
	}
	hidden.SetHidden(true)
	awaitUpdates(visible, 2) // requests that were in progress have ended
	requests := countUpdates(hidden)
	worker.Steer("orders", "pause")
	for i, text := range texts[1:] {
		tabs[i+1].AwaitText(text.paused)
	}
	awaitUpdates(visible, 3)
	later := countUpdates(hidden)
	assert.True(t, later == requests, "expected no request of a hidden page, found %d", later-requests)
	hidden.SetHidden(false)
	waited := hidden.Await("what has happened meanwhile", `document.body.innerText.includes("paused")`)
	t.Logf("up to date %v after the tab was shown again", waited)
	worker.Steer("orders", "resume")
	for _, tab := range tabs {
		tab.CheckQuiet(hostPort(worker))
		tab.Close()
	}
}

// A worker is killed and restarted under an open form and an open overview: the typed text stays, including a password,
// the pages report the missing worker as long as it is missing, and the form can be applied afterwards.
func TestRealWorkerKilled(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	worker := p.StartWorker("conf")
	worker.Create(append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=before")...)
	worker.AwaitStderr("extraction finished: 5 rows")
	b := NewBrowser(t)
	list := b.Open(nil)
	form := b.Open(nil)
	list.Load(worker.URL + "/console/")
	list.AwaitText("orders")
	form.Load(worker.URL + "/console/form?name=orders#step-sets")
	form.Type(topic, "elsewhere")
	form.Click(`.steps a[href="#step-service"]`)
	form.Type(password, "typed-before-the-end")
	form.Await("text in step", textHasLine("sap.odata#00.topic=elsewhere")+" && "+formIsIdle)
	worker.Eventually("all of what was typed to be sent", func() bool {
		return countUpdates(form) >= 2 && Eval[bool](form, formIsIdle)
	})
	worker.Kill()
	const isUnanswered = `document.getElementById("link").checkVisibility() &&
		document.getElementById("link").innerText.includes("does not answer")`
	noticed := list.Await("the line that the worker does not answer", isUnanswered)
	requests := countUpdates(form)
	form.Click(`.steps a[href="#step-sets"]`)
	form.Type(set, "Products")
	// One step is sent as the focus moves.
	worker.Eventually("steps that nobody answers", func() bool { return countUpdates(form) >= requests+2 })
	form.Await("a line that nobody answers", isUnanswered)
	form.AwaitText("What was typed is still here")
	assert.Equal(t, "typed-before-the-end", form.Value(password), "the typed password")
	list.AwaitText("orders") // what was known is still shown
	restarted := p.StartWorkerAt(hostPort(worker), "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config",
		"conf")
	again := list.Await("the line to go", `!document.getElementById("link").checkVisibility()`)
	form.Await("the line to go", `!document.getElementById("link").checkVisibility() && `+formIsIdle)
	t.Logf("shown %v after the kill, gone %v after the start", noticed, again)
	restarted.Await("orders", "runs", e2etest.IsRunning)
	restarted.AwaitChangeable()
	form.Await("text in step",
		textHasLine("sap.odata#00.entityset=Products")+" && "+textHasLine("sap.odata#00.topic=elsewhere"))
	form.Click(`button[value="review"]`)
	form.AwaitText("Effect of this change", "elsewhere", "Products")
	form.Click(`button[value="apply"]`)
	form.Await("the connector's page", isOnConnectorPage)
	got := restarted.Config("orders")
	assert.True(t, got["sap.odata#00.topic"] == "elsewhere" && got["sap.odata#00.entityset"] == "Products" &&
		got["sap.odata.user.pwd"] == "typed-before-the-end", "expected what was typed, found %v", got)
	restarted.Await("orders", "has settings that were typed", func(s connect.Status) bool { return len(s.Tasks) == 1 })
	for _, tab := range []*Tab{list, form} {
		assert.True(t, tab.RemoveMessages("Failed to load resource: net::ERR_") != 0,
			"expected failed requests while there was no worker, found none")
		tab.RemoveMessages("the server responded with a status of 409") // one that is still starting
		tab.CheckQuiet(hostPort(worker))
	}
}
