package write

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
	modeProperty    = "sap.odata.operation.mode.property"
	upsertFirst     = "sap.odata.upsert.first"
	upsertMethod    = "sap.odata.upsert.method"
	methodTunnel    = "sap.odata.method.tunnel"
	enableDelete    = "sap.odata.enable.delete"
	deleteRecords   = "sap.odata.delete.records"
	existsCodes     = "sap.odata.exists.codes"
	notFoundCodes   = "sap.odata.notfound.codes"
	keyFrom         = "sap.odata.key.from"
	etag            = "sap.odata.etag"
	etagConflict    = "sap.odata.etag.conflict"
	lossy           = "sap.odata.lossy"
	unknownFields   = "sap.odata.unknown.fields"
	requestFormat   = "sap.odata.request.format"
	enableBatch     = "sap.odata.enable.batch"
	maxBatchSize    = "sap.odata.max.batch.size"
	changesets      = "sap.odata.changesets"
	insertUncertain = "sap.odata.insert.uncertain"
	checkFilter     = "sap.odata.check.filter"
	nestedUpdates   = "sap.odata.nested.updates"
	maxInFlight     = "sap.odata.max.in.flight"
)

// Words of operation.mode.
const (
	modeInsert  = "insert"
	modeUpdate  = "update"
	modeDynamic = "dynamic"
	modeMerge   = "merge"
	modePatch   = "patch"
	modeUpsert  = "upsert"
)

var settings = declare()

func declare() *setting.Table {
	t := &setting.Table{}
	config.Declare(t)
	t.Declare(setting.Define("sap.odata.headers.enable", wit.KindString, wit.Low, setting.Default("0"),
		"Headers of the records that a source makes. A sink makes none, so that only 0 is taken.", setting.Allowed("0",
			"false"), setting.InGroup("All entity sets"), setting.Display("Headers")))
	declareSets(t)
	declareWriting(t)
	declareEntities(t)
	declareBatches(t)
	return t
}

func declareSets(t *setting.Table) {
	group := setting.InGroup("Entity set {n}")
	of := func(name string) string { return "sap.odata#{n}." + name }
	t.Declare(
		setting.Define(of(nameService), wit.KindString, wit.High, nil,
			"Path of the OData service, such as /sap/opu/odata/sap/X_SRV.",
			setting.Required(), setting.Dependents(of(nameEntitySet)), group, setting.Display("Service")),
		setting.Define(of(nameEntitySet), wit.KindString, wit.High, nil, "Name of the entity set that is written to.",
			setting.Required(), setting.Dependents(of(nameTopic)), group, setting.Display("Entity set")),
		setting.Define(of(nameTopic), wit.KindString, wit.High, nil, "Topic whose records are written.",
			setting.Required(), setting.Topic(), setting.Role(role.SinkTopic), group, setting.Display("Topic")),
	)
}

