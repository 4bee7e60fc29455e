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

	"github.com/culvert-project/culvert/internal/deadletters"
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
	Open       *int64                `json:"open"`
	More       bool                  `json:"more,omitempty"`
	Superseded int                   `json:"superseded,omitempty"`
	Matching   *int64                `json:"matching"`         // on all pages; nil is unknown, for a filter by error
	Replay     *deadletters.Progress `json:"replay,omitempty"` // nil if no replay runs
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
	return deadletters.Position{Partition: l.Partition, Offset: l.Offset}.String()
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

// letterView is what a user sees of dead letters: without secrets, within bounds.
type letterView struct {
	redact      func(string) string
	hidesValues bool // the user may not see values of samples
	maxRecord   int  // bytes of a key and of a value
	maxHeaders  int  // bytes of all headers
}

// MaxRetryValue bounds the value of a retry as JSON, in bytes, so that it fits the body of a request.
const MaxRetryValue = 1<<20 - 1<<10

// text redacts a text and cuts it.
func (v *letterView) text(text string) string {
	text = strings.ToValidUTF8(v.redact(text), "\ufffd")
	visible := shown.Prefix(text, maxTextChars)
	if visible != text {
		visible += fmt.Sprintf("... (%d bytes more)", len(text)-len(visible))
	}
	return visible
}

