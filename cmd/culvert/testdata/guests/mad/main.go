// Mad is a source and a sink that return well-formed values without sense. The setting `mode` chooses them. A new mode
// needs a line in modes or sinkModes, and one in the test.
package main

import (
	"bytes"
	"fmt"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// madness has the functions of a mode. Nil means that the mode does what a sane source does.
type madness struct {
	opened  func() *wit.SourceOpened
	request func() wit.Request
	page    func() wit.DecodeResult
	asks    func() []wit.Request
}

var modes = map[string]madness{
	"sane":  {},
	"tree":  {opened: feedOf(func() []wit.SchemaNode { return doubling(40) })},
	"deep":  {opened: feedOf(func() []wit.SchemaNode { return chain(200) })},
	"broad": {opened: feedOf(func() []wit.SchemaNode { return fields(20_000, 3) })},
	"long":  {opened: feedOf(func() []wit.SchemaNode { return fields(9_000, 600) })},
	"feeds": {opened: func() *wit.SourceOpened { return &wit.SourceOpened{Feeds: make([]wit.Feed, 20_000)} }},
	"registry": {page: func() wit.DecodeResult {
		schemas++
		return wit.DecodeResult{Schemas: []wit.Schema{{ID: own + schemas, Nodes: named(1_000)}}, Next: &[]wit.OffsetEntry{}, More: true}
	}},
	"control": {page: func() wit.DecodeResult {
		return rowsOf(own, connectdata.AppendString(nil, string(bytes.Repeat([]byte{1}, 30<<20))), 1)
	}},
	"many": {page: func() wit.DecodeResult {
		return rowsOf(own, connectdata.AppendString(nil, string(bytes.Repeat([]byte{1}, 1<<20))), 20_000)
	}},
	"offset": {page: func() wit.DecodeResult {
		return wit.DecodeResult{Next: &[]wit.OffsetEntry{wit.StringEntry("o", string(make([]byte, 100<<10)))}}
	}},
	"more":  {page: func() wit.DecodeResult { return wit.DecodeResult{Next: &[]wit.OffsetEntry{}, More: true} }},
	"trace": {request: func() wit.Request { return wit.Request{Method: "TRACE", Target: target, Repeatable: true} }},
	"client": {request: func() wit.Request {
		return wit.Request{Method: "GET", Target: target + "?sap-user=me", Repeatable: true}
	}},
	"offsets": {opened: func() *wit.SourceOpened { o := feedOf(text)(); o.Feeds[0].Topic = "__consumer_offsets"; return o }, page: oneRow},
	"empties": valueOf(func() []byte { return connectdata.AppendNumber(nil, 1<<40) }, wit.SchemaNode{Kind: wit.Array, Element: 1}, wit.SchemaNode{Kind: wit.Struct}),
	"nested": {page: func() wit.DecodeResult {
		p := rowsOf(0, append(bytes.Repeat([]byte{connectdata.TagArray, 2}, 5000), connectdata.TagNull), 1)
		p.Rows[0].Value.Encoding = wit.Schemaless
		return p
	}},
	"digits": valueOf(func() []byte { return connectdata.AppendBytes(nil, bytes.Repeat([]byte{0x55}, 4<<20)) }, decimal("2")),
	"scale":  valueOf(func() []byte { return connectdata.AppendBytes(nil, []byte{1}) }, decimal("2147483647")),
	"asks": {asks: func() []wit.Request {
		requests := make([]wit.Request, 11_000)
		for n := range requests {
			requests[n] = wit.Request{Method: "GET", Target: fmt.Sprint(target, "?n=", n), Repeatable: true}
		}
		return requests
	}},
	"spin": {page: func() wit.DecodeResult {
		for {
			schemas++
		}
	}},
	"follow": {page: func() wit.DecodeResult {
		p := wit.DecodeResult{Next: &[]wit.OffsetEntry{}}
		for n := range 11_000 {
			p.Linked = append(p.Linked, wit.LinkedRequest{Request: wit.Request{Method: "GET", Target: fmt.Sprint(target, "?n=", n), Repeatable: true}})
		}
		return p
	}},
}

// valueOf returns a mode whose pages have one row, with a value and its schema.
func valueOf(value func() []byte, nodes ...wit.SchemaNode) madness {
	return madness{page: func() wit.DecodeResult {
		p := rowsOf(own+1, value(), 1)
		p.Schemas = []wit.Schema{{ID: own + 1, Nodes: nodes}}
		return p
	}}
}

func decimal(scale string) wit.SchemaNode {
	return wit.SchemaNode{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal), Parameters: []wit.Setting{{Name: "scale", Value: scale}}}
}

const (
	own    = wit.GuestSchemas + 1
	target = "/V2/Northwind/Northwind.svc/"
)

var schemas uint32

func text() []wit.SchemaNode { return []wit.SchemaNode{{Kind: wit.String}} }

func init() {
	source.Register(mad{})
	sink.Register(madSink{})
}

func main() {}

// feedOf returns a function that opens one feed whose values have a schema. The schema is created only then, because
// each instance of the guest creates the table of modes.
func feedOf(nodes func() []wit.SchemaNode) func() *wit.SourceOpened {
	return func() *wit.SourceOpened {
		s := &wit.Schema{ID: own, Nodes: nodes()}
		return &wit.SourceOpened{Feeds: []wit.Feed{{Name: "feed", Topic: "mad", Fingerprint: "f", Partition: []wit.OffsetEntry{}, Value: s,
			PollEveryMs: wit.Ptr(uint32(0))}}}
	}
}