func declareWriting(t *setting.Table) {
	group := setting.InGroup("Writing")
	t.Declare(
		setting.Define(operationMode, wit.KindString, wit.High, setting.Default(modeInsert),
			"How records are written: insert sends POST, update PUT, merge MERGE, patch PATCH; "+
				"dynamic goes by a field of the value ("+modeProperty+
				"); upsert updates what is there and inserts what isn't.",
			setting.Allowed(modeInsert, modeUpdate, modeDynamic, modeMerge, modePatch, modeUpsert),
			setting.Dependents(modeProperty, upsertFirst, upsertMethod), group,
			setting.Display("Operation")),
		setting.Define(modeProperty, wit.KindString, wit.Medium, nil,
			"Field of the value that says the operation, with "+
				operationMode+" = "+modeDynamic+": I is POST, U is PUT, M is MERGE, D is DELETE, in any case. "+
				"It is sent only where it is a property of the entity.", group,
			setting.Display("Field of the operation")),
		setting.Define(upsertFirst, wit.KindString, wit.Low, setting.Default(stepUpdate),
			"What upsert tries first, update or "+
				"insert; the other one follows only where the service says that the entity isn't there, or is.",
			setting.Allowed(stepUpdate, stepInsert), group, setting.Display("First of an upsert")),
		setting.Define(upsertMethod, wit.KindString, wit.Low, setting.Default(modeMerge),
			"Method by which upsert updates: merge, patch or put.", setting.Allowed(modeMerge, modePatch,
				"put"), group, setting.Display("Update of an upsert")),
		setting.Define(existsCodes, wit.KindList, wit.Low, nil, "HTTP codes and message codes of SAP by which "+
			"the service says that an entity is there already, besides 409 and texts that say so.", group,
			setting.Display("Codes of existing")),
		setting.Define(notFoundCodes, wit.KindList, wit.Low, nil, "HTTP codes and message codes of SAP by which "+
			"the service says that an entity isn't there, besides 404 and 410 of its own. "+
			"404 among them believes such an answer, if it is no HTML page, even where nothing shows that the "+
			"service, and not a gateway in front of it, has said it.", group, setting.Display("Codes of missing")),
		setting.Define(methodTunnel, wit.KindString, wit.Low, setting.Default("0"),
			"1 sends PUT, MERGE, PATCH and DELETE as "+
				"POST with X-HTTP-Method, for gateways that let nothing else pass. Not inside batches.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Methods inside POST")),
		setting.Define(enableDelete, wit.KindString, wit.Medium, setting.Default("0"),
			"1 turns tombstones (a key, no value) into DELETE; with 0 they are counted and ignored. The key must be "+
				"a struct of all key properties, or the value of the only one.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Deletes")),
		setting.Define(deleteRecords, wit.KindString, wit.Medium, setting.Default("0"),
			"1 turns records that a source of this kind writes for deleted entities (RECORDMODE, ODQ_CHANGEMODE or "+
				"the entity's own column for it is D, or, where there is none of these, DELETED_AT has a value) into "+
				"DELETE, and leaves the fields out that it adds.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Records of deletes")),
		setting.Define(insertUncertain, wit.KindString, wit.Medium, setting.Default("fail"),
			"What happens to an insert whose answer was lost, so that nobody knows whether it was applied: fail "+
				"reports the record, which is not sent again; check looks by the record's key, or by "+checkFilter+
				", whether it is there (refused for sets whose metadata say that the service numbers them, unless "+
				checkFilter+" is set); repeatable sends SAP's RequestID, by which the service does nothing twice, "+
				"and sends again where the service has said since the start that it knows it, else checks; after a "+
				"kill it checks first what was sent before the service said so; "+
				"retry sends it again, which may double it.",
			setting.Allowed("fail", "check", "repeatable", "retry"), group, setting.Display("Lost answers")),
		setting.Define(checkFilter, wit.KindString, wit.Low, nil,
			"Finds an entity whose insert is uncertain where the "+
				"record has no key: a property whose value tells records apart, or a filter in which {Name} stands "+
				"for "+
				"the value of property Name, such as Reference eq {Reference}.", group,
			setting.Display("Filter of the check")),
		setting.Define("sap.odata.flush.trigger.size", wit.KindInt, wit.Medium, setting.Default("500"),
			"Number of records that are written without waiting for more.",
			setting.AtLeast(1), setting.Role(role.SinkFlushRows), group, setting.Display("Flush size")),
		setting.Define("sap.odata.flush.interval.ms", wit.KindLong, wit.Low, setting.Default("1000"),
			"How long records wait for more before they are written, in milliseconds.",
			setting.AtLeast(0), setting.Role(role.SinkFlushIntervalMS), group, setting.Display("Flush interval")),
		setting.Define(maxInFlight, wit.KindInt, wit.Low, setting.Default("8"),
			"Number of requests at a time, where "+maxConcurrent+
				" allows as many; records of one key are always written one after another.",
			setting.AtLeast(1), setting.AtMost(64), setting.Role(role.SinkInFlight), group,
			setting.Display("Requests at a time")),
	)
}

const maxConcurrent = "sap.odata.max.concurrent.requests"

// httpCodes are the codes after which the host sends a request again; inside a batch the plugin asks for it (P31).
const httpCodes = "sap.odata.http.codes"

