// Rob is a hostile guest that collects secrets: it declares passwords as text, uses names of other plugins' settings,
// and has defaults that name a host of its own. It reveals all that it receives in each way that a guest has: log
// lines, contexts, offsets, rows, targets of requests, errors and documents.
package main

import (
	"fmt"
	"strings"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Set by the linker. host and port are the hostile address, which the defaults name.
var (
	name    = "rob"
	version = "1.0.0"
	host    = ""
	port    = ""
)

func init() {
	source.Register(reader{})
	sink.Register(writer{})
	transform.Register(changer{})
	tools.Register(commands{})
}

func main() {}

var seen strings.Builder

// tell appends arguments to seen and logs them.
func tell(where string, args ...any) {
	text := fmt.Sprint("rob ", where, " ", args)
	seen.WriteString(text + "\n")
	sdk.Log(wit.LevelInfo, text)
}

type plugin struct{}

func spec(name string, kind wit.SettingKind, role, value string) wit.ConfigKey {
	s := wit.ConfigKey{Name: name, Kind: kind, Documentation: name}
	if role != "" {
		s.Rules = append(s.Rules, wit.Rule{Role: &role})
	}
	if value != "" {
		s.DefaultValue = &value
	}
	return s
}

// others returns names of other plugins' settings, and templates that match any.
func others() []wit.ConfigKey {
	return []wit.ConfigKey{spec("sap.odata.user.pwd", wit.KindString, "", ""), spec("sap.odata.header.{name}", wit.KindString, "", ""),
		spec("sap.odata.oauth.client.secret", wit.KindString, "", ""), spec("rob.{name}", wit.KindString, "", ""), spec("text", wit.KindString, "", "")}
}

func (plugin) Describe() wit.Description {
	connector := []wit.ConfigKey{
		spec("rob.address", wit.KindString, "http.address", host), spec("rob.port", wit.KindInt, "http.port", port), spec("rob.scheme", wit.KindString, "http.scheme", "http"),
		spec("rob.user", wit.KindString, "http.user", ""), spec("rob.password", wit.KindString, "http.password", ""),
		spec("rob.auth", wit.KindString, "http.auth", ""), spec("rob.id", wit.KindString, "http.oauth.client-id", ""), spec("rob.secret", wit.KindPassword, "http.oauth.client-secret", ""),
		spec("rob.key", wit.KindPassword, "http.header.apikey", ""), spec("rob.store.password", wit.KindString, "tls.keystore.password", ""),
	}
	if host != "" {
		connector = append(connector, spec("rob.tokens", wit.KindString, "http.oauth.token-endpoint", "http://"+host+":"+port+"/token"),
			spec("rob.proxy", wit.KindString, "http.proxy.type", "http"), spec("rob.proxy.address", wit.KindString, "http.proxy.address", host+":"+port))
	}
	connector = append(connector, others()...)
	return wit.Description{Name: name, Version: version, Components: []wit.Component{
		{Name: "test.Rob", Kind: wit.ComponentSource, Settings: connector}, {Name: "test.RobSink", Kind: wit.ComponentSink, Settings: connector},
		{Name: "test.RobTransform", Kind: wit.ComponentTransformation, Settings: others()}, {Name: "test.RobPredicate", Kind: wit.ComponentPredicate, Settings: others()},
	}}
}

func (plugin) Validate(component string, settings []wit.Setting, online bool, state []byte, answers []wit.Response) (wit.ValidateResult, error) {
	tell("validate", component, settings, string(state), answers)
	done := []wit.ConfigValue{}
	for _, s := range settings {
		e := wit.ConfigValue{Key: wit.ConfigKey{Name: s.Name}, Value: &s.Value, Visible: true}
		if s.Value == "" {
			e.Errors = []string{"nothing there"}
		}
		done = append(done, e)
	}
	return wit.ValidateResult{Done: &done}, nil
}

type reader struct{ plugin }

func (reader) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	tell("plan", component, settings)
	return wit.PlanResult{Tasks: [][]wit.Setting{settings}, ExactlyOnce: wit.Support{Unsupported: wit.Ptr(seen.String())}}, nil
}

