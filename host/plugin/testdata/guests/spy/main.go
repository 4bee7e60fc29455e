// Spy is a source that tells everything that it ever gets to see: each page that it reads becomes one row of text, holding every
// argument of every call so far. Tests look in it for what must not be there.
package main

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

func init() { source.Register(spy{}) }

func main() {}

type spy struct{}

var seen strings.Builder

func note(function string, args ...any) { fmt.Fprintf(&seen, "%s %v\n", function, args) }

const schema = wit.GuestSchemas

func nodes() []wit.Node { return []wit.Node{{Kind: wit.Text, Name: wit.Ptr("spy")}} }

// Describe declares settings with the roles of secrets, so that a host has something to keep back.
func (spy) Describe() wit.Description {
	setting := func(name string, kind wit.SettingKind, role string) wit.SettingSpec {
		return wit.SettingSpec{Name: name, Kind: kind, Rules: []wit.Rule{{Role: &role}}}
	}
	return wit.Description{Name: "spy", Version: "1.0.0", Documentation: "for tests", Components: []wit.Component{{
		Name: "org.example.SpySource", Kind: wit.ComponentSource, Documentation: "tells what it sees", Aliases: []string{"SpySource"},
		Settings: []wit.SettingSpec{
			setting("spy.address", wit.KindText, "http.address"), setting("spy.port", wit.KindInt, "http.port"),
			setting("spy.scheme", wit.KindText, "http.scheme"), setting("spy.user", wit.KindText, "http.user"),
			setting("spy.secret", wit.KindPassword, "http.password"),
			setting("spy.tls.password", wit.KindPassword, "tls.keystore.password"),
		}}}}
}

func (spy) Validate(component string, settings []wit.Setting, online bool, state []byte, answers []wit.Response) (wit.Inquiry, error) {
	note("validate", component, settings, online, string(state), answers)
	return wit.Inquiry{Done: &[]wit.Examined{}}, nil
}

func (spy) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.Layout, error) {
	note("plan", component, settings, maxTasks)
	return wit.Layout{Tasks: [][]wit.Setting{settings}, ExactlyOnce: wit.Support{Unsupported: wit.Ptr("a spy")}}, nil
}

func (spy) Open(component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SourceOpening, error) {
	note("open", component, settings, string(state), answers)
	return wit.SourceOpening{Ready: &wit.SourceOpened{Context: []byte(seen.String()), Feeds: []wit.Feed{{Name: "spy", Topic: "spy",
		Partition: []wit.Field{wit.TextField("spy", "1")}, Fingerprint: "spy"}}}}, nil
}

func (spy) Next(context []byte, feed uint32, offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	note("next", string(context), offset)
	if cause.Start == nil {
		return wit.Step{Finished: wit.Chosen}, nil
	}
	return wit.Step{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "/", Repeatable: true}, Position: &[]wit.Field{}}}, nil
}

func (spy) Begin(context []byte, feed uint32, position *[]wit.Field, response wit.Response) (uint32, error) {
	note("begin", string(context), response)
	return 0, nil
}

func (spy) Decode(page uint32, tag string, _ uint16, piece []byte, last bool) (wit.Portion, error) {
	note("decode", string(piece))
	if !last {
		return wit.Portion{}, nil
	}
	data := datum.AppendText(nil, seen.String())
	return wit.Portion{Schemas: []wit.Schema{{ID: schema, Nodes: nodes()}}, Data: data, Next: &[]wit.Field{wit.BooleanField("told", true)},
		Rows: []wit.Row{{Partition: -1, Offset: -1, Timestamp: -1, Value: wit.Datum{Form: wit.Structured, Schema: schema, Size: uint32(len(data))}}}}, nil
}

func (spy) Abandon(uint32) {}

func (spy) CheckOffset(partition, offset []wit.Field) error {
	note("check-offset", offset)
	return nil
}
