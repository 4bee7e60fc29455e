package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

const (
	orderDelete  = `DELETE /Orders('a') If-Match=* (repeatable)`
	searchByNote = "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)"
)

func insertOf(id string) string { return `POST /Orders {"ID":"` + id + `","Note":"n"}` }
func lookupOf(id string) string { return "GET /Orders('" + id + "') (repeatable)" }
func mergeOf(id string) string {
	return "MERGE /Orders('" + id + `') If-Match=* (repeatable) {"ID":"` + id + `","Note":"n"}`
}

// createdAs returns the response to an insert, with the key under which the service created the entity.
func createdAs(id string) string { return "201 Location: http://h/Orders('" + id + "')" }

// keysRun is a run that writes orders one by one, with the responses to its requests (script).
type keysRun struct {
	name     string
	settings []string
	// rows are the keys and operations, separated by a colon. No operation leaves it to the settings.
	rows     []string
	script   []string
	requests []string
	outcomes []string
}

func checkKeys(t *testing.T, runs []keysRun) {
	t.Helper()
	for _, test := range runs {
		settings := append(set("00", "Orders"), checkInDoubt, "sap.odata.enable.batch=0")
		if strings.HasSuffix(test.rows[0], ":I") {
			settings = append(settings, dynamicMode...)
		}
		run := open(t, shopService(), append(settings, test.settings...)...)
		var rows [][]any
		for _, row := range test.rows {
			id, operation, _ := strings.Cut(row, ":")
			pairs := []any{"ID", id, "Note", "n"}
			if operation != "" {
				pairs = append(pairs, "OP", operation)
			}
			rows = append(rows, pairs)
		}
		requests, outcomes, _ := run.writeOrders(test.script, rows...)
		expectEqual(t, test.name+": requests", test.requests, requests)
		expectEqual(t, test.name, test.outcomes, outcomes)
	}
}

// Once a service has replaced a key, inserts in doubt are not looked up by the key that was sent, and nothing is
// changed or deleted by it. A service that keeps keys may write them in another form.
func TestServiceReplacesKeys(t *testing.T) {
	allWritten := []string{outcomeWritten, outcomeWritten}
	checkKeys(t, []keysRun{
		{
			name:     "kept",
			rows:     []string{"a:I", "a:M"},
			script:   []string{createdAs("a"), "204"},
			requests: []string{insertOf("a"), mergeOf("a")},
			outcomes: allWritten,
		},
		{
			name:     "padded",
			rows:     []string{"7:I", "7:M"},
			script:   []string{createdAs("0007"), "204"},
			requests: []string{insertOf("7"), mergeOf("7")},
			outcomes: allWritten,
		},
		{
			name:     "in capitals",
			rows:     []string{"a:I", "a:D"},
			script:   []string{createdAs("A"), "204"},
			requests: []string{insertOf("a"), orderDelete},
			outcomes: allWritten,
		},
		{
			name:     "no address",
			rows:     []string{"a:I", "a:D"},
			script:   []string{"201 Location: http://h/Orders", "204"},
			requests: []string{insertOf("a"), orderDelete},
			outcomes: allWritten,
		},
		{
			name:     "changed, then merged",
			rows:     []string{"a:I", "a:M"},
			script:   []string{createdAs("17")},
			requests: []string{insertOf("a")},
			outcomes: []string{outcomeWritten, "config"},
		},
		{
			name:     "changed, then deleted",
			rows:     []string{"a:I", "b:D"},
			script:   []string{createdAs("17")},
			requests: []string{insertOf("a")},
			outcomes: []string{outcomeWritten, "config"},
		},
		{
			name:     "changed, the next one lost",
			rows:     []string{"a:I", "b:I"},
			script:   []string{createdAs("17"), "0"},
			requests: []string{insertOf("a"), insertOf("b")},
			outcomes: []string{outcomeWritten, outcomeInDoubt},
		},
		{
			name:     "changed, the next one lost and found",
			settings: []string{filterByNote},
			rows:     []string{"a:I", "b:I"},
			script:   []string{createdAs("17"), "0", `200 {"d":[{"ID":"18","Note":"n"}]}`},
			requests: []string{insertOf("a"), insertOf("b"), searchByNote},
			outcomes: allWritten,
		},
		{
			name:     "changed by an upsert",
			settings: []string{upsertMode, insertFirst},
			rows:     []string{"a:", "a:"},
			script:   []string{createdAs("17")},
			requests: []string{insertOf("a")},
			outcomes: []string{outcomeWritten, "config"},
		},
		{
			name:     "equal to a counter's value, then changed",
			rows:     []string{"3:I", "9:I", "9:M"},
			script:   []string{createdAs("3"), createdAs("8")},
			requests: []string{insertOf("3"), insertOf("9")},
			outcomes: []string{outcomeWritten, outcomeWritten, "config"},
		},
	})
}

