package plugintest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

const (
	maxExchanges = 100     // the maximum number of requests of a test
	openRounds   = 20      // the maximum number of calls of Open until the source is ready
	linkDepth    = 8       // how deep linked requests may nest
	wholeBody    = 1 << 30 // a size of pieces that no body exceeds
)

// RunSource runs a source over the golden files that match a pattern.
//
// After the configuration the input contains recorded responses, separated by lines of =====. Each has a line with
// method and target of the request, a line with the status, the headers, an empty line and the body. A request is
// answered by the recordings with its method and target in turn, or with 404 if there is none. The output contains the
// requests, the rows of each feed, the offset after each page, errors, and how each feed ended: idle, finished, or a
// poll without rows and without another offset. Bodies are passed whole and in pieces of 7 bytes; the test fails if the
// results differ.
//
// Events may follow, which happen after all feeds have ended: a line with NOTIFY and the target of a notification, its
// headers, an empty line and its body; or a line with SNAPSHOT, the name of a feed and the number of the snapshot. The
// output contains the feeds that a notification triggers.
func RunSource(t *testing.T, p wit.Source, pattern string) {
	t.Helper()
	// p is one instance, which declares each schema once for all files
	b := newBatch()
	runGolden(t, pattern, func(t *testing.T, stages []wit.Stage, input string) string {
		if len(stages) != 1 {
			t.Fatalf("configuration: expected one [class], found %d", len(stages))
		}
		output := readSource(t, p, b, stages[0], input, wholeBody)
		if pieces := readSource(t, p, b, stages[0], input, 7); pieces != output {
			t.Errorf("in pieces of 7 bytes the bodies come to something else:\n%s", cmp.Diff(output, pieces))
		}
		return output
	})
}

// event is a notification or a snapshot.
type event struct {
	line         string            // the first line
	notification *wit.Notification // nil for a snapshot
}

// exchange is a recorded response.
type exchange struct {
	request  string
	response wit.Response
}

func parseExchanges(t *testing.T, input string) (exchanges []exchange, events []event) {
	t.Helper()
	for _, block := range strings.Split(input, "=====\n") {
		head, text, _ := strings.Cut(strings.TrimLeft(block, "\n"), "\n\n")
		body := []byte(strings.TrimSuffix(text, "\n"))
		lines := strings.Split(strings.TrimSpace(head), "\n")
		if target, ok := strings.CutPrefix(lines[0], "NOTIFY "); ok {
			n := wit.Notification{Method: "POST", Target: target, Headers: parseHeaders(lines[1:]), Body: body}
			events = append(events, event{line: lines[0], notification: &n})
			continue
		}
		if strings.HasPrefix(lines[0], "SNAPSHOT ") {
			events = append(events, event{line: lines[0]})
			continue
		}
		lines = strings.Split(head, "\n")
		if len(lines) < 2 {
			t.Fatalf("exchange: expected method and target, then a status, found %q", head)
		}
		status, err := strconv.ParseUint(lines[1], 10, 16)
		if err != nil {
			t.Fatalf("exchange %s: expected a status, found %q", lines[0], lines[1])
		}
		response := wit.Response{Status: uint16(status), Headers: parseHeaders(lines[2:]), Body: body}
		exchanges = append(exchanges, exchange{request: lines[0], response: response})
	}
	return exchanges, events
}

