//go:build real

package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// review presses Review and waits for the differences.
func review(tab *Tab, texts ...string) {
	tab.Click(`button[value="review"]`)
	for _, text := range append(texts, "Effect of this change") {
		tab.Await(text, fmt.Sprintf(`document.getElementById("compared")?.innerText.includes(%q) && %s`, text,
			formIsIdle))
	}
}

const isOnConnectorPage = `location.pathname.endsWith("/console/connector")`

func TestRealEditing(t *testing.T) {
	t.Parallel()
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 5})
	worker := e2etest.NewPlace(t).StartWorker("conf")
	b := NewBrowser(t)
	worker.Create(e2etest.Source("orders", address, "Orders")...)
	worker.AwaitStderr("extraction finished: 5 rows")
	testFolds(t, worker, b)
	testApplyReplacesReview(t, worker, b)
	testTwoEditors(t, worker, b)
	testWithoutScripts(t, worker, b)
}

// isVisible returns the condition that an element is visible.
func isVisible(selector string) string {
	return fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector)
}

// testFolds checks that rarely used settings are folded unless they are set, and that a field keeps the focus when its
// setting is set or removed. A further set is visible once it is added.
func testFolds(t *testing.T, worker *e2etest.Worker, b *Browser) {
	const (
		retries = `[name="f.sap.odata.max.retries"]`
		codes   = `[name="f.sap.odata.http.codes"]`
		next    = `[name="f.sap.odata#01.service"]`
		format  = `[name="f.sap.odata#00.format"]`
	)
	tab := b.Open(nil)
	tab.Load(worker.URL + "/console/form?name=orders#step-service")
	tab.Await("the setting that is set, without the others", isVisible(retries)+" && !"+isVisible(codes))
	awaitFocus := func(field, line string) {
		t.Helper()
		tab.Await("the field in step, with the focus", line+" && "+formIsIdle+
			fmt.Sprintf(" && document.activeElement === document.querySelector(%q) && ", field)+isVisible(field))
	}
	tab.Type(retries, kb.Delete)
	awaitFocus(retries, `!document.getElementById("text").value.includes("max.retries")`)
	tab.Await("the fold with the focus", isVisible(codes))
	tab.Type(codes, "503")
	awaitFocus(codes, textHasLine("sap.odata.http.codes=503"))

	tab.Click(`.steps a[href="#step-sets"]`)
	tab.Await("no further set", isVisible(set)+" && !"+isVisible(next))
	tab.Click(`.add > summary`)
	tab.Type(next, "/further")
	awaitFocus(next, textHasLine("sap.odata#01.service=/further"))
	tab.Type(next, kb.Delete)
	awaitFocus(next, `!document.getElementById("text").value.includes("further")`)
	tab.Click(fmt.Sprintf("details:has(> .field %s) > summary", format))
	tab.TabTo(format)
	tab.Press("atom")
	awaitFocus(format, textHasLine("sap.odata#00.format=atom"))
	tab.CheckQuiet(hostPort(worker))
}

// testApplyReplacesReview checks that the form's only primary button is Apply while a review is current, and Review
// before and after that. A double click on Review applies nothing.
func testApplyReplacesReview(t *testing.T, worker *e2etest.Worker, b *Browser) {
	tab := b.Open(nil)
	tab.Load(worker.URL + "/console/form?name=orders#step-sets")
	awaitPrimary := func(button, other string) {
		t.Helper()
		tab.Await("the button "+button, isVisible(`button[value="`+button+`"]`)+" && !"+
			isVisible(`button[value="`+other+`"]`)+" && "+formIsIdle)
	}
	awaitPrimary("review", "apply")
	review(tab) // the text is stored, so that there is nothing to apply
	awaitPrimary("review", "apply")
	tab.Click(`.steps a[href="#step-sets"]`)
	tab.Type(topic, "elsewhere")
	review(tab, "elsewhere")
	awaitPrimary("apply", "review")
	if Eval[bool](tab, `document.querySelector('button[value="apply"]').dispatchEvent(
		new MouseEvent("click", {bubbles: true, cancelable: true, detail: 2}))`) {
		t.Error("expected that the second click of a double click is ignored")
	}
	tab.Click(`.steps a[href="#step-sets"]`)
	tab.Type(topic, "anywhere")
	awaitPrimary("review", "apply")
	assert.Equal(t, "Orders", worker.Config("orders")["sap.odata#00.topic"], "an unchanged topic")
	tab.CheckQuiet(hostPort(worker))
}

