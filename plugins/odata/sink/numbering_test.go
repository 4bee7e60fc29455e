package sink

import (
	"slices"
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

// A service replaces the keys of entities. Inserts in doubt are not looked up by the key that was sent, and nothing is
// changed or deleted by it.
func TestServiceReplacesKeys(t *testing.T) {
	const rest = `"Note":"n"}`
	post := func(id string) string { return `POST /Orders {"ID":"` + id + `",` + rest }
	lookup := func(id string) string { return "GET /Orders('" + id + "') (repeatable)" }
	merge := func(id string) string {
		return "MERGE /Orders('" + id + `') If-Match=* (repeatable) {"ID":"` + id + `",` + rest
	}
	created := func(id string) string { return "201 Location: http://h/Orders('" + id + "')" }
	both := []string{outcomeWritten, outcomeWritten}
	const remove = `DELETE /Orders('a') If-Match=* (repeatable)`
	const filter, upsert, insertFirst = "sap.odata.check.filter=Note", "sap.odata.operation.mode=upsert",
		"sap.odata.upsert.first=insert"
	const search = "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)"
	for _, test := range []struct {
		name     string
		settings []string
		// rows are keys and operations, separated by a colon.
		rows     []string
		script   []string
		requests []string
		outcomes []string
	}{
		{"kept", nil, []string{"a:I", "a:M"}, []string{created("a"), "204"}, []string{post("a"), merge("a")}, both},
		{"padded", nil, []string{"7:I", "7:M"}, []string{created("0007"), "204"}, []string{post("7"), merge("7")},
			both},
		{"in capitals", nil, []string{"a:I", "a:D"}, []string{created("A"), "204"}, []string{post("a"), remove}, both},
		{"no address", nil, []string{"a:I", "a:D"}, []string{"201 Location: http://h/Orders", "204"},
			[]string{post("a"), remove}, both},
		{"changed, then merged", nil, []string{"a:I", "a:M"}, []string{created("17")},
			[]string{post("a")}, []string{outcomeWritten, "config"}},
		{"changed, then deleted", nil, []string{"a:I", "b:D"}, []string{created("17")},
			[]string{post("a")}, []string{outcomeWritten, "config"}},
		{"changed, the next one lost", nil, []string{"a:I", "b:I"}, []string{created("17"), "0"},
			[]string{post("a"), post("b")}, []string{outcomeWritten, outcomeInDoubt}},
		{"changed, the next one lost and found", []string{filter}, []string{"a:I", "b:I"},
			[]string{created("17"), "0", `200 {"d":[{"ID":"18","Note":"n"}]}`}, []string{post("a"), post("b"), search},
			both},
		{"changed by an upsert", []string{upsert, insertFirst}, []string{"a:", "a:"}, []string{created("17")},
			[]string{post("a")}, []string{outcomeWritten, "config"}},
		{"numbered where it is 0", nil, []string{"0:I", "5:M"}, []string{created("5"), "204"},
			[]string{post("0"), merge("5")}, both},
		{"numbered where it is 0, the next one lost", nil, []string{"0:I", "0:I"}, []string{created("5"), "0"},
			[]string{post("0"), post("0")}, []string{outcomeWritten, outcomeInDoubt}},
		{"numbered where it is 0, the next one lost that is not", nil, []string{"0:I", "7:I"},
			[]string{created("5"), "0", "404", "201"}, []string{post("0"), post("7"), lookup("7"), post("7")}, both},
		{"0, the first one lost", nil, []string{"0:I"}, []string{"0", "404"}, []string{post("0"), lookup("0")},
			[]string{outcomeInDoubt}},
		{"0, the first one lost and there", nil, []string{"0:I"}, []string{"0", `200 {"d":{"ID":"0","Note":"n"}}`},
			[]string{post("0"), lookup("0")}, []string{outcomeWritten}},
		{"0, the first one lost and found", []string{filter}, []string{"0:I"},
			[]string{"0", `200 {"d":[{"ID":"17","Note":"n"}]}`}, []string{post("0"), search}, []string{outcomeWritten}},
		{"0, the first one lost and not there", []string{filter}, []string{"0:I"},
			[]string{"0", `200 {"d":[]}`, "201"}, []string{post("0"), search, post("0")}, []string{outcomeWritten}},
		{"upserts of what is numbered", []string{upsert, insertFirst}, []string{"0:", "0:"}, []string{created("5")},
			[]string{post("0")}, []string{outcomeWritten, "data"}},
		{"not shown, lost and not there", nil, []string{"a:I"}, []string{"0", "404", "201"},
			[]string{post("a"), lookup("a"), post("a")}, []string{outcomeWritten}},
		{"not shown, lost, stored late", nil, []string{"a:I"}, []string{"0", `200 {"d":{"ID":"a","Note":"n"}}`},
			[]string{post("a"), lookup("a")}, []string{outcomeWritten}},
		{"equal to a counter's value, then changed", nil, []string{"3:I", "9:I", "9:M"},
			[]string{created("3"), created("8")},
			[]string{post("3"), post("9")}, []string{outcomeWritten, outcomeWritten, "config"}},
		{"an upsert, lost and not there", []string{upsert}, []string{"a:"},
			[]string{"404 DataServiceVersion: 2.0", "0", "404 DataServiceVersion: 2.0", "201"},
			[]string{merge("a"), post("a"), lookup("a"), post("a")}, []string{outcomeWritten}},
	} {
		settings := append(set("00", "Orders"), "sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0")
		if strings.HasSuffix(test.rows[0], ":I") {
			settings = append(settings, "sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=OP")
		}
		run := open(t, shopService(), append(settings, test.settings...)...)
		var rows [][]any
		for _, row := range test.rows {
			id, does, _ := strings.Cut(row, ":")
			pairs := []any{"ID", id, "Note", "n"}
			if does != "" {
				pairs = append(pairs, "OP", does)
			}
			rows = append(rows, pairs)
		}
		requests, outcomes, _ := run.writeOrders(test.script, rows...)
		expectEqual(t, test.name+": requests", test.requests, requests)
		expectEqual(t, test.name, test.outcomes, outcomes)
	}
}

// What responses have shown of keys is stored, and returned with rows in doubt of an earlier run. A row that may have
// had another RequestID is looked up.
func TestChecksUseStoredCapabilities(t *testing.T) {
	run := openOrders(t, "sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0")
	learn := func(sent, created string) wit.Known {
		_, _, host := run.writeOrders([]string{"201 Location: http://h/Orders('" + created + "')"},
			[]any{"ID", sent, "Note",
				"n"})
		host.expectAll(outcomeWritten)
		return wit.KnownIn(run.context)
	}
	orders := (&entityset.EntitySet{Path: gateway + "/Orders"}).Digest()
	expectEqual(t, "a key that is kept", "", learn("a", "a"))
	expectEqual(t, "an initial one", wit.Known("f"+orders), learn("0", "5"))
	expectEqual(t, "another one", wit.Known("n"+orders), learn("b", "6"))

	const upsert, filter, repeats = "sap.odata.operation.mode=upsert", "sap.odata.check.filter=Note",
		"sap.odata.insert.uncertain=repeatable"
	numbers, fills := " known=n"+orders, " known=f"+orders
	const exists, notFound, none, empty = `200 {"d":{"ID":"a","Note":"n"}}`, "404 DataServiceVersion: 2.0", "",
		`200 {"d":[]}`
	const accepted = "201 RepeatabilityResult: accepted"
	for _, test := range []struct {
		name, setting, key, knows string
		script                    []string
		outcome                   string
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
		host.restarted, host.known, host.answer = true, test.knows, func(request *wit.Request) wit.Response {
			checks++
			return answer(request)
		}
		host.run()
		expectEqual(t, test.name, []string{test.outcome}, host.outcomes)
		expectEqual(t, test.name+": requests", len(test.script), checks)
	}
}

// A row that another worker may have written is repeatable if all possible requests are: updates, deletes, and upserts
// by keys that the service keeps, but no inserts unless configured.
func TestRepeatableRows(t *testing.T) {
	const twice, once, upsert, insertFirst = "twice", "once", "upsert", "sap.odata.upsert.first=insert"
	const useTag, retry, repeats = "sap.odata.etag=use", "sap.odata.insert.uncertain=retry",
		"sap.odata.insert.uncertain=repeatable"
	orders := (&entityset.EntitySet{Path: gateway + "/Orders"}).Digest()
	numbers, fills := " known=n"+orders, " known=f"+orders
	for _, test := range []struct {
		mode, setting, key, knows, want string
	}{
		{"insert", "", "a", "", once},
		{"insert", repeats, "a", "", once},
		{"insert", retry, "a", "", twice},
		{"insert", "", "a", numbers, once},
		{"update", "", "a", "", twice},
		{"merge", "", "0", fills, twice},
		{"patch", useTag, "a", "", twice},
		{"merge", "", "a", numbers, "config"},
		{"delete", "", "a", "", twice},
		{"delete", useTag, "a", "", twice},
		{"delete", "", "a", numbers, "config"},
		{"I", "", "a", "", once},
		{"U", "", "a", "", twice},
		{upsert, "", "a", "", twice},
		{upsert, "", "a", fills, twice},
		{upsert, "", "a", " known=nXyZ", twice},
		{upsert, useTag, "a", "", twice},
		{upsert, "sap.odata.upsert.method=put", "a", "", twice},
		{upsert, "", "0", "", once},
		{upsert, "", "0", fills, once},
		{upsert, "", "000", "", once},
		{upsert, "", "", "", once},
		{upsert, useTag, "0", "", once},
		{upsert, "sap.odata.upsert.method=put", "0", "", once},
		{upsert, repeats, "0", "", once},
		{upsert, retry, "0", "", twice},
		{upsert, retry, "0", fills, "data"},
		{upsert, "", "a", numbers, "config"},
		{upsert, retry, "a", numbers, "config"},
		{upsert, "", "a", " known=*", "config"},
		{upsert, insertFirst, "a", "", once},
		{upsert, insertFirst, "0", "", once},
		{upsert, insertFirst, "a", numbers, "config"},
		{"upsert and delete", "", "0", "", twice},
	} {
		for _, batches := range []string{"0", "1"} {
			settings := append(set("00", "Orders"), "sap.odata.enable.batch="+batches, "sap.odata.enable.delete=1",
				oneOrderingKey)
			mode, deletes, _ := strings.Cut(test.mode, " and ")
			switch {
			case mode == "delete":
				deletes = mode
			case len(mode) == 1:
				settings = append(settings, "sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=OP")
			default:
				settings = append(settings, "sap.odata.operation.mode="+mode)
			}
			if test.setting != "" {
				settings = append(settings, test.setting)
			}
			run := open(t, shopService(), settings...)
			host := run.host("Orders")
			for n := range 2 { // the other row does not count
				switch key := []string{test.key, "z"}[n]; {
				case deletes != "":
					host.tombstone("ID", key)
				case len(mode) == 1:
					host.value("ID", key, "Note", "n", "OP", mode)
				default:
					host.value("ID", key, "Note", "n")
				}
			}
			hints := []wit.Hint{{Row: 0, Text: wit.HintMoved + test.knows}, {Row: 1, Text: wit.HintMoved}}
			encoded, err := run.p.Encode(run.context, host.schemas, []string{host.topic}, host.rows, host.data,
				make([]wit.RecordID, 2),
				[]string{"origin"}, hints)
			noError(t, err)
			found := ""
			for _, f := range encoded.Rejected {
				if f.RowIndex == 0 {
					found = f.Error.Kind.String()
				}
			}
			for _, ready := range encoded.Ready {
				if slices.Contains(ready.Rows, 0) {
					found = map[bool]string{true: twice, false: once}[ready.Request.Repeatable]
				}
			}
			expectEqual(t, strings.Join([]string{test.mode, test.setting, test.key, test.knows, "batches", batches},
				" "), test.want,
				found)
		}
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
			host.restarted = true
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
		name, setting string
		rows          [][]any // ID and Count
		script        []string
		requests      int
		outcomes      []string
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
		first, second string
		same          bool
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
		[]any{"ID", "10002024", "Note",
			"n"})
	host.expectAll(outcomeWritten)
	again := run.host("Orders")
	again.tombstone("ID", "10002024")
	again.run()
	again.expectAll(outcomeWritten)
}

// Rows are sent one by one if the service has no $batch, whatever its status. The service itself is believed at once, a
// router once the service has accepted single requests and the next batch is answered in the same way. A gateway's
// response proves nothing.
func TestServicesWithoutBatch(t *testing.T) {
	for _, test := range []struct {
		answer  string
		batches int // sent in the run
		none    bool
	}{
		{answer: "501", batches: 2, none: true},
		{answer: "501 <html>Not Implemented", batches: 2, none: true},
		{answer: "501 " + denial("X/1", "no"), batches: 1, none: true},
		{answer: "405", batches: 2, none: true},
		{answer: "404 <html>", batches: 2, none: true},
		{answer: "404", batches: 1, none: true},
		{answer: "404 DataServiceVersion: 2.0", batches: 1, none: true},
		{answer: "415", batches: 2, none: true},
		{answer: "502", batches: 1},
		{answer: "504 <html>", batches: 1},
	} {
		run := openOrders(t, oneOrderingKey)
		batches, single := 0, 0
		for range 3 {
			host := run.host("Orders")
			for i := range 3 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			host.answer = func(request *wit.Request) wit.Response {
				if strings.HasSuffix(request.Target, "/$batch") {
					batches++
					return scripted(t, test.answer)(request)
				}
				single++
				return wit.Response{Status: 201}
			}
			host.run()
			if !test.none {
				host.expectAll(outcomeInDoubt)
				break
			}
			host.expectAll(outcomeWritten)
		}
		if batches != test.batches || test.none != (single == 9) || !test.none && single > 0 {
			t.Errorf("%s: found %d batches and %d requests of one row", test.answer, batches, single)
		}
	}
}

// A router answers for a service that restarts: all requests at first, then no more. The service has sent
// its metadata in this run, so rows wait for it, and batches continue afterwards. Other statuses than 404 fail the task
// until the service has answered a request for a row, as with a server that lets no such requests pass.
func TestRouterAnswersForRestartingService(t *testing.T) {
	for _, test := range []struct {
		router   string
		answered bool // the service has answered requests for rows before
		away     int  // number of the router's answers
		batches  int
		outcome  string
	}{
		{router: "404 Requested route ('x') does not exist.", answered: true, away: 5, batches: 3,
			outcome: outcomeWritten},
		{router: "404 <html>", answered: true, away: 5, batches: 3, outcome: outcomeWritten},
		{router: "405", answered: true, away: 2, batches: 3, outcome: outcomeWritten},
		{router: "415 no", answered: true, away: 3, batches: 3, outcome: outcomeWritten},
		{router: "404 Requested route ('x') does not exist.", away: 5, batches: 2, outcome: outcomeWritten},
		{router: "405", away: 2, batches: 1, outcome: "fault unsupported"},
		{router: "404 " + denial("X/1", "no such set"), answered: true, away: 5, batches: 2,
			outcome: "fault not-found"},
	} {
		run := openOrders(t, oneOrderingKey)
		batches, away := 0, 0
		write := func() *fakeHost {
			host := run.host("Orders")
			for i := range 3 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			host.answer = func(request *wit.Request) wit.Response {
				isBatch := strings.HasSuffix(request.Target, "/$batch")
				if isBatch {
					batches++
				}
				switch {
				case away > 0:
					away--
					return scripted(t, test.router)(request)
				case isBatch:
					return batchAnswer(part("201 Created"), part("201 Created"), part("201 Created"))
				}
				return wit.Response{Status: 201}
			}
			host.run()
			return host
		}
		if test.answered {
			write().expectAll(outcomeWritten)
		}
		away = test.away
		host := write()
		if host.failed == nil {
			write().expectAll(outcomeWritten)
		}
		if found := host.outcome(); found != test.outcome || batches != test.batches {
			t.Errorf("%s: expected %s after %d batches, found %s after %d (%v)", test.router, test.outcome,
				test.batches,
				found, batches, host.reasons[0])
		}
	}
}

// A router answers batches only, of several concurrent ones: batches are turned off only by one that was encoded after
// a single request had worked, which itself was sent after the router's first answer. A batch that the service answers
// turns them on again, also for batches that were encoded before.
func TestEarlyBatchesDoNotTurnBatchesOff(t *testing.T) {
	router := wit.Response{Status: 404, Body: []byte("<html>")}
	worked := wit.Response{Status: 201}
	batchWorked := batchAnswer() // without results, which the rows need, but from the service
	for _, test := range []struct {
		name string
		// steps are what is encoded, as NAME: for a batch and NAME. for a single request, and what is answered.
		steps   string
		batches bool // later rows are sent in batches
	}{
		{name: "batch of before the single request", steps: "a: b: a=router c. c=worked b=router", batches: true},
		{name: "batch of after it", steps: "a: b: a=router c. c=worked b=router d: d=router"},
		{name: "single request of before the router's answer", steps: "a: c. a=router c=worked d: d=router",
			batches: true},
		{name: "and another one of after it", steps: "a: c. a=router c=worked d. d=worked e: e=router"},
		{name: "batches worked since", steps: "a: a=router c. c=worked d: e: d=batch e=router", batches: true},
		{name: "batches worked, then away again",
			steps: "a: a=router c. c=worked d: d=batch e: e=router f. f=worked g: g=router"},
	} {
		run := openOrders(t, "sap.odata.max.in.flight=4")
		encode := func() *wit.Delivery {
			host := run.host("Orders")
			for i := range 40 {
				host.value("ID", strconv.Itoa(i), "Note", "n")
			}
			out, err := run.p.Encode(run.context, nil, []string{"Orders"}, host.rows, slices.Clone(run.data), nil, nil,
				nil)
			noError(t, err)
			return &out.Ready[0]
		}
		deliveries := map[string]*wit.Delivery{}
		answers := map[string]wit.Response{"router": router, "worked": worked, "batch": batchWorked}
		for step := range strings.FieldsSeq(test.steps) {
			name, answer, isAnswer := strings.Cut(step, "=")
			switch {
			case isAnswer:
				delivery := deliveries[name]
				result, err := run.p.HandleResponse(run.context, delivery.State, delivery.Rows, answers[answer])
				noError(t, err)
				if result.Context != nil {
					run.context = *result.Context
				}
			case strings.HasSuffix(name, "."):
				deliveries[name[:1]] = &wit.Delivery{State: run.deliveryState(requests.Insert, "/Orders"),
					Rows: []uint32{1}}
			default:
				deliveries[name[:1]] = encode()
			}
		}
		if isBatch := strings.HasSuffix(encode().Request.Target, "/$batch"); isBatch != test.batches {
			t.Errorf("%s: expected batches %t, found %t", test.name, test.batches, isBatch)
		}
	}
}
