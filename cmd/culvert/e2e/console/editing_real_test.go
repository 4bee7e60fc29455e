//go:build real

package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// reviewed presses Review and waits for the differences.
func reviewed(tab *Tab, texts ...string) {
	tab.Click(`button[value="review"]`)
	for _, text := range append(texts, "Effect of this change") {
		tab.Await(text, fmt.Sprintf(`document.getElementById("compared")?.innerText.includes(%q) && %s`, text, calm))
	}
}

const left = `location.pathname.endsWith("/console/connector")`

func TestRealEditing(t *testing.T) {
	t.Parallel()
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 5})
	f := e2etest.NewPlace(t).StartWorker("conf")
	b := NewBrowser(t)
	f.Create(e2etest.Source("orders", address, "Orders")...)
	f.AwaitStderr("extraction finished: 5 rows")
	twoPeopleEdit(t, f, b)
	withoutScript(t, f, b)
}

// Two people edit one connector: the second one is told, keeps the typed text, and sees the new differences.
func twoPeopleEdit(t *testing.T, f *e2etest.Worker, b *Browser) {
	anna := b.Open(nil)
	bert := b.Open(nil)
	for _, tab := range []*Tab{anna, bert} {
		tab.Load(f.URL + "/console/form?name=orders#step-sets")
	}
	anna.Type(topic, "annas")
	bert.Type(set, "Products")
	reviewed(anna, "annas")
	reviewed(bert, "Products")
	anna.Click(`button[value="apply"]`)
	anna.Await("the connector's page", left)
	bert.Click(`button[value="apply"]`)
	bert.AwaitText("Nothing was stored")
	if got := f.Config("orders"); got["sap.odata#00.topic"] != "annas" || got["sap.odata#00.entityset"] != "Orders" {
		t.Errorf("found %v", got)
	}
	bert.Await("what was typed", fmt.Sprintf("document.querySelector(%q).value === 'Products' && ", set)+
		says("sap.odata#00.entityset=Products"))
	reviewed(bert, "Products", "annas") // Bert's text takes Anna's topic back, and says so
	bert.AwaitText("was changed after this page was opened")
	bert.Click(`button[value="apply"]`)
	bert.Await("the connector's page", left)
	if got := f.Config("orders"); got["sap.odata#00.topic"] != "Orders" || got["sap.odata#00.entityset"] != "Products" {
		t.Errorf("found %v", got)
	}
	anna.CheckQuiet(host(f))
	bert.CheckQuiet(host(f))
}

// Without scripts, pages are readable, a selection of connectors is controlled, and a configuration is created,
// reviewed and applied.
func withoutScript(t *testing.T, f *e2etest.Worker, b *Browser) {
	tab := b.Open(nil)
	tab.DisableScripts()
	tab.Load(f.URL + "/console/")
	tab.AwaitText("orders")
	tab.Click(`.pick input[value="orders"]`)
	tab.Click(`button[value="pause"]`)
	tab.AwaitText("is being paused", "Back")
	f.Await("orders", "is paused", e2etest.HasState(connect.Paused, 1))
	tab.Click(`main > p a.button`)
	tab.AwaitText("paused")
	tab.Load(f.URL + "/console/form?name=orders#step-sets")
	tab.Type(topic, "sold")
	tab.Click(`.steps a[href="#step-service"]`)
	tab.Type(`[name="f.sap.odata.user.name"]`, "me")
	tab.Type(password, "typed-once")
	tab.Click(`button[value="review"]`)
	tab.AwaitText("Effect of this change", "sold", "Type each of these again")
	if strings.Contains(Eval[string](tab, "document.documentElement.outerHTML"), "typed-once") {
		t.Error("the page has the password")
	}
	tab.Click(`.steps a[href="#step-service"]`)
	tab.Type(password, "typed-once")
	tab.Click(`.steps a[href="#step-review"]`)
	tab.Click(`button[value="apply"]`)
	tab.Await("the connector's page", left)
	if got := f.Config("orders"); got["sap.odata#00.topic"] != "sold" || got["sap.odata.user.pwd"] != "typed-once" {
		t.Errorf("found %v", got)
	}
	for _, r := range tab.Requests() {
		if strings.Contains(r, "fragments=") {
			t.Errorf("a script has asked %s", r)
		}
	}
	tab.CheckQuiet(host(f))
}
