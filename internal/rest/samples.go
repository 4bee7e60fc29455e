package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// The values of console.records: how much is shown of records.
const (
	RecordsFull  = "full"
	RecordsShape = "shape"
	recordsOff   = "off"
)

// shapeOnlyHeader hides values of records in a forwarded request, see [maskedHeader].
const shapeOnlyHeader = "X-Culvert-Withheld"

// withheldInAll is the value of shapeOnlyHeader that also hides texts in Kafka Connect's routes.
const withheldInAll = "all"

// shapeOnlyReason returns why this request sees no values of records, "" on this machine or after a logon.
func (req *request) shapeOnlyReason() string {
	switch {
	case cmp.Or(req.records, RecordsFull) != RecordsFull:
		return "console.records=" + req.records
	case req.hidesSecrets():
		return "this request sees no passwords (rest.config.masked, or the Host of the request)"
	case req.r.Header.Get(shapeOnlyHeader) != "":
		return "the worker that received the request shows none"
	case req.requiresLogon, localOrCertified(req.r):
		return ""
	}
	return "this listener requires no logon (set rest.basic.auth.file, or use a listener of the loopback interface)"
}

// recordView resolves the view full, shape, or "" for the most allowed one. If it is not allowed, it has answered.
func (req *request) recordView(view string) (show string, ok bool) {
	why := req.shapeOnlyReason()
	restricted := ReadOnlyReason(req.r.Context())
	switch {
	case req.records == recordsOff:
		req.fail(http.StatusForbidden, "No records are shown (console.records=off)")
	case restricted != "":
		req.fail(http.StatusForbidden, restricted)
	case view == RecordsFull && why != "":
		req.fail(http.StatusForbidden, "Only the shape of records is shown, not their values: "+why)
	case view == "" && why != "":
		return RecordsShape, true
	case view == "", view == RecordsFull, view == RecordsShape:
		return cmp.Or(view, RecordsFull), true
	default:
		req.fail(http.StatusBadRequest, "show: expected full or shape, found "+strconv.Quote(view))
	}
	return "", false
}

func (req *request) startSample() {
	var body SampleRequest
	if req.r.ContentLength != 0 && !req.readJSON(&body) {
		return
	}
	var ok bool
	if body.Show, ok = req.recordView(body.Show); !ok {
		return
	}
	s, err := req.worker.StartSample(req.name(), body)
	if err != nil {
		req.failErr(err)
		return
	}
	req.answer(http.StatusAccepted, s)
}

// listSamples omits samples with values that the user may not see.
func (req *request) listSamples() {
	show, ok := req.recordView("")
	if !ok {
		return
	}
	isHidden := func(s Sample) bool { return s.Show == RecordsFull && show != RecordsFull }
	req.answer(http.StatusOK, append([]Sample{}, slices.DeleteFunc(req.worker.ListSamples(req.name()), isHidden)...))
}

func (req *request) answerSample(s Sample, err error) {
	if err != nil {
		req.failErr(err)
	} else if _, ok := req.recordView(s.Show); ok {
		req.answer(http.StatusOK, s)
	}
}

func (req *request) readSample() {
	if _, ok := req.recordView(""); ok {
		req.answerChain(nil)
	}
}

// answerChain answers with a sample after the transforms of settings; nil means those of the connector.
func (req *request) answerChain(settings map[string]string) {
	ctx := req.timeoutContext()
	name := req.name()
	id := req.r.PathValue("id")
	switch as := req.queryValue("as"); {
	case req.wantsTestFile():
		if _, ok := req.recordView(RecordsFull); !ok {
			return
		}
		file, err := req.worker.SampleTestFile(ctx, name, id, settings)
		if err != nil {
			req.failErr(err)
			return
		}
		req.sendAs("text/yaml; charset=utf-8", http.StatusOK, file)
	case as != "":
		req.fail(http.StatusBadRequest, "as: expected test, found "+strconv.Quote(as))
	default:
		req.answerSample(req.worker.ReadSample(ctx, name, id, settings))
	}
}

type chainRequest struct {
	Config ConfigRequest `json:"config"`
}

func (req *request) tryChain() {
	var body chainRequest
	if _, ok := req.recordView(""); ok && req.readJSON(&body) && req.requireNonNull(body.Config) {
		req.answerChain(body.Config.Settings)
	}
}

// requireNonNull reports whether there are settings and none of them is null. If not, it has answered.
func (req *request) requireNonNull(c ConfigRequest) bool {
	if !req.requireSettings(c) {
		return false
	}
	if c.Null != nil {
		req.fail(http.StatusBadRequest, Invalid(slices.Repeat([]string{NullValue}, len(c.Null))...))
	}
	return c.Null == nil
}

type peekRequest struct {
	Config  ConfigRequest     `json:"config"`
	Options map[string]string `json:"options,omitempty"`
}

// peek needs the rights of a change, since the configuration names the address to which its secrets are sent.
func (req *request) peek() {
	var body peekRequest
	if _, ok := req.recordView(RecordsFull); !ok || !req.readJSON(&body) || !req.requireNonNull(body.Config) {
		return
	}
	ctx := req.timeoutContext()
	if err := req.acquireCheck(ctx); err != nil {
		req.failErr(err)
		return
	}
	req.reply(req.worker.Peek(ctx, body.Config.Settings, ToolRequest{Options: body.Options}))
}

func (req *request) tools() { req.reply(req.worker.Tools(req.timeoutContext(), req.name())) }

// PeekCommand is the plugin command whose output contains rows.
const PeekCommand = "peek"

func (req *request) tool() {
	var body ToolRequest
	if req.r.ContentLength != 0 && !req.readJSON(&body) {
		return
	}
	command := req.r.PathValue("command")
	switch why := ReadOnlyReason(req.r.Context()); {
	case why != "":
		req.fail(http.StatusForbidden, why)
		return
	case command == PeekCommand:
		if _, ok := req.recordView(RecordsFull); !ok {
			return
		}
	}
	req.reply(req.worker.RunTool(req.timeoutContext(), req.name(), command, body))
}
