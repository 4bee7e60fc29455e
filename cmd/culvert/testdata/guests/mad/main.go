// Mad is a source all of whose values are well formed and of no sense, in the way that its setting `mode` says. A new one is a line in
// modes, and one in the test.
package main

import (
	"bytes"
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// madness is what a mode does; nil: what a sane source does.
type madness struct {
	opened  func() *wit.SourceOpened
	request func() wit.Request
	page    func() wit.Portion
}

var modes = map[string]madness{
	"sane":  {},
	"tree":  {opened: feedOf(&wit.Schema{ID: own, Nodes: doubling(40)})},
	"deep":  {opened: feedOf(&wit.Schema{ID: own, Nodes: chain(200)})},
	"broad": {opened: feedOf(&wit.Schema{ID: own, Nodes: fields(20_000, 3)})},
	"long":  {opened: feedOf(&wit.Schema{ID: own, Nodes: fields(9_000, 600)})},
	"feeds": {opened: func() *wit.SourceOpened { return &wit.SourceOpened{Feeds: make([]wit.Feed, 20_000)} }},
	"registry": {page: func() wit.Portion {
		schemas++
		return wit.Portion{Schemas: []wit.Schema{{ID: own + schemas, Nodes: named(1_000)}}, Next: &[]wit.Field{}, More: true}
	}},
	"control": {page: func() wit.Portion {
		return rowsOf(own, datum.AppendText(nil, string(bytes.Repeat([]byte{1}, 30<<20))), 1)
	}},
	"many": {page: func() wit.Portion {
		return rowsOf(own, datum.AppendText(nil, string(bytes.Repeat([]byte{1}, 1<<20))), 20_000)
	}},
	"offset": {page: func() wit.Portion {
		return wit.Portion{Next: &[]wit.Field{wit.TextField("o", string(make([]byte, 100<<10)))}}
	}},
	"more":  {page: func() wit.Portion { return wit.Portion{Next: &[]wit.Field{}, More: true} }},
	"trace": {request: func() wit.Request { return wit.Request{Method: "TRACE", Target: target, Repeatable: true} }},
	"client": {request: func() wit.Request {
		return wit.Request{Method: "GET", Target: target + "?sap-user=me", Repeatable: true}
	}},
	"offsets": {opened: func() *wit.SourceOpened { o := feedOf(text)(); o.Feeds[0].Topic = "__consumer_offsets"; return o }, page: oneRow},
}

const (
	own    = wit.GuestSchemas + 1
	target = "/V2/Northwind/Northwind.svc/"
)

var (
	text    = &wit.Schema{ID: own, Nodes: []wit.Node{{Kind: wit.Text}}}
	schemas uint32
)

func init() { source.Register(mad{}) }

func main() {}

func feedOf(s *wit.Schema) func() *wit.SourceOpened {
	return func() *wit.SourceOpened {
		return &wit.SourceOpened{Feeds: []wit.Feed{{Name: "feed", Topic: "mad", Fingerprint: "f", Partition: []wit.Field{}, Value: s,
			PollEveryMs: wit.Ptr(uint32(0))}}}
	}
}

// doubling is nodes each of which has the next one twice.
func doubling(n int) []wit.Node {
	nodes := make([]wit.Node, n)
	for i := range nodes {
		if nodes[i] = (wit.Node{Kind: wit.Text}); i+1 < n {
			nodes[i] = wit.Node{Kind: wit.Structure, Members: []wit.Member{{Name: "a", Node: uint32(i + 1)}, {Name: "b", Node: uint32(i + 1)}}}
		}
	}
	return nodes
}

func chain(n int) []wit.Node {
	nodes := make([]wit.Node, n)
	for i := range nodes {
		if nodes[i] = (wit.Node{Kind: wit.Text}); i+1 < n {
			nodes[i] = wit.Node{Kind: wit.Array, Element: uint32(i + 1)}
		}
	}
	return nodes
}

// fields are n of a structure, with names of a length.
func fields(n, length int) []wit.Node {
	nodes := []wit.Node{{Kind: wit.Structure}}
	for i := range n {
		nodes[0].Members = append(nodes[0].Members, wit.Member{Name: fmt.Sprintf("%0*d", length, i), Node: uint32(i + 1)})
		nodes = append(nodes, wit.Node{Kind: wit.Text})
	}
	return nodes
}

// named is a schema like no other so far.
func named(size int) []wit.Node {
	nodes := fields(size, 1000)
	nodes[0].Name = wit.Ptr(fmt.Sprint("n", schemas))
	return nodes
}

// rowsOf are n rows of the same value.
func rowsOf(schema uint32, value []byte, n int) wit.Portion {
	p := wit.Portion{Data: value, Next: &[]wit.Field{}}
	for range n {
		p.Rows = append(p.Rows, wit.Row{Partition: -1, Offset: -1, Timestamp: -1, Value: wit.Datum{Form: wit.Structured, Schema: schema, Size: uint32(len(value))}})
	}
	return p
}

func oneRow() wit.Portion { return rowsOf(own, datum.AppendText(nil, "x"), 1) }

type mad struct{}

func (mad) Describe() wit.Description {
	setting := func(name, role string) wit.SettingSpec {
		return wit.SettingSpec{Name: "mad." + name, Kind: wit.KindText, Rules: []wit.Rule{{Role: &role}}}
	}
	return wit.Description{Name: "mad", Version: "1.0.0", Components: []wit.Component{{Name: "example.Mad", Kind: wit.ComponentSource,
		Prefixes: []string{"mad."}, Settings: []wit.SettingSpec{setting("scheme", "http.scheme"), setting("address", "http.address"),
			setting("port", "http.port"), setting("retries", "retry.max"), {Name: "mad.mode", Kind: wit.KindText}}}}}
}

func (mad) Plan(_ string, settings []wit.Setting, _ uint32) (wit.Layout, error) {
	return wit.Layout{Tasks: [][]wit.Setting{settings}, ExactlyOnce: wit.Support{Unsupported: wit.Ptr("it is mad")}}, nil
}

func (mad) Open(_ string, settings []wit.Setting, _ []byte, _ []wit.Response) (wit.SourceOpening, error) {
	mode := ""
	for _, s := range settings {
		if s.Name == "mad.mode" {
			mode = s.Value
		}
	}
	open := modes[mode].opened
	if open == nil {
		open = feedOf(text)
	}
	opened := open()
	opened.Context = []byte(mode)
	for f := range opened.Feeds {
		if opened.Feeds[f].Name == "" {
			opened.Feeds[f] = wit.Feed{Name: fmt.Sprint("feed", f), Topic: "mad", Fingerprint: "f", Partition: []wit.Field{wit.IntegerField("f", int64(f))}}
		}
	}
	return wit.SourceOpening{Ready: opened}, nil
}

func (mad) Next(context []byte, _ uint32, offset []wit.Field, _ wit.Cause, _ int64) (wit.Step, error) {
	request := wit.Request{Method: "GET", Target: target, Repeatable: true}
	if r := modes[string(context)].request; r != nil {
		request = r()
	}
	return wit.Step{Fetch: &wit.Fetch{Request: request, Position: &offset}}, nil
}

// mode of the page that is open.
var mode string

func (mad) Begin(context []byte, _ uint32, _ *[]wit.Field, _ wit.Response) (uint32, error) {
	mode = string(context)
	return 1, nil
}

func (mad) Decode(_ uint32, _ string, _ []byte, last bool) (wit.Portion, error) {
	if !last {
		return wit.Portion{}, nil
	}
	if page := modes[mode].page; page != nil {
		return page(), nil
	}
	return wit.Portion{Next: &[]wit.Field{}}, nil
}

func (mad) Abandon(uint32) {}

func (mad) CheckOffset(_, _ []wit.Field) error { return nil }
