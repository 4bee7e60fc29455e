package write

import (
	"bytes"
	"context"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	host "github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/google/go-cmp/cmp"
)

// rows are some of one shape, most of them plain, with keys that come again. add puts a value where the rows are.
func (c chance) rows(structured bool, add func(nodes []wit.Node, v any) wit.Datum) (rows []wit.Row) {
	names := []string{"Bool", "Byte", "Int16", "Int64", "Short", "Text", "Guid", "Decimal", "Price", "Date", "Moment",
		"Made", "Fixed"}
	names = names[c.IntN(len(names)):]
	nodes := nodesOf(column{name: "A", kind: wit.Int32}, column{name: "B", kind: wit.Text},
		column{name: "Byte", kind: wit.Int16}, column{name: "Int64", kind: wit.Int64, optional: true},
		column{name: "Short", kind: wit.Text, optional: true}, column{name: "Price", kind: wit.Bytes,
			logical: wit.NameDecimal},
		column{name: "Date", kind: wit.Int64, logical: wit.NameTimestamp}, column{name: "Fixed", kind: wit.Int32})
	if !structured {
		nodes = nil
	}
	for range 2 + c.IntN(40) {
		a, b := int32(c.IntN(30)), []string{"x", "X", "0x", "x ", "7", "O'Neil", "größe", "a b/c?d"}[c.IntN(8)]
		var v any
		if structured {
			v = datum.Record{a, b, int16(c.IntN(300) - 20), c.number(64), c.text(),
				datum.AppendDecimal(nil, big.NewInt(int64(c.IntN(99_999))*100))[1:],
				c.number(48), int32(c.IntN(9))}
			if c.IntN(4) == 0 {
				v.(datum.Record)[3] = nil
			}
		} else {
			m := datum.Map{{Key: "A", Value: a}, {Key: "B", Value: b}}
			for _, name := range names {
				m = append(m, datum.Entry{Key: name, Value: c.fitting(name)})
			}
			v = m
		}
		rows = append(rows, wit.Row{Offset: int64(len(rows)), Value: add(nodes, v)})
	}
	return rows
}

// fitting is a value that a property takes, mostly.
func (c chance) fitting(name string) any {
	switch {
	case c.IntN(60) == 0:
		return c.dynamic()
	case c.IntN(10) == 0:
		return nil
	}
	switch name {
	case "Bool":
		return c.IntN(2) == 0
	case "Byte":
		return int16(c.IntN(256))
	case "Int16":
		return int32(c.IntN(60_000) - 30_000)
	case "Int64":
		return c.number(64)
	case "Made", "Fixed":
		return int32(c.number(32))
	case "Guid":
		return "01234567-89ab-cdef-0123-456789ABCDEF"
	case "Decimal", "Price":
		return []string{"12.50", "0", "-7.1", "1234", "0.25"}[c.IntN(5)]
	case "Date", "Moment":
		if c.IntN(2) == 0 {
			return []string{"2024-02-29T12:30:00", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00",
				"2100-03-01T00:00:00"}[c.IntN(4)]
		}
		return c.Int64N(4_000_000_000_000) - 2_000_000_000_000
	}
	return c.text()
}

// ids are those of records that so many rows came of.
func (c chance) ids(rows int) []wit.RecordID {
	ids := make([]wit.RecordID, rows)
	for i := range ids {
		ids[i] = wit.RecordID{Partition: int32(c.IntN(3)), Offset: c.Int64N(1 << 40),
			Part: uint32(c.IntN(2))}
	}
	return ids
}

