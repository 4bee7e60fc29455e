package rest

import (
	"cmp"
	"net"
	"net/http"
	"strconv"
)

// What console.records allows to be shown of records. "" is full, too.
const (
	recordsShape = "shape"
	recordsFull  = "full"
	recordsOff   = "off"
)

// withheldHeader has a request see no values of records, as the worker that hands it on would show none: see
// [maskedHeader].
const withheldHeader = "X-Culvert-Withheld"

// withheld says why this request sees no values of records, "" where it sees them: it comes from this machine, or its
// user has logged on.
func (x *exchange) withheld() string {
	by, _ := x.r.Context().Value(listenerKey{}).(net.Listener)
	switch {
	case cmp.Or(x.records, recordsFull) != recordsFull:
		return "console.records=" + x.records
	case x.masks():
		return "this request sees no passwords (rest.config.masked, or the name that REST is asked by)"
	case x.r.Header.Get(withheldHeader) != "":
		return "the worker that was asked shows none"
	case alone(by), x.logons, x.r.TLS != nil && len(x.r.TLS.VerifiedChains) > 0:
		return ""
	}
	return "nobody has to log on here (rest.basic.auth.file, or ask by a listener of this machine alone)"
}

// sees tells whether this request may be shown records at all; else it has answered.
func (x *exchange) sees() bool {
	switch why := Restricted(x.r.Context()); {
	case x.records == recordsOff:
		x.fail(http.StatusForbidden, "No records are shown (console.records=off)")
	case why != "":
		x.fail(http.StatusForbidden, why)
	default:
		return true
	}
	return false
}

// show is how records are shown to a request that asks for full, shape, or "" for what it may see; else it has
// answered.
func (x *exchange) show(asked string) (show string, ok bool) {
	why := x.withheld()
	switch {
	case !x.sees():
		return "", false
	case asked == recordsFull && why != "":
		x.fail(http.StatusForbidden, "No values of records are shown, their shape alone: "+why)
		return "", false
	case asked != "" && asked != recordsFull && asked != recordsShape:
		x.fail(http.StatusBadRequest, "show: expected full or shape, found "+strconv.Quote(asked))
		return "", false
	case asked == "" && why != "":
		return recordsShape, true
	}
	return cmp.Or(asked, recordsFull), true
}

func (x *exchange) sample() {
	var asked SampleAsked
	if x.r.ContentLength != 0 && !x.body(&asked) {
		return
	}
	show, ok := x.show(asked.Show)
	if !ok {
		return
	}
	asked.Show = show
	s, err := x.worker.Sample(x.name(), asked)
	if err != nil {
		x.failed(err)
		return
	}
	x.answer(http.StatusAccepted, s)
}

// taken is the id of the sample that the path names, where this request may see it; else it has answered.
func (x *exchange) taken() (id string, ok bool) {
	id = x.r.PathValue("id")
	if !x.sees() {
		return "", false
	}
	shown, err := x.worker.SampleShows(x.name(), id)
	if err != nil {
		x.failed(err)
		return "", false
	}
	_, ok = x.show(shown)
	return id, ok
}

func (x *exchange) sampled() {
	id, ok := x.taken()
	if !ok {
		return
	}
	ctx, cancel := x.limited()
	defer cancel()
	switch as := x.first("as"); as {
	case "":
		x.reply(x.worker.Sampled(ctx, x.name(), id))
	case "test":
		text, err := x.worker.SampledTest(ctx, x.name(), id)
		if err != nil {
			x.failed(err)
			return
		}
		x.w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
		x.w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		x.w.Write(text)
	default:
		x.fail(http.StatusBadRequest, "as: expected test, found "+strconv.Quote(as))
	}
}

// chainAsked is a configuration of which transforms and predicates count.
type chainAsked struct {
	Config written `json:"config"`
}

func (x *exchange) rechain() {
	var asked chainAsked
	id, ok := x.taken()
	if !ok || !x.body(&asked) || !x.whole(asked.Config) {
		return
	}
	ctx, cancel := x.limited()
	defer cancel()
	x.reply(x.worker.Rechained(ctx, x.name(), id, asked.Config.settings))
}

func (x *exchange) tools() {
	ctx, cancel := x.limited()
	defer cancel()
	x.reply(x.worker.Tools(ctx, x.name()))
}

// peek is the command whose document has rows.
const peek = "peek"

func (x *exchange) tool() {
	var asked ToolAsked
	if x.r.ContentLength != 0 && !x.body(&asked) {
		return
	}
	command, show := x.r.PathValue("command"), recordsFull
	if why := Restricted(x.r.Context()); why != "" {
		x.fail(http.StatusForbidden, why)
		return
	}
	if command == peek || asked.Chain {
		var ok bool
		if show, ok = x.show(""); !ok {
			return
		}
	}
	if asked.Chain && command != peek {
		x.fail(http.StatusBadRequest, "chain: expected the command peek, which answers rows, found "+
			strconv.Quote(command))
		return
	}
	ctx, cancel := x.limited()
	defer cancel()
	x.reply(x.worker.RunTool(ctx, x.name(), command, asked, show))
}
