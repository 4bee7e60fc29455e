package host

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Every field of the contract with a variable size that a plugin passes to the host has a bound in the table of bounds,
// or a reason why it needs none.
func TestContractIsBounded(t *testing.T) {
	fields := pluginFields()
	table := map[string]bool{}
	for _, b := range boundsOf(t) {
		table[b.name] = true
	}
	for _, field := range fields {
		bounds, isBounded := boundsOfFields[field]
		reason, isUnbounded := unboundedFields[field]
		assert.True(t, isBounded != isUnbounded && (!isBounded || len(bounds) != 0) && (!isUnbounded || reason != ""),
			"expected a bound of %s, or a reason why it needs none, found %q and %q", field, bounds, reason)
		for _, name := range bounds {
			assert.True(t, table[name], "%s: expected %s in the table of bounds (%s)", field, name, boundsTable)
		}
	}
	for _, field := range slices.Concat(slices.Collect(maps.Keys(boundsOfFields)),
		slices.Collect(maps.Keys(unboundedFields))) {
		assert.True(t, slices.Contains(fields, field),
			"expected %s to be a field of variable size that plugins pass to the host", field)
	}
}

// pluginFields returns the lists and texts that come from plugins: in results, and in arguments of the host's
// functions. A field has the contract's name after the name of its Go type.
func pluginFields() (fields []string) {
	for name, i := range canon.Interfaces {
		for n := range i.NumMethod() {
			m := i.Method(n)
			function := name + "." + canon.Kebab(m.Name)
			if name == wit.InterfaceHost {
				for p := range m.Type.NumIn() {
					collect(&fields, function, m.Type.In(p))
				}
			}
			for r := range m.Type.NumOut() {
				collect(&fields, function, m.Type.Out(r))
			}
		}
	}
	collect(&fields, "fault", reflect.TypeFor[wit.Error]()) // the error that any function may return
	slices.Sort(fields)
	return slices.Compact(fields)
}

// collect adds a list or text by its name, and the lists and texts in it.
func collect(fields *[]string, name string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		collect(fields, name, t.Elem())
	case reflect.String:
		*fields = append(*fields, name)
	case reflect.Slice:
		*fields = append(*fields, name)
		if t.Elem().Kind() != reflect.String {
			collect(fields, name, t.Elem())
		}
	case reflect.Struct:
		for n := range t.NumField() {
			f := t.Field(n)
			collect(fields, strings.ToLower(canon.Kebab(t.Name()))+"."+canon.Kebab(f.Name), f.Type)
		}
	}
}

// deliveryBounds bound the requests of a sink's deliveries, which are stored until they were sent. All other requests
// belong to one call, or wait for it.
var deliveryBounds = []string{"sink.maxDeliveryBytes", "transport.maxRequests", "source.maxPendingBytes"}

