package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// TestODP reads a whole set of an ODP service and its changes, wherever the token is in the link, quoted or not.
func TestODP(t *testing.T) {
	for _, test := range []struct {
		name     string
		switches odatatest.Switches
		settings []string
	}{
		{name: "delta link"},
		{name: "pages", switches: odatatest.Switches{PageSize: 10}},
		{name: "in the next link", switches: odatatest.Switches{PageSize: 10, TokenIn: "next"}},
		{name: "in DeltaLinksOf", switches: odatatest.Switches{PageSize: 10, TokenIn: "links"}},
		{name: "without quotes", switches: odatatest.Switches{DeltaQuotes: "off"}},
		{name: "without quotes in the next link", switches: odatatest.Switches{DeltaQuotes: "off", TokenIn: "next"}},
		{name: "Atom", switches: odatatest.Switches{PageSize: 10},
			settings: []string{"sap.odata#00.format=atom"}},
		{name: "Atom, in DeltaLinksOf", switches: odatatest.Switches{PageSize: 10, TokenIn: "links"},
			settings: []string{"sap.odata#00.format=atom"}},
		{name: "202", switches: odatatest.Switches{Accepted: 2}},
		{name: "tombstones", settings: []string{"sap.odata#00.deletes=tombstone"}},
		{name: "without before images", settings: []string{"sap.odata#00.before.images=drop"}},
		{name: "a filter", settings: []string{"sap.odata#00.select=ProductName"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30, Switches: test.switches})
			follower := followSet(t, service, odpSet("Products", test.settings...)...)
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			for key := range follower.state {
				require.True(t, !strings.Contains(key, " "), "unexpected key %s", key)
			}
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			write(t, service, "POST", "Products", product(9000, "New"))
			earlier := len(follower.log)
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			var modes []string
			for _, e := range follower.log[earlier:] {
				modes = append(modes, fmt.Sprint(e.value["ODQ_CHANGEMODE"], e.value["ODQ_ENTITYCNTR"]))
			}
			hasImages := strings.Contains(strings.Join(modes, ","), "U[255]")
			wantsImages := test.name != "without before images"
			assert.True(t, hasImages == wantsImages || test.name == "a filter",
				"expected before images: %v, found rows %v", wantsImages, modes)
			write(t, service, "DELETE", "Products(3)", nil)
			earlier = len(follower.log)
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			deletions := follower.log[earlier:]
			require.True(t, len(deletions) == 1 && deletions[0].tombstone == (test.name == "tombstones"),
				"expected one record of the deleted row, found %v", deletions)
			v := deletions[0].value
			isDelete := v["ODQ_CHANGEMODE"] == "D" && v["ProductName"] == nil && v["DELETED_AT"] != nil &&
				v["ProductID"] == "3"
			assert.True(t, deletions[0].tombstone || test.name == "a filter" || isDelete,
				"unexpected record of the deleted row: %v", v)
			if l := service.Ledger(); l.Jobs != 1 || l.Refused536 > 0 {
				t.Errorf("expected 1 job and no response 536, found %d and %d", l.Jobs, l.Refused536)
			}
		})
	}
}

// TestODPRequestsExtractionOnce: the first extraction is requested once, after the offset that records it is stored,
// even if its response is lost.
func TestODPRequestsExtractionOnce(t *testing.T) {
	for name, lostTarget := range map[string]string{ // part of the request whose response is lost
		"the response": odpNorthwind + "/FactsOfProducts?$inlinecount=allpages&$format=json",
		"a later page": "skiptoken",
	} {
		t.Run(name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 20}})
			follower := newFollower(t, service, odpSet("Products")...)
			lost := false
			follower.onResponse = func(request *wit.Request, r *wit.Response) {
				if lost || !strings.Contains(request.Target, lostTarget) {
					return
				}
				lost = true
				r.Status = noAnswer
				if name == "the response" && (follower.stored == nil || request.Repeatable ||
					request.FirstByteTimeoutMs == nil) {
					t.Errorf("requested with the stored offset %v: %+v", follower.stored, request)
				}
			}
			require.ErrorIs(t, follower.catchUp(start), errKilled)
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			write(t, service, "DELETE", "Products(4)", nil)
			follower.start()
			for range 2 {
				require.NoError(t, follower.catchUp(start))
			}
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			assert.Equal(t, 1, service.Ledger().Jobs, "job")
		})
	}
}

