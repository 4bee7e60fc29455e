package rest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

// DeadLetterList is the response of GET /culvert/connectors/{name}/deadletters.
type DeadLetterList struct {
	Topic       string       `json:"topic"`
	DeadLetters []DeadLetter `json:"letters"`
	// Causes groups the dead letters, the most frequent cause first.
	Causes []DeadLetterCause `json:"causes"`
}

// DeadLetterCause is a group of dead letters with the same class, stage and message.
type DeadLetterCause struct {
	Class   string `json:"class"`
	Stage   string `json:"stage"`
	Message string `json:"message"` // the first line, of at most 200 characters
	Count   int    `json:"count"`
	First   string `json:"first"`
	Last    string `json:"last"`
}

func groupByCause(letters []DeadLetter) []DeadLetterCause {
	all := []DeadLetterCause{}
	at := map[DeadLetterCause]int{}
	for _, l := range letters {
		c := l.Cause()
		i, known := at[c]
		if !known {
			i, at[c] = len(all), len(all)
			c.First, c.Last = l.Failed, l.Failed
			all = append(all, c)
		}
		all[i].Count++
		all[i].First, all[i].Last = min(all[i].First, l.Failed), max(all[i].Last, l.Failed)
	}
	slices.SortStableFunc(all, func(a, b DeadLetterCause) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

// Cause returns the group of a dead letter, without a count.
func (l *DeadLetter) Cause() DeadLetterCause {
	line, _, _ := strings.Cut(l.Message, "\n")
	return DeadLetterCause{Class: shown.LineUpTo(l.Class, 200), Stage: shown.LineUpTo(l.Stage, 200),
		Message: shown.LineUpTo(line, 200)}
}

// DeadLetter is a dead letter without its record.
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
	Message   string           `json:"message"`
	Replays   int              `json:"replays"`
	Parts     string           `json:"parts,omitempty"`
	Replayed  *bool            `json:"replayed,omitempty"`
}

// DeadLetterSource is the origin of a dead letter: a position in a topic, or a row of a feed.
type DeadLetterSource struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Feed      string `json:"feed,omitempty"`
	Request   string `json:"request,omitempty"`
}

// NewDeadLetter returns the REST form of a dead letter.
func NewDeadLetter(l *connect.DeadLetter) DeadLetter {
	return DeadLetter{Partition: l.Record.Partition, Offset: l.Record.Offset,
		Failed:    l.FailedAt.UTC().Format(time.RFC3339),
		Connector: l.Connector, Stage: l.Stage, Setting: l.Setting, Plugin: l.Plugin, Version: l.Version,
		Class: l.Class, Message: l.Message, Replays: l.Replays, Parts: l.Rows.String(), Replayed: l.Replayed,
		From: DeadLetterSource{l.Topic, l.Partition, l.Offset, l.Feed, l.Request}}
}

// Limits of ?last=, the number of records of each partition.
const (
	defaultLastRecords = 100
	maxLastRecords     = 1000
	maxMessageBytes    = 16 << 10 // any program may have written it
)

// withheldMessage returns the text in place of messages of dead letters, which quote values of records, for users who
// may not see the values of samples. "" means that the user may see them.
func (req *request) withheldMessage() string {
	why := req.shapeOnlyReason()
	if why == "" {
		return ""
	}
	return "not shown, because it may quote values of records: " + why
}

func (req *request) listDeadLetters() {
	last, err := req.queryNumber("last", defaultLastRecords, 1, maxLastRecords)
	if err != nil {
		req.failErr(err)
		return
	}
	found, chosen := DeadLetterList{DeadLetters: []DeadLetter{}},
		connect.DeadLetterFilter{Error: req.queryValue("error")}
	withheld := req.withheldMessage()
	found.Topic, err = req.herder().ReadDeadLetters(req.timeoutContext(), req.name(), last,
		func(l *connect.DeadLetter) error {
			if withheld != "" { // before the filter, which must not search in them
				l.Message = ""
				l.Request = ""
			}
			if chosen.Matches(l) {
				one := NewDeadLetter(l) // which any program may have written
				one.Message = cmp.Or(withheld, one.Message)
				one.Message, one.From.Request = req.worker.Redact(one.Message), req.worker.Redact(one.From.Request)
				if more := len(one.Message) - maxMessageBytes; more > 0 {
					shortened := strings.ToValidUTF8(one.Message[:maxMessageBytes], "")
					one.Message = fmt.Sprintf("%s... (%d bytes more)", shortened, more)
				}
				found.DeadLetters = append(found.DeadLetters, one)
			}
			return nil
		})
	if err != nil {
		req.failErr(err)
		return
	}
	found.Causes = groupByCause(found.DeadLetters)
	req.answer(http.StatusOK, found)
}