// boundsOfFields are the names, in the table of bounds, of the bounds of each field that plugins pass to the host.
var boundsOfFields = map[string][]string{
	"apply-result.data":                 {"transform.maxGrowth"},
	"apply-result.rows":                 {"transform.maxGrowth"},
	"apply-result.schemas":              {"abi.maxDeclaredSchemas", "abi.maxInstanceSchemaBytes"},
	"apply-result.topics":               {"plugin.MaxTopics"},
	"call-result.done":                  {"plugin.maxDoneBytes"},
	"command.options":                   {"plugin.MaxCommands"},
	"component.aliases":                 {"plugin.MaxComponents"},
	"component.documentation":           {"plugin.maxDescriptionBytes"},
	"component.name":                    {"plugin.maxNameBytes"},
	"component.prefixes":                {"plugin.maxPrefixes"},
	"component.settings":                {"plugin.maxSettings"},
	"config-key.default-value":          {"plugin.maxDescriptionBytes"},
	"config-key.documentation":          {"plugin.maxDescriptionBytes"},
	"config-key.name":                   {"plugin.maxNameBytes"},
	"config-key.rules":                  {"plugin.maxSettings"},
	"config-value.errors":               {"plugin.MaxFindings"},
	"decode-result.data":                {"source.maxChunkOutput"},
	"decode-result.linked":              {"source.maxLinked"},
	"decode-result.next":                {"wit.MaxOffsetBytes"},
	"decode-result.rows":                {"source.maxChunkOutput"},
	"decode-result.schemas":             {"abi.maxDeclaredSchemas", "abi.maxInstanceSchemaBytes"},
	"delivery.state":                    {"sink.maxDeliveryBytes"},
	"description.components":            {"plugin.MaxComponents"},
	"description.documentation":         {"plugin.maxDescriptionBytes"},
	"description.name":                  {"plugin.maxNameBytes"},
	"description.version":               {"plugin.maxNameBytes"},
	"error.code":                        {"plugin.maxNameBytes"},
	"error.detail":                      {"shown.maxLines", "shown.MaxLine"},
	"error.message":                     {"shown.MaxLine"},
	"error.setting":                     {"plugin.maxNameBytes"},
	"feed.cron":                         {"plugin.maxFeedBytes"},
	"feed.fingerprint":                  {"plugin.maxFeedBytes"},
	"feed.name":                         {"plugin.maxFeedBytes"},
	"feed.partition":                    {"wit.MaxOffsetBytes"},
	"feed.topic":                        {"plugin.maxFeedBytes"},
	"fetch.position":                    {"wit.MaxOffsetBytes"},
	"field.name":                        {"connectdata.MaxSchemaBytes"},
	"host.log":                          {"shown.MaxLine"},
	"keys-use.compared":                 {"wit.MaxOffsetBytes"},
	"notifications.handle-notification": {"plugin.maxTriggers"},
	"offset-entry.name":                 {"wit.MaxOffsetBytes"},
	"plan-result.claims":                {"plugin.maxClaims", "plugin.MaxClaimBytes"},
	"plan-result.tasks":                 {"plugin.maxTasks"},
	"progress.compared":                 {"wit.MaxOffsetBytes"},
	"request-batch.requests":            {"transport.maxRequests"},
	"request.body":                      deliveryBounds,
	"request.headers":                   deliveryBounds,
	"request.method":                    deliveryBounds,
	"request.tag":                       deliveryBounds,
	"request.target":                    deliveryBounds,
	"request.token-path":                deliveryBounds,
	"retry.hint":                        {"plugin.MaxHintBytes"},
	"row-error.error-class":             {"plugin.maxNameBytes"},
	"rule.alias":                        {"plugin.maxSettings"},
	"rule.allowed":                      {"plugin.maxSettings"},
	"rule.dependents":                   {"plugin.maxSettings"},
	"rule.display-name":                 {"plugin.maxDescriptionBytes"},
	"rule.group":                        {"plugin.maxDescriptionBytes"},
	"rule.pattern":                      {"plugin.maxPatterns", "plugin.maxPatternBytes"},
	"rule.role":                         {"plugin.maxDescriptionBytes"},
	"scalar.string":                     {"wit.MaxOffsetBytes"},
	"schema-node.default-value":         {"connectdata.MaxSchemaBytes"},
	"schema-node.doc":                   {"connectdata.MaxSchemaBytes"},
	"schema-node.fields":                {"connectdata.MaxSchemaFields"},
	"schema-node.name":                  {"connectdata.MaxSchemaBytes"},
	"schema-node.parameters":            {"connectdata.MaxSchemaBytes"},
	"schema.nodes":                      {"connectdata.MaxSchemaNodes"},
	"sink-opened.topics":                {"plugin.MaxTopics"},
	"source-opened.feeds":               {"plugin.maxFeeds"},
	"support.unsupported":               {"shown.MaxLine"},
	"tools.commands":                    {"plugin.MaxCommands"},
	"trigger.ident":                     {"plugin.maxTriggerBytes"},
	"trigger.token":                     {"plugin.maxTriggerBytes"},
	"validate-result.done":              {"plugin.maxSettings"},
}

// Reasons why fields need no bound of their own.
const (
	ofOneCall   = "a part of the result of one call, which limits.result.bytes bounds and which is freed with it"
	newestAlone = "only the newest is kept, and limits.result.bytes bounds it"
)

// unboundedFields are the reasons why the other fields need no bound of their own.
var unboundedFields = map[string]string{
	"apply-result.errors":      ofOneCall,
	"command-result.document":  ofOneCall,
	"command-result.schemas":   ofOneCall,
	"command.name":             "at most 100 characters that can be typed, see TestCheckOfInvalidCommands",
	"command.usage":            ofOneCall,
	"config-value.recommended": ofOneCall,
	"config-value.value":       ofOneCall,
	"decode-result.errors":     ofOneCall,
	"delivery.rows":            "each row of the batch is in one list, see judgeDeliveries",
	"encode-result.ignored":    "each row of the batch is in one list, see judgeDeliveries",
	"encode-result.ready":      "each row of the batch is in one list, and a delivery without rows is a fault",
	"encode-result.rejected":   "each row of the batch is in one list, see judgeDeliveries",
	"linked-request.tolerate":  ofOneCall,
	"load-progress.complete":   "at most 16 letters, see TestPluginAndTools",
	"pair.name":                "as the list around it: settings, headers or parameters",
	"pair.value":               "as the list around it: settings, headers or parameters",
	"request-batch.state":      newestAlone,
	"response-result.context":  newestAlone,
	"response-result.results":  "one for each row of the delivery",
	"sink-opened.context":      newestAlone,
	"source-opened.context":    newestAlone,
	"test-result.errors":       ofOneCall,
	"test-result.matches":      "one for each row of the call, see TestPredicateMustReturnResultPerRow",
	"transform.prepare":        newestAlone,
}
