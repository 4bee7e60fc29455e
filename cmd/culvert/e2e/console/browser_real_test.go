//go:build real

package console

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// hostPort returns the worker's host and port.
func hostPort(worker *e2etest.Worker) string {
	u, _ := url.Parse(worker.URL)
	return u.Host
}

func TestRealWorldInABrowser(t *testing.T) {
	t.Parallel()
	worker := startWorld(t)
	b := NewBrowser(t)
	testEightTabs(t, worker, b)
	testPages(t, worker, b)
	testFailureIsRepaired(t, worker, b)
}

// testPages checks that every page passes the rules of axe-core, light and dark, wide and narrow, that nothing
// overflows a narrow window, that the browser logs no error, and that a page with equal data looks equal after many
// updates.
func testPages(t *testing.T, worker *e2etest.Worker, b *Browser) {
	sample := e2etest.Decode[struct{ ID string }](t, worker.MustCall(202, "POST", "/culvert/connectors/orders/samples",
		`{"rows":3}`))
	worker.MustCall(202, "POST", "/culvert/connectors/orders/feeds/Orders/snapshot", "")
	worker.AwaitCall(200, "GET", "/culvert/connectors/orders/samples/"+sample.ID, "", `"done"`)
	tab := b.Open(nil)
	for i, page := range append([]string{"records?name=orders&sample=" + sample.ID}, pages...) {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 768, 320} {
				if theme == "dark" && width == 768 {
					continue
				}
				tab.SetMedia("prefers-color-scheme", theme)
				tab.Resize(width, 800)
				tab.Load(worker.URL + "/console/" + page)
				what := fmt.Sprintf("%s, %s, %d", page, theme, width)
				tab.CheckAccessible(what)
				checkNoOverflow(t, tab, what)
				if small := Eval[string](tab, `[...document.querySelectorAll("button, summary, input:not([type=hidden]), select, nav a")]
					.map(e => e.closest("label") || e)
					.filter(e => e.checkVisibility() && (e.getBoundingClientRect().height < 23.5 ||
						e.getBoundingClientRect().width < 23.5))
					.map(e => e.outerHTML.slice(0, 120)).join("\n")`); small != "" {
					t.Errorf("%s: expected at least 24 pixels, found less for %s", what, small)
				}
				assert.Equal(t, "", Eval[string](tab, overlaps), what, "no overlap")
				fileName := strings.NewReplacer("?", "-", "=", "-", "&", "-").Replace(page)
				tab.Screenshot(fmt.Sprintf("%02d-%s-%s-%d", i, fileName, theme, width))
			}
		}
	}
	tab.SetMedia("prefers-color-scheme", "light")
	tab.Resize(1280, 800)
	// While the connector is paused, only the page itself changes.
	worker.Steer("orders", "stop")
	worker.Steer("back", "stop")
	tab.Load(worker.URL + "/console/plugins")
	first := tab.Screenshot("equal-1")
	requestsBefore := len(tab.Requests())
	// A tab that becomes visible again polls at once.
	tab.Await("60 questions", `(document.dispatchEvent(new Event("visibilitychange")), performance
		.getEntriesByType("resource").filter(e => e.name.includes("fragments=")).length >= 60)`)
	if second := tab.Screenshot("equal-2"); !bytes.Equal(first, second) {
		t.Errorf("expected an equal page after %d requests, found another", len(tab.Requests())-requestsBefore)
	}
	tab.Load(worker.URL + "/console/plugins")
	third := tab.Screenshot("equal-3")
	assert.True(t, bytes.Equal(first, third), "expected an equal page when it is loaded again, found another")
	worker.Steer("orders", "resume")
	worker.Steer("back", "resume")
	tab.CheckQuiet(hostPort(worker))
}

// checkNoOverflow checks that a page is not wider than the window.
func checkNoOverflow(t *testing.T, tab *Tab, what string) {
	t.Helper()
	if overflow := Eval[int](tab, "document.documentElement.scrollWidth - innerWidth"); overflow > 0 {
		elements := Eval[string](tab, `[...document.querySelectorAll("main *")]
			.filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide, pre, .steps"))
			.slice(0, 3).map(e => e.outerHTML.slice(0, 200)).join("\n")`)
		t.Errorf("%s: expected no overflow, found %d pixels of %s", what, overflow, elements)
	}
}

// overlaps finds elements with text or controls that overlap.
const overlaps = `(() => {
	const all = [...document.querySelectorAll("main :is(button, a, input:not([type=hidden]), select, textarea, summary, " +
		"p, dt, h1, h2, h3, h4, label), header a")].filter(e => e.checkVisibility() &&
		e.getClientRects().length === 1 && !e.closest(".wide, .unseen, .viewer, .actions, .selected"))
		.map(e => [e, e.getBoundingClientRect()]);
	const over = [];
	for (let i = 0; i < all.length; i++) for (let k = i + 1; k < all.length; k++) {
		const [a, x] = all[i], [b, y] = all[k];
		if (a.contains(b) || b.contains(a)) continue;
		if (Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1 &&
			Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 1)
			over.push(a.outerHTML.slice(0, 100) + " and " + b.outerHTML.slice(0, 100));
	}
	return over.slice(0, 3).join("\n");
})()`

