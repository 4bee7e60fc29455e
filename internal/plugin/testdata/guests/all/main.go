// All is a guest without faults: every interface of the contract, in the smallest form that shows which data is
// exchanged.
package main

import (
	"bytes"
	"strconv"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/notifications"
	"github.com/culvert-project/culvert/sdk/go/progress"
	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Set by the linker.
var (
	name    = "all"
	version = "1.0.0"
)

func init() {
	source.Register(reader{})
	sink.Register(writer{})
	transform.Register(&changer{})
	tools.Register(commands{})
	notifications.Register(otherServices{})
	retirement.Register(otherServices{})
	progress.Register(otherServices{})
}

func main() {}

type plugin struct{}

// Describe returns one component of each kind, and one transform for each behaviour under test.
func (plugin) Describe() wit.Description {
	spec := wit.ConfigKey{Name: "text", Kind: wit.KindString, DefaultValue: wit.Ptr("x"), Documentation: "any",
		Rules: []wit.Rule{{AtLeast: wit.Ptr(int64(-5))}, {Width: wit.Ptr(uint8(3))}, {Allowed: &[]string{"x", "y"}}}}
	d := wit.Description{Name: name, Version: version, Documentation: "for tests", Components: []wit.Component{
		{Name: "org.example.AllSource", Kind: wit.ComponentSource, Aliases: []string{"AllSource"},
			Settings: []wit.ConfigKey{spec}},
		{Name: "org.example.AllSink", Kind: wit.ComponentSink, Prefixes: []string{"all."}},
		{Name: "odd", Kind: wit.ComponentPredicate},
	}}
	for _, c := range []string{"pass", "copy", "unchanged", "none", "faulty", "few", "route", "declare", "mention",
		"panic", "print", "spy", "twice", "twins"} {
		d.Components = append(d.Components, wit.Component{Name: c, Kind: wit.ComponentTransformation})
	}
	return d
}

func (plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	if component == "unknown" {
		return wit.ValidateResult{}, &wit.Error{Kind: wit.ErrorConfig, Message: "unknown component",
			Setting: wit.Ptr("component"), Code: wit.Ptr("c")}
	}
	if online && len(answers) == 0 {
		return wit.ValidateResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Tag: "t", Method: "GET",
			Target: "/x", Repeatable: true,
			Headers: []wit.Header{{Name: "a", Value: "b"}}, FirstByteTimeoutMs: wit.Ptr(uint32(7))}},
			State: []byte("asked")}}, nil
	}
	done := []wit.ConfigValue{}
	for _, s := range settings {
		done = append(done, wit.ConfigValue{Key: wit.ConfigKey{Name: s.Name}, Value: &s.Value,
			Errors: []string{string(state)}, Visible: true})
	}
	return wit.ValidateResult{Done: &done}, nil
}

// reader decodes each line of a page as a row: a text with the guest's own schema.
type reader struct{ plugin }

const (
	textSchema  = wit.GuestSchemas + 1
	otherSchema = wit.GuestSchemas + 7
)

func textNodes(name string) []wit.SchemaNode {
	return []wit.SchemaNode{{Kind: wit.String, Name: &name}}
}

func (reader) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	l := wit.PlanResult{ExactlyOnce: wit.Support{Unsupported: wit.Ptr("why not")}}
	for range maxTasks {
		l.Tasks = append(l.Tasks, settings)
	}
	return l, nil
}

func (reader) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	return wit.SourceOpenResult{Ready: &wit.SourceOpened{Context: []byte("context"),
		Feeds: []wit.Feed{{Name: "lines", Topic: "lines",
			Partition:   []wit.OffsetEntry{wit.StringEntry("service", "s")},
			Value:       &wit.Schema{ID: textSchema, Nodes: textNodes("line")},
			PollEveryMs: wit.Ptr(uint32(1000)), Fingerprint: "f"}}}}, nil
}

func (reader) Next(context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	if cause.Trigger != nil {
		return wit.NextAction{Idle: wit.Set}, nil
	}
	if now < 0 {
		return wit.NextAction{}, sdk.NewError(wit.ErrorData, "a time before 1970")
	}
	position := append(offset, wit.IntegerEntry("now", now))
	return wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: string(context),
		Repeatable: true}, Position: &position}}, nil
}

var pages []([]byte)

