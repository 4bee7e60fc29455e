package write

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
	"github.com/google/go-cmp/cmp"
)

// A service that makes entities of other keys than were sent: a lost answer is not looked for by the key that was sent,
// where nothing would be found and the entity made twice; and by that key nothing is changed or deleted.
func TestKeysThatTheServiceChanges(t *testing.T) {
	const rest = `"Note":"n"}`
	post := func(id string) string { return `POST /Orders {"ID":"` + id + `",` + rest }
	look := func(id string) string { return "GET /Orders('" + id + "') (repeatable)" }
	const contentsSearch = "GET /Orders?$filter=%28Note%20eq%20'n'%20or%20Note%20eq%20'N'%29&$top=20 (repeatable)"
	const none = `200 {"d":[]}`
	const other = `{"ID":"8","Note":"m"}`
	for _, c := range []struct {
		name     string
		settings []string
		// rows are the keys of the records, with what is done to them behind a colon.
		rows     []string
		script   []string
		requests []string
		outcomes []string
	}{
		{"kept", nil, []string{"a:I", "a:M"}, []string{"201 Location: http://h/Orders('a')", "204"},
			[]string{post("a"), `MERGE /Orders('a') If-Match=* (repeatable) {"ID":"a",` + rest}, []string{wasWritten,
				wasWritten}},
		{"padded", nil, []string{"7:I", "7:M"}, []string{"201 Location: http://h/Orders('0007')", "204"},
			[]string{post("7"), `MERGE /Orders('7') If-Match=* (repeatable) {"ID":"7",` + rest}, []string{wasWritten,
				wasWritten}},
		{"in capitals", nil, []string{"a:I", "a:D"}, []string{"201 Location: http://h/Orders('A')", "204"},
			[]string{post("a"), `DELETE /Orders('a') If-Match=* (repeatable)`}, []string{wasWritten, wasWritten}},
		{"no address", nil, []string{"a:I", "a:D"}, []string{"201 Location: http://h/Orders", "204"},
			[]string{post("a"), `DELETE /Orders('a') If-Match=* (repeatable)`}, []string{wasWritten, wasWritten}},
		{"changed, then merged", nil, []string{"a:I", "a:M"}, []string{"201 Location: http://h/Orders('17')"},
			[]string{post("a")}, []string{wasWritten, "config"}},
		{"changed, then deleted", nil, []string{"a:I", "b:D"}, []string{"201 Location: http://h/Orders('17')"},
			[]string{post("a")}, []string{wasWritten, "config"}},
		{"changed, the next one lost", nil, []string{"a:I", "b:I"}, []string{"201 Location: http://h/Orders('17')",
			"0"},
			[]string{post("a"), post("b")}, []string{wasWritten, inDoubt}},
		{"changed, the next one lost and found", []string{"sap.odata.check.filter=Note"}, []string{"a:I", "b:I"},
			[]string{"201 Location: http://h/Orders('17')", "0", `200 {"d":[{"ID":"18","Note":"n"}]}`},
			[]string{post("a"), post("b"), "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)"},
			[]string{wasWritten, wasWritten}},
		{"changed by an upsert", []string{"sap.odata.operation.mode=upsert", "sap.odata.upsert.first=insert"},
			[]string{"a:", "a:"},
			[]string{"201 Location: http://h/Orders('17')"}, []string{post("a")}, []string{wasWritten, "config"}},
		{"numbered where it is 0", nil, []string{"0:I", "5:M"}, []string{"201 Location: http://h/Orders('5')", "204"},
			[]string{post("0"), `MERGE /Orders('5') If-Match=* (repeatable) {"ID":"5",` + rest}, []string{wasWritten,
				wasWritten}},
		{"numbered where it is 0, the next one lost", nil, []string{"0:I", "0:I"},
			[]string{"201 Location: http://h/Orders('5')", "0"},
			[]string{post("0"), post("0")}, []string{wasWritten, inDoubt}},
		{"numbered where it is 0, the next one lost that is not", nil, []string{"0:I", "7:I"},
			[]string{"201 Location: http://h/Orders('5')", "0", "404", none, "201"},
			[]string{post("0"), post("7"), "GET /Orders('7') (repeatable)", contentsSearch, post("7")},
			[]string{wasWritten, wasWritten}},
		{"upserts of what is numbered", []string{"sap.odata.operation.mode=upsert", "sap.odata.upsert.first=insert"},
			[]string{"0:", "0:"},
			[]string{"201 Location: http://h/Orders('5')"}, []string{post("0")}, []string{wasWritten, "data"}},
		// The first answer since the start is lost: that the record's key is nobody's proves nothing yet.
		{"not shown, lost and numbered", nil, []string{"a:I"}, []string{"0", "404",
			`200 {"d":[{"ID":"17","Note":"n"}]}`},
			[]string{post("a"), look("a"), contentsSearch}, []string{inDoubt}},
		{"not shown, lost and numbered, found by filter", []string{"sap.odata.check.filter=Note"},
			[]string{"a:I", "b:M"},
			[]string{"0", "404", `200 {"d":[{"ID":"17","Note":"n"}]}`, "404 DataServiceVersion: 2.0"},
			[]string{post("a"), look("a"), "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)",
				`MERGE /Orders('b') If-Match=* (repeatable) {"ID":"b",` +
					rest}, []string{wasWritten, "not-found"}},
		{"not shown, lost and not there", nil, []string{"a:I"}, []string{"0", "404", none, "201"},
			[]string{post("a"), look("a"), contentsSearch, post("a")}, []string{wasWritten}},
		{"not shown, lost, stored late", nil, []string{"a:I"}, []string{"0", "404",
			`200 {"d":[{"ID":"a","Note":"n"}]}`},
			[]string{post("a"), look("a"), contentsSearch}, []string{wasWritten}},
		{"not shown, lost, $filter ignored", nil, []string{"a:I"}, []string{"0", "404", `200 {"d":[` + other + `]}`,
			"201"},
			[]string{post("a"), look("a"), contentsSearch, post("a")}, []string{wasWritten}},
		{"not shown, lost, $filter ignored, in part", nil, []string{"a:I"}, []string{"0", "404",
			`200 {"d":{"results":[` + other + `],"__next":"http://h/Orders?$skiptoken=1"}}`},
			[]string{post("a"), look("a"), contentsSearch}, []string{inDoubt}},
		{"not shown, lost, $filter ignored, as many as asked for", nil, []string{"a:I"}, []string{"0", "404",
			`200 {"d":[` + strings.Repeat(other+",", 19) + other + `]}`},
			[]string{post("a"), look("a"), contentsSearch}, []string{inDoubt}},
		{"not shown, lost, $filter refused", nil, []string{"a:I"}, []string{"0", "404", "400 " + denial("X/1",
			"no filter")},
			[]string{post("a"), look("a"), contentsSearch}, []string{inDoubt}},
		{"not shown, then kept, lost and not there", nil, []string{"a:I", "b:I"},
			[]string{"201 Location: http://h/Orders('a')", "0", "404", "201"},
			[]string{post("a"), post("b"), look("b"), post("b")}, []string{wasWritten, wasWritten}},
		{"kept, as a check shows", nil, []string{"a:I", "b:I"}, []string{"0", `200 {"d":{"ID":"a","Note":"n"}}`, "0",
			"404", "201"},
			[]string{post("a"), look("a"), post("b"), look("b"), post("b")}, []string{wasWritten, wasWritten}},
		// A service that counts from 1 has refused record 4, so that record 9 is its entity 8.
		{"equal to a counter's value, as a check shows", nil, []string{"3:I", "9:I"},
			[]string{"0", `200 {"d":{"ID":"3","Note":"n"}}`, "0", "404", `200 {"d":[{"ID":"8","Note":"n"}]}`},
			[]string{post("3"), look("3"), post("9"), look("9"), contentsSearch}, []string{wasWritten, inDoubt}},
		{"equal to a counter's value, as the address shows", nil, []string{"3:I", "9:I"},
			[]string{"201 Location: http://h/Orders('3')", "0", "404", `200 {"d":[{"ID":"8","Note":"n"}]}`},
			[]string{post("3"), post("9"), look("9"), contentsSearch}, []string{wasWritten, inDoubt}},
		{"equal to a counter's value, not there", nil, []string{"3:I", "9:I"},
			[]string{"201 Location: http://h/Orders('3')", "0", "404", none, "201"},
			[]string{post("3"), post("9"), look("9"), contentsSearch, post("9")}, []string{wasWritten, wasWritten}},
		{"equal to a counter's value, then changed", nil, []string{"3:I", "9:I", "9:M"},
			[]string{"201 Location: http://h/Orders('3')", "201 Location: http://h/Orders('8')"},
			[]string{post("3"), post("9")}, []string{wasWritten, wasWritten, "config"}},
		{"kept, as the entity says", nil, []string{"a:I", "b:I"}, []string{`201 {"d":{"ID":"a","Note":"n"}}`, "0",
			"404", "201"},
			[]string{post("a"), post("b"), look("b"), post("b")}, []string{wasWritten, wasWritten}},
		{"changed, as the entity says", nil, []string{"a:I", "b:D"}, []string{`201 {"d":{"ID":"17","Note":"n"}}`},
			[]string{post("a")}, []string{wasWritten, "config"}},
		{"an upsert, lost and numbered", []string{"sap.odata.operation.mode=upsert"}, []string{"a:"},
			[]string{"404 DataServiceVersion: 2.0", "0", "404 DataServiceVersion: 2.0",
				`200 {"d":[{"ID":"17","Note":"n"}]}`},
			[]string{`MERGE /Orders('a') If-Match=* (repeatable) {"ID":"a",` + rest, post("a"), look("a"),
				contentsSearch}, []string{inDoubt}},
	} {
		settings := append(set("00", "Orders"), "sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0")
		if strings.HasSuffix(c.rows[0], ":I") {
			settings = append(settings, "sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=OP")
		}
		w := open(t, shopping(), append(settings, c.settings...)...)
		answer := scripted(t, c.script...)
		var requests, outcomes []string
		for n, row := range c.rows {
			id, does, _ := strings.Cut(row, ":")
			h := w.host("Orders")
			pairs := []any{"ID", id, "Note", "n"}
			if does != "" {
				pairs = append(pairs, "OP", does)
			}
			h.value(pairs...)
			h.rows[0].Offset = int64(n)
			h.answer = answer
			h.run()
			for i := range h.requests {
				requests = append(requests, shown(&h.requests[i]))
			}
			outcomes = append(outcomes, h.outcomes...)
		}
		if diff := cmp.Diff(c.requests, requests); diff != "" {
			t.Errorf("%s: requests (-expected +found)\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.outcomes, outcomes); diff != "" {
			t.Errorf("%s: (-expected +found)\n%s", c.name, diff)
		}
	}
}

// A service that numbers what is inserted and changes a text of it: what has nearly all that the record has leaves it
// in doubt, and it is not sent twice. What differs in more is another record's.
func TestContentsThatTheServiceChanges(t *testing.T) {
	t.Parallel()
	changed := strings.Replace(shop, `<Property Name="Note"`,
		`<Property Name="Reference" Type="Edm.String"/><Property Name="Note"`, 1)
	service := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(changed)) })
	const byNote = "GET /Orders?$filter=%28Note%20eq%20'a%20longer%20note'%20or%20Note%20eq%20'A%20LONGER%20NOTE'%29" +
		"%20and%20Count%20eq%205&$top=20 (repeatable)"
	const byRest = "GET /Orders?$filter=Reference%20eq%20'R1'%20and%20Count%20eq%205&$top=20 (repeatable)"
	const post = `POST /Orders {"ID":"7","Reference":"R1","Note":"a longer note","Count":5}`
	const look, none = "GET /Orders('7') (repeatable)", `200 {"d":[]}`
	entity := func(note, reference string, count int) string {
		return fmt.Sprintf(`200 {"d":[{"ID":"1001","Reference":%q,"Note":%q,"Count":%d}]}`, reference, note, count)
	}
	for _, c := range []struct {
		name     string
		script   []string
		requests []string
		outcome  string
	}{
		{"the longest in capitals", []string{entity("A LONGER NOTE", "R1", 5)}, []string{byNote}, inDoubt},
		{"the other in small letters", []string{entity("a longer note", "r1", 5)}, []string{byNote}, inDoubt},
		{"the longest replaced", []string{none, entity("from the service", "R1", 5)}, []string{byNote, byRest},
			inDoubt},
		{"the other one replaced", []string{entity("a longer note", "from the service", 5)}, []string{byNote}, inDoubt},
		{"nothing", []string{entity("a longer note", "R1", 5)}, []string{byNote}, inDoubt},
		{"not there", []string{none, none, "201"}, []string{byNote, byRest, post}, wasWritten},
		{"$filter ignored, others only", []string{entity("another", "R2", 5), entity("another", "R2", 5), "201"},
			[]string{byNote, byRest, post}, wasWritten},
		{"no answer to the second search", []string{none, "0", none, "201"},
			[]string{byNote, byRest, byRest, post}, wasWritten},
	} {
		w := open(t, service, append(set("00", "Orders"), "sap.odata.insert.uncertain=check",
			"sap.odata.enable.batch=0")...)
		h := w.host("Orders")
		h.value("ID", "7", "Reference", "R1", "Note", "a longer note", "Count", int64(5))
		answer := scripted(t, append([]string{"0", "404"}, c.script...)...)
		h.answer = func(q *wit.Request) wit.Response {
			if s, err := w.p.state(w.context); err != nil || len(s.absent) > lengthAbsent {
				t.Errorf("%s: expected one address to be remembered of a row at most, found %d bytes (%v)", c.name,
					len(s.absent), err)
			}
			return answer(q)
		}
		h.run()
		var requests []string
		for i := range h.requests {
			requests = append(requests, shown(&h.requests[i]))
		}
		if diff := cmp.Diff(append([]string{post, look}, c.requests...), requests); diff != "" {
			t.Errorf("%s: requests (-expected +found)\n%s", c.name, diff)
		}
		if h.outcomes[0] != c.outcome {
			t.Errorf("%s: expected %s, found %s (%v)", c.name, c.outcome, h.outcomes[0], h.reasons[0])
		}
	}
}