func parseHeaders(lines []string) (headers []wit.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		headers = append(headers, wit.Header{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	return headers
}

// sourceRun is one run of a source over the recorded responses.
type sourceRun struct {
	t         *testing.T
	p         wit.Source
	exchanges []exchange
	offsets   [][]wit.OffsetEntry
	requests  int
	rowsRead  int
	waitMs    uint32 // the pause that the page requests before the next one
	pieceSize int
	b         *batch
	out       strings.Builder
}

// readSource runs a source once and returns the output of the golden file. piece is the size of a piece in bytes.
func readSource(t *testing.T, p wit.Source, b *batch, stage wit.Stage, input string, piece int) string {
	r := &sourceRun{t: t, p: p, pieceSize: piece, b: b}
	var events []event
	r.exchanges, events = parseExchanges(t, input)
	opened, err := r.open(stage)
	if err != nil {
		return r.out.String() + "open: " + err.Error() + "\n"
	}
	r.offsets = make([][]wit.OffsetEntry, len(opened.Feeds))
	for i, f := range opened.Feeds {
		fmt.Fprintf(&r.out, "feed %s, topic %s, partition %s\n", f.Name, f.Topic, encode(fields(f.Partition)))
		r.readFeed(opened, uint32(i), wit.PollReason{Start: wit.Set})
	}
	for _, e := range events {
		fmt.Fprintln(&r.out, e.line)
		if e.notification != nil {
			r.notify(opened, *e.notification)
		} else {
			words := strings.Fields(e.line)
			feed := slices.IndexFunc(opened.Feeds,
				func(f wit.Feed) bool { return len(words) == 3 && f.Name == words[1] })
			if feed < 0 {
				r.t.Fatalf("expected SNAPSHOT, the name of a feed and a number, found %q", words)
			}
			r.readFeed(opened, uint32(feed), wit.PollReason{Snapshot: &words[2]})
		}
	}
	return r.out.String()
}

// notify passes a notification to the plugin and reads the feeds that it triggers.
func (r *sourceRun) notify(opened *wit.SourceOpened, n wit.Notification) {
	p, ok := r.p.(wit.Notifications)
	if !ok {
		r.t.Fatal("the plugin takes no notifications")
	}
	triggers, err := p.HandleNotification(opened.Context, n)
	if err != nil {
		fmt.Fprintf(&r.out, "refused: %v\n", err)
	}
	for _, w := range triggers {
		fmt.Fprintf(&r.out, "wakes %s, token %q, ident %q, held %v\n", opened.Feeds[w.Feed].Name, w.Token, w.Ident,
			w.AnswerWhenStored)
	}
	for _, w := range triggers {
		r.readFeed(opened, w.Feed, wit.PollReason{Trigger: &w.Token})
	}
}

func (r *sourceRun) open(stage wit.Stage) (*wit.SourceOpened, error) {
	var state []byte
	var answers []wit.Response
	for range openRounds {
		result, err := r.p.Open(stage.Component, stage.Settings, state, answers)
		if err != nil {
			return nil, err
		}
		if result.Ready != nil {
			return result.Ready, nil
		}
		answers = nil
		for _, q := range result.Pending.Requests {
			answers = append(answers, r.respond(&q))
		}
		state = result.Pending.State
	}
	return nil, fmt.Errorf("not ready after %d rounds of questions", openRounds)
}

// respond returns the recorded response to a request, and moves it to the end, so that a repeated request gets the next
// recording.
func (r *sourceRun) respond(q *wit.Request) wit.Response {
	r.requests++
	name := q.Method + " " + q.Target
	fmt.Fprintf(&r.out, "%s\n", name)
	for i, e := range r.exchanges {
		if e.request == name {
			r.exchanges = append(append(r.exchanges[:i:i], r.exchanges[i+1:]...), e)
			e.response.Tag = q.Tag
			e.response.Target = q.Target
			return e.response
		}
	}
	return wit.Response{Tag: q.Tag, Target: q.Target, Status: 404}
}

// readFeed reads a feed until it is idle or finished, the plugin fails, a poll returns nothing new, a page without a
// position is the last one or would be repeated after a pause, or the test has sent maxExchanges requests.
func (r *sourceRun) readFeed(opened *wit.SourceOpened, feed uint32, reason wit.PollReason) {
	offset := r.offsets[feed]
	defer func() { r.offsets[feed] = offset }()
	for r.requests < maxExchanges {
		action, err := r.p.Next(opened.Context, feed, offset, reason, 0)
		switch {
		case err != nil:
			fmt.Fprintf(&r.out, "next: %v\n", err)
			return
		case action.Fetch == nil && action.Finished != nil:
			r.out.WriteString("finished\n")
			return
		case action.Fetch == nil:
			r.out.WriteString("idle\n")
			return
		}
		offsetBefore := encode(fields(offset))
		rows := r.rowsRead
		r.waitMs = 0
		more, err := r.readPage(opened.Context, feed, action.Fetch, &offset)
		if err != nil {
			fmt.Fprintf(&r.out, "page: %v\n", err)
			return
		}
		if reason.Poll != nil && r.rowsRead == rows && encode(fields(offset)) == offsetBefore {
			r.out.WriteString("nothing new\n")
			return
		}
		if action.Fetch.Position == nil && !more {
			return // a nil Position leaves the stored offset as it is, so a poll would find nothing new
		}
		if action.Fetch.Position == nil && reason.Trigger != nil && r.waitMs > 0 {
			fmt.Fprintf(&r.out, "once more in %d ms\n", r.waitMs)
			return
		}
		reason = wit.PollReason{More: wit.Set}
		if !more {
			reason = wit.PollReason{Poll: wit.Set}
		}
	}
	fmt.Fprintf(&r.out, "stopped after %d exchanges\n", maxExchanges)
}

// readPage requests a page, decodes it and sets offset to the position after it.
func (r *sourceRun) readPage(context []byte, feed uint32, fetch *wit.Fetch,
	offset *[]wit.OffsetEntry) (more bool, err error) {
	response := r.respond(&fetch.Request)
	body := response.Body
	response.Body = nil
	page, err := r.p.Begin(context, feed, fetch.Position, response)
	if err != nil {
		return false, err
	}
	return r.decode(page, "", response.Status, body, offset, 0)
}

// decode passes a body in pieces. Linked requests are decoded in between, under their own tags.
func (r *sourceRun) decode(page uint32, tag string, status uint16, body []byte, offset *[]wit.OffsetEntry,
	depth int) (more bool, err error) {
	if depth > linkDepth {
		return false, fmt.Errorf("follows nest deeper than %d", linkDepth)
	}
	for first := true; first || len(body) > 0; first = false {
		n := min(r.pieceSize, len(body))
		last := n == len(body)
		result, err := r.p.Decode(page, tag, status, body[:n], last)
		if err != nil {
			return false, err
		}
		body = body[n:]
		r.b.addSchemas(result.Schemas)
		r.rowsRead += len(result.Rows)
		for _, row := range result.Rows {
			line := object{{"row", row.RowIndex}}
			for _, part := range []struct {
				name string
				d    wit.ValueSlice
			}{{"key", row.Key}, {"value", row.Value}} {
				v, err := r.b.read(part.d, wit.ValueSlice{}, result.Data)
				if err != nil {
					r.t.Fatalf("row %d, %s: %v", row.RowIndex, part.name, err)
				}
				line = append(line, pair{name: part.name, value: writeValue(v.Schema, 0, v.Data)})
			}
			r.out.WriteString(encode(line) + "\n")
		}
		for _, f := range result.Errors {
			fmt.Fprintf(&r.out, "row %d: %v\n", f.RowIndex, &f.Error)
		}
		for i := range result.Linked {
			q := &result.Linked[i].Request
			tolerated := result.Linked[i].Tolerate
			response := r.respond(q)
			if response.Status/100 != 2 && !slices.Contains(tolerated, response.Status) {
				return false, fmt.Errorf("%s %s answered %d", q.Method, q.Target, response.Status)
			}
			linkedDepth := depth + 1
			if last && tag != "" {
				linkedDepth = depth // it follows this response
			}
			if _, err := r.decode(page, q.Tag, response.Status, response.Body, offset, linkedDepth); err != nil {
				return false, err
			}
		}
		if result.Next != nil {
			*offset = *result.Next
			fmt.Fprintf(&r.out, "offset %s\n", encode(fields(*offset)))
		}
		more = more || result.More
		r.waitMs = max(r.waitMs, result.WaitMs)
	}
	return more, nil
}

// fields returns an offset as an object.
func fields(list []wit.OffsetEntry) object {
	o := object{}
	for _, f := range list {
		var v any
		switch s := f.Value; {
		case s.Boolean != nil:
			v = *s.Boolean
		case s.Integer != nil:
			v = *s.Integer
		case s.Real != nil:
			v = *s.Real
		case s.String != nil:
			v = *s.String
		}
		o = append(o, pair{name: f.Name, value: v})
	}
	return o
}
