package rest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

// DeadLetterList is the response of GET /culvert/connectors/{name}/deadletters.
type DeadLetterList struct {
	Topic       string            `json:"topic"`
	DeadLetters []DeadLetter      `json:"letters"`        // one for each original record or row, the newest first
	Causes      []DeadLetterCause `json:"causes"`         // of the open ones, the most frequent first
	Next        string            `json:"next,omitempty"` // for ?after= of the next page, "" on the last page
	// Open and More are as in ConnectorLetters. Superseded counts open letters with a newer one of the same key and
	// another value.
	Open       *int64                  `json:"open"`
	More       bool                    `json:"more,omitempty"`
	Superseded int                     `json:"superseded,omitempty"`
	Matching   *int64                  `json:"matching"`         // on all pages; nil is unknown, for a filter by error
	Replay     *connect.ReplayProgress `json:"replay,omitempty"` // nil if no replay runs
}

// DeadLetter is a dead letter: in a list the newest attempt of its original record or row.
type DeadLetter struct {
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Failed    string           `json:"failed"`
	Connector string           `json:"connector"`
	From      DeadLetterSource `json:"from"`
	Stage     string           `json:"stage"`
	Setting   string           `json:"setting"`
	Plugin    string           `json:"plugin"`
	Version   string           `json:"version"`
	Class     string           `json:"class"`
	Message   string           `json:"message" quotes:"records"`
	Parts     string           `json:"parts,omitempty"`
	// Attempts counts how often the original has failed. Settled means that it was delivered or discarded; null is
	// unknown.
	Attempts   int    `json:"attempts"`
	Settled    *bool  `json:"settled"`
	Superseded bool   `json:"superseded,omitempty"`
	Cause      string `json:"cause,omitempty"` // the id of its cause
	// Headers and Record are nil for users who may not see values of samples. HeadersMore counts headers that are left
	// out.
	Headers     []DeadLetterHeader `json:"headers,omitempty"`
	HeadersMore int                `json:"headers_more,omitempty"`
	Record      *DeadLetterRecord  `json:"record,omitempty"`
}

// DeadLetterSource is the origin of a dead letter: a position in a topic, or a row of a feed.
type DeadLetterSource struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Feed      string `json:"feed,omitempty"`
	Request   string `json:"request,omitempty" quotes:"records"`
}

// DeadLetterHeader is a header of a dead letter.
type DeadLetterHeader struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// DeadLetterRecord has the record of a dead letter as text. Nil is null.
type DeadLetterRecord struct {
	Key   *string `json:"key"`
	Value *string `json:"value"`
	// Base64 means that key and value are not UTF-8 and are in base64. Cut means that the value was shortened or
	// redacted, so that it must not be sent back; KeyCut that the key was.
	Base64 bool `json:"base64,omitempty"`
	Cut    bool `json:"cut,omitempty"`
	KeyCut bool `json:"key_cut,omitempty"`
	Size   int  `json:"size"` // bytes of the value
}

// IsSettled reports whether the dead letter is known to be settled.
func (l DeadLetter) IsSettled() bool { return l.Settled != nil && *l.Settled }

// Position returns the position in the dead letter topic as PARTITION@OFFSET.
func (l DeadLetter) Position() string {
	return connect.DeadLetterPosition{Partition: l.Partition, Offset: l.Offset}.String()
}

// NewDeadLetter returns the REST form of a dead letter, without its record.
func NewDeadLetter(l *connect.DeadLetter) DeadLetter {
	return DeadLetter{Partition: l.Record.Partition, Offset: l.Record.Offset, Connector: l.Connector,
		Failed: l.FailedAt.UTC().Format(time.RFC3339), Stage: l.Stage, Setting: l.Setting, Plugin: l.Plugin,
		Version: l.Version, Class: l.Class, Message: l.Message, Attempts: l.Replays + 1, Parts: l.Rows.String(),
		Settled: l.Settled, From: DeadLetterSource{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset,
			Feed: l.Feed, Request: l.Request}}
}

