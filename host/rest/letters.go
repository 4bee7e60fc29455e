package rest

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/host/connect"
)

// Letters are dead letters of a connector.
type Letters struct {
	Topic   string   `json:"topic"`
	Letters []Letter `json:"letters"`
}

// Letter is a dead letter without its record.
type Letter struct {
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	Failed    string     `json:"failed"`
	Connector string     `json:"connector"`
	From      LetterFrom `json:"from"`
	Stage     string     `json:"stage"`
	Setting   string     `json:"setting"`
	Plugin    string     `json:"plugin"`
	Version   string     `json:"version"`
	Class     string     `json:"class"`
	Message   string     `json:"message"`
	Replays   int        `json:"replays"`
	Parts     string     `json:"parts,omitempty"`
	Replayed  *bool      `json:"replayed,omitempty"`
}

// LetterFrom is where a dead letter came from.
type LetterFrom struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Feed      string `json:"feed,omitempty"`
	Request   string `json:"request,omitempty"`
}

// LetterOf is a dead letter as it is shown.
func LetterOf(l *connect.DeadLetter) Letter {
	return Letter{Partition: l.Record.Partition, Offset: l.Record.Offset, Failed: l.Failed.UTC().Format(time.RFC3339),
		Connector: l.Connector, Stage: l.Stage, Setting: l.Setting, Plugin: l.Plugin, Version: l.Version,
		Class: l.Class, Message: l.Message, Replays: l.Times, Parts: l.PartsLeft(), Replayed: l.Replayed,
		From: LetterFrom{l.Topic, l.Partition, l.Offset, l.Feed, l.Request}}
}

// Of each partition so many letters are looked at: usually, and at most.
const (
	usualLetters = 100
	maxLetters   = 1000
)

func (x *exchange) letters() {
	ctx, cancel := x.limited()
	defer cancel()
	last, err := x.count("last", usualLetters, 1, maxLetters)
	var h Herder
	if err == nil {
		h, err = x.herder()
	}
	if err != nil {
		x.failed(err)
		return
	}
	found, chosen := Letters{Letters: []Letter{}}, connect.LetterFilter{Error: x.first("error")}
	found.Topic, err = h.LettersOf(ctx, x.name(), last, func(l *connect.DeadLetter) error {
		if chosen.Takes(l) {
			found.Letters = append(found.Letters, LetterOf(l))
		}
		return nil
	})
	if err != nil {
		x.failedLetters(err)
		return
	}
	x.answer(http.StatusOK, found)
}

// replayAsked chooses letters: those whose exception has a text in its class or message, again those that were replayed
// before, and those of records of which a later one has the same key, or which have none.
type replayAsked struct {
	Error string `json:"error,omitempty"`
	Again bool   `json:"again,omitempty"`
	Older bool   `json:"older,omitempty"`
}

// replayed is what came of it; of Left ones nothing did, by the reason.
type replayed struct {
	Replayed int            `json:"replayed"`
	Refused  int            `json:"refused"`
	Left     map[string]int `json:"left"`
}

// replayTime is how long a replay may take, which is less than an answer may: whoever asks again goes on from there.
const replayTime = answerTimeout - time.Minute

func (x *exchange) replay() {
	var asked replayAsked
	if x.r.ContentLength != 0 && !x.body(&asked) {
		return
	}
	ctx, cancel := x.limited()
	defer cancel()
	var done connect.Replayed
	err := x.steer(func(h Herder) (err error) {
		done, err = h.ReplayOf(ctx, x.name(), connect.Replay{Filter: connect.LetterFilter{Error: asked.Error},
			Again: asked.Again, Older: asked.Older})
		return err
	})
	switch {
	case errors.Is(err, connect.ErrHeld):
		x.fail(http.StatusConflict, "Connector "+x.name()+" is to be PAUSED or STOPPED, and "+
			"writes nothing until it is "+
			"resumed: resume it, then replay its letters")
	case errors.Is(err, connect.ErrReplaying):
		x.fail(http.StatusConflict, err.Error())
	case err != nil && done.Letters > 0:
		x.failedLetters(errors.New(strconv.Itoa(done.Letters) + " letters were replayed, " +
			strconv.Itoa(done.Refused) +
			" of them refused again, before it failed; another replay goes on behind them: " + err.Error()))
	case err != nil:
		x.failedLetters(err)
	default:
		if done.Unknown == nil {
			done.Unknown = map[string]int{}
		}
		x.answer(http.StatusOK, replayed{done.Letters, done.Refused, done.Unknown})
	}
}

func (x *exchange) failedLetters(err error) {
	if errors.Is(err, connect.ErrNoLetters) {
		x.fail(http.StatusNotFound, err.Error())
		return
	}
	x.failed(err)
}
