// Spy is a source plugin that logs everything that it is given, so that a test can see what gets into a guest.
package main

import (
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

// version is set by the linker.
var version = "1.0.0"

func init() { source.Register(spy{}) }

func main() {}

type spy struct{}

func spec(name string, kind wit.SettingKind, role string) wit.SettingSpec {
	s := wit.SettingSpec{Name: name, Kind: kind, Documentation: name}
	if role != "" {
		s.Rules = append(s.Rules, wit.Rule{Role: &role})
	}
	return s
}

func (spy) Describe() wit.Description {
	return wit.Description{Name: "spy", Version: version, Components: []wit.Component{{Name: "test.SpySource", Kind: wit.ComponentSource,
		Prefixes: []string{"spy."}, Settings: []wit.SettingSpec{
			spec("spy.address", wit.KindText, "http.address"), spec("spy.scheme", wit.KindText, "http.scheme"), spec("spy.port", wit.KindInt, "http.port"),
			spec("spy.user", wit.KindText, "http.user"), spec("spy.password", wit.KindPassword, "http.password"),
			spec("spy.destination", wit.KindText, "http.destination"), spec("spy.roots", wit.KindText, "tls.truststore.location"),
			spec("spy.store", wit.KindText, "sink.uncertain"), spec("spy.claim", wit.KindText, ""), spec("spy.tasks", wit.KindInt, ""), spec("spy.claims", wit.KindInt, ""), spec("spy.same", wit.KindInt, ""), spec("spy.sap-client", wit.KindText, "http.header.sap-client"), spec("spy#{n}.token", wit.KindPassword, ""),
			// What a curious plugin might declare.
			spec("value.converter.basic.auth.user.info", wit.KindText, ""), spec("producer.override.sasl.jaas.config", wit.KindText, ""),
		}}}}
}

func say(where string, settings []wit.Setting, more ...any) {
	sdk.Log(wit.LevelInfo, fmt.Sprint("spy ", where, " ", settings, more))
}

func (spy) Validate(component string, settings []wit.Setting, online bool, state []byte, answers []wit.Response) (wit.Inquiry, error) {
	say("validate", settings)
	return wit.Inquiry{Done: &[]wit.Examined{}}, nil
}

func (spy) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.Layout, error) {
	say("plan", settings)
	var claims []string
	tasks := [][]wit.Setting{settings}
	for _, s := range settings {
		switch s.Name {
		case "spy.claim":
			claims = append(claims, s.Value)
		case "spy.claims", "spy.same": // so many, each another one or all the same
			count, _ := strconv.Atoi(s.Value)
			for n := range count {
				if s.Name == "spy.same" {
					n = 0
				}
				claims = append(claims, "queue "+strconv.Itoa(n))
			}
		case "spy.tasks": // however many it may have
			for n, _ := strconv.Atoi(s.Value); len(tasks) < n; {
				tasks = append(tasks, settings)
			}
		}
	}
	return wit.Layout{Tasks: tasks, ExactlyOnce: wit.Support{Supported: wit.Chosen}, Claims: claims}, nil
}

func (spy) Open(component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SourceOpening, error) {
	say("open", settings, answers)
	if answers == nil {
		return wit.SourceOpening{Ask: &wit.Need{Requests: []wit.Request{{Tag: "a", Method: "GET", Target: "/hello", Repeatable: true,
			Headers: []wit.Header{{Name: "Authorization", Value: "guess"}}}}}}, nil
	}
	return wit.SourceOpening{Ready: &wit.SourceOpened{}}, nil
}

func (spy) Next([]byte, uint32, []wit.Field, wit.Cause, int64) (wit.Step, error) {
	return wit.Step{Finished: wit.Chosen}, nil
}

func (spy) Begin([]byte, uint32, *[]wit.Field, wit.Response) (uint32, error) { return 0, nil }

func (spy) Decode(uint32, string, uint16, []byte, bool) (wit.Portion, error) {
	return wit.Portion{}, nil
}

func (spy) Abandon(uint32) {}

func (spy) CheckOffset(partition, offset []wit.Field) error { return nil }