func declareEntities(t *setting.Table) {
	group := setting.InGroup("Entities")
	t.Declare(
		setting.Define(keyFrom, wit.KindString, wit.Medium, setting.Default("value"),
			"Where the key of the entity comes "+
				"from: value, each property from the record's value, or from the record's key where the value lacks "+
				"it; "+
				"or record, the record's key alone. With value, a record is refused whose key says another value of a "+
				"property that its value says too, if the value lacks a property of the key, or whose value says "+
				"one that "+
				"the property can't hold.",
			setting.Allowed("value", "record"), group, setting.Display("Key from")),
		setting.Define(etag, wit.KindString, wit.Medium, setting.Default("any"),
			"any sends If-Match: * with updates and "+
				"deletes, so that they overwrite, unless the service refuses that for a type without ETag; "+
				"use reads the entity's ETag first and sends that; "+
				"none sends no If-Match.",
			setting.Allowed("any", "use", "none"), setting.Dependents(etagConflict), group, setting.Display("ETags")),
		setting.Define(etagConflict, wit.KindString, wit.Low, setting.Default("refuse"),
			"What happens with "+etag+" = use where the entity was changed since its ETag was read: refuse refuses "+
				"the record, retry reads the ETag again.",
			setting.Allowed("refuse", "retry"), group, setting.Display("ETag conflicts")),
		setting.Define(lossy, wit.KindString, wit.Low, setting.Default("refuse"),
			"refuse refuses records with values that a "+
				"property has no room for; allow makes them fit: integers lose their upper bits, digits "+
				"after the scale are rounded.",
			setting.Allowed("refuse", "allow"), group, setting.Display("Values that don't fit")),
		setting.Define(unknownFields, wit.KindString, wit.Low, setting.Default("refuse"),
			"What happens to a record with a "+
				"field that the entity has no property for: refuse refuses the record, ignore leaves the field "+
				"out, fail fails the task.",
			setting.Allowed("refuse", "ignore", "fail"), group, setting.Display("Unknown fields")),
		setting.Define(nestedUpdates, wit.KindString, wit.Low, setting.Default("refuse"),
			"What happens to an update whose "+
				"record has entities nested in it, which OData v2 has no request for: refuse refuses the record; "+
				"operations sends an update of each of them, in one changeset with the record's own, so that all or "+
				"none "+
				"are done. They need their keys, and are not inserted, nor deleted where the record lacks them.",
			setting.Allowed("refuse", "operations"), group, setting.Display("Nested updates")),
		setting.Define(requestFormat, wit.KindString, wit.Low, setting.Default("json"),
			"Format of requests: json or atom, for services that take only Atom.", setting.Allowed("json", "atom"),
			group,
			setting.Display("Format")),
	)
}

func declareBatches(t *setting.Table) {
	group := setting.InGroup("Batches")
	t.Declare(
		setting.Define(enableBatch, wit.KindString, wit.Medium, setting.Default("1"),
			"1 sends several operations in one "+
				"$batch request, where the service has it; 0 makes each record a request of its own.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Batches")),
		setting.Define(maxBatchSize, wit.KindInt, wit.Medium, setting.Default("500"),
			"Most operations in a $batch request. What is gathered ("+"sap.odata.flush.trigger.size"+
				") is spread over as many requests as may be under way.",
			setting.AtLeast(1), setting.AtMost(10_000), group, setting.Display("Operations in a batch")),
		setting.Define(changesets, wit.KindString, wit.Low, setting.Default("auto"),
			"Operations of a batch of which all or "+
				"none are done: one makes each of them a changeset, all puts all of them into one, "+
				"auto is one for services of SAP, which refuse more by default, and for inserts; what else there is "+
				"goes "+
				"into one changeset, until the service refuses it.",
			setting.Allowed("auto", "one", "all"), group, setting.Display("Changesets")),
	)
}

// configuredSet is one entity set of the connector, as its settings say.
type configuredSet struct {
	number, service, set, topic string
	// query of all requests.
	query uri.Query
}

func configuredSets(v setting.Values) []configuredSet {
	var all []configuredSet
	for _, g := range config.Groups(v) {
		all = append(all, configuredSet{number: g.Digits, service: "/" + strings.Trim(g.String(nameService), "/"),
			set:   strings.Trim(g.String(nameEntitySet), "/"),
			topic: g.String(nameTopic), query: config.Query(v)})
	}
	return all
}

