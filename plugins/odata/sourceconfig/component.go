package sourceconfig

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Component is a connector class of the source. Each class reads services of one dialect.
type Component struct {
	config.Component
	// lastValid has the settings that Examine found valid last: validate and plan of a check receive the same settings,
	// and so do both calls of open.
	lastValid atomic.Pointer[[]wit.Setting]
}

// V2 and V4 are the classes. The name of V4 follows the package of INIT's connector for OData v4, and is not confirmed.
var (
	V2 = &Component{Component: config.Component{
		Class:   "org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector",
		Alias:   "ODataSource",
		Dialect: edm.V2,
		Table:   declareV2(),
	}}
	V4 = &Component{Component: config.Component{
		Class:   "org.init.ohja.kafka.connect.odatav4.source.OData4SourceConnector",
		Alias:   "OData4Source",
		Dialect: edm.V4,
		Table:   declareV4(),
	}}
)

// Components are all classes.
var Components = []*Component{V2, V4}

// v2Only are the settings, or starts of settings, of what only OData v2 has, with the reason why v4 refuses them.
var v2Only = []struct{ prefix, reason string }{
	{"sap.odata.format", "rows of OData v4 are in JSON"},
	{"sap.odata#{n}.format", "rows of OData v4 are in JSON"},
	{"sap.odata.date.mapping", "OData v4 has a type for dates, Edm.Date"},
	{"sap.odata#{n}.date.mapping", "OData v4 has a type for dates, Edm.Date"},
	{"sap.odata.datetime.zone", "points in time of OData v4 have an offset"},
	{"sap.odata#{n}.datetime.zone", "points in time of OData v4 have an offset"},
	{"sap.odata.delta.takeover", "ODP services are of OData v2"},
	{"sap.odata#{n}.before.images", "ODP services are of OData v2"},
	{"sap.odata#{n}.delta.kind", "ODP services are of OData v2"},
	{"sap.odata.subscription.", "SAP's subscriptions are of OData v2"},
	{"sap.odata.notification.", "SAP's subscriptions are of OData v2"},
	{"sap.odata#{n}.subscription.", "SAP's subscriptions are of OData v2"},
}

// declareV4 declares the settings of the class for OData v4: those of the class for v2, as far as v4 has their subject.
func declareV4() *setting.Table {
	t := &setting.Table{Prefixes: config.Prefixes}
	v2 := declareV2()
	for _, key := range v2.Keys() {
		i := slices.IndexFunc(v2Only, func(only struct{ prefix, reason string }) bool {
			return strings.HasPrefix(key.Name, only.prefix)
		})
		switch {
		case i >= 0:
			t.DeclareRefused(key, v2Only[i].reason, harmlessValues(v2, key)...)
			continue
		case strings.HasSuffix(key.Name, nameGuard):
			declareGuard(t)
			continue
		case key.Name == HeadersEnable:
			key.Documentation = strings.Replace(key.Documentation, "changed, before or deleted",
				"changed, deleted or, if an entity no longer meets the conditions of the changes, left", 1)
		case strings.HasSuffix(key.Name, nameTimestamps):
			key.Documentation = "millis converts points in time to Connect's Timestamp and drops digits after " +
				"milliseconds; micros converts them to int64 microseconds since 1970 (" + wit.NameMicroTimestamp + ")."
		}
		t.Declare(key)
	}
	t.Declare(setting.Define("sap.odata#{n}."+NameDrafts, wit.KindString, wit.Low, setting.Default(DraftsActive),
		"Rows to read of a set with drafts, which has IsActiveEntity in its key: active sends the condition "+
			"that leaves out drafts, all sends none.",
		setting.Allowed(DraftsActive, "all"), setting.InGroup("Entity set {n}"), setting.Display("Drafts")))
	return t
}

// harmlessValues returns the values of a setting of v2 that change nothing there.
func harmlessValues(v2 *setting.Table, key wit.ConfigKey) []string {
	if key.DefaultValue == nil { // a set has the value for all sets
		key, _ = v2.Find(strings.Replace(key.Name, "#{n}", "", 1))
	}
	switch {
	case key.DefaultValue == nil:
		return []string{""}
	case *key.DefaultValue == "0":
		return []string{"0", "false"}
	}
	return []string{*key.DefaultValue}
}

// FindComponent returns the class with this name or alias.
func FindComponent(name string) (*Component, error) { return config.FindComponent(Components, name) }

// ConfiguredComponent returns the class of a connector's settings, [V2] unless they name another one.
func ConfiguredComponent(settings []wit.Setting) *Component {
	return config.ConfiguredComponent(Components, settings)
}

// FirstError returns the first error that Examine finds, or nil.
func (c *Component) FirstError(settings []wit.Setting) *wit.Error {
	if valid := c.lastValid.Load(); valid != nil && slices.Equal(*valid, settings) {
		return nil
	}
	return setting.FirstError(c.Examine(settings))
}
