package main

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Component is the connector's class name, Alias the short one.
const (
	Component = "org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector"
	Alias     = "ODataSink"
)

// Names of settings.
const (
	nameService   = "service"
	nameEntitySet = "entityset"
	nameTopic     = "topic"

	operationMode   = "sap.odata.operation.mode"
	enableDelete    = "sap.odata.enable.delete"
	insertUncertain = "sap.odata.insert.uncertain"
)

var settings = declare()

func declare() *setting.Table {
	t := &setting.Table{}
	config.Declare(t)
	declareSets(t)
	declareWriting(t)
	return t
}

func declareSets(t *setting.Table) {
	group := setting.In("Entity set {n}")
	of := func(name string) string { return "sap.odata#{n}." + name }
	t.Declare(
		setting.Spec(of(nameService), wit.KindText, wit.High, nil, "Path of the OData service, such as /sap/opu/odata/sap/X_SRV.",
			setting.Required(), group, setting.Display("Service")),
		setting.Spec(of(nameEntitySet), wit.KindText, wit.High, nil, "Name of the entity set that is written to.",
			setting.Required(), group, setting.Display("Entity set")),
		setting.Spec(of(nameTopic), wit.KindText, wit.High, nil, "Topic whose records are written.",
			setting.Required(), setting.Topic(), setting.Role(role.SinkTopic), group, setting.Display("Topic")),
	)
}

func declareWriting(t *setting.Table) {
	group := setting.In("Writing")
	t.Declare(
		setting.Spec(operationMode, wit.KindText, wit.High, setting.Is("insert"), "How records are written: insert sends POST.",
			setting.Allowed("insert", "update", "dynamic", "merge", "patch", "upsert"), group, setting.Display("Operation")),
		setting.Spec(enableDelete, wit.KindText, wit.Medium, setting.Is("0"),
			"1 turns tombstones (a key, no value) into DELETE; with 0 they are counted and ignored. The key must be a struct of all key properties.",
			setting.Allowed(setting.Flags...), group, setting.Display("Deletes")),
		setting.Spec(insertUncertain, wit.KindText, wit.Medium, setting.Is("fail"),
			"What happens to an insert whose answer was lost, so that nobody knows whether it was applied: fail refuses the record, which is not sent again.",
			setting.Allowed("fail", "check", "repeatable", "retry"), setting.Role(role.SinkUncertain), group, setting.Display("Lost answers")),
		setting.Spec("sap.odata.flush.trigger.size", wit.KindInt, wit.Medium, setting.Is("500"), "Number of records that are written without waiting for more.",
			setting.AtLeast(1), setting.Role(role.SinkFlushRows), group, setting.Display("Flush size")),
		setting.Spec("sap.odata.flush.interval.ms", wit.KindLong, wit.Low, setting.Is("1000"), "How long records wait for more before they are written, in milliseconds.",
			setting.AtLeast(0), setting.Role(role.SinkFlushIntervalMS), group, setting.Display("Flush interval")),
		setting.Spec("sap.odata.max.in.flight", wit.KindInt, wit.Low, setting.Is("8"),
			"Number of requests at a time; records of one key are always written one after another.",
			setting.AtLeast(1), setting.AtMost(64), setting.Role(role.SinkInFlight), group, setting.Display("Requests at a time")),
	)
	t.Restrict(operationMode, "insert")
	t.Restrict(insertUncertain, "fail")
	later := func(name string, kind wit.SettingKind, documentation string, harmless ...string) {
		t.Later(setting.Spec("sap.odata."+name, kind, wit.Low, nil, documentation), harmless...)
	}
	later("operation.mode.property", wit.KindText, "Field of the value that says I (POST) or U (PUT), with operation.mode = dynamic.")
	later("max.batch.size", wit.KindInt, "Most operations in a $batch request; each record is a request of its own for now.", "1")
	later("enable.batch", wit.KindText, "Whether operations are sent as $batch.", "0", "false")
	later("exists.codes", wit.KindListOfText, "Codes by which the service says that an entity is there already.")
	later("notfound.codes", wit.KindListOfText, "Codes by which the service says that an entity isn't there.")
	later("check.filter", wit.KindText, "Filter that finds an entity whose insert was uncertain.")
}

// entry is one entity set of the connector, as its settings say.
type entry struct {
	number, service, set, topic string
	// query of all requests.
	query uri.Query
}

func entries(v setting.Values) []entry {
	var all []entry
	for _, g := range config.Groups(v) {
		all = append(all, entry{number: g.Digits, service: "/" + strings.Trim(g.Text(nameService), "/"), set: strings.Trim(g.Text(nameEntitySet), "/"),
			topic: g.Text(nameTopic), query: config.Query(v)})
	}
	return all
}

// examine checks all settings; what is wrong stands in the errors.
func examine(given []wit.Setting) []wit.Examined {
	examined := config.Examine(settings, given)
	v := settings.Values(given)
	all := entries(v)
	if len(all) == 0 {
		setting.Complain(examined, config.Address, "No entity set is configured: expected "+config.InGroup("00", nameService)+", "+
			config.InGroup("00", nameEntitySet)+" and "+config.InGroup("00", nameTopic))
	}
	for i, e := range all {
		for _, other := range all[:i] {
			if other.topic == e.topic {
				setting.Complain(examined, config.InGroup(e.number, nameTopic), "Topic "+e.topic+" stands in "+config.InGroup(other.number, nameTopic)+
					" already; its records can go to one entity set only")
			}
		}
	}
	return examined
}