// confirmEnd returns a service that confirms the end of a subscription but keeps it. ended counts the requests.
func confirmEnd(handler http.Handler, ended *int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "TerminateDeltasFor") {
			*ended++
			fmt.Fprint(w, `{"d":{"TerminateDeltasForFactsOfProducts":{"ResultFlag":true}}}`)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// TestODPSubscriptionOfAnotherReader: a queue that is open already belongs to another reader.
func TestODPSubscriptionOfAnotherReader(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	require.NoError(t, newFollower(t, service, odpSet("Products")...).catchUp(start))
	err := newFollower(t, service, odpSet("Products")...).catchUp(start)
	if fault := faultOf(err); fault.Kind != wit.ErrorConfig || fault.Setting == nil ||
		*fault.Setting != sourceconfig.DeltaTakeover {
		t.Errorf("expected an error of the setting %s, found %v", sourceconfig.DeltaTakeover, err)
	}
	if l := service.Ledger(); l.Jobs != 1 || l.Terminated != 0 {
		t.Errorf("expected 1 job and no ended subscription, found %d and %d", l.Jobs, l.Terminated)
	}
	f := followSet(t, service, odpSet("Products", "sap.odata.delta.takeover=true")...)
	f.checkTopic(service, "Products", "ProductID", "ProductName")
	if l := service.Ledger(); l.Jobs != 2 || l.Terminated != 1 {
		t.Errorf("expected 2 jobs and 1 ended subscription, found %d and %d", l.Jobs, l.Terminated)
	}
}

// TestODPEndsASubscriptionOnce: a subscription that still exists although the service confirmed its end is not ended
// again after a restart.
func TestODPEndsASubscriptionOnce(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	require.NoError(t, newFollower(t, service, odpSet("Products")...).catchUp(start))
	ended := 0
	follower := newFollower(t, confirmEnd(service, &ended), odpSet("Products", "sap.odata.delta.takeover=true")...)
	for range 3 {
		err := follower.catchUp(start)
		assert.True(t, errorContains(err, "but still has it"), "expected the subscription to remain, found %v", err)
		follower.start()
	}
	assert.True(t, ended == 1 && service.Ledger().Jobs == 1,
		"expected one end of the subscription, found %d, and %d jobs", ended, service.Ledger().Jobs)
	follower.service = service // after the subscription was ended elsewhere, the feed continues
	if r := follower.exchange(&wit.Request{Method: "GET",
		Target: odpNorthwind + "/TerminateDeltasForFactsOfProducts?$format=json"}); r.Status != 200 {
		t.Fatalf("expected status 200, found %d", r.Status)
	}
	require.NoError(t, follower.catchUp(start))
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
}

// TestODPRecovery continues from the oldest link that the service keeps, unless changes would be missing.
func TestODPRecovery(t *testing.T) {
	for _, test := range []struct {
		name    string
		token   string // of the oldest link. "" means the token of the first load, "-" that there is no link.
		setting string
		message string
	}{
		{name: "off", message: "recover continues from the oldest link"},
		{name: "on", setting: "sap.odata#00.delta.link.recovery=1"},
		{name: "younger", token: "D29990101000000_000000001", setting: "sap.odata#00.delta.lost=recover",
			message: "is younger than the lost one"},
		{name: "no link", token: "-", setting: "sap.odata#00.delta.lost=recover", message: "has none either"},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30})
			settings := odpSet("Products")
			if test.setting != "" {
				settings = append(settings, test.setting)
			}
			follower := followSet(t, service, settings...)
			old := delta.TokenOf(stringOf(follower.stored, "url"))
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			require.NoError(t, follower.catchUp(poll))
			write(t, service, "MERGE", "Products(4)", map[string]any{"ProductName": "Changed too"})
			refused := false
			follower.onResponse = func(request *wit.Request, r *wit.Response) {
				switch {
				case strings.Contains(request.Target, "deltatoken") && !refused:
					refused = true
					r.Status = 410
					r.Body = []byte(`{"error":{"code":"X/1","message":{"value":"gone"}}}`)
				case strings.Contains(request.Target, "DeltaLinksOf"):
					r.Body = fmt.Appendf(nil, `{"d":{"results":[{"DeltaToken":"D29990101000000_000000009",`+
						`"CreatedAt":"/Date(32503680000000)/","IsInitialLoad":false},{"DeltaToken":"%s",`+
						`"CreatedAt":"/Date(1600000000000)/","IsInitialLoad":true}]}}`, cmp.Or(test.token, old))
					if test.token == "-" {
						r.Body = []byte(`{"d":{"results":[]}}`)
					}
				case strings.Contains(request.Target, old):
					// The demo service has one generation. This one keeps more.
					r.Status = 200
					r.Body = []byte(`{"d":{"results":[{"ProductID":4,"ProductName":"Changed too",` +
						`"ODQ_CHANGEMODE":"U","ODQ_ENTITYCNTR":"1"}],` +
						`"__delta":"FactsOfProducts?!deltatoken='D29990101000000_000000010'"}}`)
				}
			}
			err := follower.catchUp(poll)
			require.ErrorOrNone(t, err, test.message)
			if test.message == "" {
				follower.checkTopic(service, "Products", "ProductID", "ProductName")
			}
		})
	}
}