// A service may number an entity whose key is initial. An insert of such a row in doubt is looked up by a filter.
func TestInitialKeyIsNumberedByService(t *testing.T) {
	allWritten := []string{outcomeWritten, outcomeWritten}
	checkKeys(t, []keysRun{
		{
			name:     "numbered where it is 0",
			rows:     []string{"0:I", "5:M"},
			script:   []string{createdAs("5"), "204"},
			requests: []string{insertOf("0"), mergeOf("5")},
			outcomes: allWritten,
		},
		{
			name:     "numbered where it is 0, the next one lost",
			rows:     []string{"0:I", "0:I"},
			script:   []string{createdAs("5"), "0"},
			requests: []string{insertOf("0"), insertOf("0")},
			outcomes: []string{outcomeWritten, outcomeInDoubt},
		},
		{
			name:     "numbered where it is 0, the next one lost that is not 0",
			rows:     []string{"0:I", "7:I"},
			script:   []string{createdAs("5"), "0", "404", "201"},
			requests: []string{insertOf("0"), insertOf("7"), lookupOf("7"), insertOf("7")},
			outcomes: allWritten,
		},
		{
			name:     "0, the first one lost",
			rows:     []string{"0:I"},
			script:   []string{"0", "404"},
			requests: []string{insertOf("0"), lookupOf("0")},
			outcomes: []string{outcomeInDoubt},
		},
		{
			name:     "0, the first one lost and there",
			rows:     []string{"0:I"},
			script:   []string{"0", `200 {"d":{"ID":"0","Note":"n"}}`},
			requests: []string{insertOf("0"), lookupOf("0")},
			outcomes: []string{outcomeWritten},
		},
		{
			name:     "0, the first one lost and found",
			settings: []string{filterByNote},
			rows:     []string{"0:I"},
			script:   []string{"0", `200 {"d":[{"ID":"17","Note":"n"}]}`},
			requests: []string{insertOf("0"), searchByNote},
			outcomes: []string{outcomeWritten},
		},
		{
			name:     "0, the first one lost and not there",
			settings: []string{filterByNote},
			rows:     []string{"0:I"},
			script:   []string{"0", `200 {"d":[]}`, "201"},
			requests: []string{insertOf("0"), searchByNote, insertOf("0")},
			outcomes: []string{outcomeWritten},
		},
		{
			name:     "upserts of a numbered entity",
			settings: []string{upsertMode, insertFirst},
			rows:     []string{"0:", "0:"},
			script:   []string{createdAs("5")},
			requests: []string{insertOf("0")},
			outcomes: []string{outcomeWritten, "data"},
		},
	})
}

// An insert in doubt is looked up by its key, and repeated if it was not done.
func TestKeyIsLookedUpUntilServiceReplacesOne(t *testing.T) {
	checkKeys(t, []keysRun{
		{
			name:     "not shown, lost and not there",
			rows:     []string{"a:I"},
			script:   []string{"0", "404", "201"},
			requests: []string{insertOf("a"), lookupOf("a"), insertOf("a")},
			outcomes: []string{outcomeWritten},
		},
		{
			name:     "not shown, lost, stored late",
			rows:     []string{"a:I"},
			script:   []string{"0", `200 {"d":{"ID":"a","Note":"n"}}`},
			requests: []string{insertOf("a"), lookupOf("a")},
			outcomes: []string{outcomeWritten},
		},
		{
			name:     "an upsert, lost and not there",
			settings: []string{upsertMode},
			rows:     []string{"a:"},
			script:   []string{"404 DataServiceVersion: 2.0", "0", "404 DataServiceVersion: 2.0", "201"},
			requests: []string{mergeOf("a"), insertOf("a"), lookupOf("a"), insertOf("a")},
			outcomes: []string{outcomeWritten},
		},
	})
}

