//go:build real

package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Of two workers one is killed: its connector becomes unknown on the pages of the other one, which tell by keyboard
// when its task moves, until it has moved.
func TestRealWorkerOfTwoKilled(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	first, second := startPair(p, 15_000)
	first.AwaitChangeable()
	for _, name := range []string{"one", "two"} {
		config := e2etest.SettingsOf(append(e2etest.Source(name, address, "Orders"), "sap.odata#00.exec-period=1"))
		first.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name, "config": config}))
	}
	secondHost := strings.TrimPrefix(second.URL, "http://")
	var name string
	first.Eventually("each worker to run one of them", func() bool {
		name = ""
		for _, connector := range []string{"one", "two"} {
			if e2etest.TaskOf(t, strings.TrimPrefix(first.URL, "http://"), connector).WorkerID == secondHost {
				name += connector
			}
		}
		return name == "one" || name == "two"
	})
	tab := NewBrowser(t).Open(nil)
	tab.Load(first.URL + "/console/")
	state := fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].find(
		r => r.innerText.includes(%q)).querySelector(".pill").innerText`, name)
	tab.Await("a state", `["idle", "running"].includes(`+state+`)`)
	second.Kill()
	// The other worker asks it with each poll of the page, once a second.
	waited := tab.Await("the connector to be unknown", state+` === "unknown"`)
	t.Logf("unknown after %v", waited)
	assert.AtMost(t, 15*time.Second, waited, "the state within 15 s")
	tab.AwaitText(secondHost + ": lost ")
	tab.TabTo(`a[href^="connector?name=` + name + `"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("worker " + secondHost + ": lost ")
	tab.TabTo(`main a[href^="workers"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("lost ", "its task moves in 0:")
	tab.TabTo(`nav a[href="./"]`)
	tab.Press(kb.Enter)
	waited = tab.Await("the moved task", `["idle", "running"].includes(`+state+`)`)
	t.Logf("moved after another %v", waited)
	task := e2etest.TaskOf(t, strings.TrimPrefix(first.URL, "http://"), name)
	assert.True(t, task.WorkerID != secondHost, "expected a task that has moved, found it on %s", task.WorkerID)
	tab.Load(first.URL + "/console/workers")
	tab.AwaitText("lost ")
	tab.CheckQuiet(hostPort(first))
}

// startStates starts a worker with connectors in many states.
func startStates(t *testing.T) *e2etest.Worker {
	t.Helper()
	worker := startWorld(t)
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 600, PageSize: 2})
	create := func(name string, more ...string) {
		worker.Create(append(e2etest.Source(name, address, "Orders"), more...)...)
	}
	create("limited", "sap.odata.requests.per.second=1")
	for name, to := range map[string]string{"paused": "pause", "stopped": "stop"} {
		create(name)
		worker.Steer(name, to)
	}
	worker.Create(append(e2etest.Source("away", porttest.Address(t), "Orders"), "sap.odata.max.retries=100000")...)
	return worker
}

// listedStates are the connectors of the overview by their states.
const listedStates = `Object.fromEntries([...document.querySelectorAll("#rows tr")].map(r =>
	[r.querySelector("th a").innerText, r.querySelector(".pill").innerText]))`

// The columns of the overview have the same edges with every filter, and so has the box of a filter without
// connectors, whatever is shown in them, also beside a scroll bar.
func TestRealColumnsOfFilters(t *testing.T) {
	t.Parallel()
	worker := startStates(t)
	tab := NewBrowser(t).Open(nil)
	tab.Load(worker.URL + "/console/")
	tab.Await("a load", listedStates+`.limited === "loading"`)
	tab.Await("a service that is away", listedStates+`.away === "away"`)
	gutter := Eval[string](tab, "getComputedStyle(document.documentElement).scrollbarGutter")
	assert.Equal(t, "stable", gutter, "a page to keep room for its scroll bar")
	const (
		columns = `[...document.querySelectorAll("main table thead th")].map(h => h.getBoundingClientRect())
			.map(b => b.left + "-" + b.right).join(" ")`
		box = `(b => b.left + "-" + b.right)(document.querySelector("main .card.table, main .card.empty").getBoundingClientRect())`
	)
	for _, width := range []int64{1440, 1000} {
		tab.Resize(width, 800)
		tab.Load(worker.URL + "/console/")
		wantColumns := Eval[string](tab, columns)
		wantBox := Eval[string](tab, box)
		empty := 0
		for _, condition := range connect.Conditions {
			tab.Load(worker.URL + "/console/?state=" + string(condition))
			if Eval[bool](tab, `Boolean(document.querySelector("main .card.empty"))`) {
				empty++
			} else if widths := Eval[string](tab, columns); widths != wantColumns {
				t.Errorf("%s, %d: expected the columns %s, found %s", condition, width, wantColumns, widths)
			}
			if widths := Eval[string](tab, box); widths != wantBox {
				t.Errorf("%s, %d: expected the box %s, found %s", condition, width, wantBox, widths)
			}
		}
		if shown := len(connect.Conditions) - empty; empty == 0 || shown < 5 {
			t.Errorf("expected filters with and without connectors, found %d and %d", shown, empty)
		}
	}
	tab.CheckQuiet(hostPort(worker))
}

// shownConnector is a connector as culvert status --watch and the console describe it.
type shownConnector struct {
	State  string   `json:"state"`
	Note   string   `json:"note"`
	Errors []string `json:"errors"`
}

// The command status --watch and the console have the same words: states, notes, and causes with their advice.
func TestRealWatchEqualsConsole(t *testing.T) {
	t.Parallel()
	worker := startStates(t)
	command := worker.Start("status", "--watch", "--json", "--url", worker.URL)
	tab := NewBrowser(t).Open(nil)
	names := []string{"away", "back", "bad", "limited", "orders", "paused", "refused", "stopped"}
	readPage := func(name string) shownConnector {
		tab.Load(worker.URL + "/console/connector?name=" + name)
		tab.Await("the connector "+name,
			`document.querySelector(".top .pill") && document.querySelector("#fragment-state")`)
		return Eval[shownConnector](tab, `({state: document.querySelector(".top .pill").innerText,
			note: document.querySelector(".top .soft").innerText.split(" \u00b7 ")[1] ||
				document.querySelector(".limit span")?.innerText || "",
			errors: [...document.querySelectorAll("#fragment-state .notice:has(b)")].filter(n => !n.matches(".info"))
				.map(n => [n.querySelector("b"), n.querySelector("b + p")].filter(Boolean).map(e => e.textContent).join(". "))})`)
	}
	readCommand := func() map[string]shownConnector {
		rows := map[string]shownConnector{}
		decoder := json.NewDecoder(strings.NewReader(command.Stdout.String()))
		for decoder.More() {
			var listed []struct {
				Connector string `json:"connector"`
				shownConnector
			}
			if decoder.Decode(&listed) != nil {
				return rows // the last one is not complete yet
			}
			for _, c := range listed {
				rows[c.Connector] = c.shownConnector
			}
		}
		return rows
	}
	worker.Eventually("connectors that are settled", func() bool {
		current := readCommand()
		return current["limited"].State == "loading" && current["away"].State == "away" &&
			current["bad"].State == "failed" &&
			current["back"].State == "refusing" && current["orders"].State == "idle"
	})
	found := map[string]bool{}
	for _, name := range names {
		var onPage, inWatch shownConnector
		for range 20 { // one of them may be older
			inWatch = readCommand()[name]
			onPage = readPage(name)
			if fmt.Sprint(onPage) == fmt.Sprint(inWatch) {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		assert.True(t, fmt.Sprint(onPage) == fmt.Sprint(inWatch),
			"%s: the page shows\n%q, status --watch\n%q", name, onPage, inWatch)
		found[onPage.State] = true
	}
	assert.True(t, len(found) >= 6, "expected several states, found %v", found)
	tab.CheckQuiet(hostPort(worker))
}
