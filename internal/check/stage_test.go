package check

import (
	"testing"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Kafka ignores the names that its ReplaceField had before 4.0, so fields that should be dropped would pass.
func TestRemovedKafkaSettings(t *testing.T) {
	replace := plugin.NewComponent(&wit.Component{Kind: wit.ComponentTransformation,
		Name: "org.apache.kafka.connect.transforms.ReplaceField$Value", Settings: []wit.ConfigKey{
			resolvedtest.Declare("include", wit.KindList, ""), resolvedtest.Declare("exclude", wit.KindList, "")}})
	const text = "transforms=a\ntransforms.a.type=ReplaceField$Value\ntransforms.a.blacklist=ssn"
	for name, test := range map[string]struct{ text, want string }{
		"refused": {text: text,
			want: "c.properties:3: transforms.a.blacklist: unknown setting; Kafka 4.0 removed this name, it is " +
				"exclude since 2.6, and without it all fields remain; with unknown.settings=warn this is a warning"},
		"with its new name": {text: text + "\ntransforms.a.exclude=ssn",
			want: "c.properties:3: transforms.a.blacklist: warning: unknown setting; Kafka 4.0 removed this name; " +
				"exclude, which is also set, is used"},
		"with the other's new name": {text: text + "\ntransforms.a.include=ssn",
			want: "c.properties:3: transforms.a.blacklist: unknown setting; Kafka 4.0 removed this name, it is " +
				"exclude since 2.6, and without it all fields remain; with unknown.settings=warn this is a warning"},
		"of nothing": {text: "transforms=a\ntransforms.a.type=ReplaceField$Value\ntransforms.a.whitelist= ",
			want: "c.properties:3: transforms.a.whitelist: warning: unknown setting; Kafka 4.0 removed this name; it " +
				"names no field"},
		"relaxed": {text: text + "\nunknown.settings=warn",
			want: "c.properties:3: transforms.a.blacklist: warning: unknown setting; Kafka 4.0 removed this name, it " +
				"is exclude since 2.6, and without it all fields remain"},
	} {
		resolvedtest.ExpectLines(t, name, test.want, stageProblems(t, test.text, replace))
	}
}

// Problems of a transform name its settings with their prefix.
func TestStageProblems(t *testing.T) {
	smt := plugin.NewComponent(&wit.Component{Kind: wit.ComponentTransformation, Settings: []wit.ConfigKey{
		resolvedtest.Declare("field", wit.KindString, "", setting.Required()),
		resolvedtest.Declare("count", wit.KindInt, "")}})
	want := `c.properties:3: transforms.a.feild: warning: unknown setting; the nearest known one is field
c.properties:4: transforms.a.count: Invalid value z for configuration count: Not a number of type INT
c.properties:2: transforms.a.field: Missing required configuration "field" which has no default value.`
	resolvedtest.ExpectLines(t, "all", want, stageProblems(t,
		"transforms=a\ntransforms.a.type=A\ntransforms.a.feild=x\ntransforms.a.count=z", smt))
}

// stageProblems returns the problems of the transform a of a connector, as one of the class of the component.
func stageProblems(t *testing.T, text string, component *plugin.Component) config.Problems {
	t.Helper()
	stage := &resolved.Stage{Prefix: "transforms.a.", Class: resolved.Class{Component: component}}
	return settingsOf(resolve(t, resolvedtest.Shop(), text)).checkStage(t.Context(), stage)
}
