package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/rest"
)

// A form without selected dead letters replays none. REST would replay all of the connector's.
func TestReplayRequiresSelection(t *testing.T) {
	f := newFakeAPI()
	form := url.Values{"do": {"replay"}, "name": {"orders"}, "back": {"letters"}}
	serve(t, newConsole(f), "POST", "/console/act", form)
	assert.Contains(t, f.bodies[0], `"letters":[]`)
}

// The result of a dry run names the dead letters that would be rejected, and why.
func TestDryRunListsRejections(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/replay", "orders")
	f.responses["POST "+target] = rest.ReplayResult{DryRun: true, WouldPass: 1, Refused: 1,
		Refusals: []deadletters.Rejection{{Position: "0@7", Reason: "no such order"}}, Kept: map[string]int{"older": 2}}
	w := serve(t, newConsole(f), "POST", "/console/act", url.Values{"do": {"replay"}, "dry": {"1"}, "name": {"orders"},
		"letter": {"0@7"}, "back": {"letters"}})
	assert.Contains(t, w.Body.String(), "Nothing was sent: 1 would pass", "0@7: no such order",
		"2 kept: dead letters older")
}

// The title of a page is the title of its worst result.
func TestTitleOfAnOutcome(t *testing.T) {
	older := map[string]int{"older": 1}
	other := result{} // of an action without counts
	delivered := result{Replayed: &rest.ReplayResult{Delivered: 3}}
	partlyDelivered := result{Replayed: &rest.ReplayResult{Delivered: 9, Kept: older}}
	kept := result{Replayed: &rest.ReplayResult{Kept: older}}
	refused := result{Replayed: &rest.ReplayResult{Refused: 1}}
	discarded := result{Discarded: &rest.DiscardResult{Discarded: 1}}
	partlyDiscarded := result{Discarded: &rest.DiscardResult{Discarded: 4, Kept: older}}
	for want, results := range map[string][]result{
		"Done":          {other, delivered, discarded},
		"Partly done":   {partlyDelivered, partlyDiscarded, other},
		"Not done":      {partlyDelivered, kept, other},
		"Refused again": {refused, kept},
		"Failed":        {{Error: "no"}, refused},
	} {
		assert.Equal(t, want, outcome{Results: results}.Title())
	}
}

// An invalid number of rows is an error and is not replaced by the default.
func TestInvalidNumberOfRowsIsRejected(t *testing.T) {
	for rows, want := range map[string]int{"x": 400, "": 400, "20 ": 400, "5": http.StatusSeeOther} {
		f := newFakeAPI()
		f.responses["POST /culvert/connectors/orders/samples"] = json.RawMessage(`{"id":"s1"}`)
		w := serve(t, newConsole(f), "POST", "/console/records", url.Values{"step": {"sample"}, "name": {"orders"},
			"rows": {rows}})
		assert.Equal(t, want, w.Code, rows)
		assert.Equal(t, want == http.StatusSeeOther, strings.Contains(f.log(), "POST"), rows, "requests a sample")
	}
}

// The page lists the samples that are kept. If no row is due, it reports that and has a button to read a set in full.
func TestRecordsPageListsSamplesAndIdleSets(t *testing.T) {
	for _, state := range []string{"idle", "running", "failed", "paused"} {
		isIdle := state == "idle"
		f := newFakeAPI()
		f.responses["GET /connectors/orders/status"] = json.RawMessage(`{}`)
		f.responses["GET /culvert/connectors/orders/samples"] = []rest.Sample{{ID: "s2", Wanted: 5, State: "waiting"},
			{ID: "s1", Wanted: 1, State: "done"}}
		f.responses["GET /culvert/connectors/orders/samples/s2"] = rest.Sample{ID: "s2", Wanted: 5, State: "waiting"}
		f.responses["GET /culvert/connectors/orders"] = json.RawMessage(`{"tasks":[{"id":0,"rows":1,
			"state":"` + state + `","feeds":[
			{"name":"Orders","caught_up":true,"next_run":"2026-11-24T12:00:00Z"},
			{"name":"Lines","caught_up":true}]}]}`)
		for _, query := range []string{"", "&sample=s2"} {
			page := serve(t, newConsole(f), "GET", "/console/records?name=orders"+query, nil).Body.String()
			assert.Contains(t, page, `sample=s1">1 row since`, `>5 rows since`, "</a> (waiting)")
			for _, want := range []string{
				"No row is due now",
				"Lines: no further read",
				`aria-label="Snapshot of Orders"`,
			} {
				assert.Equal(t, isIdle, strings.Contains(page, want), want)
			}
		}
	}
}