// What responses have shown of keys is stored.
func TestKeyCapabilitiesAreStored(t *testing.T) {
	run := openOrders(t, checkInDoubt, "sap.odata.enable.batch=0")
	learn := func(sent, created string) wit.Known {
		_, _, host := run.writeOrders([]string{"201 Location: http://h/Orders('" + created + "')"},
			[]any{"ID", sent, "Note", "n"})
		host.expectAll(outcomeWritten)
		return wit.KnownIn(run.context)
	}
	orders := (&entityset.EntitySet{Path: gateway + "/Orders"}).Digest()
	expectEqual(t, "a key that is kept", "", learn("a", "a"))
	expectEqual(t, "an initial key", wit.Known("f"+orders), learn("0", "5"))
	expectEqual(t, "another key", wit.Known("n"+orders), learn("b", "6"))
}

// requestIDAccepted is a response that shows that the service heeds a RequestID.
const requestIDAccepted = "201 RepeatabilityResult: accepted"

// storedCapabilityCase is an insert in doubt of an earlier run. script holds the responses to all of its requests.
type storedCapabilityCase struct {
	name    string
	setting string
	key     string
	known   string
	script  []string
	outcome string
}

func storedCapabilityCases() []storedCapabilityCase {
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	const (
		exists      = `200 {"d":{"ID":"a","Note":"n"}}`
		existsOther = `200 {"d":{"ID":"a","Note":"other"}}`
		notFound    = "404 DataServiceVersion: 2.0"
		emptyPage   = `200 {"d":[]}`
	)
	return []storedCapabilityCase{
		{name: "nothing", key: "a", script: []string{notFound, "201"}, outcome: outcomeWritten},
		{
			name:    "another set",
			key:     "a",
			known:   " known=nXyZ",
			script:  []string{notFound, "201"},
			outcome: outcomeWritten,
		},
		{name: "it numbers", key: "a", known: numbers, outcome: outcomeInDoubt},
		{name: "a set numbers", key: "a", known: " known=n*", outcome: outcomeInDoubt},
		{name: "anything", key: "a", known: " known=*", outcome: outcomeInDoubt},
		{name: "it numbers, among others", key: "a", known: knownOfOrders("fXyZ,n"), outcome: outcomeInDoubt},
		{
			name:    "it numbers, by a filter",
			setting: filterByNote,
			key:     "a",
			known:   numbers,
			script:  []string{emptyPage, "201"},
			outcome: outcomeWritten,
		},
		{name: "it fills", key: "0", known: fills, outcome: outcomeInDoubt},
		{name: "it fills others", key: "a", known: fills, script: []string{notFound, "201"}, outcome: outcomeWritten},
		{
			name:    "an upsert",
			setting: upsertMode,
			key:     "a",
			script:  []string{notFound, "201"},
			outcome: outcomeWritten,
		},
		{name: "an upsert, it numbers", setting: upsertMode, key: "a", known: numbers, outcome: outcomeInDoubt},
		{
			name:    "an upsert of an initial key",
			setting: upsertMode,
			key:     "0",
			script:  []string{notFound},
			outcome: outcomeInDoubt,
		},
		{name: "moved", key: "a", known: " moved", script: []string{exists}, outcome: outcomeWritten},
		{
			name:    "a RequestID",
			setting: repeatInDoubt,
			key:     "a",
			script:  []string{existsOther, requestIDAccepted},
			outcome: outcomeWritten,
		},
		{
			name:    "a RequestID, moved",
			setting: repeatInDoubt,
			key:     "a",
			known:   " moved",
			script:  []string{existsOther},
			outcome: outcomeInDoubt,
		},
		{
			name:    "a RequestID, moved, gone, lost",
			setting: repeatInDoubt,
			key:     "a",
			known:   " moved",
			script:  []string{notFound, "0", exists},
			outcome: outcomeWritten,
		},
	}
}