func (reader) Begin(context []byte, feed uint32, position *[]wit.OffsetEntry, response wit.Response) (uint32, error) {
	if response.Status >= 400 {
		return 0, sdk.NewError(wit.ErrorNotFound, "status "+strconv.Itoa(int(response.Status)))
	}
	pages = append(pages, nil)
	return uint32(len(pages) - 1), nil
}

var declared bool

func (reader) Decode(page uint32, tag string, status uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	var result wit.DecodeResult
	if !declared {
		declared = true
		result.Schemas = []wit.Schema{{ID: textSchema, Nodes: textNodes("line")}}
	}
	remaining := append(pages[page], piece...)
	for {
		line, after, hasNewline := bytes.Cut(remaining, []byte("\n"))
		if !hasNewline {
			break
		}
		remaining = after
		if string(line) == "bad" {
			result.Errors = append(result.Errors, wit.RowError{RowIndex: uint32(len(result.Rows)), ErrorClass: "Bad",
				Error:    wit.Error{Kind: wit.ErrorData, Message: "bad line"},
				RawStart: uint32(len(result.Data)), RawSize: 3})
			result.Data = append(result.Data, line...)
			continue
		}
		start := len(result.Data)
		result.Data = connectdata.AppendBytes(result.Data, line)
		result.Rows = append(result.Rows, wit.Row{RowIndex: uint32(len(result.Rows)), Partition: -1, Offset: -1,
			Timestamp: -1,
			Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: textSchema, Start: uint32(start),
				Size: uint32(len(result.Data) - start)}})
	}
	pages[page] = append([]byte(nil), remaining...)
	if tag != "" {
		result.Linked = []wit.LinkedRequest{{Request: wit.Request{Tag: tag, Method: "GET", Target: "/more"},
			Tolerate: []uint16{404, status}}}
	}
	if last {
		result.Next = &[]wit.OffsetEntry{wit.NullEntry("done"), wit.BooleanEntry("b", true)}
		result.More = true
		result.WaitMs = 9
	}
	return result, nil
}

func (reader) Abandon(page uint32) {}

func (reader) CheckOffset(partition, offset []wit.OffsetEntry) error {
	if len(offset) == 0 {
		return sdk.NewError(wit.ErrorIncompatible, "an offset without entries")
	}
	return nil
}

// writer encodes each row as a delivery, unless a hint excludes the row.
type writer struct{ plugin }

func (writer) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SinkOpenResult, error) {
	if len(answers) == 0 {
		return wit.SinkOpenResult{Pending: &wit.RequestBatch{State: []byte("s")}}, nil
	}
	return wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: append(state, answers[0].Body...),
		Topics: []string{"a", "b"}}}, nil
}

func (writer) Encode(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string, hints []wit.Hint) (wit.EncodeResult, error) {
	var d wit.EncodeResult
	for i, r := range rows {
		hint := ""
		for _, h := range hints {
			if h.Row == uint32(i) {
				hint = h.Text
			}
		}
		switch {
		case hint == "ignore":
			d.Ignored = append(d.Ignored, uint32(i))
		case hint == "refuse":
			d.Rejected = append(d.Rejected, wit.RowError{RowIndex: uint32(i),
				Error: wit.Error{Kind: wit.ErrorData, Message: "no"}})
		case hint == "lose": // the row is in no list, which violates the contract
		case hint == "origin":
			o := origins[i]
			d.Ready = append(d.Ready, wit.Delivery{Rows: []uint32{uint32(i)},
				State: []byte(originTopics[o.Topic] + "-" + strconv.Itoa(int(o.Partition)) + "@" +
					strconv.FormatInt(o.Offset, 10) + "/" + strconv.Itoa(int(o.Part))),
				Request: wit.Request{Method: "GET", Target: "/x"}})
		default:
			d.Ready = append(d.Ready, wit.Delivery{Rows: []uint32{uint32(i)}, State: []byte(topics[r.Topic]),
				OrderingKey: uint32(i) % 4,
				Request: wit.Request{Method: "POST", Target: "/x", TokenPath: wit.Ptr("/"),
					Body: data[r.Value.Start : r.Value.Start+r.Value.Size]}})
		}
	}
	return d, nil
}