// runSettings are those under which rows are runs, and some under which they are not.
var runSettings = [][]string{{"sap.odata.operation.mode=insert"}, {"sap.odata.operation.mode=update"},
	{"sap.odata.operation.mode=merge", "sap.odata.method.tunnel=1"},
	{"sap.odata.operation.mode=upsert"}, {"sap.odata.operation.mode=insert", "sap.odata.changesets=all"},
	{"sap.odata.operation.mode=insert", "sap.odata.insert.uncertain=retry", "sap.odata.max.batch.size=3"},
	{"sap.odata.operation.mode=update", "sap.odata.changesets=one", "sap.odata.max.in.flight=1"},
	{"sap.odata.operation.mode=insert", "sap.odata.insert.uncertain=repeatable"},
	{"sap.odata.operation.mode=insert", "sap.odata.request.format=atom"},
	{"sap.odata.operation.mode=update", "sap.odata.request.format=atom"},
	{"sap.odata.operation.mode=upsert", "sap.odata.upsert.first=insert", "sap.odata.insert.uncertain=repeatable"},
	{"sap.odata.enable.batch=0"}}

// TestRuns: rows that differ in key and body alone come to the same requests as others do, and what their answers mean
// is the same, whatever becomes of these on the way.
func TestRuns(t *testing.T) {
	c := chance{rand.New(rand.NewPCG(3, 4))}
	taken, wholly, inserted := 0, 0, 0
	for _, settings := range runSettings {
		before, quick, batches := taken, wholly, settings[0] != "sap.odata.enable.batch=0"
		w := open(t, everything(), append(set("00", "Es"), settings...)...)
		fresh := w.context
		for round := range 30 {
			w.schemas, w.data = nil, nil
			var schema wit.Datum
			rows := c.rows(round%2 == 0, func(nodes []wit.Node, v any) wit.Datum {
				if nodes == nil {
					return w.dynamic(v)
				}
				d := w.structured(nodes, v)
				if schema.Schema == 0 {
					schema = d
				}
				d.Schema = schema.Schema
				return d
			})
			topics, ids := []string{"Es"}, c.ids(len(rows))
			// A hint that says nothing leaves no row to a run.
			others, err := w.p.Encode(w.context, w.schemas, topics, rows, w.data, ids, topics, []wit.Hint{{}})
			noError(t, err)
			found, err := w.p.Encode(w.context, nil, topics, rows, w.data, ids, topics, nil)
			noError(t, err)
			state, err := w.p.state(w.context)
			noError(t, err)
			e := encoding{memory: &w.p.memory, s: state, data: w.data, to: &state.sets[0]}
			_, isRun := e.encodeRun(w.p.runs, topics[0], rows, ids, topics)
			for i := range found.Ready {
				if d := &found.Ready[i]; isRun && strings.HasSuffix(d.Request.Target, "/$batch") {
					taken++
					// What answers teach is known from then on, but what would leave no row to a run.
					s, err := w.p.state(w.context)
					noError(t, err)
					if c.IntN(4) == 0 || s.evidence[0].numbers || s.learned[0].noBatch {
						w.context = fresh
					}
					n := c.agrees(t, w, d)
					if wholly += n; strings.HasSuffix(settings[0], "=insert") {
						inserted += n
					}
				}
			}
			if d := cmp.Diff(others, found); d != "" {
				t.Fatalf("%v: (-other rows +runs)\n%s", settings, d)
			}
		}
		if (taken > before) != batches || (wholly > quick) != batches {
			t.Errorf("%v: %d batches of runs, %d answers to them not taken apart", settings, taken-before, wholly-quick)
		}
	}
	t.Logf("%d batches of runs, %d answers to them not taken apart, %d of which to inserts", taken, wholly, inserted)
	if taken < 100 || wholly < 100 || inserted < 40 {
		t.Errorf("expected more batches of runs than %d, more answers not taken apart than %d, %d of which to inserts",
			taken, wholly, inserted)
	}
}