// Bounds of what is shown of a dead letter, which any program may have written.
const (
	maxPageBytes       = 2 << 20 // of JSON of the letters in a page, which ends before the next letter
	maxTextChars       = 2000
	maxShownHeaders    = 100
	maxListedBytes     = 16 << 10  // of a key and of a value in a page
	maxListedHeaders   = 64 << 10  // of all headers of a letter in a page, before one is left out
	maxSelectedBytes   = 1 << 20   // of a key and of a value of a single letter
	maxSelectedHeaders = 256 << 10 // of all headers of a single letter
	maxSecretBytes     = 64 << 10  // redacted beyond what is shown: a secret that is cut would not be recognized
)

// letterBounds bounds what is shown of a dead letter, in bytes.
type letterBounds struct {
	record  int // of its key and of its value
	headers int // of all headers
}

// MaxRetryValue bounds the value of a retry as JSON, in bytes, so that it fits the body of a request.
const MaxRetryValue = 1<<20 - 1<<10

// visibleText redacts a text and cuts it.
func (req *request) visibleText(text string) string {
	text = strings.ToValidUTF8(req.worker.Redact(text), "\ufffd")
	visible := shown.Prefix(text, maxTextChars)
	if visible != text {
		visible += fmt.Sprintf("... (%d bytes more)", len(text)-len(visible))
	}
	return visible
}

// visibleRecord returns key and value of a dead letter, redacted and each up to a number of bytes.
func (req *request) visibleRecord(l *connect.DeadLetter, maxBytes int) *DeadLetterRecord {
	r := &DeadLetterRecord{Size: len(l.Record.Value), Base64: !utf8.Valid(l.Record.Key) || !utf8.Valid(l.Record.Value)}
	encode := func(data []byte) (*string, bool) {
		if data == nil {
			return nil, false
		}
		excerpt := data[:min(len(data), maxBytes+maxSecretBytes)]
		redacted := req.worker.Redact(string(excerpt))
		part := []byte(redacted)[:min(len(redacted), maxBytes)]
		isCut := len(data) > maxBytes || redacted != string(excerpt)
		if r.Base64 {
			encoded := base64.StdEncoding.EncodeToString(part)
			return &encoded, isCut
		}
		part = part[:len(part)-incompleteRune(part)]
		content := string(part)
		return &content, isCut
	}
	r.Key, r.KeyCut = encode(l.Record.Key)
	r.Value, r.Cut = encode(l.Record.Value)
	return r
}