// Of a key of several properties, services number one and keep the others: each is known by itself.
func TestKeysOfSeveralProperties(t *testing.T) {
	t.Parallel()
	changed := strings.Replace(shop, `<PropertyRef Name="ID"/>`, `<PropertyRef Name="ID"/><PropertyRef Name="Count"/>`,
		1)
	service := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(changed)) })
	const filter = "sap.odata.check.filter=Note"
	for _, c := range []struct {
		name, setting string
		rows          [][]any // ID and Count
		script        []string
		requests      int
		outcomes      []string
	}{
		{"the other one is 0", "", [][]any{{"a", 0}, {"0", 5}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "0", "404", `200 {"d":[]}`, "201"}, 5,
			[]string{wasWritten, wasWritten}},
		{"the same one is 0", "", [][]any{{"a", 0}, {"b", 0}}, []string{"201 Location: http://h/Orders(ID='a',Count=9)",
			"0"}, 2, []string{wasWritten, inDoubt}},
		{"none is 0", "", [][]any{{"a", 0}, {"b", 5}, {"c", 6}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "201 Location: http://h/Orders(ID='b',Count=5)",
				"0", "404", `200 {"d":[]}`, "201"}, 6,
			[]string{wasWritten, wasWritten, wasWritten}},
		{"equal to a counter's value", "", [][]any{{"a", 1}, {"b", 3}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=1)", "0", "404",
				`200 {"d":[{"ID":"b","Count":2,"Note":"n"}]}`}, 4,
			[]string{wasWritten, inDoubt}},
		{"the same one, by the filter", filter, [][]any{{"a", 0}, {"b", 0}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "0",
				`200 {"d":[{"ID":"b","Count":10,"Note":"n"}]}`}, 3,
			[]string{wasWritten, wasWritten}},
		{"another one's, by the filter", filter, [][]any{{"a", 0}, {"b", 0}},
			[]string{"201 Location: http://h/Orders(ID='a',Count=9)", "0",
				`200 {"d":[{"ID":"a","Count":9,"Note":"n"}]}`}, 3,
			[]string{wasWritten, inDoubt}},
		{"not shown, another one's, by the filter", filter, [][]any{{"a", 1}}, []string{"0", "404",
			`200 {"d":[{"ID":"z","Count":1,"Note":"n"}]}`}, 3, []string{inDoubt}},
	} {
		more := []string{"sap.odata.insert.uncertain=check", "sap.odata.enable.batch=0"}
		if c.setting != "" {
			more = append(more, c.setting)
		}
		w := open(t, service, append(set("00", "Orders"), more...)...)
		answer := scripted(t, c.script...)
		requests := 0
		var outcomes []string
		for n, row := range c.rows {
			h := w.host("Orders")
			h.value("ID", row[0], "Count", int64(row[1].(int)), "Note", "n")
			h.rows[0].Offset = int64(n)
			h.answer = answer
			h.run()
			requests += len(h.requests)
			outcomes = append(outcomes, h.outcomes...)
		}
		if requests != c.requests {
			t.Errorf("%s: expected %d requests, found %d", c.name, c.requests, requests)
		}
		if diff := cmp.Diff(c.outcomes, outcomes); diff != "" {
			t.Errorf("%s: (-expected +found)\n%s", c.name, diff)
		}
	}
}