// agrees settles answers to a batch, plain ones and such that something has happened to, and in any case by taking them
// apart, and goes on with the context that was made. It counts those that were not taken apart.
func (c chance) agrees(t *testing.T, w *writing, run *wit.Delivery) (wholly int) {
	t.Helper()
	text := c.answer(run)
	for n := range 10 {
		if n > 2 { // what it teaches is known by then
			text = c.damaged(text)
		}
		answer := chanceAnswer(text)
		var settled [2]wit.Settled
		var faults [2]*wit.Fault
		s, err := w.p.state(w.context)
		noError(t, err)
		m, ok := readMemo(s, run.Memo)
		if !ok {
			t.Fatal("the memo can't be read")
		}
		before := s.clone()
		if s.allWritten(m, &answer) {
			wholly++
		}
		m.s = before.clone()
		m.s.learnVersion(0, &answer)
		rows, parts, _ := m.all()
		b := sentBatch{at: m.at, size: m.size, rows: rows, parts: parts}
		if settled[0].Verdicts, err = b.settle(m.s, &answer); err != nil {
			faults[0] = asFault(err)
		} else if !m.s.same(before) {
			settled[0].Context = wit.Ptr(m.s.pack())
		}
		if settled[1], err = w.p.Settle(w.context, run.Memo, run.Rows, answer); err != nil {
			faults[1] = asFault(err)
		}
		if d := cmp.Diff(settled[0], settled[1]) + cmp.Diff(faults[0], faults[1]); d != "" {
			t.Fatalf("%s: (-taken apart +not)\n%s", text, d)
		}
		if settled[0].Context != nil {
			w.context = *settled[0].Context
		}
	}
	return wholly
}

// outerBoundary is as long as those of services: near the end of a text, what goes over headers quickly gives up.
const outerBoundary = "ab_5a8e16ce-6c74-4d4b-9d1b-6b8f0c7a1d5e"

func chanceAnswer(body []byte) wit.Response {
	return wit.Response{Status: 202, Body: body, Headers: []wit.Header{{Name: "Content-Type",
		Value: "multipart/mixed; boundary=" + outerBoundary}}}
}

// answer is what a service says to a batch.
func (c chance) answer(d *wit.Delivery) []byte {
	asked, _ := batch.Parse(headerOfRequest(&d.Request, "Content-Type"), d.Request.Body)
	var b strings.Builder
	ids, bodies, failing := c.IntN(3) > 0, c.IntN(2) == 0, c.IntN(4) == 0
	count := 0
	// Of inserts, services say the addresses of all, or of some, or of none; some say others.
	addresses, others := c.IntN(3), c.IntN(8) == 0
	whole, predicates := c.IntN(2) == 0, c.predicates(d)
	// Some know RequestIDs, and a few say so of some requests, or otherwise.
	repeats, otherwise := c.IntN(2) == 0, c.IntN(8) == 0
	for n, p := range asked.Parts {
		inner := "cd" + strconv.Itoa(n)
		b.WriteString("--" + outerBoundary + "\r\nContent-Type: multipart/mixed; boundary=" + inner +
			"\r\nContent-Length: 77\r\n\r\n")
		for range p.Messages {
			count++
			b.WriteString("--" + inner + "\r\nContent-Type: application/http\r\n")
			if ids {
				b.WriteString("Content-ID: " + strconv.Itoa(count) + "\r\n")
			}
			body := ""
			switch status := " 204 No Content"; {
			case failing && c.IntN(3) == 0:
				b.WriteString("\r\nHTTP/1.1 400 Bad Request\r\n")
				body = `{"error":{"code":"X/1","message":{"lang":"en","value":"no"}}}`
			case bodies:
				body, status = `{"d":{"A":`+strconv.Itoa(count)+`}}`, " 201 Created"
				if whole { // with all of the key, mostly the one that was sent
					a, b, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(predicates[count-1], "(A="), "')"),
						",B='")
					body = `{"d":{"A":` + a + `,"B":"` + uri.Unescape(strings.ReplaceAll(b, "''", "'")) + `"}}`
				}
				fallthrough
			default:
				if c.IntN(200) == 0 {
					status = []string{" 202 Accepted", " 206 Partial Content", " 207 Multi-Status",
						" 200 OK"}[c.IntN(4)]
				}
				b.WriteString("\r\nHTTP/1.1" + status + "\r\nDataServiceVersion: 2.0\r\n")
				if repeats {
					name, result := "RepeatabilityResult", "accepted"
					if otherwise && c.IntN(4) == 0 {
						name = []string{name, "repeatabilityresult", "Repeatability-Result", "RepeatabilityCreation"}[c.IntN(4)]
						result = []string{"Accepted", "rejected", "", "2024-01-01T00:00:00"}[c.IntN(4)]
					}
					b.WriteString(name + ": " + result + "\r\n")
				}
				if addresses == 2 || addresses == 1 && c.IntN(2) == 0 {
					at := predicates[count-1]
					if others && c.IntN(4) == 0 { // the next one's, or one that nobody has sent
						at = append(predicates, "(A=31,B='x')")[count]
					}
					b.WriteString("Location: http://x/Es" + at + "\r\n")
				}
			}
			if body != "" || bodies {
				b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
			}
			b.WriteString("\r\n" + body + "\r\n")
		}
		b.WriteString("--" + inner + "--\r\n\r\n")
	}
	b.WriteString("--" + outerBoundary + "--\r\n")
	return []byte(b.String())
}

