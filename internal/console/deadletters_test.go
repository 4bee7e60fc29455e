package console

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

// A form without selected dead letters replays none. REST would replay all of the connector's.
func TestReplayRequiresSelection(t *testing.T) {
	f := newFake()
	served(t, over(f), "POST", "/console/act", url.Values{"do": {"replay"}, "name": {"orders"}, "back": {"letters"}})
	if !strings.Contains(f.bodies[0], `"letters":[]`) {
		t.Errorf("found %s with %s", f.log(), f.bodies[0])
	}
}

// The result of a dry run names the dead letters that would be rejected, and why.
func TestDryRunListsRejections(t *testing.T) {
	f := newFake()
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/replay", "orders")
	f.answers["POST "+target] = rest.ReplayResult{DryRun: true, WouldPass: 1, Refused: 1,
		Refusals: []connect.Rejection{{Position: "0@7", Reason: "no such order"}}, Kept: map[string]int{"older": 2}}
	w := served(t, over(f), "POST", "/console/act", url.Values{"do": {"replay"}, "dry": {"1"}, "name": {"orders"},
		"letter": {"0@7"}, "back": {"letters"}})
	for _, want := range []string{"Nothing was sent: 1 would pass", "0@7: no such order", "2 kept: older"} {
		assert.Contains(t, w.Body.String(), want)
	}
}

// An invalid number of rows is an error, and does not mean the default.
func TestInvalidNumberOfRows(t *testing.T) {
	for rows, want := range map[string]int{"x": 400, "": 400, "20 ": 400, "5": 303} {
		f := newFake()
		f.answers["POST /culvert/connectors/orders/samples"] = json.RawMessage(`{"id":"s1"}`)
		w := served(t, over(f), "POST", "/console/records", url.Values{"step": {"sample"}, "name": {"orders"},
			"rows": {rows}})
		if w.Code != want || strings.Contains(f.log(), "POST") != (want == 303) {
			t.Errorf("%q: found status %d, calls %s", rows, w.Code, f.log())
		}
	}
}

// An emptied text is compared as an empty text.
func TestReviewOfEmptyText(t *testing.T) {
	f := newFake()
	served(t, over(f), "POST", "/console/form", url.Values{"step": {"review"}, "name": {"x"}, "text": {""}})
	if !strings.HasPrefix(f.calls[0], "POST /culvert/diff") || f.bodies[0] != `{"name":"x","text":""}` {
		t.Errorf("found %s with %s", f.calls[0], f.bodies[0])
	}
}

// The page lists causes and the dead letters, none of them selected.
func TestDeadLettersPage(t *testing.T) {
	f := newFake()
	f.answers["GET /culvert/connectors/orders/deadletters"] = json.RawMessage(`{"topic":"dlq","letters":[
		{"offset":7,"attempts":3}],"causes":[{"id":"0a","text":"no <b>","count":3}],"next":"1-0@7"}`)
	page := served(t, over(f), "GET", "/console/letters?name=orders", nil).Body.String()
	for _, want := range []string{`cause=0a">3 × no &lt;b&gt;`, `<td class="number">3</td>`, `after=1-0%407`} {
		if strings.Count(page, want) != 1 {
			t.Errorf("expected one %s\n%s", want, page)
		}
	}
	assert.Equal(t, false, strings.Contains(page, "checked"))
}