// What a batch's answer shows of keys is learned as well.
func TestKeysThatTheServiceChangesInABatch(t *testing.T) {
	w := open(t, shopping(), append(set("00", "Orders"), oneLane, "sap.odata.enable.delete=1")...)
	h := w.host("Orders")
	body := ""
	for i := range 3 {
		h.value("ID", strconv.Itoa(i+1), "Note", "n")
		body += "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 201 Created\r\nLocation: http://h/Orders('10" +
			strconv.Itoa(i) + "')\r\n\r\n\r\n"
	}
	h.answer = func(*wit.Request) wit.Response {
		return wit.Response{Status: 202, Headers: []wit.Header{{Name: "Content-Type",
			Value: "multipart/mixed; boundary=b"}},
			Body: []byte(body + "--b--\r\n")}
	}
	h.run()
	h.all(wasWritten)
	again := w.host("Orders")
	again.tombstone("ID", "2")
	again.run()
	again.all(wit.FaultConfig.String())
	if f := again.reasons[0]; !strings.Contains(f.Message, "/Orders: the service numbers what is inserted by itself") {
		t.Errorf("expected to be told what the service does, found %v", f)
	}
}

// A service that numbers from 1 gives entities the keys of others of the batch: answers that name their operation by
// its Content-ID are taken for what they say.
func TestKeysOfOthersInABatch(t *testing.T) {
	w := open(t, shopping(), append(set("00", "Orders"), oneLane)...)
	h := w.host("Orders")
	body := ""
	for i := range 3 {
		h.value("ID", strconv.Itoa(i+2), "Note", "n")
		body += "--b\r\nContent-Type: application/http\r\nContent-ID: " + strconv.Itoa(i+1) +
			"\r\n\r\nHTTP/1.1 201 Created\r\n" +
			"Content-ID: " + strconv.Itoa(i+1) + "\r\nLocation: http://h/Orders('" + strconv.Itoa(i+1) +
			"')\r\n\r\n\r\n"
	}
	h.answer = func(*wit.Request) wit.Response {
		return wit.Response{Status: 202, Headers: []wit.Header{{Name: "Content-Type",
			Value: "multipart/mixed; boundary=b"}},
			Body: []byte(body + "--b--\r\n")}
	}
	h.run()
	h.all(wasWritten)
}

