package main

import (
	"strings"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Outcomes of rows.
const (
	outcomeWritten = "written"
	outcomeIgnored = "ignored"
	outcomeInDoubt = "in doubt"
)

// fakeHost calls the plugin as the host does: deliveries of an ordering key in order, retries before later rows, and
// checks of rows in doubt. It records the requests.
type fakeHost struct {
	*harness
	topic string
	rows  []wit.Row
	// answer, if not nil, replaces the service.
	answer      func(q *wit.Request) wit.Response
	maxAttempts int
	// isRestarted means that all rows are in doubt at the start, because a previous run may have sent them.
	isRestarted bool
	// knownFacts is appended to the host's hint `uncertain`.
	knownFacts string

	outcomes  []string
	reasons   []*wit.Error
	isInDoubt []bool
	attempts  []int
	requests  []wit.Request
	taskError error
}

func (h *harness) host(topic string) *fakeHost {
	return &fakeHost{harness: h, topic: topic, maxAttempts: 20}
}

func (h *fakeHost) add(key, value wit.ValueSlice) {
	h.rows = append(h.rows, wit.Row{Partition: 3, Offset: int64(100 + len(h.rows)), Timestamp: 1_700_000_000_000,
		Key: key, Value: value})
}

func (h *fakeHost) value(pairs ...any) { h.add(wit.ValueSlice{}, h.schemaless(fields(pairs...))) }

func (h *fakeHost) tombstone(pairs ...any) { h.add(h.schemaless(fields(pairs...)), wit.ValueSlice{}) }

type sentDelivery struct {
	wit.Delivery
	rows []uint32
}

func (h *fakeHost) encode(rows []uint32, hints map[uint32]string) (out []sentDelivery) {
	h.t.Helper()
	var selected []wit.Row
	var ids []wit.RecordID
	var rowHints []wit.Hint
	for n, row := range rows {
		selected = append(selected, h.rows[row])
		ids = append(ids, wit.RecordID{Partition: h.rows[row].Partition, Offset: h.rows[row].Offset})
		if text := hints[row]; text != "" {
			rowHints = append(rowHints, wit.Hint{Row: uint32(n), Text: text})
		}
	}
	encoded, err := h.callEncode(h.topic, selected, ids, rowHints)
	h.schemas = h.schemas[:0:0]
	require.NoError(h.t, err)
	seen := 0
	for _, index := range encoded.Ignored {
		h.outcomes[rows[index]] = outcomeIgnored
		seen++
	}
	for i := range encoded.Rejected {
		rejected := &encoded.Rejected[i]
		h.finish(rows[rejected.RowIndex], &rejected.Error)
		seen++
	}
	for _, ready := range encoded.Ready {
		sent := sentDelivery{Delivery: ready}
		for _, index := range ready.Rows {
			sent.rows = append(sent.rows, rows[index])
			assert.True(h.t, !h.isInDoubt[rows[index]] || ready.Request.Method == "GET",
				"row %d is in doubt, but would be sent with %s %s", rows[index], ready.Request.Method,
				ready.Request.Target)
			seen++
		}
		out = append(out, sent)
	}
	require.Equal(h.t, len(rows), seen, "rows in the deliveries")
	return out
}

func (h *fakeHost) finish(row uint32, failure *wit.Error) {
	h.outcomes[row] = failure.Kind.String()
	h.reasons[row] = failure
	if h.isInDoubt[row] {
		h.outcomes[row] = outcomeInDoubt
	}
}

func (h *fakeHost) run() {
	h.t.Helper()
	n := len(h.rows)
	h.outcomes = make([]string, n)
	h.reasons = make([]*wit.Error, n)
	h.isInDoubt = make([]bool, n)
	h.attempts = make([]int, n)
	var rows []uint32
	for i := range h.rows {
		rows = append(rows, uint32(i))
	}
	hints := map[uint32]string{}
	for _, row := range rows {
		if h.isInDoubt[row] = h.isRestarted; h.isRestarted {
			hints[row] = wit.HintUncertain + h.knownFacts
		}
	}
	queue := h.encode(rows, hints)
	for steps := 0; len(queue) > 0 && h.taskError == nil; steps++ {
		require.True(h.t, steps <= 100*n+100, "the rows are requested endlessly")
		sent := queue[0]
		queue = append(h.deliver(&sent), queue[1:]...)
	}
}

func (h *fakeHost) deliver(sent *sentDelivery) (deliveries []sentDelivery) {
	h.t.Helper()
	h.requests = append(h.requests, sent.Request)
	exchange := h.exchange
	if h.answer != nil {
		exchange = h.answer
	}
	response := exchange(&sent.Request)
	result, err := h.p.HandleResponse(h.context, sent.State, sent.Rows, response)
	isRejection := response.Status >= 400 && response.Status <= 499
	if err != nil {
		if sent.Request.Repeatable || isRejection {
			h.taskError = err
			return nil
		}
		for range sent.rows {
			result.Results = append(result.Results, wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorTransient,
				Message: err.Error()}})
		}
	}
	if result.Context != nil {
		h.context = *result.Context
	}
	var rows []uint32
	hints := map[uint32]string{}
	check := func(row uint32) {
		if h.isInDoubt[row] { // the check was inconclusive
			h.outcomes[row] = outcomeInDoubt
			return
		}
		h.isInDoubt[row] = true
		rows = append(rows, row)
		hints[row] = wit.HintUncertain
	}
	for n, rowResult := range result.Results {
		row := sent.rows[n]
		switch {
		case rowResult.Written != nil:
			h.outcomes[row] = outcomeWritten
			h.isInDoubt[row] = false
		case rowResult.Rejected != nil && h.isInDoubt[row]:
			h.finish(row, rowResult.Rejected)
		case rowResult.Rejected != nil && response.Status == 0 && !sent.Request.Repeatable:
			check(row)
		case rowResult.Rejected != nil && !sent.Request.Repeatable && !isRejection &&
			(response.Status < 200 || response.Status > 299 ||
				rowResult.Rejected.Kind == wit.ErrorTransient):
			h.reasons[row] = rowResult.Rejected
			check(row)
		case rowResult.Rejected != nil:
			h.finish(row, rowResult.Rejected)
		case rowResult.Retry == nil:
			h.t.Fatalf("row %d has no result", row)
		default:
			h.attempts[row]++
			if h.attempts[row] > h.maxAttempts {
				h.outcomes[row] = "again and again"
				continue
			}
			if rowResult.Retry.Error == nil && rowResult.Retry.Hint != wit.HintUncertain {
				h.isInDoubt[row] = false
			}
			rows = append(rows, row)
			hints[row] = rowResult.Retry.Hint
			if h.isInDoubt[row] {
				hints[row] = wit.HintUncertain
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return h.encode(rows, hints)
}

// writeOrders writes orders one after another, each given as name, value, … The responses are the lines of the script.
// It returns the requests, the outcomes of the orders, and the host of the last order.
func (h *harness) writeOrders(script []string, rows ...[]any) (requests, outcomes []string, last *fakeHost) {
	h.t.Helper()
	answer := scripted(h.t, script...)
	for n, row := range rows {
		last = h.host("Orders")
		last.value(row...)
		last.rows[0].Offset = int64(n)
		last.answer = answer
		last.run()
		requests = append(requests, last.requestTexts()...)
		outcomes = append(outcomes, last.outcome())
	}
	return requests, outcomes, last
}

func (h *fakeHost) expectAll(outcome string) {
	h.t.Helper()
	for i, found := range h.outcomes {
		if found != outcome {
			h.t.Errorf("row %d: expected it to be %s, found %s (%v)", i, outcome, found, h.reasons[i])
		}
	}
}

// outcome returns the outcome of the first row, or "fault" and the kind of the error that failed the task.
func (h *fakeHost) outcome() string {
	if h.taskError != nil {
		return "fault " + odataerror.As(h.taskError).Kind.String()
	}
	return h.outcomes[0]
}

func (h *fakeHost) requestTexts() (texts []string) {
	for i := range h.requests {
		texts = append(texts, requestText(&h.requests[i]))
	}
	return texts
}

// batches counts $batch requests and other requests.
func (h *fakeHost) batches() (batches, singles int) {
	for _, request := range h.requests {
		if strings.HasSuffix(request.Target, "/$batch") {
			batches++
		} else {
			singles++
		}
	}
	return batches, singles
}

func product(id int, name string) connectdata.Map {
	return fields("ProductID", int64(id), "ProductName", name, "Discontinued", false)
}

func (h *fakeHost) addProducts(first, count int, name string) {
	for i := range count {
		h.add(wit.ValueSlice{}, h.schemaless(product(first+i, name)))
	}
}

// productsOf returns the products of a service as ID:name.
func productsOf(s interface {
	Each(string, func(string, map[string]string))
}) (products []string) {
	s.Each("ProductCopies", func(_ string, properties map[string]string) {
		products = append(products, properties["ProductID"]+":"+properties["ProductName"])
	})
	return products
}

// batchAnswer returns a response made of the results of part, changeset and numbered.
func batchAnswer(parts ...string) wit.Response {
	return wit.Response{Status: 202, Headers: []wit.Header{{Name: "Content-Type",
		Value: "multipart/mixed; boundary=b"}},
		Body: []byte(strings.Join(parts, "") + "--b--\r\n")}
}

// part returns the response to an operation. Headers end with line ends, a body follows an empty line.
func part(status string, more ...string) string {
	return "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 " + status + "\r\n" + strings.Join(more, "") +
		"\r\n\r\n"
}

// numbered adds a Content-ID to a part.
func numbered(id, part string) string {
	return strings.Replace(part, "\r\n\r\n", "\r\nContent-ID: "+id+"\r\n\r\n", 1)
}

// changeset returns the response to a changeset.
func changeset(parts ...string) string {
	return "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" +
		strings.ReplaceAll(strings.Join(parts, ""), "--b", "--c") + "--c--\r\n"
}