// testTwoEditors lets two people edit one connector: the second one is told, keeps the typed text, and sees the new
// differences.
func testTwoEditors(t *testing.T, worker *e2etest.Worker, b *Browser) {
	anna := b.Open(nil)
	bert := b.Open(nil)
	for _, tab := range []*Tab{anna, bert} {
		tab.Load(worker.URL + "/console/form?name=orders#step-sets")
	}
	anna.Type(topic, "annas")
	bert.Type(set, "Products")
	review(anna, "annas")
	review(bert, "Products")
	anna.Click(`button[value="apply"]`)
	anna.Await("the connector's page", isOnConnectorPage)
	bert.Click(`button[value="apply"]`)
	bert.AwaitText("Nothing was stored")
	checkSettings := func(topic, set string) {
		t.Helper()
		if got := worker.Config("orders"); got["sap.odata#00.topic"] != topic || got["sap.odata#00.entityset"] != set {
			t.Errorf("expected topic %s and set %s, found %v", topic, set, got)
		}
	}
	checkSettings("annas", "Orders")
	bert.Await("what was typed", fmt.Sprintf("document.querySelector(%q).value === 'Products' && ", set)+
		textHasLine("sap.odata#00.entityset=Products"))
	review(bert, "Products", "annas") // Bert's text reverts Anna's topic, and the page shows that
	bert.AwaitText("was changed after this page was opened")
	bert.Click(`button[value="apply"]`)
	bert.Await("the connector's page", isOnConnectorPage)
	checkSettings("Orders", "Products")
	anna.CheckQuiet(hostPort(worker))
	bert.CheckQuiet(hostPort(worker))
}

// testWithoutScripts checks that without scripts pages are readable, a selection of connectors is controlled, and a
// configuration is created, review and applied.
func testWithoutScripts(t *testing.T, worker *e2etest.Worker, b *Browser) {
	tab := b.Open(nil)
	tab.DisableScripts()
	tab.Load(worker.URL + "/console/")
	tab.AwaitText("orders")
	tab.Click(`.pick input[value="orders"]`)
	tab.Click(`button[value="pause"]`)
	tab.AwaitText("is being paused", "Back")
	worker.Await("orders", "is paused", e2etest.HasState(connect.Paused, 1))
	tab.Click(`main > p a.button`)
	tab.AwaitText("paused")
	tab.Load(worker.URL + "/console/form?name=orders#step-sets")
	tab.Type(topic, "sold")
	tab.Click(`.steps a[href="#step-service"]`)
	tab.Type(`[name="f.sap.odata.user.name"]`, "me")
	tab.Type(password, "typed-once")
	tab.Click(`button[value="review"]`)
	tab.AwaitText("Effect of this change", "sold", "Type each of these again")
	assert.True(t, !strings.Contains(Eval[string](tab, "document.documentElement.outerHTML"), "typed-once"),
		"expected no password in the page, found it")
	tab.Click(`.steps a[href="#step-service"]`)
	tab.Type(password, "typed-once")
	tab.Click(`.steps a[href="#step-review"]`)
	tab.Click(`button[value="apply"]`)
	tab.Await("the connector's page", isOnConnectorPage)
	got := worker.Config("orders")
	assert.True(t, got["sap.odata#00.topic"] == "sold" && got["sap.odata.user.pwd"] == "typed-once",
		"expected what was typed, found %v", got)
	for _, r := range tab.Requests() {
		assert.NotContains(t, r, "fragments=", "request of a script")
	}
	tab.CheckQuiet(hostPort(worker))
}