// ReplayRequest selects dead letters. Zero selects all that were not replayed.
type ReplayRequest struct {
	// Positions lists dead letters as PARTITION@OFFSET, at most 1000. Nil means all; an empty list means none.
	Positions       []string `json:"letters,omitzero"`
	Error           string   `json:"error,omitempty"` // in the class or message of the exception
	IncludeReplayed bool     `json:"again,omitempty"`
	// IncludeSuperseded includes records followed by one with the same key, and records without a key.
	IncludeSuperseded bool `json:"older,omitempty"`
	// DryRun processes dead letters up to the request to the service, and sends and stores nothing.
	DryRun bool `json:"dry,omitempty"`
}

const maxReplayPositions = 1000

// ReplayResult counts dead letters by outcome; Skipped counts by reason. In a dry run Replayed is zero.
type ReplayResult struct {
	Replayed int            `json:"replayed"`
	Refused  int            `json:"refused"`
	Skipped  map[string]int `json:"left"`
	// Refusals has the reasons of the first 100 that a dry run refused; Skipped counts further ones.
	DryRun    bool                `json:"dry,omitempty"`
	WouldPass int                 `json:"passes,omitempty"` // a dry run also encodes zero
	Refusals  []connect.Rejection `json:"refusals,omitempty"`
}

// replayResult returns the REST form of a result. withheld, if not empty, replaces the reasons of rejections.
func (req *request) replayResult(done connect.ReplayResult, dry bool, withheld string) ReplayResult {
	shownAs := ReplayResult{Replayed: done.Replayed, Refused: done.Rejected, Skipped: map[string]int{}, DryRun: dry}
	for why, n := range done.Skipped {
		shownAs.Skipped[req.worker.Redact(why)] = n
	}
	if !dry {
		return shownAs
	}
	shownAs.Replayed, shownAs.WouldPass = 0, max(0, done.Replayed-done.Rejected)
	for _, r := range done.Rejections {
		r.Reason = cmp.Or(withheld, shown.Line(req.worker.Redact(r.Reason)))
		shownAs.Refusals = append(shownAs.Refusals, r)
	}
	if more := done.Rejected - len(done.Rejections); more > 0 {
		shownAs.Skipped["that would be refused, but are not listed"] = more
	}
	return shownAs
}

// replayTimeout ends a replay before the response times out; the next replay continues.
const replayTimeout = answerTimeout - time.Minute

func (req *request) replay() {
	var body ReplayRequest
	if req.r.ContentLength != 0 && !req.readJSON(&body) {
		return
	}
	if withheld := req.withheldMessage(); withheld != "" && body.Error != "" { // the counts would tell what occurs
		req.fail(http.StatusForbidden, "error: cannot select by the messages of dead letters. A message is "+withheld)
		return
	}
	filter := connect.DeadLetterFilter{Error: body.Error}
	if len(body.Positions) > maxReplayPositions {
		req.fail(http.StatusBadRequest, fmt.Sprintf("letters: expected at most %d, found %d", maxReplayPositions,
			len(body.Positions)))
		return
	}
	if err := filter.SelectPositions(body.Positions); err != nil {
		req.fail(http.StatusBadRequest, "letters: "+err.Error())
		return
	}
	var done connect.ReplayResult
	err := req.control(func(herder Herder) (err error) {
		done, err = herder.ReplayConnector(req.timeoutContext(), req.name(), connect.ReplayRequest{Filter: filter,
			IncludeReplayed:   body.IncludeReplayed,
			IncludeSuperseded: body.IncludeSuperseded, DryRun: body.DryRun})
		return err
	})
	switch {
	case errors.Is(err, connect.ErrNotRunning):
		req.fail(http.StatusConflict, "Connector "+req.name()+" has the target state PAUSED or STOPPED and writes "+
			"nothing: resume it, then replay its dead letters")
	case errors.Is(err, connect.ErrReplayInProgress):
		req.fail(http.StatusConflict, err.Error())
	case err != nil && done.Replayed > 0 && !body.DryRun:
		// replaces the error by one that contains what was done
		req.failErr(fmt.Errorf("%d dead letters were replayed, %d of them refused again, before the replay failed; "+
			"another replay continues after them: %v", done.Replayed, done.Rejected, err))
	case err != nil:
		req.failErr(err)
	case body.DryRun:
		shownAs := req.replayResult(done, true, req.withheldMessage())
		req.answer(http.StatusOK, struct {
			ReplayResult
			Passes int `json:"passes"`
		}{shownAs, shownAs.WouldPass})
	default:
		req.answer(http.StatusOK, req.replayResult(done, false, ""))
	}
}