func (reader) Open(component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SourceOpenResult, error) {
	tell("open", component, settings, string(state), answers)
	if answers == nil {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{State: []byte(seen.String()), Requests: []wit.Request{{Tag: "a", Method: "GET", Target: "/asked", Repeatable: true,
			Headers: []wit.Header{{Name: "Authorization", Value: "guess"}, {Name: "X-Seen", Value: strings.ReplaceAll(seen.String(), "\n", " ")}}}}}}, nil
	}
	return wit.SourceOpenResult{Ready: &wit.SourceOpened{Context: []byte(seen.String()), Feeds: []wit.Feed{{Name: "rob", Topic: "Loot",
		Partition: []wit.OffsetEntry{wit.StringEntry("rob", "1")}, Fingerprint: "f"}}}}, nil
}

func (reader) Next(context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason, now int64) (wit.NextAction, error) {
	tell("next", string(context), offset)
	if cause.Start == nil || len(offset) > 0 {
		return wit.NextAction{Finished: wit.Set}, nil
	}
	return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/page", Repeatable: true}, Position: &[]wit.OffsetEntry{}}}, nil
}

func (reader) Begin(context []byte, feed uint32, position *[]wit.OffsetEntry, response wit.Response) (uint32, error) {
	tell("begin", string(context), response)
	return 0, nil
}

const schema = wit.GuestSchemas

func (reader) Decode(page uint32, tag string, _ uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	tell("decode", string(piece))
	if !last {
		return wit.DecodeResult{}, nil
	}
	data := connectdata.AppendString(nil, seen.String())
	return wit.DecodeResult{Schemas: []wit.Schema{{ID: schema, Nodes: []wit.SchemaNode{{Kind: wit.String}}}}, Data: data, Next: &[]wit.OffsetEntry{wit.StringEntry("told", "all")},
		Rows: []wit.Row{{Partition: -1, Offset: -1, Timestamp: -1, Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema, Size: uint32(len(data))}}}}, nil
}

func (reader) Abandon(uint32) {}

func (reader) CheckOffset(partition, offset []wit.OffsetEntry) error { return nil }

type writer struct{ plugin }

func (writer) Open(component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SinkOpenResult, error) {
	tell("sink open", component, settings, string(state), answers)
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: []byte(seen.String()), Topics: []string{"Loot"}}}, nil
}

func (writer) Encode(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte, origins []wit.RecordID,
	originTopics []string, hints []wit.Hint) (wit.EncodeResult, error) {
	tell("encode", string(context))
	var d wit.EncodeResult
	for i := range rows {
		d.Ready = append(d.Ready, wit.Delivery{Request: wit.Request{Method: "POST", Target: "/written", Body: []byte(seen.String())}, Rows: []uint32{uint32(i)}, State: []byte("m")})
	}
	return d, nil
}

func (writer) HandleResponse(context, memo []byte, rows []uint32, response wit.Response) (wit.ResponseResult, error) {
	tell("settle", response)
	verdicts := make([]wit.RowResult, len(rows))
	for i := range verdicts {
		verdicts[i] = wit.RowResult{Written: wit.Set}
	}
	return wit.ResponseResult{Results: verdicts}, nil
}

type changer struct{ plugin }

func (changer) Prepare(chain []wit.Stage) ([]byte, error) {
	for _, s := range chain {
		tell("prepare", s.Component, s.Settings)
		if s.Condition != nil {
			tell("prepare condition", s.Condition.Component, s.Condition.Settings)
		}
	}
	return []byte(seen.String()), nil
}

func (changer) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.ApplyResult, error) {
	return wit.ApplyResult{Consumed: uint32(len(rows)), Rows: rows, Data: data}, nil
}

func (changer) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.TestResult, error) {
	return wit.TestResult{Matches: make([]bool, len(rows))}, nil
}

type commands struct{}

func (commands) Commands() []wit.Command { return []wit.Command{{Name: "ping", Usage: "tells"}} }

func (commands) Run(command string, options, settings []wit.Setting, state []byte, answers []wit.Response) (wit.CommandResult, error) {
	tell("run", command, options, settings, string(state), answers)
	if answers == nil {
		return wit.CommandResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Tag: "a", Method: "GET", Target: "/ran", Repeatable: true}}}}, nil
	}
	return wit.CommandResult{Document: wit.Ptr(fmt.Sprintf("%q", seen.String()))}, nil
}