// record returns key and value of a dead letter, redacted and each up to a number of bytes.
func (v *letterView) record(l *deadletters.Letter) *DeadLetterRecord {
	r := &DeadLetterRecord{Size: len(l.Record.Value), Base64: !utf8.Valid(l.Record.Key) || !utf8.Valid(l.Record.Value)}
	encode := func(data []byte) (*string, bool) {
		if data == nil {
			return nil, false
		}
		excerpt := data[:min(len(data), v.maxRecord+maxSecretBytes)]
		redacted := v.redact(string(excerpt))
		part := []byte(redacted)[:min(len(redacted), v.maxRecord)]
		isCut := len(data) > v.maxRecord || redacted != string(excerpt)
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

func (req *request) listDeadLetters() {
	query := deadletters.Query{Show: cmp.Or(req.queryValue("show"), deadletters.ShowOpen),
		After: req.queryValue("after")}
	if !slices.Contains([]string{deadletters.ShowOpen, deadletters.ShowSettled, deadletters.ShowAll}, query.Show) {
		req.fail(http.StatusBadRequest, fmt.Sprintf("show: expected open, settled or all, found %q",
			shown.LineUpTo(query.Show, 100)))
		return
	}
	selection := DeadLetterSelection{Cause: req.queryValue("cause"), Error: req.queryValue("error"),
		Since: req.queryValue("since"), Until: req.queryValue("until"), Superseded: req.queryBool("superseded")}
	var ok bool
	if query.Filter, ok = req.deadLetterFilter(selection); !ok {
		return
	}
	if letter := req.queryValue("letter"); letter != "" {
		position, err := deadletters.ParsePosition(letter)
		if err != nil {
			req.fail(http.StatusBadRequest, "letter: "+err.Error())
			return
		}
		query.Only = &position
		query.Show = deadletters.ShowAll
	}
	list, err := ListDeadLetters(query, req.worker.Redact, req.shapeOnlyReason() != "",
		func(handle func(deadletters.ListedLetter) error) (deadletters.Page, error) {
			return req.herder().ListDeadLetters(req.timeoutContext(), req.name(), query, handle)
		})
	if err != nil {
		req.failErr(err)
		return
	}
	req.answer(http.StatusOK, list)
}

// ListDeadLetters returns a page of dead letters as a user sees it, who may see no values of records if hidesValues is
// set. list lists the letters of the query.
func ListDeadLetters(query deadletters.Query, redact func(string) string, hidesValues bool,
	list func(handle func(deadletters.ListedLetter) error) (deadletters.Page, error)) (DeadLetterList, error) {
	view := letterView{redact: redact, hidesValues: hidesValues, maxRecord: maxListedBytes,
		maxHeaders: maxListedHeaders}
	if query.Only != nil {
		view.maxRecord = maxSelectedBytes
		view.maxHeaders = maxSelectedHeaders
	}
	var letters letterPage
	page, err := list(func(l deadletters.ListedLetter) error {
		if letters.isPast(l.Index) {
			return nil
		}
		letter := view.letter(l)
		data, err := encodeJSON(letter)
		letters.add(pageEntry{DeadLetter: letter, index: l.Index, after: l.After, size: len(data)})
		return err
	})
	if err != nil {
		return DeadLetterList{}, err
	}
	shownList := DeadLetterList{Topic: page.Topic, DeadLetters: []DeadLetter{}, Causes: []DeadLetterCause{},
		Next: page.Next, Open: page.Summary.Open, More: page.Summary.More, Superseded: page.Summary.Superseded,
		Matching: page.Matching, Replay: page.Replay}
	if !hidesValues {
		shownList.Causes = shownCauses(page.Summary.Causes, redact)
	}
	for i := range letters.entries {
		shownList.DeadLetters = append(shownList.DeadLetters, letters.entries[i].DeadLetter)
	}
	if letters.end > 0 {
		shownList.Next = letters.entries[len(letters.entries)-1].after
	}
	return shownList, nil
}

// letter returns what the user sees of a dead letter.
func (v *letterView) letter(l deadletters.ListedLetter) DeadLetter {
	letter := DeadLetter{Partition: l.Record.Partition, Offset: l.Record.Offset, Connector: l.Connector,
		Failed: l.FailedAt.UTC().Format(time.RFC3339), Stage: v.text(l.Stage), Setting: v.text(l.Setting),
		Plugin: v.text(l.Plugin), Version: v.text(l.Version), Class: v.text(l.Class), Message: v.text(l.Message),
		Attempts: l.Attempts, Parts: l.Rows.String(), Settled: l.Settled, Superseded: l.IsSuperseded,
		From: DeadLetterSource{Topic: v.text(l.Topic), Partition: l.Letter.Partition, Offset: l.Letter.Offset,
			Feed: v.text(l.Feed), Request: v.text(l.Request)}}
	if v.hidesValues {
		return letter
	}
	letter.Cause = l.CauseID()
	letter.Record = v.record(l.Letter)
	headers := l.Record.Headers
	total := 0
	for _, h := range headers[:min(len(headers), maxShownHeaders)] {
		header := DeadLetterHeader{Key: v.text(h.Key), Value: v.text(string(h.Value))}
		if total += len(header.Key) + len(header.Value); total > v.maxHeaders {
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
	Refusals []deadletters.Rejection `json:"refusals,omitempty"`
	Letter   string                  `json:"letter,omitempty"`
}

// NewReplayResult returns the REST form of a result, without secrets.
func NewReplayResult(outcome deadletters.Result, isDryRun bool, redact func(string) string) ReplayResult {
	result := ReplayResult{Sent: outcome.Sent, Delivered: outcome.Delivered, Refused: outcome.Rejected,
		Kept: redactReasons(outcome.Kept, redact), DryRun: isDryRun, Letter: outcome.Letter}
	if isDryRun {
		result.WouldPass = outcome.Delivered
		result.Delivered = 0
		result.Sent = 0
	}
	for _, r := range outcome.Rejections {
		r.Reason = shown.Line(redact(r.Reason))
		result.Refusals = append(result.Refusals, r)
	}
	return result
}

func redactReasons(counts map[string]int, redact func(string) string) map[string]int {
	redacted := map[string]int{}
	for reason, n := range counts {
		redacted[redact(reason)] += n
	}
	return redacted
}

// replayTimeout ends a replay before the response times out; the next replay continues.
const replayTimeout = answerTimeout - time.Minute

// deadLetterFilter returns the filter of a selection. If it is invalid or not allowed, it has answered.
func (req *request) deadLetterFilter(s DeadLetterSelection) (filter deadletters.Filter, ok bool) {
	filter = deadletters.Filter{Cause: s.Cause, Error: s.Error, Superseded: s.Superseded}
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
		req.answerReplay(deadletters.Request{Filter: filter, IncludeReplayed: body.IncludeReplayed,
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
		req.answerReplay(deadletters.Request{Filter: filter, Value: body.Value,
			IncludeSuperseded: body.IncludeSuperseded})
	}
}

// answerReplay sends dead letters and answers with the result.
func (req *request) answerReplay(replay deadletters.Request) {
	var outcome deadletters.Result
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
		result := NewReplayResult(outcome, replay.DryRun, req.worker.Redact)
		req.answer(http.StatusOK, struct {
			ReplayResult
			Passes int `json:"passes"` // replaces WouldPass, which leaves out zero
		}{ReplayResult: result, Passes: result.WouldPass})
	default:
		req.logWith("sent", outcome.Sent, "delivered", outcome.Delivered, "refused", outcome.Rejected)
		req.answer(http.StatusOK, NewReplayResult(outcome, replay.DryRun, req.worker.Redact))
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
	var outcome deadletters.Result
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
	req.answer(http.StatusOK, DiscardResult{Discarded: outcome.Discarded,
		Kept: redactReasons(outcome.Kept, req.worker.Redact)})
}
