// Reckless is a source that goes wrong while it decodes, in the way that its setting `mode` says.
package main

import (
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

func init() { source.Register(reckless{}) }

func main() {}

type reckless struct{}

func (reckless) Describe() wit.Description {
	setting := func(name, role string) wit.SettingSpec {
		return wit.SettingSpec{Name: "reckless." + name, Kind: wit.KindText, Rules: []wit.Rule{{Role: &role}}}
	}
	return wit.Description{Name: "reckless", Version: "7.8.9", Components: []wit.Component{{Name: "example.Reckless", Kind: wit.ComponentSource,
		Prefixes: []string{"reckless."}, Settings: []wit.SettingSpec{setting("scheme", "http.scheme"), setting("address", "http.address"),
			setting("port", "http.port"), setting("retries", "retry.max"), {Name: "reckless.mode", Kind: wit.KindText}}}}}
}

func (reckless) Plan(_ string, settings []wit.Setting, _ uint32) (wit.Layout, error) {
	return wit.Layout{Tasks: [][]wit.Setting{settings}, ExactlyOnce: wit.Support{Unsupported: wit.Ptr("it is reckless")}}, nil
}

func (reckless) Open(_ string, settings []wit.Setting, _ []byte, _ []wit.Response) (wit.SourceOpening, error) {
	mode := ""
	for _, s := range settings {
		if s.Name == "reckless.mode" {
			mode = s.Value
		}
	}
	return wit.SourceOpening{Ready: &wit.SourceOpened{Context: []byte(mode), Feeds: []wit.Feed{{Name: "feed", Topic: "reckless-" + mode, Fingerprint: "f",
		Partition: []wit.Field{wit.TextField("mode", mode)}, Value: &wit.Schema{ID: wit.GuestSchemas + 1, Nodes: []wit.Node{{Kind: wit.Text}}}}}}}, nil
}

func (reckless) Next(context []byte, _ uint32, offset []wit.Field, _ wit.Cause, _ int64) (wit.Step, error) {
	return wit.Step{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/V2/Northwind/Northwind.svc/", Repeatable: true}, Position: &offset}}, nil
}

// mode of the page that is open.
var mode string

func (reckless) Begin(context []byte, _ uint32, _ *[]wit.Field, _ wit.Response) (uint32, error) {
	mode = string(context)
	return 1, nil
}

var kept [][]byte

func (reckless) Decode(page uint32, _ string, _ uint16, piece []byte, last bool) (wit.Portion, error) {
	switch mode {
	case "again":
		if !last {
			break
		}
		p := wit.Portion{Next: &[]wit.Field{wit.IntegerField("page", 1)}, More: true, Data: []byte("\x06row"),
			Schemas: []wit.Schema{{ID: wit.GuestSchemas + 1, Nodes: []wit.Node{{Kind: wit.Text}}}}}
		for i := range uint32(137) {
			p.Rows = append(p.Rows, wit.Row{Origin: i, Partition: -1, Offset: -1, Timestamp: -1,
				Value: wit.Datum{Form: wit.Structured, Schema: wit.GuestSchemas + 1, Size: 4}})
		}
		return p, nil
	case "panic":
		panic("boom on page " + strconv.Itoa(int(page)))
	case "deadlock":
		select {}
	case "grow":
		for {
			kept = append(kept, make([]byte, 4<<20))
		}
	case "row": // in a place that is not there
		return wit.Portion{Rows: []wit.Row{{Partition: -1, Offset: -1, Timestamp: -1,
			Value: wit.Datum{Form: wit.Structured, Schema: wit.GuestSchemas + 1, Start: 1 << 30, Size: 8}}}}, nil
	case "schema": // that nobody declared
		return wit.Portion{Data: piece, Rows: []wit.Row{{Partition: -1, Offset: -1, Timestamp: -1,
			Value: wit.Datum{Form: wit.Structured, Schema: wit.GuestSchemas + 9, Size: 1}}}}, nil
	}
	return wit.Portion{}, nil
}

func (reckless) Abandon(uint32) {}

func (reckless) CheckOffset(_, _ []wit.Field) error { return nil }