// Without Content-IDs, the key of another operation is no sign that the answers are in another order where one of them
// has a key that nobody has sent: the service numbers. Where all have been sent, nothing tells.
func TestKeysOfOthersWithoutContentIDs(t *testing.T) {
	t.Parallel()
	for made, want := range map[string][]string{
		"1 2 3": {wasWritten, wasWritten, wasWritten},
		"1 - 2": {wasWritten, "data", wasWritten},
		"3 2 4": {inDoubt, inDoubt, inDoubt},
		"3 - 2": {inDoubt, inDoubt, inDoubt},
		"2 3 4": {wasWritten, wasWritten, wasWritten},
		// padded, in another order
		"003 002 004": {inDoubt, inDoubt, inDoubt},
	} {
		w := open(t, shopping(), append(set("00", "Orders"), oneLane)...)
		h := w.host("Orders")
		body := ""
		for i, key := range strings.Fields(made) {
			h.value("ID", strconv.Itoa(i+2), "Note", "n")
			body += "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 "
			if key == "-" {
				body += "400 Bad Request\r\nContent-Type: application/json\r\n\r\n" + denial("X/1", "no") + "\r\n"
			} else {
				body += "201 Created\r\nLocation: http://h/Orders('" + key + "')\r\n\r\n\r\n"
			}
		}
		h.answer = func(*wit.Request) wit.Response {
			return wit.Response{Status: 202, Headers: []wit.Header{{Name: "Content-Type",
				Value: "multipart/mixed; boundary=b"}},
				Body: []byte(body + "--b--\r\n")}
		}
		h.run()
		if diff := cmp.Diff(want, h.outcomes); diff != "" {
			t.Errorf("%s: (-expected +found)\n%s", made, diff)
		}
	}
}