// predicates are those of a batch's rows, as its memo has them.
func (c chance) predicates(d *wit.Delivery) (predicates []string) {
	r := pack.Open(d.Memo)
	r.Number()
	r.Number()
	m := memo{count: r.Number(), size: 1, s: &state{decodedContext: &decodedContext{sets: make([]entitySet, 1)}}, r: *r}
	for m.next() {
		predicates = append(predicates, m.predicate)
	}
	return predicates
}

func headerOfRequest(q *wit.Request, name string) string {
	return headerOf(&wit.Response{Headers: q.Headers}, name)
}

// damaged changes something about a text.
func (c chance) damaged(text []byte) []byte {
	text = bytes.Clone(text)
	if len(text) == 0 {
		return text
	}
	at := c.IntN(len(text))
	switch c.IntN(10) {
	case 9: // another operation's number
		if n := bytes.Index(text[at:], []byte("Content-ID: ")); n >= 0 {
			text[at+n+len("Content-ID: ")] ^= 1
		}
	case 6:
		status := []string{"202 Accepted", "206 Partial Content", "207 Multi-Status"}[c.IntN(3)]
		return bytes.Replace(text, []byte("204 No Content"), []byte(status), 1)
	case 7: // the address of the entity next to it
		if n := bytes.Index(text[at:], []byte("Location: http://x/Es(A=")); n >= 0 {
			n += at + len("Location: http://x/Es(A=")
			text[n] = '0' + (text[n]-'0'+1)%10
		}
	case 8:
		return bytes.Replace(text, []byte("DataServiceVersion: 2.0\r\n"), nil, 1)
	case 0:
		return text[:at]
	case 1:
		return append(text[:at], text[min(at+1+c.IntN(40), len(text)):]...)
	case 2:
		line := []string{"sap-message: {}\r\n", "Location: http://x/Es(A=1,B='x')\r\n", "Content-ID : 3\r\n",
			" folded\r\n", "Content-Length: 3\r\n", "\r\n",
			"--" + outerBoundary + "\r\n", "--cd0--\r\n"}[c.IntN(8)]
		if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
			return append(append(append([]byte{}, text[:at+n+1]...), line...), text[at+n+1:]...)
		}
	case 3:
		return bytes.Replace(text, []byte("HTTP/1.1 20"), []byte("HTTP/1.1 50"), 1+c.IntN(2))
	case 4:
		text[at] = byte(c.IntN(256))
	case 5:
		return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return text
}

