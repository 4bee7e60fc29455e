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

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// host returns the worker's host and port.
func host(f *e2etest.Worker) string {
	u, _ := url.Parse(f.URL)
	return u.Host
}

func TestRealWorldInABrowser(t *testing.T) {
	t.Parallel()
	f := world(t)
	b := NewBrowser(t)
	eightTabs(t, f, b)
	pagesInABrowser(t, f, b)
	failureMended(t, f, b)
}

// Every page passes the rules of axe-core, light and dark, wide and narrow; nothing overflows a narrow window, the
// browser logs no error, and a page with equal data looks equal after many updates.
func pagesInABrowser(t *testing.T, f *e2etest.Worker, b *Browser) {
	sample := e2etest.Decode[struct{ ID string }](t, f.MustCall(202, "POST", "/culvert/connectors/orders/samples",
		`{"rows":3}`))
	f.MustCall(202, "POST", "/culvert/connectors/orders/feeds/Orders/snapshot", "")
	f.AwaitCall(200, "GET", "/culvert/connectors/orders/samples/"+sample.ID, "", `"done"`)
	tab := b.Open(nil)
	for i, page := range append([]string{"records?name=orders&sample=" + sample.ID}, pages...) {
		for _, theme := range []string{"light", "dark"} {
			for _, wide := range []int64{1280, 768, 320} {
				if theme == "dark" && wide == 768 {
					continue
				}
				tab.SetMedia("prefers-color-scheme", theme)
				tab.Resize(wide, 800)
				tab.Load(f.URL + "/console/" + page)
				what := fmt.Sprintf("%s, %s, %d", page, theme, wide)
				tab.CheckAccessible(what)
				if over := Eval[int](tab, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
					t.Errorf("%s: %d pixels stick out: %s", what, over, Eval[string](tab, `[...document.querySelectorAll("main *")]
						.filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide, pre, .steps"))
						.slice(0, 3).map(e => e.outerHTML.slice(0, 200)).join("\n")`))
				}
				if small := Eval[string](tab, `[...document.querySelectorAll("button, summary, input:not([type=hidden]), select, nav a")]
					.map(e => e.closest("label") || e)
					.filter(e => e.checkVisibility() && (e.getBoundingClientRect().height < 23.5 || e.getBoundingClientRect().width < 23.5))
					.map(e => e.outerHTML.slice(0, 120)).join("\n")`); small != "" {
					t.Errorf("%s: smaller than 24 pixels: %s", what, small)
				}
				if over := Eval[string](tab, overlapping); over != "" {
					t.Errorf("%s: lie over each other: %s", what, over)
				}
				name := fmt.Sprintf("%02d-%s-%s-%d", i, strings.NewReplacer("?", "-", "=", "-", "&",
					"-").Replace(page), theme, wide)
				tab.Screenshot(name)
			}
		}
	}
	tab.SetMedia("prefers-color-scheme", "light")
	tab.Resize(1280, 800)
	// While the connector is paused, only the page itself changes.
	f.Steer("orders", "stop")
	f.Steer("back", "stop")
	tab.Load(f.URL + "/console/plugins")
	first := tab.Screenshot("equal-1")
	asked := len(tab.Requests())
	// A tab that becomes visible again polls at once.
	tab.Await("60 questions", `(document.dispatchEvent(new Event("visibilitychange")), performance
		.getEntriesByType("resource").filter(e => e.name.includes("fragments=")).length >= 60)`)
	if second := tab.Screenshot("equal-2"); !bytes.Equal(first, second) {
		t.Errorf("the page does not look as it did, after %d questions", len(tab.Requests())-asked)
	}
	tab.Load(f.URL + "/console/plugins")
	if third := tab.Screenshot("equal-3"); !bytes.Equal(first, third) {
		t.Error("the page does not look as it did when it is loaded again")
	}
	f.Steer("orders", "resume")
	f.Steer("back", "resume")
	tab.CheckQuiet(host(f))
}