// From nothing to a running connector, by keyboard alone and with the service's catalogue: the class is chosen, fields
// are filled as they appear, the effect is reviewed, and the configuration is applied.
func TestRealFromNothingByKeyboard(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 40, User: "me", Password: "s3cret-typed",
		Switches: odatatest.Switches{Catalogue: 3}})
	hostname, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	worker := p.StartWorker("conf")
	worker.AwaitChangeable()
	tab := keyboardForm{Tab: NewBrowser(t).Open(nil)}
	tab.Load(worker.URL + "/console/")
	tab.AwaitText("There are no connectors yet")
	tab.TabTo(`a.button[href="form"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("From SAP to Kafka", "From Kafka to SAP")
	tab.TabTo(`.choices a`) // the only source's class
	tab.Press(kb.Enter)
	tab.Await("fields", `document.querySelector('[name="f.name"]')`)
	problems := Eval[string](tab.Tab,
		`[...document.querySelectorAll(".problem")].map(p => p.textContent.trim()).join("")`)
	assert.Equal(t, "", problems, "no errors in a new form")
	tab.typeField("name", "orders")
	tab.typeField("sap.odata.host.protocol", "http")
	tab.typeField("sap.odata.host.address", hostname)
	tab.typeField("sap.odata.host.port", port)
	tab.typeField("sap.odata.user.name", "me")
	tab.typeField("sap.odata.user.pwd", "s3cret-typed")
	tab.leaveField()
	tab.Await("the text to follow", `document.getElementById("text").value.includes("sap.odata.host.port=`+port+`")`)
	html := Eval[string](tab.Tab, `document.documentElement.outerHTML + document.getElementById("text").value`)
	assert.True(t, !strings.Contains(html, "s3cret-typed"), "expected no password in the page, found it")
	tab.TabTo(`button[value="check"]`)
	Eval[bool](tab.Tab, `scrollTo(0, document.body.scrollHeight), true`)
	tab.Press(kb.Enter)
	tab.AwaitText("me was accepted")
	tab.awaitInView("#checked")
	tab.openStep("sets")
	tab.Await("services of the catalogue", proposals("sap.odata#00.service")+".length > 0")
	path := Eval[string](tab.Tab, proposals("sap.odata#00.service")+".find(v => v.endsWith('NORTHWIND_SRV'))")
	tab.typeField("sap.odata#00.service", path)
	tab.leaveField()
	tab.Await("entity sets of the service", proposals("sap.odata#00.entityset")+".includes('Orders')")
	tab.typeField("sap.odata#00.entityset", "Orders")
	tab.leaveField()
	tab.Await("the button of the set", `document.querySelector('button[value="peek:Entity set 00"]')`)
	tab.TabTo(`button[value="peek:Entity set 00"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("First rows of Orders", "OrderID", "10248", "10249", "10250")
	tab.awaitInView(".peeked")
	tab.CheckAccessible("three rows of a set")
	time.Sleep(time.Second) // what was typed is sent 600 ms later, unless it was sent before
	tab.AwaitText("First rows of Orders")
	tab.Screenshot("three-rows")
	tab.typeField("sap.odata#00.topic", "sold")
	tab.leaveField()
	tab.addSet("sap.odata#01.", path)
	tab.TabTo(`button[value="review"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("A new connector is created")
	tab.TabTo(`button[value="apply"]`)
	tab.Press(kb.Enter)
	tab.Await("the connector's page",
		`location.pathname.endsWith("/console/connector") && location.search === "?name=orders"`)
	worker.Await("orders", "runs", e2etest.IsRunning)
	worker.AwaitStderr("extraction finished: 40 rows")
	tab.Await("its rows", `document.getElementById("fragment-tasks").innerText.includes("40")`)
	got := worker.Config("orders")
	assert.True(t, got["sap.odata.user.pwd"] == "s3cret-typed" && got["sap.odata#00.topic"] == "sold",
		"expected what was typed, found %v", got)
	e2etest.MustNotContain(t, "the log", worker.Stderr.String(), "s3cret-typed")
	tab.CheckQuiet(hostPort(worker))
}

// keyboardForm is a page with a form that is filled by keyboard alone.
type keyboardForm struct{ *Tab }

// typeField types a value into a setting's field as soon as it is visible.
func (f keyboardForm) typeField(setting, value string) {
	f.b.t.Helper()
	name := fmt.Sprintf(`[name="f.%s"]`, setting)
	f.Await("the field "+setting, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", name))
	f.TabTo(name)
	f.Press(value)
}

// leaveField leaves a field, and waits until the form has followed the change.
func (f keyboardForm) leaveField() {
	f.b.t.Helper()
	f.Press(kb.Tab)
	f.Await("the step to be done", `document.querySelector("form[data-step]").getAttribute("aria-busy") === null`)
}

// addSet adds a further set of a service, and removes it.
func (f keyboardForm) addSet(prefix, service string) {
	f.b.t.Helper()
	f.Await("the button of a further set", `document.querySelector(".add > summary")`)
	f.TabTo(`.add > summary`)
	f.Press(kb.Enter)
	f.typeField(prefix+"service", service)
	f.leaveField()
	f.Await("entity sets of the service", proposals(prefix+"entityset")+".includes('Products')")
	f.CheckAccessible("a form with a further set")
	f.Type(`[name="f.`+prefix+`service"]`, kb.Delete)
	f.leaveField()
}

func (f keyboardForm) openStep(name string) {
	f.b.t.Helper()
	f.TabTo(`.steps a[href="#step-` + name + `"]`)
	f.Press(kb.Enter)
}

// awaitInView waits until an element is in the visible part of the page.
func (f keyboardForm) awaitInView(selector string) {
	f.b.t.Helper()
	f.Await(selector+" in view", fmt.Sprintf(`(() => { const r = document.querySelector(%q)?.getBoundingClientRect();
		return r && r.top >= 0 && r.top < innerHeight - 60; })()`, selector))
}

// proposals returns an expression with the browser's proposals for a setting's field.
func proposals(setting string) string {
	return fmt.Sprintf(`[...document.getElementById(
		document.querySelector('[name="f.%s"]').getAttribute("list")).options].map(o => o.value)`, setting)
}

// testFailureIsRepaired checks that a failure shows with its cause, is fixed where it is named, and that its dead
// letters are tried and replayed.
func testFailureIsRepaired(t *testing.T, worker *e2etest.Worker, b *Browser) {
	tab := b.Open(nil)
	tab.Load(worker.URL + "/console/?search=orders")
	tab.AwaitText("idle")
	// The failure comes from outside: a file was replaced.
	tab.Load(worker.URL + "/console/?state=failed")
	content, err := os.ReadFile(filepath.Join(worker.Dir, "conf/bad.properties"))
	require.NoError(t, err)
	worker.ReplaceFile("conf/bad.properties", strings.Split(strings.ReplaceAll(string(content), "Customers",
		"NoSuchSet"), "\n")...)
	waited := tab.Await("the new cause", `document.body.innerText.includes("NoSuchSet")`)
	t.Logf("the new cause is shown after %v", waited)
	tab.TabTo(`a[href="connector?name=bad"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("failed")
	tab.TabTo(`a[href="form?name=bad"]`)
	tab.Press(kb.Enter)
	tab.Await("the steps", `document.querySelector(".steps a")`)
	tab.TabTo(`.steps a[href="#step-sets"]`)
	tab.Press(kb.Enter)
	tab.Await("the field", fmt.Sprintf("document.querySelector(%q)", set))
	tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", set)))
	tab.TabTo(set)
	tab.Press("Products")
	tab.TabTo(`button[value="review"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("The tasks stop and are created again", "NoSuchSet", "Products", "You can download the edited text")
	worker.ReplaceFile("conf/bad.properties", strings.Split(strings.ReplaceAll(string(content), "Customers",
		"Products"), "\n")...)
	worker.Await("bad", "runs", e2etest.IsRunning)
	tab.Load(worker.URL + "/console/connector?name=bad")
	tab.AwaitText("Time by stage, last minute")
	// Dead letters are tried without sending, and sent.
	tab.Load(worker.URL + "/console/letters?name=back")
	tab.AwaitText("0@0")
	tab.Click(`.pick input[name="letter"]`)
	tab.Do(chromedp.Click(chromedp.CSS(`button[name="dry"]`)))
	tab.AwaitText("Nothing was sent")
	tab.Click(`.selected button[value="replay"]`)
	tab.AwaitText("1 sent: 0 delivered, 1 refused")
	tab.Click(`#toast > button`)
	// The record is repaired where it is shown, and delivered; then nothing is open any more.
	tab.Await("the second attempt", `document.querySelector('a[href*="letter=0%401"]')`)
	tab.TabTo(`a[href*="letter=0%401"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("Dead letter 0@1", "not", "2 attempts")
	tab.CheckAccessible("a dead letter in the drawer")
	tab.Click(`dialog.drawer form > details > summary`)
	retry := func(value string, outcome ...string) {
		tab.Type("#drawer-value", value)
		tab.Click(`dialog.drawer details button[value="retry"]`)
		tab.AwaitText(outcome...)
	}
	// A value that is not JSON, or that is refused again, can be edited again, and the stored one is shown.
	retry("no JSON", "expected a JSON object", "line 1, column 2")
	tab.Await("what was typed, and the stored value", `document.querySelector("#drawer-value").value === "no JSON" && `+
		`document.querySelector("dialog .stored pre").checkVisibility()`)
	retry(`{"schema":null,"payload":{"not":5}}`, "Refused again", "0@1: ", "It is dead letter 0@2 now.")
	retry(`{"schema":null,"payload":{"OrderID":5}}`, "1 sent: 1 delivered", "There are no open dead letters")
	tab.Await("a closed drawer", `!document.querySelector("dialog.drawer") && !location.search.includes("letter=")`)
	tab.CheckQuiet(hostPort(worker))
}