// A review of an empty text sends the empty text.
func TestReviewOfEmptyText(t *testing.T) {
	f := newFakeAPI()
	serve(t, newConsole(f), "POST", "/console/form", url.Values{"step": {"review"}, "name": {"x"}, "text": {""}})
	i := slices.IndexFunc(f.calls, func(call string) bool { return strings.HasPrefix(call, "POST /culvert/diff") })
	if i < 0 || f.bodies[i] != `{"name":"x","text":""}` {
		t.Errorf("expected a comparison with an empty text, found %s with %q", f.log(), f.bodies)
	}
}

// The page lists causes and the dead letters, none of them selected.
func TestDeadLettersPage(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /culvert/connectors/orders/deadletters"] = json.RawMessage(`{"topic":"dlq","letters":[
		{"offset":7,"attempts":3}],"causes":[{"id":"0a","text":"no <b>","count":3}],"next":"1-0@7"}`)
	page := serve(t, newConsole(f), "GET", "/console/letters?name=orders", nil).Body.String()
	for _, want := range []string{
		`cause=0a&amp;name=orders">no &lt;b&gt;`,
		`data-label="Attempts">3</td>`,
		`after=1-0%407`,
	} {
		assert.True(t, strings.Count(page, want) == 1, "expected one %s\n%s", want, page)
	}
	assert.Equal(t, false, strings.Contains(page, "checked"))
}