// TestGuestWritesAlike: in the sandbox, where the loops are assembly, rows come to the same requests as outside.
func TestGuestWritesAlike(t *testing.T) {
	registry := record.NewRegistry()
	bound := boundTo(t, registry)
	c := chance{rand.New(rand.NewPCG(5, 6))}
	written := 0
	for _, settings := range runSettings {
		w := open(t, everything(), append(set("00", "Es"), settings...)...)
		err := bound.Current().Do(t.Context(), func(i *host.Instance) error {
			for round := range 6 {
				written += c.inSandbox(t.Context(), t, i, w, registry, round%2 == 0)
			}
			return nil
		})
		noError(t, err)
	}
	if written < 200 {
		t.Errorf("expected more rows to be written than %d", written)
	}
}

// inSandbox encodes rows on an instance and outside, and settles a plain answer on the instance.
func (c chance) inSandbox(ctx context.Context, t *testing.T, i *host.Instance, w *writing, registry *record.Registry,
	structured bool) (written int) {
	t.Helper()
	b := &record.Batch{Registry: registry, Topics: []string{"Es"}}
	w.schemas = nil
	b.Rows = c.rows(structured, func(nodes []wit.Node, v any) wit.Datum {
		d := wit.Datum{Form: wit.Dynamic, Start: uint32(len(b.Data))}
		var err error
		if nodes == nil {
			b.Data, err = datum.AppendDynamic(b.Data, v)
		} else {
			s, bad := registry.Intern(nodes)
			noError(t, bad)
			d.Form, d.Schema = wit.Structured, s.ID
			w.schemas = []wit.Schema{{ID: s.ID, Nodes: nodes}}
			b.Data, err = datum.Append(b.Data, nodes, 0, v)
		}
		noError(t, err)
		d.Size = uint32(len(b.Data)) - d.Start
		return d
	})
	origins := record.Origins{Topics: b.Topics, IDs: c.ids(len(b.Rows))}
	want, err := w.p.Encode(w.context, w.schemas, b.Topics, b.Rows, b.Data, origins.IDs, b.Topics, nil)
	noError(t, err)
	found, err := i.Encode(ctx, w.context, b, origins, nil)
	noError(t, err)
	if d := cmp.Diff(want.Ready, found.Ready); d != "" {
		t.Fatalf("(-native +sandbox)\n%s", d)
	}
	for n := range found.Ready {
		d := &found.Ready[n]
		if len(d.Rows) == 1 {
			continue
		}
		answer := chanceAnswer(c.answer(d))
		want, bad := w.p.Settle(w.context, d.Memo, d.Rows, answer)
		settled, err := i.Settle(ctx, w.context, d.Memo, d.Rows, answer)
		if (bad == nil) != (err == nil) {
			t.Fatalf("expected %v, found %v", bad, err)
		}
		for r := range settled.Verdicts {
			if settled.Verdicts[r].Written != nil {
				written++
			}
		}
		if d := cmp.Diff(want, settled); d != "" {
			t.Fatalf("%s (-native +sandbox)\n%s", answer.Body, d)
		}
	}
	return written
}

// Bodies of entities as they usually begin are neither pages nor errors.
func TestUsualBodies(t *testing.T) {
	for _, body := range []string{"", `{"d":{}}`, `{"d":{"error":{}}}`, `{"d" :1}`, `{"d":`, `{"data":{}}`, `<entry xmlns="a">`,
		`<?xml version="1.0"?><entry xmlns="a">`, `<?xml version="1.0"?><entry xmlns="a"><html`, `<entry `, `<entry>`,
		`<?xml version="1.0"?><error/>`, `<?xml ?><error/>`, `<entry a?><error/>`, `<?xml ?>` + "\r\n" + `<entry a="<HTML">`,
		`<?xml a="?><entry "?><error/>`, `<?xml ?><!-- <entry --><error/>`} {
		if opensEntity([]byte(body)) && (fault.IsHTML([]byte(body)) || fault.IsError([]byte(body))) {
			t.Errorf("%s is taken for an entity", body)
		}
	}
}