// doubling returns n nodes, each with two fields of the next one.
func doubling(n int) []wit.SchemaNode {
	nodes := make([]wit.SchemaNode, n)
	for i := range nodes {
		if nodes[i] = (wit.SchemaNode{Kind: wit.String}); i+1 < n {
			nodes[i] = wit.SchemaNode{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: uint32(i + 1)}, {Name: "b", Node: uint32(i + 1)}}}
		}
	}
	return nodes
}

// chain returns n nodes, each an array of the next one.
func chain(n int) []wit.SchemaNode {
	nodes := make([]wit.SchemaNode, n)
	for i := range nodes {
		if nodes[i] = (wit.SchemaNode{Kind: wit.String}); i+1 < n {
			nodes[i] = wit.SchemaNode{Kind: wit.Array, Element: uint32(i + 1)}
		}
	}
	return nodes
}

// fields returns a structure of n fields with names of a length.
func fields(n, length int) []wit.SchemaNode {
	nodes := []wit.SchemaNode{{Kind: wit.Struct}}
	for i := range n {
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: fmt.Sprintf("%0*d", length, i), Node: uint32(i + 1)})
		nodes = append(nodes, wit.SchemaNode{Kind: wit.String})
	}
	return nodes
}

// named returns a schema that differs from all others so far.
func named(size int) []wit.SchemaNode {
	nodes := fields(size, 1000)
	nodes[0].Name = wit.Ptr(fmt.Sprint("n", schemas))
	return nodes
}

// rowsOf returns n rows of the same value.
func rowsOf(schema uint32, value []byte, n int) wit.DecodeResult {
	p := wit.DecodeResult{Schemas: []wit.Schema{{ID: own, Nodes: text()}}, Data: value, Next: &[]wit.OffsetEntry{}}
	for range n {
		p.Rows = append(p.Rows, wit.Row{Partition: -1, Offset: -1, Timestamp: -1, Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema, Size: uint32(len(value))}})
	}
	return p
}

func oneRow() wit.DecodeResult { return rowsOf(own, connectdata.AppendString(nil, "x"), 1) }

type mad struct{}

func (mad) Describe() wit.Description {
	setting := func(name, role string) wit.ConfigKey {
		return wit.ConfigKey{Name: "mad." + name, Kind: wit.KindString, Rules: []wit.Rule{{Role: &role}}}
	}
	settings := []wit.ConfigKey{setting("scheme", "http.scheme"), setting("address", "http.address"), setting("port", "http.port"),
		setting("retries", "retry.max"), setting("min-backoff", "retry.min-backoff-ms"),
		setting("max-backoff", "retry.max-backoff-ms"), {Name: "mad.mode", Kind: wit.KindString},
		{Name: "mad.note", Kind: wit.KindString},
		{Name: "sap.odata.user.pwd", Kind: wit.KindString}}
	prefixes := []string{"mad."}
	return wit.Description{Name: "mad", Version: "1.0.0", Components: []wit.Component{
		{Name: "example.Mad", Kind: wit.ComponentSource, Prefixes: prefixes, Settings: settings},
		{Name: "example.MadSink", Kind: wit.ComponentSink, Prefixes: prefixes, Settings: settings}}}
}

func (mad) Plan(_ string, settings []wit.Setting, _ uint32) (wit.PlanResult, error) {
	return wit.PlanResult{Tasks: [][]wit.Setting{settings}, ExactlyOnce: wit.Support{Unsupported: wit.Ptr("it is mad")}}, nil
}

// modeOf returns the mode in the settings, and logs all of them.
func modeOf(settings []wit.Setting) (mode string) {
	sdk.Log(wit.LevelInfo, fmt.Sprint("mad was given ", settings))
	for _, s := range settings {
		if s.Name == "mad.mode" {
			mode = s.Value
		}
	}
	return mode
}

func (mad) Open(_ string, settings []wit.Setting, _ []byte, answers []wit.Response) (wit.SourceOpenResult, error) {
	mode := modeOf(settings)
	if asks := modes[mode].asks; asks != nil && answers == nil {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{Requests: asks()}}, nil
	}
	open := modes[mode].opened
	if open == nil {
		open = feedOf(text)
	}
	opened := open()
	opened.Context = []byte(mode)
	for f := range opened.Feeds {
		if opened.Feeds[f].Name == "" {
			opened.Feeds[f] = wit.Feed{Name: fmt.Sprint("feed", f), Topic: "mad", Fingerprint: "f", Partition: []wit.OffsetEntry{wit.IntegerEntry("f", int64(f))}}
		}
	}
	return wit.SourceOpenResult{Ready: opened}, nil
}

func (mad) Next(context []byte, _ uint32, offset []wit.OffsetEntry, _ wit.PollReason, _ int64) (wit.NextAction, error) {
	request := wit.Request{Method: "GET", Target: target, Repeatable: true}
	if r := modes[string(context)].request; r != nil {
		request = r()
	}
	return wit.NextAction{Fetch: &wit.Fetch{Request: request, Position: &offset}}, nil
}

// mode is the mode of the open page.
var mode string

func (mad) Begin(context []byte, _ uint32, _ *[]wit.OffsetEntry, _ wit.Response) (uint32, error) {
	mode = string(context)
	return 1, nil
}

func (mad) Decode(_ uint32, _ string, _ uint16, _ []byte, last bool) (wit.DecodeResult, error) {
	if !last {
		return wit.DecodeResult{}, nil
	}
	if page := modes[mode].page; page != nil {
		return page(), nil
	}
	return wit.DecodeResult{Next: &[]wit.OffsetEntry{}}, nil
}

func (mad) Abandon(uint32) {}

func (mad) CheckOffset(_, _ []wit.OffsetEntry) error { return nil }
