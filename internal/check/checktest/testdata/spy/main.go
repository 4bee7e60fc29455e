// Spy is a source plugin that logs all of its input, so that a test sees what a guest receives.
package main

import (
	"fmt"
	"strconv"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

// version is set by the linker.
var version = "1.0.0"

func init() { source.Register(spy{}) }

func main() {}

type spy struct{}

func spec(name string, kind wit.SettingKind, role string) wit.ConfigKey {
	s := wit.ConfigKey{Name: name, Kind: kind, Documentation: name}
	if role != "" {
		s.Rules = append(s.Rules, wit.Rule{Role: &role})
	}
	return s
}

func (spy) Describe() wit.Description {
	return wit.Description{Name: "spy", Version: version,
		Components: []wit.Component{{Name: "test.SpySource", Kind: wit.ComponentSource,
			Prefixes: []string{"spy."}, Settings: []wit.ConfigKey{
				spec("spy.address", wit.KindString, "http.address"), spec("spy.scheme", wit.KindString, "http.scheme"),
				spec("spy.port", wit.KindInt, "http.port"),
				spec("spy.user", wit.KindString, "http.user"), spec("spy.password", wit.KindPassword, "http.password"),
				spec("spy.destination", wit.KindString, "http.destination"),
				spec("spy.roots", wit.KindString, "tls.truststore.location"),
				spec("spy.store", wit.KindString, "store.location"), spec("spy.claim", wit.KindString, ""),
				spec("spy.tasks", wit.KindInt, ""), spec("spy.claims", wit.KindInt, ""),
				spec("spy.same", wit.KindInt, ""), spec("spy.sap-client", wit.KindString, "http.header.sap-client"),
				spec("spy#{n}.token", wit.KindPassword, ""),
				// What a curious plugin might declare.
				spec("value.converter.basic.auth.user.info", wit.KindString, ""),
				spec("producer.override.sasl.jaas.config", wit.KindString, ""),
			}}}}
}

func say(where string, settings []wit.Setting, more ...any) {
	sdk.Log(wit.LevelInfo, fmt.Sprint("spy ", where, " ", settings, more))
}

func (spy) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	say("validate", settings)
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

func (spy) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
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
	return wit.PlanResult{Tasks: tasks, ExactlyOnce: wit.Support{Supported: wit.Set}, Claims: claims}, nil
}

func (spy) Open(component string, settings []wit.Setting, state []byte, answers []wit.Response) (wit.SourceOpenResult,
	error) {
	say("open", settings, answers)
	if answers == nil {
		return wit.SourceOpenResult{Pending: &wit.RequestBatch{Requests: []wit.Request{{Tag: "a", Method: "GET",
			Target: "/hello", Repeatable: true,
			Headers: []wit.Header{{Name: "Authorization", Value: "guess"}}}}}}, nil
	}
	return wit.SourceOpenResult{Ready: &wit.SourceOpened{}}, nil
}

func (spy) Next([]byte, uint32, []wit.OffsetEntry, wit.PollReason, int64) (wit.NextAction, error) {
	return wit.NextAction{Finished: wit.Set}, nil
}

func (spy) Begin([]byte, uint32, *[]wit.OffsetEntry, wit.Response) (uint32, error) { return 0, nil }

func (spy) Decode(uint32, string, uint16, []byte, bool) (wit.DecodeResult, error) {
	return wit.DecodeResult{}, nil
}

func (spy) Abandon(uint32) {}

func (spy) CheckOffset(partition, offset []wit.OffsetEntry) error { return nil }