func (writer) HandleResponse(context, memo []byte, rows []uint32, response wit.Response) (wit.ResponseResult, error) {
	results := []wit.RowResult{}
	for range rows {
		switch {
		case response.Status == 0:
			results = append(results, wit.RowResult{Retry: &wit.Retry{Hint: "alone",
				Error: &wit.Error{Kind: wit.ErrorTransient, Message: "no answer"}, WaitMs: 5}})
		case response.Status >= 400:
			results = append(results, wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorData,
				Message: string(response.Body), Code: wit.Ptr("E1")}})
		case response.Status == 299:
			return wit.ResponseResult{Results: results}, nil
		default:
			results = append(results, wit.RowResult{Written: wit.Set})
		}
	}
	result := wit.ResponseResult{Results: results}
	if len(context) > 0 {
		result.Context = wit.Ptr(append(context, memo...))
	}
	return result, nil
}

// changer has a transform for each behaviour.
type changer struct {
	plugin
	rows     []wit.Row
	data     []byte
	declared bool
	settings []byte
}

func (c *changer) Prepare(chain []wit.Stage) ([]byte, error) {
	if len(chain) == 0 {
		return nil, sdk.NewError(wit.ErrorConfig, "expected a stage")
	}
	for _, s := range chain[0].Settings {
		c.settings = append(c.settings, s.Name+"="+s.Value+"\n"...)
	}
	return []byte(chain[0].Component), nil
}

func (c *changer) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult, error) {
	out := wit.ApplyResult{Consumed: uint32(len(rows))}
	c.rows = c.rows[:0]
	c.data = c.data[:0]
	switch string(context) {
	case "pass":
		out.Rows = rows
		out.Data = data
		return out, nil
	case "copy":
		c.rows = append(c.rows, rows...)
		c.data = append(c.data, data...)
	case "unchanged":
		for _, r := range rows {
			c.rows = append(c.rows, unchanged(r))
		}
	case "none": // no rows
	case "twice":
		for _, r := range rows {
			c.rows = append(c.rows, unchanged(r), unchanged(r))
		}
	case "faulty":
		for i, r := range rows {
			if i%2 == 1 {
				out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i), Stage: 3, ErrorClass: "E",
					Error: wit.Error{Kind: wit.ErrorData, Message: "odd"}})
				continue
			}
			c.rows = append(c.rows, unchanged(r))
		}
	case "few":
		out.Consumed = min(7, uint32(len(rows)))
		for _, r := range rows[:out.Consumed] {
			value := data[r.Value.Start : r.Value.Start+r.Value.Size]
			r.Value.Start = uint32(len(c.data))
			c.data = append(c.data, value...)
			c.rows = append(c.rows, r)
		}
	case "route":
		out.Topics = append(append([]string{}, "routed"), topics...)
		for _, r := range rows {
			r = unchanged(r)
			r.Topic = 0
			r.Partition = 3
			c.rows = append(c.rows, r)
		}
	case "declare":
		c.declare(&out, rows)
	case "mention":
		c.mention(&out, rows)
	case "twins":
		out.Schemas = []wit.Schema{{ID: otherSchema, Nodes: []wit.SchemaNode{{Kind: wit.Struct,
			Fields: []wit.Field{{Name: "a", Node: 1}, {Name: "b", Node: 2}, {Name: "a", Node: 2}}}, {Kind: wit.String},
			{Kind: wit.Int8}}}}
	case "panic":
		panic("boom")
	case "print":
		println("printed")
		sdk.Log(wit.LevelWarn, "logged")
		for _, r := range rows {
			c.rows = append(c.rows, unchanged(r))
		}
	case "spy":
		for _, r := range rows {
			r.Value = wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(len(c.data))}
			c.data = append(c.data, connectdata.TagBytes)
			c.data = connectdata.AppendBytes(c.data, c.settings)
			r.Value.Size = uint32(len(c.data)) - r.Value.Start
			c.rows = append(c.rows, r)
		}
	default:
		return out, sdk.NewError(wit.ErrorStale, "unknown context "+string(context))
	}
	out.Rows = c.rows
	out.Data = c.data
	return out, nil
}

func unchanged(r wit.Row) wit.Row {
	for _, d := range []*wit.ValueSlice{&r.Key, &r.Value, &r.Headers} {
		*d = wit.ValueSlice{Encoding: wit.Unchanged, Schema: d.Schema}
	}
	return r
}

