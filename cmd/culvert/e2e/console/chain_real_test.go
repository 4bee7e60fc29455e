//go:build real

package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

const insertFieldType = "org.apache.kafka.connect.transforms.InsertField$Value"

// writeChain replaces the text of the chain editor.
func writeChain(tab *Tab, lines ...string) {
	Eval[bool](tab, fmt.Sprintf(`Boolean(document.getElementById("chain-text").value = %q)`, strings.Join(lines, "\n")))
}

// takeSample requests a sample, lets the connector read again, and waits for rows.
func takeSample(worker *e2etest.Worker, tab *Tab, name string, rows int) {
	tab.Load(worker.URL + "/console/records?name=" + name)
	tab.Type("#rows-asked", fmt.Sprint(rows))
	tab.Click(`form:has(#rows-asked) button`)
	tab.AwaitText("0 of")
	worker.MustCall(202, "POST", "/culvert/connectors/"+name+"/feeds/Orders/snapshot", "")
	tab.Await("rows", fmt.Sprintf(`document.querySelectorAll("section.row").length === %d`, rows))
}

// A sample is taken, its rows pass through a typed chain, the chain becomes part of the configuration, and the rows
// become a test that passes.
func TestRealChain(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	plugins := e2etest.CopyPlugins(t, "smt")
	e2etest.WriteFile(t, plugins, "odd.wasm", guesttest.Bytes(t, "../../testdata/guests/odd"))
	worker := p.StartWorkerWith(plugins, "conf", "plugin.odd.limits.call.ms=150")
	worker.Create(append(e2etest.Source("orders", address, "Orders"), "transforms=in",
		"transforms.in.type="+insertFieldType,
		"transforms.in.static.field=Origin", "transforms.in.static.value=here")...)
	worker.AwaitStderr("extraction finished: 5 rows")
	tab := NewBrowser(t).Open(nil)
	folder := t.TempDir()
	tab.SaveDownloads(folder)
	takeSample(worker, tab, "orders", 3)
	tab.AwaitText(`Origin: string added "here"`)
	chain := []string{"transforms=in,mask", "transforms.in.type=" + insertFieldType,
		"transforms.in.static.field=Origin",
		"transforms.in.static.value=there", "transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value",
		"transforms.mask.fields=CustomerID"}
	writeChain(tab, chain[:len(chain)-1]...)
	tab.Click(`#chain button[value="chain"]:not([formaction])`)
	tab.AwaitText("transforms.mask.fields", `Origin: string added "here"`) // the result of the current chain
	writeChain(tab, chain...)
	tab.Click(`#chain button[value="chain"]:not([formaction])`)
	tab.AwaitText(`Origin: string "there"`, `CustomerID: string changed ""`)
	if got := worker.Config("orders"); got["transforms"] != "in" {
		t.Errorf("expected an unchanged configuration after a chain was tried, found %v", got)
	}
	tab.CheckAccessible("records with another chain")
	// The sample's rows and the chain's results become a test.
	tab.Click(`#chain button[value="test"]`)
	file, content := tab.Download(worker, folder, "orders_test.yaml")
	p.MustRun("test", "--plugins", plugins, "--data", p.Data, file).WantStdout("orders_test.yaml")
	p.Run("test", "--plugins", plugins, "--data", p.Data, p.File("wrong_test.yaml", strings.Replace(content,
		"value: there", "value: elsewhere", 1))).WantCode(1)
	tab.Click(`#chain button[formaction="form"]`)
	tab.Await("the chain in the text", textHasLine("transforms.mask.fields=CustomerID"))
	review(tab, "transforms.mask.type", "there")
	tab.Click(`button[value="apply"]`)
	tab.Await("the connector's page", isOnConnectorPage)
	worker.Await("orders", "runs", e2etest.IsRunning)
	takeSample(worker, tab, "orders", 3)
	tab.AwaitText(`Origin: string "there"`, `CustomerID: string changed ""`)
	// The transform never returns from order 10249, the second one. That is reported next to the row after the time of
	// one call; the sample and the connector continue.
	writeChain(tab, "transforms=stuck", "transforms.stuck.type=example.Stuck", "transforms.stuck.field=OrderID")
	tab.Click(`#chain button[value="chain"]:not([formaction])`)
	tab.Await("the fault beside the row",
		`document.querySelector("#row1 .step .problem")?.innerText.includes("ran longer than")`)
	for _, row := range []int{0, 2} {
		if !Eval[bool](tab, fmt.Sprintf(
			`document.querySelector("#row%[1]ds0").textContent.includes("Unchanged")`, row)) {
			t.Errorf("row %d: expected no change, found\n%s", row, tab.Text())
		}
	}
	worker.Await("orders", "runs", e2etest.IsRunning)
	tab.CheckQuiet(hostPort(worker))
}