// A dead letter opens in the drawer. A value is sent back only if it was edited, and a part of a value never is.
func TestDeadLetterIsEdited(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /culvert/connectors/orders/deadletters?letter=0%407"] = json.RawMessage(`{"letters":[{"offset":7,
		"attempts":3,"record":{"key":"k","value":"{\"a\":\n1}","size":9}}]}`)
	f.responses["GET /culvert/connectors/orders/deadletters?letter=0%408"] = json.RawMessage(`{"letters":[{"offset":8,
		"record":{"value":"{\"a\":","cut":true,"size":900}}]}`)
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/{letter}/retry", "orders", "0@7")
	f.responses["POST "+target] = rest.ReplayResult{Sent: 1, Delivered: 1}
	form := formOf(t, serve(t, newConsole(f), "GET", "/console/letters?name=orders&letter=0%407", nil).Body.String())
	assert.Equal(t, []string{"{\"a\":\n1}", "1"}, []string{form.Get("value"), form.Get("f./0")})
	form.Del("older")
	form.Set("do", "retry")
	for _, test := range []struct{ value, field, want string }{
		{value: "{\"a\":\r\n1}", field: "1", want: `{}`},
		{value: "{\"a\":2}", field: "1", want: `{"value":"{\"a\":2}"}`},
		{value: "{\"a\":\r\n1}", field: "3", want: `{"value":"{\"a\":\n3}"}`},
	} {
		form.Set("value", test.value)
		form.Set("f./0", test.field)
		w := serve(t, newConsole(f), "POST", "/console/act", form)
		assert.Equal(t, test.want, f.bodies[len(f.bodies)-2]) // the last request is for the frame
		assert.Contains(t, w.Body.String(), "1 delivered", "#circle-check")
	}
	form.Set("value", "{\"a\":2}")
	assert.Contains(t, serve(t, newConsole(f), "POST", "/console/act", form).Body.String(), "both edited")
	form.Set("f./0", "many")
	requests := len(f.bodies)
	page := serve(t, newConsole(f), "POST", "/console/act", form).Body.String()
	assert.Contains(t, page, "a: expected a number, found &#34;many&#34;")
	assert.Equal(t, requests+2, len(f.bodies), "the letter and the frame: nothing is sent")
	page = serve(t, newConsole(f), "GET", "/console/letters?name=orders&letter=0%408", nil).Body.String()
	assert.Contains(t, page, "shown in part")
	assert.Equal(t, false, strings.Contains(page, `name="value"`))
	for _, value := range []string{"a\r\nb", "a\rb", "a\x00b"} {
		letter := rest.DeadLetter{Record: &rest.DeadLetterRecord{Value: &value}}
		f.responses["GET /culvert/connectors/orders/deadletters?letter=0%409"] = rest.DeadLetterList{
			DeadLetters: []rest.DeadLetter{letter}}
		page := serve(t, newConsole(f), "GET", "/console/letters?name=orders&letter=0%409", nil).Body.String()
		assert.Contains(t, page, "cannot be edited here")
		assert.Equal(t, false, strings.Contains(page, `name="value"`), value)
	}
}

// The page of a retry that is refused again has the cause and the new letter; the drawer keeps the stored value.
func TestRefusedRetry(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/{letter}/retry", "orders", "0@7")
	f.responses["POST "+target] = rest.ReplayResult{Sent: 1, Refused: 1, Letter: "0@9",
		Refusals: []deadletters.Rejection{{Position: "0@7", Reason: "no such <order>"}}}
	form := url.Values{"do": {"retry"}, "name": {"orders"}, "letter": {"0@7"}, "back": {"letters?name=orders"}}
	page := serve(t, newConsole(f), "POST", "/console/act", form).Body.String()
	assert.Contains(t, page, "<h1>Refused again</h1>", "0@7: no such &lt;order&gt;", `data-letter="0@9"`,
		`href="letters?letter=0%409&amp;name=orders"`)
	for title, result := range map[string]rest.ReplayResult{
		"Done":     {Sent: 1, Delivered: 1},
		"Not done": {Kept: map[string]int{"older": 1}},
	} {
		f.responses["POST "+target] = result
		assert.Contains(t, serve(t, newConsole(f), "POST", "/console/act", form).Body.String(), "<h1>"+title+"</h1>")
	}
	f.responses["GET /culvert/connectors/orders/deadletters?letter=0%407"] = json.RawMessage(`{"letters":[{"offset":7,
		"record":{"value":"{\"a\":1}","size":7}}]}`)
	page = serve(t, newConsole(f), "GET", "/console/letters?name=orders&letter=0%407", nil).Body.String()
	assert.Contains(t, page, `<details class="stored">`, "<pre tabindex=\"0\">{&#34;a&#34;:1}\n</pre>")
}

// All letters that match the filter of the page are replayed or discarded after a question with their number. A letter
// that failed after the page was loaded is not among them. A dry run asks nothing.
func TestAllMatchingLetters(t *testing.T) {
	f := newFakeAPI()
	const letters = "/culvert/connectors/orders/deadletters"
	f.responses["GET "+letters+"?cause=0a&since=2026-02-03T04%3A05%3A06Z"] = json.RawMessage(`{"topic":"dlq",
		"letters":[{"offset":7,"attempts":3}],"causes":[{"id":"0a","text":"no","count":16926}],"matching":16926,"next":"1-0@7"}`)
	page := serve(t, newConsole(f), "GET", "/console/letters?name=orders&cause=0a&since=2026-02-03T04:05:06Z",
		nil).Body.String()
	assert.Contains(t, page, "All 16,926 of this cause, on all pages")
	form := url.Values{"name": {"orders"}, "cause": {"0a"}, "since": {"2026-02-03T04:05:06Z"}, "letter": {"0@7"},
		"loaded": {"2026-03-01T00:00:00Z"}, "matching": {"yes"}, "do": {"discard"}}
	f.responses["GET "+letters+"?cause=0a&since=2026-02-03T04%3A05%3A06Z&until=2026-03-01T00%3A00%3A00Z"] =
		json.RawMessage(`{"letters":[],"matching":16925}`)
	f.responses["POST "+letters+"/discard"] = rest.DiscardResult{Discarded: 16925}
	f.responses["POST "+letters+"/replay"] = rest.ReplayResult{DryRun: true, WouldPass: 9}
	const selected = `{"cause":"0a","since":"2026-02-03T04:05:06Z","until":"2026-03-01T00:00:00Z"`

	requests := len(f.bodies)
	page = serve(t, newConsole(f), "POST", "/console/act", form).Body.String()
	assert.Contains(t, page, "Discard all 16,925 dead letters that match?")
	assert.Equal(t, false, slices.ContainsFunc(f.bodies[requests:], func(body string) bool { return body != "" }))
	page = serve(t, newConsole(f), "POST", "/console/act", formOf(t, page)).Body.String()
	assert.Contains(t, page, "16,925 discarded")
	assert.Equal(t, selected+"}", f.bodies[len(f.bodies)-2])

	form.Set("dry", "yes")
	serve(t, newConsole(f), "POST", "/console/act", form)
	assert.Equal(t, selected+`,"dry":true}`, f.bodies[len(f.bodies)-2])
}

// Only a result whose letters were all delivered has a green tick.
func TestOnlyDeliveredLettersHaveATick(t *testing.T) {
	for name, test := range map[string]struct {
		result rest.ReplayResult
		want   bool
	}{
		"delivered": {result: rest.ReplayResult{Sent: 1, Delivered: 1}, want: true},
		"refused":   {result: rest.ReplayResult{Sent: 2, Delivered: 1, Refused: 1}},
		"kept":      {result: rest.ReplayResult{Sent: 1, Delivered: 1, Kept: map[string]int{"older": 1}}},
		"nothing":   {},
		"dry":       {result: rest.ReplayResult{DryRun: true, WouldPass: 1}},
	} {
		assert.Equal(t, test.want, result{Replayed: &test.result}.Delivered(), name)
	}
}

// A dry run that refuses nothing is no failure, and has no green tick: nothing was delivered.
func TestDryRunWithoutRefusalsIsNoFailure(t *testing.T) {
	_, target := rest.Target("POST /culvert/connectors/{name}/deadletters/replay", "orders")
	for want, result := range map[string]rest.ReplayResult{
		`class="off"`:  {DryRun: true, WouldPass: 1},
		`class="warn"`: {DryRun: true, WouldPass: 1, Refused: 1},
	} {
		f := newFakeAPI()
		f.responses["POST "+target] = result
		page := serve(t, newConsole(f), "POST", "/console/act", url.Values{"dry": {"yes"}, "name": {"orders"},
			"letter": {"0@7"}}).Body.String()
		assert.Contains(t, page, "orders: Nothing was sent")
		for _, class := range []string{`class="off"`, `class="warn"`, `class="good"`} {
			assert.Equal(t, class == want, strings.Contains(page, class), class)
		}
	}
}

// A value cannot be edited if its JSON does not fit into the body of a retry, which has at most 1 MiB.
func TestTooLargeValueCannotBeEdited(t *testing.T) {
	for value, want := range map[string]bool{
		strings.Repeat("x", rest.MaxRetryValue-2):      true, // JSON adds two quotes
		strings.Repeat("x", rest.MaxRetryValue-1):      false,
		strings.Repeat(`"`, rest.MaxRetryValue/2-1):    true,
		strings.Repeat("\x01", rest.MaxRetryValue/6):   false,
		strings.Repeat("\x01", rest.MaxRetryValue/6-1): true,
	} {
		description := fmt.Sprintf("%d times %q", len(value), value[0])
		letter := &rest.DeadLetter{Record: &rest.DeadLetterRecord{Value: &value}}
		assert.Equal(t, want, canEdit(letter), description, "can be edited")
		body, err := json.Marshal(rest.RetryRequest{Value: &value, IncludeSuperseded: true})
		require.NoError(t, err)
		fits := len(body) <= 1<<20-(1<<10)+len(`{"value":,"older":true}`)
		assert.Equal(t, want, fits, description, "fits into a request")
	}
}
