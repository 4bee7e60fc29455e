package sink

import (
	"strconv"
	"strings"
	"testing"

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

// keysRun is a run that writes orders one by one.
type keysRun struct {
	name     string
	settings []string
	// rows are keys and operations, separated by a colon.
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
	both := []string{outcomeWritten, outcomeWritten}
	checkKeys(t, []keysRun{
		{"kept", nil, []string{"a:I", "a:M"}, []string{createdAs("a"), "204"}, []string{insertOf("a"), mergeOf("a")},
			both},
		{"padded", nil, []string{"7:I", "7:M"}, []string{createdAs("0007"), "204"},
			[]string{insertOf("7"), mergeOf("7")}, both},
		{"in capitals", nil, []string{"a:I", "a:D"}, []string{createdAs("A"), "204"},
			[]string{insertOf("a"), orderDelete}, both},
		{"no address", nil, []string{"a:I", "a:D"}, []string{"201 Location: http://h/Orders", "204"},
			[]string{insertOf("a"), orderDelete}, both},
		{"changed, then merged", nil, []string{"a:I", "a:M"}, []string{createdAs("17")}, []string{insertOf("a")},
			[]string{outcomeWritten, "config"}},
		{"changed, then deleted", nil, []string{"a:I", "b:D"}, []string{createdAs("17")}, []string{insertOf("a")},
			[]string{outcomeWritten, "config"}},
		{"changed, the next one lost", nil, []string{"a:I", "b:I"}, []string{createdAs("17"), "0"},
			[]string{insertOf("a"), insertOf("b")}, []string{outcomeWritten, outcomeInDoubt}},
		{"changed, the next one lost and found", []string{filterByNote}, []string{"a:I", "b:I"},
			[]string{createdAs("17"), "0", `200 {"d":[{"ID":"18","Note":"n"}]}`},
			[]string{insertOf("a"), insertOf("b"), searchByNote}, both},
		{"changed by an upsert", []string{upsertMode, insertFirst}, []string{"a:", "a:"}, []string{createdAs("17")},
			[]string{insertOf("a")}, []string{outcomeWritten, "config"}},
		{"equal to a counter's value, then changed", nil, []string{"3:I", "9:I", "9:M"},
			[]string{createdAs("3"), createdAs("8")}, []string{insertOf("3"), insertOf("9")},
			[]string{outcomeWritten, outcomeWritten, "config"}},
	})
}

// A service may number an entity whose key is initial. An insert of such a row in doubt is looked up by a filter.
func TestInitialKeyIsNumberedByService(t *testing.T) {
	both := []string{outcomeWritten, outcomeWritten}
	checkKeys(t, []keysRun{
		{"numbered where it is 0", nil, []string{"0:I", "5:M"}, []string{createdAs("5"), "204"},
			[]string{insertOf("0"), mergeOf("5")}, both},
		{"numbered where it is 0, the next one lost", nil, []string{"0:I", "0:I"}, []string{createdAs("5"), "0"},
			[]string{insertOf("0"), insertOf("0")}, []string{outcomeWritten, outcomeInDoubt}},
		{"numbered where it is 0, the next one lost that is not", nil, []string{"0:I", "7:I"},
			[]string{createdAs("5"), "0", "404", "201"},
			[]string{insertOf("0"), insertOf("7"), lookupOf("7"), insertOf("7")}, both},
		{"0, the first one lost", nil, []string{"0:I"}, []string{"0", "404"}, []string{insertOf("0"), lookupOf("0")},
			[]string{outcomeInDoubt}},
		{"0, the first one lost and there", nil, []string{"0:I"}, []string{"0", `200 {"d":{"ID":"0","Note":"n"}}`},
			[]string{insertOf("0"), lookupOf("0")}, []string{outcomeWritten}},
		{"0, the first one lost and found", []string{filterByNote}, []string{"0:I"},
			[]string{"0", `200 {"d":[{"ID":"17","Note":"n"}]}`}, []string{insertOf("0"), searchByNote},
			[]string{outcomeWritten}},
		{"0, the first one lost and not there", []string{filterByNote}, []string{"0:I"},
			[]string{"0", `200 {"d":[]}`, "201"}, []string{insertOf("0"), searchByNote, insertOf("0")},
			[]string{outcomeWritten}},
		{"upserts of what is numbered", []string{upsertMode, insertFirst}, []string{"0:", "0:"},
			[]string{createdAs("5")}, []string{insertOf("0")}, []string{outcomeWritten, "data"}},
	})
}

// An insert in doubt is looked up by its key, and repeated if it was not done.
func TestKeyIsLookedUpUntilServiceReplacesOne(t *testing.T) {
	checkKeys(t, []keysRun{
		{"not shown, lost and not there", nil, []string{"a:I"}, []string{"0", "404", "201"},
			[]string{insertOf("a"), lookupOf("a"), insertOf("a")}, []string{outcomeWritten}},
		{"not shown, lost, stored late", nil, []string{"a:I"}, []string{"0", `200 {"d":{"ID":"a","Note":"n"}}`},
			[]string{insertOf("a"), lookupOf("a")}, []string{outcomeWritten}},
		{"an upsert, lost and not there", []string{upsertMode}, []string{"a:"},
			[]string{"404 DataServiceVersion: 2.0", "0", "404 DataServiceVersion: 2.0", "201"},
			[]string{mergeOf("a"), insertOf("a"), lookupOf("a"), insertOf("a")}, []string{outcomeWritten}},
	})
}

// What responses have shown of keys is stored, and returned with rows in doubt of an earlier run. A row that may have
// had another RequestID is looked up.
func TestChecksUseStoredCapabilities(t *testing.T) {
	run := openOrders(t, "sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0")
	learn := func(sent, created string) wit.Known {
		_, _, host := run.writeOrders([]string{"201 Location: http://h/Orders('" + created + "')"},
			[]any{"ID", sent, "Note", "n"})
		host.expectAll(outcomeWritten)
		return wit.KnownIn(run.context)
	}
	orders := (&entityset.EntitySet{Path: gateway + "/Orders"}).Digest()
	expectEqual(t, "a key that is kept", "", learn("a", "a"))
	expectEqual(t, "an initial one", wit.Known("f"+orders), learn("0", "5"))
	expectEqual(t, "another one", wit.Known("n"+orders), learn("b", "6"))

	const upsert, filter, repeats = "sap.odata.operation.mode=upsert", "sap.odata.check.filter=Note",
		"sap.odata.insert.uncertain=repeatable"
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	const exists, notFound, none, empty = `200 {"d":{"ID":"a","Note":"n"}}`, "404 DataServiceVersion: 2.0", "",
		`200 {"d":[]}`
	const accepted = "201 RepeatabilityResult: accepted"
	for _, test := range []struct {
		name    string
		setting string
		key     string
		knows   string
		script  []string
		outcome string
	}{
		{"nothing", none, "a", "", []string{notFound, "201"}, outcomeWritten},
		{"another set", none, "a", " known=nXyZ", []string{notFound, "201"}, outcomeWritten},
		{"it numbers", none, "a", numbers, nil, outcomeInDoubt},
		{"a set numbers", none, "a", " known=n*", nil, outcomeInDoubt},
		{"anything", none, "a", " known=*", nil, outcomeInDoubt},
		{"it numbers, among others", none, "a", " known=fXyZ,n" + orders, nil, outcomeInDoubt},
		{"it numbers, by a filter", filter, "a", numbers, []string{empty, "201"}, outcomeWritten},
		{"it fills", none, "0", fills, nil, outcomeInDoubt},
		{"it fills others", none, "a", fills, []string{notFound, "201"}, outcomeWritten},
		{"an upsert", upsert, "a", "", []string{notFound, "201"}, outcomeWritten},
		{"an upsert, it numbers", upsert, "a", numbers, nil, outcomeInDoubt},
		{"an upsert of an initial key", upsert, "0", "", []string{notFound}, outcomeInDoubt},
		{"moved", none, "a", " moved", []string{exists}, outcomeWritten},
		{"a RequestID", repeats, "a", "", []string{`200 {"d":{"ID":"a","Note":"other"}}`, accepted}, outcomeWritten},
		{"a RequestID, moved", repeats, "a", " moved", []string{`200 {"d":{"ID":"a","Note":"other"}}`}, outcomeInDoubt},
		{"a RequestID, moved, gone, lost", repeats, "a", " moved", []string{notFound, "0", exists}, outcomeWritten},
	} {
		settings := append(set("00", "Orders"), "sap.odata.enable.batch=0")
		if !strings.HasPrefix(test.setting, "sap.odata.insert.uncertain") {
			settings = append(settings, "sap.odata.insert.uncertain=check")
		}
		if test.setting != none {
			settings = append(settings, test.setting)
		}
		run := open(t, shopService(), settings...)
		if test.setting == repeats { // another row shows it
			_, _, host := run.writeOrders([]string{accepted}, []any{"ID", "z", "Note", "n"})
			host.expectAll(outcomeWritten)
		}
		host := run.host("Orders")
		host.value("ID", test.key, "Note", "n")
		checks := 0
		answer := scripted(t, test.script...)
		host.isRestarted = true
		host.knownFacts = test.knows
		host.answer = func(request *wit.Request) wit.Response {
			checks++
			return answer(request)
		}
		host.run()
		expectEqual(t, test.name, []string{test.outcome}, host.outcomes)
		expectEqual(t, test.name+": requests", len(test.script), checks)
	}
}

// An upsert in doubt is looked up by its key only, so the message does not suggest a filter.
func TestMessageForRowsInDoubt(t *testing.T) {
	const upsert, filter, isNotSet = "sap.odata.operation.mode=upsert", "sap.odata.check.filter=Note",
		"no entity found, but the service may have replaced the record's initial key; " +
			"sap.odata.check.filter is not set"
	const byKey, noValue = "upserts are looked up by key only", "sap.odata.check.filter needs a value that the " +
		"record does not have"
	for _, test := range []struct {
		settings []string
		note     any
		want     string
	}{
		{nil, "n", isNotSet},
		{[]string{filter}, nil, noValue},
		{[]string{upsert}, "n", byKey},
		{[]string{upsert, filter}, "n", byKey},
	} {
		for _, numbers := range []bool{false, true} { // true: a response shows the numbering during the check
			run := openOrders(t, append(test.settings, "sap.odata.insert.uncertain=check",
				"sap.odata.enable.batch=0")...)
			host := run.host("Orders")
			host.isRestarted = true
			host.value("ID", "0", "Note", test.note)
			want := test.want
			host.answer = func(request *wit.Request) wit.Response {
				if numbers {
					want = strings.Replace(want, ", but the service may have replaced the record's initial key",
						", and another response has shown that the service replaces keys", 1)
					out, err := run.p.HandleResponse(run.context, run.deliveryState(requests.Insert, "('a')"),
						[]uint32{0},
						wit.Response{Status: 201,
							Headers: []wit.Header{{Name: "Location", Value: "http://h/Orders('17')"}}})
					noError(t, err)
					host.context = *out.Context
				}
				return scripted(t, "404 DataServiceVersion: 2.0")(request)
			}
			host.run()
			host.expectAll(outcomeInDoubt)
			if !strings.Contains(host.reasons[0].Message, want) {
				t.Errorf("%v, it numbers: %t: expected %q, found %v", test.settings, numbers, want, host.reasons[0])
			}
		}
	}
}

// A service may number one of several key properties and keep the others.
func TestKeysOfSeveralProperties(t *testing.T) {
	t.Parallel()
	changed := strings.Replace(shop, `<PropertyRef Name="ID"/>`, `<PropertyRef Name="ID"/><PropertyRef Name="Count"/>`,
		1)
	const filter = "sap.odata.check.filter=Note"
	for _, test := range []struct {
		name     string
		setting  string
		rows     [][]any // ID and Count
		script   []string
		requests int
		outcomes []string
	}{
		{"the same one is 0", "", [][]any{{"a", 0}, {"b", 0}}, []string{"201 Location: http://h/Orders(ID='a',Count=9)",
			"0"}, 2, []string{outcomeWritten, outcomeInDoubt}},
		{"none is 0", "", [][]any{{"a", 0}, {"b", 5}, {"c", 6}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "201 Location: http://h/Orders(ID='b',Count=5)",
				"0", "404", "201"}, 5,
			[]string{outcomeWritten, outcomeWritten, outcomeWritten}},
		{"the same one, by the filter", filter, [][]any{{"a", 0}, {"b", 0}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "0",
				`200 {"d":[{"ID":"b","Count":10,"Note":"n"}]}`}, 3,
			[]string{outcomeWritten, outcomeWritten}},
		{"another one's, by the filter", filter, [][]any{{"a", 0}, {"b", 0}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "0",
				`200 {"d":[{"ID":"a","Count":9,"Note":"n"}]}`}, 3,
			[]string{outcomeWritten, outcomeInDoubt}},
	} {
		more := []string{"sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0"}
		if test.setting != "" {
			more = append(more, test.setting)
		}
		run := open(t, metadataService(changed), append(set("00", "Orders"), more...)...)
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
	again := run.host("Orders")
	again.tombstone("ID", "2")
	again.run()
	again.expectAll(wit.ErrorConfig.String())
	if failure := again.reasons[0]; !strings.Contains(failure.Message,
		"/Orders: the service replaces the keys of inserted entities") {
		t.Errorf("expected a message about the service's keys, found %v", failure)
	}
}

// Records of one entity have one ordering key, however its key is spelled.
func TestSpellingsOfOneKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		first  string
		second string
		same   bool
	}{
		{first: "(guid'0123ABCD-89AB-CDEF-0123-456789ABCDEF')", second: "(guid'0123abcd-89ab-cdef-0123-456789abcdef')",
			same: true},
		{first: "(1.50M)", second: "(1.5m)", same: true},
		{first: "(2.00M)", second: "(2M)", same: true},
		{first: "(20M)", second: "(2M)"},
		{first: "(01.5M)", second: "(1.5M)", same: true},
		{first: "(-0M)", second: "(0.0M)", same: true},
		{first: "(-1.5M)", second: "(1.5M)"},
		{first: "(time'PT1H30M')", second: "(time'PT01H30M00.0S')", same: true},
		{first: "(time'PT1H30M')", second: "(time'PT1H31M')"},
		{first: "('007')", second: "('7 ')", same: true},
		{first: "('a')", second: "('A')", same: true},
		{first: "('a')", second: "('b')"},
		{first: "(A='x',N=0.10M)", second: "(A='X',N=0.1M)", same: true},
	} {
		var spellings [2]string
		for i, predicate := range []string{test.first, test.second} {
			_, keys, err := uri.ParsePredicate("Es" + predicate)
			noError(t, err)
			var values []encode.KeyValue
			for _, k := range keys {
				values = append(values, encode.KeyValue{Property: &edm.Property{Name: k.Name},
					Value: value.Converted{Type: k.Literal.Type, Text: k.Literal.Text}})
			}
			spellings[i] = encode.CanonicalPredicate(values, predicate)
		}
		if (spellings[0] == spellings[1]) != test.same {
			t.Errorf("%s and %s: found %s and %s", test.first, test.second, spellings[0], spellings[1])
		}
	}
}

// A Location with a hidden secret is not compared.
func TestAddressWithAHiddenPart(t *testing.T) {
	run := openOrders(t, oneOrderingKey, "sap.odata.enable.delete=1")
	_, _, host := run.writeOrders([]string{"201 Location: http://h/Orders('1000[hidden]')"},
		[]any{"ID", "10002024", "Note", "n"})
	host.expectAll(outcomeWritten)
	again := run.host("Orders")
	again.tombstone("ID", "10002024")
	again.run()
	again.expectAll(outcomeWritten)
}