// What responses have shown of keys decides on rows in doubt of an earlier run. A row that may have been sent with
// another RequestID is looked up.
func TestChecksUseStoredCapabilities(t *testing.T) {
	for _, test := range storedCapabilityCases() {
		settings := append(set("00", "Orders"), "sap.odata.enable.batch=0")
		if !strings.HasPrefix(test.setting, "sap.odata.insert.uncertain") {
			settings = append(settings, checkInDoubt)
		}
		if test.setting != "" {
			settings = append(settings, test.setting)
		}
		run := open(t, shopService(), settings...)
		if test.setting == repeatInDoubt { // another row shows that the service supports it
			_, _, host := run.writeOrders([]string{requestIDAccepted}, []any{"ID", "z", "Note", "n"})
			host.expectAll(outcomeWritten)
		}
		host := run.host("Orders")
		host.value("ID", test.key, "Note", "n")
		requestCount := 0
		answer := scripted(t, test.script...)
		host.isRestarted = true
		host.knownFacts = test.known
		host.answer = func(request *wit.Request) wit.Response {
			requestCount++
			return answer(request)
		}
		host.run()
		expectEqual(t, test.name, []string{test.outcome}, host.outcomes)
		expectEqual(t, test.name+": requests", len(test.script), requestCount)
	}
}

// An upsert in doubt is looked up by its key only, so the message does not suggest a filter.
func TestMessageForRowsInDoubt(t *testing.T) {
	const (
		byKey    = "upserts are looked up by key only"
		noValue  = "sap.odata.check.filter needs a value that the record does not have"
		noFilter = "no entity found, but the service may have replaced the record's initial key; " +
			"sap.odata.check.filter is not set"
	)
	for _, test := range []struct {
		settings []string
		note     any
		want     string
	}{
		{note: "n", want: noFilter},
		{settings: []string{filterByNote}, note: nil, want: noValue},
		{settings: []string{upsertMode}, note: "n", want: byKey},
		{settings: []string{upsertMode, filterByNote}, note: "n", want: byKey},
	} {
		for _, isNumberingShown := range []bool{false, true} { // another response shows it during the check
			run := openOrders(t, append(test.settings, checkInDoubt, "sap.odata.enable.batch=0")...)
			host := run.host("Orders")
			host.isRestarted = true
			host.value("ID", "0", "Note", test.note)
			want := test.want
			host.answer = func(request *wit.Request) wit.Response {
				if isNumberingShown {
					want = strings.Replace(want, ", but the service may have replaced the record's initial key",
						", and another response has shown that the service replaces keys", 1)
					location := wit.Header{Name: "Location", Value: "http://h/Orders('17')"}
					out, err := run.p.HandleResponse(run.context, run.deliveryState(requests.Insert, "('a')"),
						[]uint32{0}, wit.Response{Status: 201, Headers: []wit.Header{location}})
					require.NoError(t, err)
					host.context = *out.Context
				}
				return scripted(t, "404 DataServiceVersion: 2.0")(request)
			}
			host.run()
			host.expectAll(outcomeInDoubt)
			assert.True(t, strings.Contains(host.reasons[0].Message, want),
				"%v, it numbers %t: expected %q, found %v", test.settings, isNumberingShown, want, host.reasons[0])
		}
	}
}

// A service may number one of several key properties and keep the others.
func TestKeysOfSeveralProperties(t *testing.T) {
	t.Parallel()
	const key = `<PropertyRef Name="ID"/>`
	const createdAsNine = "201 Location: http://h/Orders(ID='a',Count=9)"
	metadata := strings.Replace(shop, key, key+`<PropertyRef Name="Count"/>`, 1)
	for _, test := range []struct {
		name     string
		setting  string
		rows     [][]any // ID and Count
		script   []string
		requests int
		outcomes []string
	}{
		{
			name:     "the same one is 0",
			rows:     [][]any{{"a", 0}, {"b", 0}},
			script:   []string{createdAsNine, "0"},
			requests: 2,
			outcomes: []string{outcomeWritten, outcomeInDoubt},
		},
		{
			name:     "none is 0",
			rows:     [][]any{{"a", 0}, {"b", 5}, {"c", 6}},
			script:   []string{createdAsNine, "201 Location: http://h/Orders(ID='b',Count=5)", "0", "404", "201"},
			requests: 5,
			outcomes: []string{outcomeWritten, outcomeWritten, outcomeWritten},
		},
		{
			name:     "the same one, by the filter",
			setting:  filterByNote,
			rows:     [][]any{{"a", 0}, {"b", 0}},
			script:   []string{createdAsNine, "0", `200 {"d":[{"ID":"b","Count":10,"Note":"n"}]}`},
			requests: 3,
			outcomes: []string{outcomeWritten, outcomeWritten},
		},
		{
			name:     "another one's, by the filter",
			setting:  filterByNote,
			rows:     [][]any{{"a", 0}, {"b", 0}},
			script:   []string{createdAsNine, "0", `200 {"d":[{"ID":"a","Count":9,"Note":"n"}]}`},
			requests: 3,
			outcomes: []string{outcomeWritten, outcomeInDoubt},
		},
	} {
		settings := append(set("00", "Orders"), checkInDoubt, "sap.odata.enable.batch=0")
		if test.setting != "" {
			settings = append(settings, test.setting)
		}
		run := open(t, metadataService(metadata), settings...)
		var rows [][]any
		for _, row := range test.rows {
			rows = append(rows, []any{"ID", row[0], "Count", int64(row[1].(int)), "Note", "n"})
		}
		requests, outcomes, _ := run.writeOrders(test.script, rows...)
		expectEqual(t, test.name+": requests", test.requests, len(requests))
		expectEqual(t, test.name, test.outcomes, outcomes)
	}
}