// TestODPResumes is T2 without the host: with one generation of tokens nothing is missing and no token is too old,
// wherever the reader is killed.
func TestODPResumes(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for round := range 40 {
		service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: r.IntN(40),
			TokenIn: []string{"", "next", "links"}[r.IntN(3)]}})
		follower := newFollower(t, service, odpSet("Products")...)
		follower.catchUpKilled(r, round, func(id int) {
			phase := stringOf(follower.stored, "phase")
			if r.IntN(3) == 0 && follower.stored != nil && (phase == "" || phase == "changes") {
				tryWrite(service, "DELETE", fmt.Sprintf("Products(%d)", id), nil)
				return
			}
			tryWrite(service, "MERGE", fmt.Sprintf("Products(%d)", id),
				map[string]any{"ProductName": fmt.Sprint("Changed ", r.IntN(1000))})
		})
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
		if l := service.Ledger(); l.Jobs != 1 || l.Refused536 > 0 || t.Failed() {
			t.Fatalf("round %d: expected 1 job and no response 536, found %d and %d", round, l.Jobs, l.Refused536)
		}
	}
}

// TestRetire ends the queue that a connector has opened and reports it. For a service without a queue it does nothing.
func TestRetire(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, s, odpSet("Products")...)
	output, err := follower.runCommand(retireCommand, nil, follower.settings...)
	assert.True(t, err == nil && strings.Contains(output, `"ended"`) && s.Ledger().Terminated == 1,
		"expected 1 ended subscription in the output, found %s, %v, %d ended", output, err, s.Ledger().Terminated)
	output, err = follower.runCommand(retireCommand, nil, deltaSet("Products")...)
	assert.True(t, err == nil && strings.Contains(output, "keeps no queue"),
		"expected an output about no queue, found %s, %v", output, err)
	output, err = follower.runCommand(retireCommand, nil, set("00", "Products")...)
	assert.True(t, err != nil, "a connector without delta mode: expected an error, found %s", output)
}

// TestODPShortLoadFails: the load that replaces one whose response was lost fails if the service ends it with
// fewer rows than it counts.
func TestODPShortLoadFails(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 20, TokenIn: "links"}})
	follower := newFollower(t, s, odpSet("Products")...)
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if strings.Contains(q.Target, "/FactsOfProducts?") {
			r.Status = noAnswer
		}
	}
	require.ErrorIs(t, follower.catchUp(start), errKilled)
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if i := strings.Index(string(r.Body), `,"__next"`); i >= 0 && strings.Contains(q.Target, "$inlinecount") {
			r.Body = append(slices.Clone(r.Body[:i]), `,"__count":"77"}}`...)
		}
	}
	follower.start()
	err := follower.catchUp(start)
	if idle, _ := wit.Lookup(follower.stored, "rest"); faultOf(err).Kind != wit.ErrorData || idle.Boolean != nil {
		t.Errorf("expected missing rows to fail the load, found %v and the offset %v", err, follower.stored)
	}
}

