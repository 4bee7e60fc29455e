package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// sinkMadness has the functions of a mode of the sink. Nil means that the mode does what a sane sink does, which sends
// a GET for each row.
type sinkMadness struct {
	topics  func() []string
	asks    func() []wit.Request
	deliver func(rows []wit.Row) wit.EncodeResult
	settle  func(rows []uint32) []wit.RowResult
	// noResponse, if it is not zero, is the result of a row without a response. The sink then sends a POST for each
	// row, and checks rows in doubt.
	noResponse wit.RowResult
}

var sinkModes = map[string]sinkMadness{
	"topics": {topics: func() []string {
		topics := make([]string, 20_000)
		for n := range topics {
			topics[n] = fmt.Sprint("t", n)
		}
		return topics
	}},
	"asks": {asks: modes["asks"].asks},
	"trace": {deliver: func(rows []wit.Row) wit.EncodeResult {
		d := pages(rows)
		for n := range d.Ready {
			d.Ready[n].Request.Method = "TRACE"
		}
		return d
	}},
	"client": {deliver: func(rows []wit.Row) wit.EncodeResult {
		d := pages(rows)
		for n := range d.Ready {
			d.Ready[n].Request.Target += "?sap-password=x"
		}
		return d
	}},
	"none":  {deliver: func([]wit.Row) wit.EncodeResult { return wit.EncodeResult{} }},
	"twice": {deliver: func(rows []wit.Row) wit.EncodeResult { return pages(append(rows, rows...)) }},
	"rowless": {deliver: func(rows []wit.Row) wit.EncodeResult {
		d := pages(rows)
		for range 10_000 {
			d.Ready = append(d.Ready, wit.Delivery{Request: d.Ready[0].Request})
		}
		return d
	}},
	"again": {settle: func(rows []uint32) []wit.RowResult {
		verdicts := make([]wit.RowResult, len(rows))
		for n := range verdicts {
			verdicts[n].Retry = &wit.Retry{Hint: "alone"}
		}
		return verdicts
	}},
	"verdicts": {settle: func([]uint32) []wit.RowResult { return written(100_000) }},
	// These modes return results for a POST without a response, which no plugin can know.
	"retries": {noResponse: wit.RowResult{Retry: &wit.Retry{Hint: "alone",
		Error: &wit.Error{Kind: wit.ErrorTransient, Message: "again"}}}},
	"settles": {noResponse: wit.RowResult{Written: wit.Set}},
	"spin": {deliver: func([]wit.Row) wit.EncodeResult {
		for {
			schemas++
		}
	}},
}

// pages returns a GET of a page for each row.
func pages(rows []wit.Row) (d wit.EncodeResult) {
	for _, r := range rows {
		d.Ready = append(d.Ready, wit.Delivery{Rows: []uint32{r.RowIndex}, Request: wit.Request{Method: "GET", Target: target, Repeatable: true}})
	}
	return d
}

// encodePosts returns a POST for each row, or a GET that checks a row in doubt.
func encodePosts(rows []wit.Row, hints []wit.Hint) (d wit.EncodeResult) {
	for n, r := range rows {
		place := fmt.Sprint(target, "?row=", r.Partition, "-", r.Offset)
		request := wit.Request{Method: "POST", Target: place}
		isInDoubt := func(h wit.Hint) bool {
			return h.Row == uint32(n) && strings.HasPrefix(h.Text, wit.HintUncertain)
		}
		if slices.ContainsFunc(hints, isInDoubt) {
			request = wit.Request{Method: "GET", Target: place, Repeatable: true}
		}
		d.Ready = append(d.Ready, wit.Delivery{Rows: []uint32{uint32(n)}, Request: request, OrderingKey: uint32(n)})
	}
	return d
}

type madSink struct{ mad }

func (madSink) Open(_ string, settings []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpenResult, error) {
	m := sinkModes[modeOf(settings)]
	if m.asks != nil && answers == nil {
		return wit.SinkOpenResult{Pending: &wit.RequestBatch{Requests: m.asks()}}, nil
	}
	opened := &wit.SinkOpened{Context: []byte(modeOf(settings))}
	if m.topics != nil {
		opened.Topics = m.topics()
	}
	return wit.SinkOpenResult{Ready: opened}, nil
}

func (madSink) Encode(context []byte, _ []wit.Schema, _ []string, rows []wit.Row, _ []byte, _ []wit.RecordID, _ []string, hints []wit.Hint) (wit.EncodeResult, error) {
	if sinkModes[string(context)].noResponse != (wit.RowResult{}) {
		return encodePosts(rows, hints), nil
	}
	if deliver := sinkModes[string(context)].deliver; deliver != nil {
		return deliver(rows), nil
	}
	return pages(rows), nil
}

func (madSink) HandleResponse(context, _ []byte, rows []uint32, response wit.Response) (wit.ResponseResult, error) {
	if noResponse := sinkModes[string(context)].noResponse; noResponse != (wit.RowResult{}) {
		switch response.Status {
		case 0:
			return wit.ResponseResult{Results: []wit.RowResult{noResponse}}, nil
		case 404:
			return wit.ResponseResult{Results: []wit.RowResult{{Retry: &wit.Retry{Hint: "insert"}}}}, nil
		}
	}
	if settle := sinkModes[string(context)].settle; settle != nil {
		return wit.ResponseResult{Results: settle(rows)}, nil
	}
	return wit.ResponseResult{Results: written(len(rows))}, nil
}

// written returns n results of written rows.
func written(n int) []wit.RowResult {
	verdicts := make([]wit.RowResult, n)
	for i := range verdicts {
		verdicts[i].Written = wit.Set
	}
	return verdicts
}