// Addresses of one key are the same however a service writes it, as the lanes of its records are.
func TestAddressesOfOneKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other string
		same       bool
	}{{"(guid'0123ABCD-89AB-CDEF-0123-456789ABCDEF')", "(guid'0123abcd-89ab-cdef-0123-456789abcdef')", true},
		{"(1.50M)", "(1.5m)", true}, {"(2.00M)", "(2M)", true}, {"(20M)", "(2M)", false}, {"(01.5M)", "(1.5M)", true}, {"(-0M)", "(0.0M)", true},
		{"(-1.5M)", "(1.5M)", false}, {"(time'PT1H30M')", "(time'PT01H30M00.0S')", true},
		{"(time'PT1H30M')", "(time'PT1H31M')", false}, {"('007')", "('7 ')", true},
		{"('a')", "('A')", true},
		{"('a')", "('b')", false}, {"(A='x',N=0.10M)", "(A='X',N=0.1M)", true}} {
		var found [2]string
		for i, predicate := range []string{c.one, c.other} {
			_, keys, err := uri.ParsePredicate("Es" + predicate)
			if err != nil {
				t.Fatal(err)
			}
			found[i] = sameAddress(keys)
		}
		if (found[0] == found[1]) != c.same {
			t.Errorf("%s and %s: found %s and %s", c.one, c.other, found[0], found[1])
		}
	}
}

