package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// What console.records allows to be shown of records, "" is full, too; a sample shows one of the first two.
const (
	RecordsFull  = "full"
	RecordsShape = "shape"
	recordsOff   = "off"
)

// withheldHeader has a request see no values of records, as the worker that hands it on would show none: see
// [maskedHeader].
const withheldHeader = "X-Culvert-Withheld"

// withheld says why this request sees no values of records, "" where it sees them: it comes from this machine, or its
// user has logged on.
func (x *exchange) withheld() string {
	switch {
	case cmp.Or(x.records, RecordsFull) != RecordsFull:
		return "console.records=" + x.records
	case x.masks():
		return "this request sees no passwords (rest.config.masked, or the name that REST is asked by)"
	case x.r.Header.Get(withheldHeader) != "":
		return "the worker that was asked shows none"
	case x.logons, localOrCertified(x.r):
		return ""
	}
	return "nobody has to log on here (rest.basic.auth.file, or ask by a listener of this machine alone)"
}

// show is how records are shown to a request that asks for full, shape, or "" for what it may see; else it has
// answered.
func (x *exchange) show(asked string) (show string, ok bool) {
	why, restricted := x.withheld(), Restricted(x.r.Context())
	switch {
	case x.records == recordsOff:
		x.fail(http.StatusForbidden, "No records are shown (console.records=off)")
	case restricted != "":
		x.fail(http.StatusForbidden, restricted)
	case asked == RecordsFull && why != "":
		x.fail(http.StatusForbidden, "No values of records are shown, their shape alone: "+why)
	case asked == "" && why != "":
		return RecordsShape, true
	case asked == "", asked == RecordsFull, asked == RecordsShape:
		return cmp.Or(asked, RecordsFull), true
	default:
		x.fail(http.StatusBadRequest, "show: expected full or shape, found "+strconv.Quote(asked))
	}
	return "", false
}

func (x *exchange) sample() {
	var asked SampleAsked
	if x.r.ContentLength != 0 && !x.body(&asked) {
		return
	}
	var ok bool
	if asked.Show, ok = x.show(asked.Show); !ok {
		return
	}
	s, err := x.worker.Sample(x.name(), asked)
	if err != nil {
		x.failed(err)
		return
	}
	x.answer(http.StatusAccepted, s)
}

// shows answers with a sample where this request may see it.
func (x *exchange) shows(s Sample, err error) {
	if err != nil {
		x.failed(err)
	} else if _, ok := x.show(s.Show); ok {
		x.answer(http.StatusOK, s)
	}
}

func (x *exchange) sampled() {
	if _, ok := x.show(""); ok {
		x.through(nil)
	}
}

// through answers with a sample whose rows went through the transforms of settings, nil for those of the connector.
func (x *exchange) through(settings map[string]string) {
	ctx := x.limited()
	name, id := x.name(), x.r.PathValue("id")
	switch as := x.first("as"); {
	case x.wantsTest():
		if _, ok := x.show(RecordsFull); !ok {
			return
		}
		text, err := x.worker.SampledTest(ctx, name, id, settings)
		if err != nil {
			x.failed(err)
			return
		}
		x.sendAs("text/yaml; charset=utf-8", http.StatusOK, text)
	case as != "":
		x.fail(http.StatusBadRequest, "as: expected test, found "+strconv.Quote(as))
	default:
		x.shows(x.worker.Sampled(ctx, name, id, settings))
	}
}

// chainAsked is a configuration of which transforms and predicates count.
type chainAsked struct {
	Config Given `json:"config"`
}

func (x *exchange) rechain() {
	var asked chainAsked
	if _, ok := x.show(""); !ok || !x.body(&asked) || !x.whole(asked.Config) {
		return
	}
	if null := asked.Config.Null; null != nil {
		x.fail(http.StatusBadRequest, Invalid(slices.Repeat([]string{NullValue}, len(null))...))
		return
	}
	x.through(asked.Config.Settings)
}

func (x *exchange) tools() {
	x.reply(x.worker.Tools(x.limited(), x.name()))
}

// peek is the command whose document has rows.
const peek = "peek"

func (x *exchange) tool() {
	var asked ToolAsked
	if x.r.ContentLength != 0 && !x.body(&asked) {
		return
	}
	command := x.r.PathValue("command")
	switch why := Restricted(x.r.Context()); {
	case why != "":
		x.fail(http.StatusForbidden, why)
		return
	case command == peek:
		if _, ok := x.show(RecordsFull); !ok {
			return
		}
	}
	x.reply(x.worker.RunTool(x.limited(), x.name(), command, asked))
}