// TestODPDeletesWithFilter: a deleted row, of which the service returns only the key, is not reported as a row that the
// filter should have excluded.
func TestODPDeletesWithFilter(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, service, odpSet("Products", condition("00", "ProductName", "ne", "Nobody")...)...)
	earlier := len(follower.state)
	_, ok := follower.state["[3]"]
	require.True(t, ok, "row 3 is missing")
	write(t, service, "DELETE", "Products(3)", nil)
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if strings.Contains(q.Target, "deltatoken") { // as a service that has only the keys
			r.Body = regexp.MustCompile(`"ProductName":"[^"]*"`).ReplaceAll(r.Body, []byte(`"ProductName":"Nobody"`))
		}
	}
	require.NoError(t, follower.catchUp(poll))
	if _, ok := follower.state["[3]"]; ok || len(follower.state) != earlier-1 {
		t.Errorf("%d rows of %d remain, the deleted one %v", len(follower.state), earlier, ok)
	}
}

// TestODPReload: with delta.lost=reload a lost token ends the queue, and a new first extraction replaces it, whose
// changes are read afterwards. The result is the same if the reader is killed anywhere in between.
func TestODPReload(t *testing.T) {
	for _, killed := range []string{"", "TerminateDeltas", "Products?$format=json"} {
		service := odatatest.New(odatatest.Options{Rows: 30})
		follower := followSet(t, service, odpSet("Products", "sap.odata#00.delta.lost=reload")...)
		write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
		refused := false
		hasFailed := false
		follower.onResponse = func(q *wit.Request, r *wit.Response) {
			switch {
			case strings.Contains(q.Target, "deltatoken") && !refused:
				refused = true
				r.Status = 410
				r.Body = []byte(`{"error":{"code":"X/1","message":{"value":"gone"}}}`)
			case killed != "" && refused && !hasFailed && strings.Contains(q.Target, killed):
				hasFailed = true
				r.Status = noAnswer
			}
		}
		err := follower.catchUp(poll)
		if killed != "" && errors.Is(err, errKilled) {
			follower.start()
			err = follower.catchUp(start)
		}
		require.True(t, err == nil && hasFailed == (killed != ""), "killed at %q: %v", killed, err)
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
		l := service.Ledger()
		assert.True(t, l.Jobs == 2 && l.Terminated == 1,
			"killed at %q: expected 2 jobs and 1 ended subscription, found %d and %d", killed, l.Jobs, l.Terminated)
		write(t, service, "MERGE", "Products(5)", map[string]any{"ProductName": "Changed later"})
		write(t, service, "DELETE", "Products(4)", nil)
		require.NoError(t, follower.catchUp(poll), "killed at", killed)
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
	}
}

// TestODPRejectedFormatIsOmitted: the first extraction is requested again without $format, and still as a request that
// must not be repeated (P13).
func TestODPRejectedFormatIsOmitted(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{RefuseFormat: true}})
	follower := newFollower(t, service, odpSet("Products")...)
	opened := 0
	reason := start
	for range 20 {
		step, err := follower.p.Next(follower.opened.Context, 0, follower.stored, reason, follower.now)
		require.NoError(t, err)
		if phase, _ := wit.Lookup(*step.Fetch.Position, "phase"); *phase.String == "open" {
			opened++
			assert.True(t, !step.Fetch.Request.Repeatable && step.Fetch.Acknowledges,
				"expected %s not to be repeatable", step.Fetch.Request.Target)
		}
		more, err := follower.page(step.Fetch)
		require.NoError(t, err)
		reason = onward
		if !more {
			break
		}
	}
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
	assert.True(t, opened != 0, "expected a request for the first extraction")
}
