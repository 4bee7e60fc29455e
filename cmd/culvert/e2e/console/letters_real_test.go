//go:build real

package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// 25,000 letters of two alternating causes are settled by keyboard: those of one cause are discarded, those of the
// other replayed, each after a question with their number. Then a price is mended in its own form.
func TestRealLettersAreSettledInABrowser(t *testing.T) {
	t.Parallel()
	const count = 25_000
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	servers := p.StartBroker()
	records := make([]*kgo.Record, count)
	for i := range records {
		unknown := []string{"Colour", "Weather"}[i%2]
		records[i] = &kgo.Record{Topic: "copies", Key: fmt.Appendf(nil, `{"OrderID":%d}`, i),
			Value: fmt.Appendf(nil, `{"schema":null,"payload":{"OrderID":%d,%q:"grey"}}`, i, unknown)}
	}
	e2etest.Produce(t, servers, records...)
	worker := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", "bootstrap.servers="+servers)
	worker.Create(append(e2etest.Sink("back", address, "copies", "OrderCopies"), "errors.tolerance=all",
		"sap.odata.enable.batch=1", "key.converter=org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable=false",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.topic.replication.factor=1",
		"errors.deadletterqueue.context.headers.enable=true")...)
	worker.AwaitCall(200, "GET", "/culvert/connectors/back/deadletters", "", fmt.Sprintf(`"open":%d`, count))
	worker.MustCall(200, "PATCH", "/connectors/back/config", `{"sap.odata.unknown.fields":"ignore"}`)
	worker.Await("back", "runs", e2etest.IsRunning)

	tab := NewBrowser(t).Open(nil)
	start := time.Now()
	settle := func(cause, button, question, outcome string) {
		t.Helper()
		tab.Load(worker.URL + "/console/letters?name=back")
		tab.AwaitText(cause, "12,500")
		tab.TabTo(Eval[string](tab, fmt.Sprintf(`"#" + [...document.querySelectorAll("tr[id]")]
			.find(row => row.innerText.includes(%q)).id + " a"`, cause)))
		tab.Press(kb.Enter)
		tab.AwaitText("Only dead letters of one cause are shown")
		tab.TabTo(`.pick input[name="letter"]`)
		tab.Press(" ")
		tab.AwaitText("All 12,500 of this cause, on all pages")
		tab.TabTo(`input[name="matching"]`)
		tab.Press(" ")
		tab.TabTo(button)
		tab.Press(kb.Enter)
		tab.AwaitText(question)
		tab.CheckAccessible(question)
		tab.TabTo(`dialog .question button:not([formmethod])`)
		tab.Press(kb.Enter)
		tab.AwaitText(outcome)
	}
	settle("Colour", `.selected button[value="discard"]`, "Discard all 12,500 dead letters that match?",
		"12,500 discarded")
	settle("Weather", `.selected button[value="replay"]`, "Replay all 12,500 dead letters that match?",
		"12,500 sent: 12,500 delivered, 0 refused")
	t.Logf("25,000 letters were settled in %v", time.Since(start))
	tab.AwaitText("There are no open dead letters")
	e2etest.CheckCreatedOnce(t, s.Ledger(), count/2)

	mendPrice(t, s, servers, worker, tab)
	tab.CheckQuiet(hostPort(worker))
}

// mendPrice refuses a record for its price, and delivers it with another one that is typed in the letter.
func mendPrice(t *testing.T, s *odatatest.Service, servers string, worker *e2etest.Worker, tab *Tab) {
	t.Helper()
	const price = `{"schema":{"type":"struct","fields":[{"type":"int32","field":"OrderID"},{"type":"bytes",` +
		`"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"6"},"field":"Freight"}]},` +
		`"payload":{"OrderID":%d,"Freight":"AL68IQ=="}}` // 12.500001, of which Edm.Decimal has four digits
	e2etest.Produce(t, servers, &kgo.Record{Topic: "copies", Key: []byte(`{"OrderID":99999}`),
		Value: fmt.Appendf(nil, price, 99999)})
	tab.Load(worker.URL + "/console/letters?name=back")
	tab.Await("the letter", `(() => { if (document.querySelector("tbody a[href*=letter]")) return true;
		location.reload(); return false; })()`)
	tab.TabTo(`a[href*="letter=0"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("Freight: Decimal(6) named by the error")
	// A value that is refused again is mended in the form of its new letter.
	tab.Type(`dialog input[aria-invalid="true"]`, "12.500002")
	tab.TabTo(`dialog button[value="retry"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("Refused again")
	tab.Await("the new letter", `document.querySelector('dialog input[aria-invalid="true"]').defaultValue === "12.500002"`)
	tab.Type(`dialog input[aria-invalid="true"]`, "12.50")
	tab.TabTo(`dialog button[value="retry"]`)
	tab.Press(kb.Enter)
	tab.AwaitText("1 sent: 1 delivered", "There are no open dead letters")
	s.Each("OrderCopies", func(key string, fields map[string]string) {
		if key == "(99999)" {
			assert.Equal(t, "12.5000", fields["Freight"], "the price")
		}
	})
}