// declareOnce declares the schemas of the guest, unless an earlier call of the instance has.
func (c *changer) declareOnce(out *wit.ApplyResult) {
	if c.declared {
		return
	}
	c.declared = true
	out.Schemas = []wit.Schema{{ID: textSchema, Nodes: textNodes("mine")},
		{ID: otherSchema, Nodes: textNodes("other")}}
}

// declare gives each row's value a schema of the guest.
func (c *changer) declare(out *wit.ApplyResult, rows []wit.Row) {
	c.declareOnce(out)
	for _, r := range rows {
		r = unchanged(r)
		r.Value = c.put(wit.WithSchema, textSchema, connectdata.AppendString(nil, "declared"))
		c.rows = append(c.rows, r)
	}
}

func (c *changer) put(form wit.Encoding, schema uint32, b []byte) wit.ValueSlice {
	d := wit.ValueSlice{Encoding: form, Schema: schema, Start: uint32(len(c.data)), Size: uint32(len(b))}
	c.data = append(c.data, b...)
	return d
}

// mention refers to schemas inside bytes: in headers, and in structs within dynamic values.
func (c *changer) mention(out *wit.ApplyResult, rows []wit.Row) {
	c.declareOnce(out)
	for _, r := range rows {
		r = unchanged(r)
		content := connectdata.AppendString(nil, "in")
		structure := connectdata.AppendBytes(connectdata.AppendNumber([]byte{connectdata.TagStruct}, textSchema),
			content)
		value := connectdata.AppendNumber([]byte{connectdata.TagArray}, 2) // two items
		r.Value = c.put(wit.Schemaless, 0, append(append(value, structure...), structure...))
		r.Headers = c.put(wit.Raw, 0, connectdata.AppendHeaders(nil, []connectdata.Header{
			{Name: "s", Encoding: wit.WithSchema, Schema: otherSchema, Value: content},
			{Name: "d", Encoding: wit.Schemaless, Value: structure},
			{Name: "r", Encoding: wit.Raw, Value: []byte{1, 2}}}))
		c.rows = append(c.rows, r)
	}
}

func (c *changer) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult, error) {
	t := wit.TestResult{Matches: make([]bool, len(rows))}
	for i := range rows {
		t.Matches[i] = i%2 == 1
	}
	return t, nil
}

type commands struct{}

func (commands) Commands() []wit.Command {
	return []wit.Command{{Name: "echo", Usage: "echo", Options: []wit.ConfigKey{{Name: "text", Kind: wit.KindString}}}}
}

func (commands) Run(command string, options, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	return wit.CommandResult{Document: wit.Ptr(strconv.Quote(command + " " + options[0].Value))}, nil
}

// otherServices implements the interfaces that a source may have in addition.
type otherServices struct{}

func (otherServices) HandleNotification(context []byte, n wit.Notification) ([]wit.Trigger, error) {
	return []wit.Trigger{{Feed: 1, Token: n.Method, Ident: string(n.Body), AnswerWhenStored: true}}, nil
}

func (otherServices) Subscribe(context []byte, feed uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	return wit.CallResult{Done: &address}, nil
}

func (otherServices) Retire(component string, settings []wit.Setting, addresses []string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	return wit.CallResult{Done: wit.Ptr(component + strconv.Itoa(len(addresses)))}, nil
}

func (otherServices) Progress(context []byte, feed uint32, offset []wit.OffsetEntry) *wit.LoadProgress {
	if len(offset) == 0 {
		return nil
	}
	return &wit.LoadProgress{Read: uint64(feed), Total: wit.Ptr(uint64(len(offset))), Complete: offset[0].Value.String}
}

func (otherServices) Keys(context []byte, feed uint32, offset []wit.OffsetEntry) wit.KeysUse {
	switch {
	case len(offset) == 0:
		return wit.KeysUse{Ignored: wit.Set}
	case feed == 0:
		return wit.KeysUse{Remembered: wit.Set}
	}
	return wit.KeysUse{Compared: &offset}
}

func (otherServices) Compared(context []byte, feed uint32, offset []wit.OffsetEntry,
	unknown [][]byte) *[]wit.OffsetEntry {
	if len(unknown) == 0 {
		return nil
	}
	for _, key := range unknown {
		offset = append(offset, wit.StringEntry(string(key), "unknown"))
	}
	return &offset
}