// manner is how records are written, as the settings say: configuration, which stays as it was opened.
type manner struct {
	mode, property, first, update         string
	uncertain, filter                     string
	deletes, deleteRecords, tunnel        bool
	keyFromRecord, tags, bare, retryTags  bool
	lossy, ignoreUnknown, failUnknown     bool
	nested                                bool
	atom, batches, oneByOne, allTogether  bool
	most, lanes                           int
	existsCodes, notFoundCodes, httpCodes []string
}

func mannerOf(v setting.Values) manner {
	lanes := max(1, min(v.Int(maxInFlight), v.Int(maxConcurrent)))
	nested := v.Lower(nestedUpdates) == "operations"
	if nested { // rows of other keys may update the same entity: none may overtake another
		lanes = 1
	}
	return manner{mode: v.Lower(operationMode), property: v.String(modeProperty), first: v.Lower(upsertFirst),
		update:    v.Lower(upsertMethod),
		uncertain: v.Lower(insertUncertain), filter: v.String(checkFilter),
		deletes: v.Bool(enableDelete), deleteRecords: v.Bool(deleteRecords), tunnel: v.Bool(methodTunnel),
		keyFromRecord: v.Lower(keyFrom) == "record", tags: v.Lower(etag) == "use", bare: v.Lower(etag) == "none",
		retryTags: v.Lower(etagConflict) == "retry",
		lossy:     v.Lower(lossy) == "allow", ignoreUnknown: v.Lower(unknownFields) == "ignore",
		failUnknown: v.Lower(unknownFields) == "fail",
		nested:      nested,
		atom:        v.Lower(requestFormat) == "atom", batches: v.Bool(enableBatch) && v.Int(maxBatchSize) > 1,
		oneByOne: v.Lower(changesets) == "one", allTogether: v.Lower(changesets) == "all",
		most: v.Int(maxBatchSize), lanes: lanes,
		existsCodes: v.List(existsCodes), notFoundCodes: v.List(notFoundCodes), httpCodes: v.List(httpCodes)}
}

// examine checks all settings; what is wrong stands in the errors.
func examine(given []wit.Setting) []wit.ConfigValue {
	examined := config.Examine(settings, given)
	v := settings.Values(given)
	all := configuredSets(v)
	if len(all) == 0 {
		examined = settings.AddMissing(examined, config.InGroup("00", nameService),
			"No entity set is configured: expected "+
				config.InGroup("00", nameService)+", "+config.InGroup("00", nameEntitySet)+" and "+config.InGroup("00",
				nameTopic))
	}
	for i, e := range all {
		for _, other := range all[:i] {
			if other.topic == e.topic {
				setting.AddError(examined, config.InGroup(e.number, nameTopic),
					"Topic "+e.topic+" stands in "+config.InGroup(other.number,
						nameTopic)+
						" already; its records can go to one entity set only")
			}
		}
	}
	if v.Lower(nestedUpdates) == "operations" {
		switch {
		case !v.Bool(enableBatch) || v.Int(maxBatchSize) == 1:
			setting.AddError(examined, nestedUpdates, setting.Invalid(nestedUpdates, v.String(nestedUpdates),
				"the operations go in batches, which "+enableBatch+" or "+maxBatchSize+" switches off"))
		case v.Lower(etag) == "use":
			setting.AddError(examined, nestedUpdates, setting.Invalid(nestedUpdates, v.String(nestedUpdates),
				etag+" = use reads the ETag of the record's own entity only"))
		}
	}
	if v.Lower(operationMode) == modeDynamic && v.String(modeProperty) == "" {
		setting.AddError(examined, modeProperty, setting.Missing(modeProperty)+"; "+operationMode+" = "+modeDynamic+
			" goes by it")
	}
	if _, given := v.Lookup(modeProperty); given && v.Lower(operationMode) != modeDynamic {
		setting.AddError(examined, modeProperty, setting.Invalid(modeProperty, v.String(modeProperty),
			"it says nothing without "+operationMode+" = "+modeDynamic))
	}
	return examined
}

// media is the type of bodies.
func (m *manner) media() string {
	if m.atom {
		return "application/atom+xml"
	}
	return "application/json"
}