// overlapping finds elements with text or controls that overlap.
const overlapping = `(() => {
	const all = [...document.querySelectorAll("main :is(button, a, input:not([type=hidden]), select, textarea, summary, " +
		"p, dt, h1, h2, h3, h4, label), header a")].filter(e => e.checkVisibility() && e.getClientRects().length === 1 &&
		!e.closest(".wide, .unseen, .viewer, .actions, .selected"))
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
	f := p.StartWorker("conf")
	f.AwaitChangeable()
	tab := keyboardForm{NewBrowser(t).Open(nil)}
	tab.Load(f.URL + "/console/")
	tab.AwaitText("There are no connectors yet")
	tab.TabTo(`a.button[href="form"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("Source", "Sink")
	tab.TabTo(`.choices a`) // the only source's class
	tab.Press(kb.Enter)
	tab.Await("fields", `document.querySelector('[name="f.name"]')`)
	red := Eval[string](tab.Tab, `[...document.querySelectorAll(".problem")].map(p => p.textContent.trim()).join("")`)
	if red != "" {
		t.Errorf("a new form has errors: %s", red)
	}
	tab.field("name", "orders")
	tab.field("sap.odata.host.protocol", "http")
	tab.field("sap.odata.host.address", hostname)
	tab.field("sap.odata.host.port", port)
	tab.field("sap.odata.user.name", "me")
	tab.field("sap.odata.user.pwd", "s3cret-typed")
	tab.settled()
	tab.Await("the text to follow", `document.getElementById("text").value.includes("sap.odata.host.port=`+port+`")`)
	html := Eval[string](tab.Tab, `document.documentElement.outerHTML + document.getElementById("text").value`)
	if strings.Contains(html, "s3cret-typed") {
		t.Error("the password stands in the page")
	}
	tab.TabTo(`button[value="check"]`)
	Eval[bool](tab.Tab, `scrollTo(0, document.body.scrollHeight), true`)
	tab.Press(kb.Enter)
	tab.AwaitText("me was accepted")
	tab.inView("#checked")
	tab.step("sets")
	tab.Await("services of the catalogue", optionsOf("sap.odata#00.service")+".length > 0")
	path := Eval[string](tab.Tab, optionsOf("sap.odata#00.service")+".find(v => v.endsWith('NORTHWIND_SRV'))")
	tab.field("sap.odata#00.service", path)
	tab.settled()
	tab.Await("entity sets of the service", optionsOf("sap.odata#00.entityset")+".includes('Orders')")
	tab.field("sap.odata#00.entityset", "Orders")
	tab.settled()
	tab.Await("the button of the set", `document.querySelector('button[value="peek:Entity set 00"]')`)
	tab.TabTo(`button[value="peek:Entity set 00"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("First rows of Orders", "OrderID", "10248", "10249", "10250")
	tab.inView(".peeked")
	tab.CheckAccessible("three rows of a set")
	time.Sleep(time.Second) // what was typed is sent 600 ms later, unless it was sent before
	tab.AwaitText("First rows of Orders")
	tab.Screenshot("three-rows")
	tab.field("sap.odata#00.topic", "sold")
	tab.settled()
	tab.TabTo(`button[value="review"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("A new connector is created")
	tab.TabTo(`button[value="apply"]`)
	tab.Press(kb.Enter)
	tab.Await("the connector's page",
		`location.pathname.endsWith("/console/connector") && location.search === "?name=orders"`)
	f.Await("orders", "runs", e2etest.IsRunning)
	f.AwaitStderr("extraction finished: 40 rows")
	tab.Await("its rows", `document.getElementById("fragment-tasks").innerText.includes("40")`)
	if got := f.Config("orders"); got["sap.odata.user.pwd"] != "s3cret-typed" || got["sap.odata#00.topic"] != "sold" {
		t.Errorf("found %v", got)
	}
	e2etest.MustNotContain(t, "the log", f.Stderr.String(), "s3cret-typed")
	tab.CheckQuiet(host(f))
}

// keyboardForm is a page with a form that is filled by keyboard alone.
type keyboardForm struct{ *Tab }

// field types a value into a setting's field as soon as it is visible.
func (form keyboardForm) field(setting, value string) {
	form.b.t.Helper()
	name := fmt.Sprintf(`[name="f.%s"]`, setting)
	form.Await("the field "+setting, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", name))
	form.TabTo(name)
	form.Press(value)
}

// settled leaves a field, and waits until the form has followed the change.
func (form keyboardForm) settled() {
	form.b.t.Helper()
	form.Press(kb.Tab)
	form.Await("the step to be done", `document.querySelector("form[data-step]").getAttribute("aria-busy") === null`)
}

func (form keyboardForm) step(name string) {
	form.b.t.Helper()
	form.TabTo(`.steps a[href="#step-` + name + `"]`)
	form.Press(kb.Enter)
}

// inView waits until an element is in the visible part of the page.
func (form keyboardForm) inView(selector string) {
	form.b.t.Helper()
	form.Await(selector+" in view", fmt.Sprintf(`(() => { const r = document.querySelector(%q)?.getBoundingClientRect();
		return r && r.top >= 0 && r.top < innerHeight - 60; })()`, selector))
}

// optionsOf returns an expression with the browser's proposals for a setting's field.
func optionsOf(setting string) string {
	return fmt.Sprintf(`[...document.getElementById(
		document.querySelector('[name="f.%s"]').getAttribute("list")).options].map(o => o.value)`, setting)
}

// A failure shows within two seconds with its cause, is fixed where it is named, and its dead letters are tried and
// replayed.
func failureMended(t *testing.T, f *e2etest.Worker, b *Browser) {
	tab := b.Open(nil)
	tab.Load(f.URL + "/console/?search=orders")
	tab.AwaitText("idle")
	// The failure comes from outside: a file was replaced.
	tab.Load(f.URL + "/console/?state=failed")
	content, err := os.ReadFile(filepath.Join(f.Dir, "conf/bad.properties"))
	e2etest.NoError(t, err)
	f.ReplaceFile("conf/bad.properties", strings.Split(strings.ReplaceAll(string(content), "Customers", "NoSuchSet"),
		"\n")...)
	began := tab.Await("the new cause", `document.body.innerText.includes("NoSuchSet")`)
	t.Logf("the new cause shows %v after the page was opened", began)
	tab.TabTo(`a[href="connector?name=bad"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("failed")
	tab.TabTo(`a[href="form?name=bad"]`)
	tab.Press(kb.Enter)
	tab.Await("the steps", `document.querySelector(".steps a")`)
	tab.TabTo(`.steps a[href="#step-sets"]`)
	tab.Press(kb.Enter)
	set := `[name="f.sap.odata#00.entityset"]`
	tab.Await("the field", fmt.Sprintf("document.querySelector(%q)", set))
	tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", set)))
	tab.TabTo(set)
	tab.Press("Products")
	tab.TabTo(`button[value="review"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("The tasks stop and are created again", "NoSuchSet", "Products", "You can download the edited text")
	f.ReplaceFile("conf/bad.properties", strings.Split(strings.ReplaceAll(string(content), "Customers", "Products"),
		"\n")...)
	f.Await("bad", "runs", e2etest.IsRunning)
	tab.Load(f.URL + "/console/connector?name=bad")
	tab.AwaitText("Time by stage, last minute")
	// Dead letters are tried without sending, and sent.
	tab.Load(f.URL + "/console/letters?name=back")
	tab.AwaitText("0@0")
	tab.Click(`.pick input[name="letter"]`)
	tab.Do(chromedp.Click(chromedp.CSS(`button[name="dry"]`)))
	tab.AwaitText("Nothing was sent")
	tab.Click(`.selected button[value="replay"]`)
	tab.AwaitText("1 sent: 0 delivered, 1 refused")
	tab.Click(`#toast > button`)
	// The record is mended where it is shown, and delivered; then nothing is open any more.
	tab.Await("the second attempt", `document.querySelector('a[href*="letter=0%401"]')`)
	tab.TabTo(`a[href*="letter=0%401"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("Dead letter 0@1", "not", "2 attempts")
	tab.CheckAccessible("a dead letter in the drawer")
	const value = "document.querySelector('#drawer-value').value"
	retry := func(content string, outcome ...string) {
		tab.Type("#drawer-value", content)
		tab.Click(`dialog.drawer button[value="retry"]`)
		tab.AwaitText(outcome...)
	}
	// A value that is not JSON, or that is refused again, stays to be mended, and the stored one is shown.
	retry("no JSON", "expected a JSON object", "line 1, column 2")
	tab.Await("what was typed, and the stored value", value+` === "no JSON" && `+
		`document.querySelector("dialog .stored pre").checkVisibility()`)
	retry(`{"schema":null,"payload":{"not":5}}`, "Refused again", "0@1: ", "It is dead letter 0@2 now.")
	tab.Type("#drawer-value", `{"schema":null,"payload":{"OrderID":5}}`)
	tab.Click(`dialog.drawer button[value="retry"]`)
	tab.AwaitText("1 sent: 1 delivered", "There are no open dead letters")
	tab.Await("a closed drawer", `!document.querySelector("dialog.drawer") && !location.search.includes("letter=")`)
	tab.CheckQuiet(host(f))
}