// Entities with equal contents leave a record in doubt, whatever a check beside it finds: keys that a counter may have
// made too show nothing, and of others too the entity may be the record's.
func TestEqualContentsOfOthers(t *testing.T) {
	t.Parallel()
	w := open(t, shopping(), append(set("00", "Orders"), "sap.odata.insert.uncertain=check")...)
	to := &entitySet{}
	settle := func(op operation, id, body string) string {
		q := request{operation: op, path: gateway + "/Orders", to: to, predicate: "('" + id + "')",
			sent: []byte(`{"ID":"` + id + `","Note":"n"}`)}
		if op == look {
			q.path += q.predicate
		}
		out, err := w.p.Settle(w.context, q.memo(), []uint32{4}, wit.Response{Status: 200, Body: []byte(body)})
		if out.Context != nil {
			w.context = *out.Context
		}
		return told(t, out, err)
	}
	const others = `{"d":[{"ID":"1","Note":"n"},{"ID":"2","Note":"n"}]}`
	for _, c := range []struct {
		op             operation
		id, body, want string
	}{{find, "7", others, "refused conflict"}, {find, "2", others, "written"},
		{look, "1", `{"d":{"ID":"1","Note":"n"}}`, "written"},
		{find, "7", others, "refused conflict"}, {find, "2", others, "written"},
		{look, "a", `{"d":{"ID":"a","Note":"n"}}`, "written"},
		{find, "b", others, "refused conflict"}, {find, "2", others, "written"}} {
		if found := settle(c.op, c.id, c.body); found != c.want {
			t.Errorf("operation %d of %s: expected %s, found %s", c.op, c.id, c.want, found)
		}
	}
}