// Keys are also learned from the response to a batch, even if two rows exchange their keys.
func TestServiceReplacesKeysInBatch(t *testing.T) {
	run := openOrders(t, oneOrderingKey, "sap.odata.enable.delete=1")
	host := run.host("Orders")
	var parts []string
	for i := range 3 {
		host.value("ID", strconv.Itoa(i+1), "Note", "n")
		key := []string{"3", "101", "102"}[i]
		parts = append(parts, numbered(strconv.Itoa(i+1), part("201 Created",
			"Location: http://h/Orders('"+key+"')\r\n")))
	}
	host.answer = func(*wit.Request) wit.Response { return batchAnswer(parts...) }
	host.run()
	host.expectAll(outcomeWritten)
	deletion := run.host("Orders")
	deletion.tombstone("ID", "2")
	deletion.run()
	deletion.expectAll(wit.ErrorConfig.String())
	failure := deletion.reasons[0]
	assert.True(t, strings.Contains(failure.Message, "/Orders: the service replaces the keys of inserted entities"),
		"expected a message about the service's keys, found %v", failure)
}

// Records of one entity have one ordering key, however its key is spelled.
func TestSpellingsOfOneKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		first  string
		second string
		isSame bool
	}{
		{first: "(guid'0123ABCD-89AB-CDEF-0123-456789ABCDEF')", second: "(guid'0123abcd-89ab-cdef-0123-456789abcdef')",
			isSame: true},
		{first: "(1.50M)", second: "(1.5m)", isSame: true},
		{first: "(2.00M)", second: "(2M)", isSame: true},
		{first: "(20M)", second: "(2M)"},
		{first: "(01.5M)", second: "(1.5M)", isSame: true},
		{first: "(-0M)", second: "(0.0M)", isSame: true},
		{first: "(-1.5M)", second: "(1.5M)"},
		{first: "(time'PT1H30M')", second: "(time'PT01H30M00.0S')", isSame: true},
		{first: "(time'PT1H30M')", second: "(time'PT1H31M')"},
		{first: "('007')", second: "('7 ')", isSame: true},
		{first: "('a')", second: "('A')", isSame: true},
		{first: "('a')", second: "('b')"},
		{first: "(A='x',N=0.10M)", second: "(A='X',N=0.1M)", isSame: true},
	} {
		var spellings [2]string
		for i, predicate := range []string{test.first, test.second} {
			_, keys, err := uri.ParsePredicate(edm.V2, "Es"+predicate)
			require.NoError(t, err)
			var values []encode.KeyValue
			for _, k := range keys {
				values = append(values, encode.KeyValue{Property: &edm.Property{Name: k.Name},
					Value: value.Converted{Type: k.Literal.Type, Text: k.Literal.Text}})
			}
			spellings[i] = encode.CanonicalPredicate(edm.V2, values, predicate)
		}
		assert.True(t, (spellings[0] == spellings[1]) == test.isSame,
			"%s and %s: expected the same key %t, found %s and %s", test.first, test.second, test.isSame, spellings[0],
			spellings[1])
	}
}

// A Location with a hidden part does not show that the service replaces keys.
func TestAddressWithAHiddenPart(t *testing.T) {
	run := openOrders(t, oneOrderingKey, "sap.odata.enable.delete=1")
	_, _, host := run.writeOrders([]string{"201 Location: http://h/Orders('1000[hidden]')"},
		[]any{"ID", "10002024", "Note", "n"})
	host.expectAll(outcomeWritten)
	deletion := run.host("Orders")
	deletion.tombstone("ID", "10002024")
	deletion.run()
	deletion.expectAll(outcomeWritten)
}