// incompleteRune returns the number of bytes of a character that is cut at the end.
func incompleteRune(text []byte) int {
	for n := 1; n <= min(len(text), utf8.UTFMax-1); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// deadLetterQuery returns the selection of the request. If it is invalid or not allowed, it has answered.
func (req *request) deadLetterQuery() (query connect.DeadLetterQuery, ok bool) {
	query.Show = cmp.Or(req.queryValue("show"), connect.ShowOpen)
	query.After = req.queryValue("after")
	if !slices.Contains([]string{connect.ShowOpen, connect.ShowSettled, connect.ShowAll}, query.Show) {
		req.fail(http.StatusBadRequest, fmt.Sprintf("show: expected open, settled or all, found %q",
			shown.LineUpTo(query.Show, 100)))
		return query, false
	}
	selection := DeadLetterSelection{Cause: req.queryValue("cause"), Error: req.queryValue("error"),
		Since: req.queryValue("since"), Until: req.queryValue("until"), Superseded: req.queryBool("superseded")}
	if query.Filter, ok = req.deadLetterFilter(selection); !ok {
		return query, false
	}
	if letter := req.queryValue("letter"); letter != "" {
		position, err := connect.ParseDeadLetterPosition(letter)
		if err != nil {
			req.fail(http.StatusBadRequest, "letter: "+err.Error())
			return query, false
		}
		query.Only = &position
		query.Show = connect.ShowAll
	}
	return query, true
}

func (req *request) listDeadLetters() {
	query, ok := req.deadLetterQuery()
	if !ok {
		return
	}
	bounds := letterBounds{record: maxListedBytes, headers: maxListedHeaders}
	if query.Only != nil {
		bounds = letterBounds{record: maxSelectedBytes, headers: maxSelectedHeaders}
	}
	var letters letterPage
	page, err := req.herder().ListDeadLetters(req.timeoutContext(), req.name(), query,
		func(l connect.ListedDeadLetter) error {
			if letters.isPast(l.Index) {
				return nil
			}
			letter := req.visibleDeadLetter(l, bounds)
			data, err := encodeJSON(letter)
			letters.add(pageEntry{DeadLetter: letter, index: l.Index, after: l.After, size: len(data)})
			return err
		})
	if err != nil {
		req.failErr(err)
		return
	}
	list := DeadLetterList{Topic: page.Topic, DeadLetters: []DeadLetter{}, Causes: req.causes(page.Summary.Causes),
		Next: page.Next, Open: page.Summary.Open, More: page.Summary.More, Superseded: page.Summary.Superseded,
		Matching: page.Matching, Replay: page.Replay}
	for i := range letters.entries {
		list.DeadLetters = append(list.DeadLetters, letters.entries[i].DeadLetter)
	}
	if letters.end > 0 {
		list.Next = letters.entries[len(letters.entries)-1].after
	}
	req.answer(http.StatusOK, list)
}

// visibleDeadLetter returns what the user may see of a dead letter, within bounds.
func (req *request) visibleDeadLetter(l connect.ListedDeadLetter, bounds letterBounds) DeadLetter {
	letter := NewDeadLetter(l.DeadLetter)
	letter.Attempts = l.Attempts
	letter.Superseded = l.IsSuperseded
	isSettled := !l.IsOpen
	letter.Settled = &isSettled
	for _, field := range []*string{&letter.Message, &letter.From.Request, &letter.From.Feed, &letter.From.Topic,
		&letter.Class, &letter.Setting, &letter.Stage, &letter.Plugin, &letter.Version} {
		*field = req.visibleText(*field)
	}
	if req.shapeOnlyReason() != "" {
		return letter
	}
	letter.Cause = l.CauseID()
	letter.Record = req.visibleRecord(l.DeadLetter, bounds.record)
	headers := l.DeadLetter.Record.Headers
	total := 0
	for _, h := range headers[:min(len(headers), maxShownHeaders)] {
		header := DeadLetterHeader{Key: req.visibleText(h.Key), Value: req.visibleText(string(h.Value))}
		if total += len(header.Key) + len(header.Value); total > bounds.headers {
			break
		}
		letter.Headers = append(letter.Headers, header)
	}
	letter.HeadersMore = len(headers) - len(letter.Headers)
	return letter
}

// DeadLetterSelection selects dead letters: those that match all its fields. The zero value selects all open ones.
type DeadLetterSelection struct {
	// Positions lists dead letters as PARTITION@OFFSET, at most 1000. Nil means all; an empty list means none.
	Positions  []string `json:"letters,omitzero"`
	Cause      string   `json:"cause,omitempty"`      // the id of a cause
	Error      string   `json:"error,omitempty"`      // in the class or message of the exception
	Since      string   `json:"since,omitempty"`      // the first time of failure, in RFC 3339
	Until      string   `json:"until,omitempty"`      // the end of the times of failure, in RFC 3339
	Superseded bool     `json:"superseded,omitempty"` // with a newer letter of the same key and another value
	All        bool     `json:"all,omitempty"`        // selects all, and excludes the other fields
}

// ReplayRequest selects dead letters to send again.
type ReplayRequest struct {
	DeadLetterSelection
	IncludeReplayed bool `json:"again,omitempty"`
	// IncludeSuperseded includes records followed by one with the same key, and records without a key.
	IncludeSuperseded bool `json:"older,omitempty"`
	// DryRun processes dead letters up to the request to the service, and sends and stores nothing.
	DryRun bool `json:"dry,omitempty"`
}

const maxReplayPositions = 1000

// RetryRequest is the body of a retry. A nil value sends the record as it is.
type RetryRequest struct {
	Value             *string `json:"value,omitempty"`
	IncludeSuperseded bool    `json:"older,omitempty"` // see [ReplayRequest]
}

// DiscardResult counts original records or rows; Kept counts the others by reason.
type DiscardResult struct {
	Discarded int            `json:"discarded"`
	Kept      map[string]int `json:"kept"`
}

// ReplayResult counts dead letters by outcome. In a dry run Sent and Delivered are zero.
type ReplayResult struct {
	Sent      int            `json:"sent"`
	Delivered int            `json:"delivered"` // the service, or Kafka, has accepted them
	Refused   int            `json:"refused"`   // they are dead letters again
	Kept      map[string]int `json:"kept"`      // by reason
	DryRun    bool           `json:"dry,omitempty"`
	WouldPass int            `json:"passes,omitempty"` // a dry run also encodes zero
	// Refusals has the reasons of the first 100 that were refused. Letter is the dead letter that the only selected one
	// became, "" if it is unknown.
	Refusals []connect.Rejection `json:"refusals,omitempty"`
	Letter   string              `json:"letter,omitempty"`
}

// replayResult returns the REST form of a result.
func (req *request) replayResult(outcome connect.ReplayResult, isDryRun bool) ReplayResult {
	result := ReplayResult{Sent: outcome.Sent, Delivered: outcome.Delivered, Refused: outcome.Rejected,
		Kept: req.redactReasons(outcome.Kept), DryRun: isDryRun, Letter: outcome.Letter}
	if isDryRun {
		result.WouldPass = outcome.Delivered
		result.Delivered = 0
		result.Sent = 0
	}
	for _, r := range outcome.Rejections {
		r.Reason = shown.Line(req.worker.Redact(r.Reason))
		result.Refusals = append(result.Refusals, r)
	}
	return result
}

func (req *request) redactReasons(counts map[string]int) map[string]int {
	redacted := map[string]int{}
	for reason, n := range counts {
		redacted[req.worker.Redact(reason)] += n
	}
	return redacted
}

// replayTimeout ends a replay before the response times out; the next replay continues.
const replayTimeout = answerTimeout - time.Minute

// deadLetterFilter returns the filter of a selection. If it is invalid or not allowed, it has answered.
func (req *request) deadLetterFilter(s DeadLetterSelection) (filter connect.DeadLetterFilter, ok bool) {
	filter = connect.DeadLetterFilter{Cause: s.Cause, Error: s.Error, Superseded: s.Superseded}
	if withheld := req.withheldMessage(); withheld != "" && s.Cause+s.Error != "" { // numbers would reveal messages
		field := "cause"
		if s.Cause == "" {
			field = "error"
		}
		req.fail(http.StatusForbidden, field+": cannot select by the messages of dead letters. A message is "+withheld)
		return filter, false
	}
	if len(s.Positions) > maxReplayPositions {
		req.fail(http.StatusBadRequest, fmt.Sprintf("letters: expected at most %d, found %d", maxReplayPositions,
			len(s.Positions)))
		return filter, false
	}
	err := filter.SelectPositions(s.Positions)
	if err != nil {
		err = fmt.Errorf("letters: %w", err)
	}
	parse := func(name, text string) (parsed time.Time) {
		if text != "" && err == nil {
			if parsed, err = time.Parse(time.RFC3339, text); err != nil {
				err = fmt.Errorf("%s: expected a time such as 2026-02-03T04:05:06Z, found %q", name,
					shown.LineUpTo(text, 100))
			}
		}
		return parsed
	}
	filter.Since = parse("since", s.Since)
	filter.Until = parse("until", s.Until)
	switch {
	case err != nil:
		req.fail(http.StatusBadRequest, err.Error())
	case s.All && !filter.IsZero():
		req.fail(http.StatusBadRequest, "all: expected no other selection, found one")
	case s.Superseded && s.Positions != nil:
		req.fail(http.StatusBadRequest, "superseded: expected no letters, found some")
	default:
		return filter, true
	}
	return filter, false
}

func (req *request) replay() {
	var body ReplayRequest
	if req.r.ContentLength != 0 && !req.readJSON(&body) {
		return
	}
	if filter, ok := req.deadLetterFilter(body.DeadLetterSelection); ok {
		req.answerReplay(connect.ReplayRequest{Filter: filter, IncludeReplayed: body.IncludeReplayed,
			IncludeSuperseded: body.IncludeSuperseded, DryRun: body.DryRun})
	}
}

func (req *request) retryDeadLetter() {
	var body RetryRequest
	if req.r.ContentLength != 0 && !req.readJSON(&body) {
		return
	}
	if why := req.shapeOnlyReason(); why != "" && body.Value != nil {
		req.fail(http.StatusForbidden, "value: only users who may see values of records may send one: "+why)
		return
	}
	filter, ok := req.deadLetterFilter(DeadLetterSelection{Positions: []string{req.r.PathValue("letter")}})
	if ok {
		req.answerReplay(connect.ReplayRequest{Filter: filter, Value: body.Value,
			IncludeSuperseded: body.IncludeSuperseded})
	}
}

// answerReplay sends dead letters and answers with the result.
func (req *request) answerReplay(replay connect.ReplayRequest) {
	var outcome connect.ReplayResult
	err := req.control(func(herder Herder) (err error) {
		outcome, err = herder.ReplayConnector(req.timeoutContext(), req.name(), replay)
		return err
	})
	switch {
	case err != nil && outcome.Sent > 0 && !replay.DryRun:
		req.failErr(fmt.Errorf("%d dead letters were sent, of which %d were delivered and %d refused, before the "+
			"replay failed; another replay continues after them: %v", outcome.Sent, outcome.Delivered,
			outcome.Rejected, err))
	case err != nil:
		req.failErr(err)
	case replay.DryRun:
		result := req.replayResult(outcome, replay.DryRun)
		req.answer(http.StatusOK, struct {
			ReplayResult
			Passes int `json:"passes"`
		}{ReplayResult: result, Passes: result.WouldPass})
	default:
		req.logWith("sent", outcome.Sent, "delivered", outcome.Delivered, "refused", outcome.Rejected)
		req.answer(http.StatusOK, req.replayResult(outcome, replay.DryRun))
	}
}

func (req *request) discardDeadLetters() {
	var body DeadLetterSelection
	if !req.readJSON(&body) {
		return
	}
	filter, ok := req.deadLetterFilter(body)
	if !ok {
		return
	}
	if filter.IsZero() && !body.All {
		req.fail(http.StatusBadRequest, "expected letters such as [\"0@17\"], cause, error, since, until, superseded "+
			"or all, found none")
		return
	}
	var outcome connect.DiscardResult
	err := req.control(func(herder Herder) (err error) {
		outcome, err = herder.DiscardDeadLetters(req.timeoutContext(), req.name(), filter)
		return err
	})
	if err != nil {
		req.failErr(err)
		return
	}
	selection, _ := json.Marshal(body) // does not fail: it has texts and booleans
	req.logWith("discarded", outcome.Discarded, "selection", shown.Line(string(selection)))
	req.answer(http.StatusOK, DiscardResult{Discarded: outcome.Discarded, Kept: req.redactReasons(outcome.Kept)})
}