// What is remembered of entities that were not found is bounded, and no longer than it is of use.
func TestAbsentEntitiesAreBounded(t *testing.T) {
	t.Parallel()
	s := state{}
	for i := range maxAbsent + 10 {
		s.lacks("/Orders('" + strconv.Itoa(i) + "')")
	}
	if len(s.absent) != maxAbsent*lengthAbsent || s.isLacking("/Orders('9')") || !s.isLacking("/Orders('10')") {
		t.Errorf("expected the last %d, found %d bytes", maxAbsent, len(s.absent))
	}
	s.lacks("/Orders('10')") // no second time
	for i := range maxAbsent {
		s.found("/Orders('" + strconv.Itoa(10+i) + "')")
	}
	if s.absent != "" {
		t.Errorf("expected nothing, found %d bytes", len(s.absent))
	}
}

// What the host has struck out of an address is no key of the service's.
func TestAddressWithAHiddenPart(t *testing.T) {
	w := open(t, shopping(), append(set("00", "Orders"), oneLane, "sap.odata.enable.delete=1")...)
	h := w.host("Orders")
	h.value("ID", "10002024", "Note", "n")
	h.answer = func(*wit.Request) wit.Response {
		return wit.Response{Status: 201, Headers: []wit.Header{{Name: "Location",
			Value: "http://h/Orders('1000[hidden]')"}}}
	}
	h.run()
	h.all(wasWritten)
	again := w.host("Orders")
	again.tombstone("ID", "10002024")
	again.run()
	again.all(wasWritten)
}

// A service without $batch, whatever it answers to say so, has done nothing of one, and gets its rows one by one. What
// a gateway answers says nothing of what the service did.
func TestServicesWithoutBatch(t *testing.T) {
	for _, c := range []struct {
		answer string
		none   bool
	}{{"501", true}, {"501 <html>Not Implemented", true}, {"501 " + denial("X/1", "no"), true}, {"405", true},
		{"404 <html>", true},
		{"415", true}, {"502", false}, {"504 <html>", false}} {
		w := open(t, shopping(), append(set("00", "Orders"), oneLane)...)
		first := scripted(t, c.answer)
		batches, single := 0, 0
		for range 2 {
			h := w.host("Orders")
			for i := range 3 {
				h.value("ID", strconv.Itoa(i), "Note", "n")
			}
			h.answer = func(q *wit.Request) wit.Response {
				if strings.HasSuffix(q.Target, "/$batch") {
					batches++
					return first(q)
				}
				single++
				return wit.Response{Status: 201}
			}
			h.run()
			if !c.none {
				h.all(inDoubt)
				break
			}
			h.all(wasWritten)
		}
		if batches != 1 || c.none != (single == 6) || !c.none && single > 0 {
			t.Errorf("%s: found %d batches and %d requests of one row", c.answer, batches, single)
		}
	}
}
