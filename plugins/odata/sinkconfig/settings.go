package sinkconfig

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	NameService   = "service"
	NameEntitySet = "entityset"
	NameTopic     = "topic"

	NameOperationMode   = "sap.odata.operation.mode"
	NameModeProperty    = "sap.odata.operation.mode.property"
	NameUpsertFirst     = "sap.odata.upsert.first"
	NameUpsertMethod    = "sap.odata.upsert.method"
	nameMethodTunnel    = "sap.odata.method.tunnel"
	NameEnableDelete    = "sap.odata.enable.delete"
	NameDeleteRecords   = "sap.odata.delete.records"
	nameExistsCodes     = "sap.odata.exists.codes"
	NameNotFoundCodes   = "sap.odata.notfound.codes"
	NameKeyFrom         = "sap.odata.key.from"
	NameETag            = "sap.odata.etag"
	NameETagConflict    = "sap.odata.etag.conflict"
	nameLossy           = "sap.odata.lossy"
	NameUnknownFields   = "sap.odata.unknown.fields"
	NameRequestFormat   = "sap.odata.request.format"
	NameEnableBatch     = "sap.odata.enable.batch"
	NameMaxBatchSize    = "sap.odata.max.batch.size"
	nameChangesets      = "sap.odata.changesets"
	nameBatchFormat     = "sap.odata.batch.format"
	NameInsertUncertain = "sap.odata.insert.uncertain"
	NameCheckFilter     = "sap.odata.check.filter"
	NameNestedUpdates   = "sap.odata.nested.updates"
	nameMaxInFlight     = "sap.odata.max.in.flight"
	nameMaxConcurrent   = "sap.odata.max.concurrent.requests"
	// NameHTTPCodes lists codes after which the host repeats a request. Inside a batch the plugin has to do it: the
	// response to a batch has status 200 even if operations failed temporarily (RATIONALE.md P31).
	NameHTTPCodes = "sap.odata.http.codes"
)

const (
	ModeInsert  = "insert"
	ModeUpdate  = "update"
	ModeDynamic = "dynamic"
	ModeMerge   = "merge"
	ModePatch   = "patch"
	ModeUpsert  = "upsert"
)

const nestedOperations = "operations"

// declareV2 declares the settings of the class for OData v2.
func declareV2() *setting.Table {
	table := &setting.Table{}
	config.Declare(table)
	table.Declare(setting.Define("sap.odata.headers.enable", wit.KindString, wit.Low, setting.Default("0"),
		"For sources: headers of the records. A sink accepts 0 only.",
		setting.Allowed("0", "false"), setting.InGroup("All entity sets"), setting.Display("Headers")))
	declareSets(table)
	declareOperations(table)
	declareDelivery(table)
	declareEntities(table)
	declareBatches(table)
	return table
}

func declareSets(table *setting.Table) {
	group := setting.InGroup("Entity set {n}")
	name := func(name string) string { return "sap.odata#{n}." + name }
	table.Declare(
		setting.Define(name(NameService), wit.KindString, wit.High, nil,
			"Path of the OData service, such as /sap/opu/odata/sap/X_SRV.",
			setting.Required(), setting.Dependents(name(NameEntitySet)), group, setting.Display("Service")),
		setting.Define(name(NameEntitySet), wit.KindString, wit.High, nil, "Name of the target entity set.",
			setting.Required(), setting.Dependents(name(NameTopic)), group, setting.Display("Entity set")),
		setting.Define(name(NameTopic), wit.KindString, wit.High, nil, "Topic whose records are written.",
			setting.Required(), setting.Topic(), setting.Role(role.SinkTopic), group, setting.Display("Topic")),
	)
}

func declareOperations(table *setting.Table) {
	group := setting.InGroup("Writing")
	table.Declare(
		setting.Define(NameOperationMode, wit.KindString, wit.High, setting.Default(ModeInsert),
			"How records are written: insert sends POST, update PUT, merge MERGE, patch PATCH; "+
				"dynamic reads the operation from a field of the value ("+NameModeProperty+
				"); upsert updates existing entities and inserts others.",
			setting.Allowed(ModeInsert, ModeUpdate, ModeDynamic, ModeMerge, ModePatch, ModeUpsert),
			setting.Dependents(NameModeProperty, NameUpsertFirst, NameUpsertMethod), group,
			setting.Display("Operation")),
		setting.Define(NameModeProperty, wit.KindString, wit.Medium, nil,
			"Field of the value that contains the operation, for "+
				NameOperationMode+" = "+ModeDynamic+": I is POST, U is PUT, M is MERGE, D is DELETE, in any case. "+
				"It is sent only if it is a property of the entity.", group,
			setting.Display("Field with the operation")),
		setting.Define(NameUpsertFirst, wit.KindString, wit.Low, setting.Default(ModeUpdate),
			"What upsert tries first, update or "+
				"insert. The other one follows if the service answers that the entity does not exist, or exists. "+
				"After a batch of new entities, update begins with the insert, too, if that has the same result.",
			setting.Allowed(ModeUpdate, ModeInsert), group, setting.Display("First request of an upsert")),
		setting.Define(NameUpsertMethod, wit.KindString, wit.Low, setting.Default(ModeMerge),
			"Method of the updates of upsert: merge, patch or put.",
			setting.Allowed(ModeMerge, ModePatch, "put"), group, setting.Display("Update method of an upsert")),
		setting.Define(nameExistsCodes, wit.KindList, wit.Low, nil, "HTTP codes and SAP message codes that mean "+
			"that the entity exists, in addition to 409 and known texts.", group,
			setting.Display("Codes for existing entities")),
		setting.Define(NameNotFoundCodes, wit.KindList, wit.Low, nil, "HTTP codes and SAP message codes that mean "+
			"that the entity does not exist, in addition to 404 and 410 from the service itself. "+
			"If 404 is listed, any 404 without an HTML page is trusted, even if a gateway may have sent it.", group,
			setting.Display("Codes for missing entities")),
		setting.Define(nameMethodTunnel, wit.KindString, wit.Low, setting.Default("0"),
			"1 sends PUT, MERGE, PATCH and DELETE as "+
				"POST with X-HTTP-Method, for gateways that block other methods. Not inside batches.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Tunnel methods in POST")),
		setting.Define(NameEnableDelete, wit.KindString, wit.Medium, setting.Default("0"),
			"1 sends DELETE for tombstones (a key, no value); 0 counts and ignores them. The key must be "+
				"a struct of all key properties, or the value of the only one.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Deletes")),
		setting.Define(NameDeleteRecords, wit.KindString, wit.Medium, setting.Default("0"),
			"1 sends DELETE for records that an OData source writes for deleted entities (RECORDMODE, ODQ_CHANGEMODE "+
				"or the entity's own change mode is D or, without such a field, DELETED_AT has a value), and does not "+
				"send the fields that the source adds.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Delete records")),
	)
}

func declareDelivery(table *setting.Table) {
	group := setting.InGroup("Writing")
	table.Declare(
		setting.Define(NameInsertUncertain, wit.KindString, wit.Medium, setting.Default("fail"),
			"What to do with an insert that got no response: fail "+
				"reports the record and does not send it again; check looks it up by the record's key or by "+
				NameCheckFilter+" (rejected if the service numbers the keys of the set according to $metadata, unless "+
				NameCheckFilter+" is set); repeatable sends SAP's RequestID, which makes the request idempotent, "+
				"and repeats the insert once the service has confirmed RequestIDs (until then it acts like check; "+
				"after a crash it first checks the inserts sent before the confirmation); "+
				"retry sends it again, which may create a duplicate.",
			setting.Allowed("fail", "check", "repeatable", "retry"), group,
			setting.Display("Inserts without response")),
		setting.Define(NameCheckFilter, wit.KindString, wit.Low, nil,
			"Finds an entity whose insert is in doubt if the "+
				"record has no key: a property with unique values, or a filter in which {Name} is replaced by "+
				"the value of property Name, such as Reference eq {Reference}.", group,
			setting.Display("Filter for the check")),
		setting.Define("sap.odata.flush.trigger.size", wit.KindInt, wit.Medium, setting.Default("500"),
			"Number of records that are written without waiting for more records.",
			setting.AtLeast(1), setting.Role(role.SinkFlushRows), group, setting.Display("Flush size")),
		setting.Define("sap.odata.flush.interval.ms", wit.KindLong, wit.Low, setting.Default("1000"),
			"How long records wait for more records before they are written, in milliseconds.",
			setting.AtLeast(0), setting.Role(role.SinkFlushIntervalMS), group, setting.Display("Flush interval")),
		setting.Define(nameMaxInFlight, wit.KindInt, wit.Low, setting.Default("8"),
			"Number of concurrent requests, limited by "+nameMaxConcurrent+
				". Records with the same key are always written in order.",
			setting.AtLeast(1), setting.AtMost(64), setting.Role(role.SinkInFlight), group,
			setting.Display("Concurrent requests")),
	)
}

func declareEntities(table *setting.Table) {
	group := setting.InGroup("Entities")
	table.Declare(
		setting.Define(NameKeyFrom, wit.KindString, wit.Medium, setting.Default("value"),
			"Source of the entity's key: value, each property from the record's value, or from the record's key "+
				"if the value lacks it; or record, the record's key only. With value, a record is rejected if its "+
				"value contains a part of the key that differs from the record's key, or a value that does not "+
				"fit the property.",
			setting.Allowed("value", "record"), group, setting.Display("Key from")),
		setting.Define(NameETag, wit.KindString, wit.Medium, setting.Default("any"),
			"any sends If-Match: * with updates and "+
				"deletes, so they overwrite, unless the service rejects it for a type without ETag; "+
				"use reads the entity's ETag first and sends it; "+
				"none sends no If-Match.",
			setting.Allowed("any", "use", "none"), setting.Dependents(NameETagConflict), group,
			setting.Display("ETags")),
		setting.Define(NameETagConflict, wit.KindString, wit.Low, setting.Default("refuse"),
			"What to do for "+NameETag+" = use if the entity was changed after its ETag was read: refuse rejects "+
				"the record, retry reads the ETag again.",
			setting.Allowed("refuse", "retry"), group, setting.Display("ETag conflicts")),
		setting.Define(nameLossy, wit.KindString, wit.Low, setting.Default("refuse"),
			"refuse rejects records with values that do "+
				"not fit their property; allow converts them: integers lose their upper bits, digits "+
				"after the scale are rounded.",
			setting.Allowed("refuse", "allow"), group, setting.Display("Values that don't fit")),
		setting.Define(NameUnknownFields, wit.KindString, wit.Low, setting.Default("refuse"),
			"What to do with a record with a "+
				"field that is no property of the entity: refuse rejects the record, ignore does not send the field, "+
				"fail fails the task.",
			setting.Allowed("refuse", "ignore", "fail"), group, setting.Display("Unknown fields")),
		setting.Define(NameNestedUpdates, wit.KindString, wit.Low, setting.Default("refuse"),
			"What to do with an update whose record contains nested entities, for which OData v2 has no request: "+
				"refuse rejects the record; operations updates each of them in one changeset with the record's own "+
				"entity, so all or none are applied. Nested entities need their keys. They are not inserted, and "+
				"missing ones are not deleted.",
			setting.Allowed("refuse", "operations"), group, setting.Display("Nested updates")),
		setting.Define(NameRequestFormat, wit.KindString, wit.Low, setting.Default("json"),
			"Format of requests: json or, for services that accept nothing else, atom.",
			setting.Allowed("json", "atom"), group, setting.Display("Format")),
	)
}

func declareBatches(table *setting.Table) {
	group := setting.InGroup("Batches")
	table.Declare(
		setting.Define(NameEnableBatch, wit.KindString, wit.Medium, setting.Default("1"),
			"1 sends several operations in one "+
				"$batch request if the service supports it; 0 sends a request for each record.",
			setting.Allowed(setting.BoolValues...), group, setting.Display("Batches")),
		setting.Define(NameMaxBatchSize, wit.KindInt, wit.Medium, setting.Default("500"),
			"Most operations in a $batch request. The records of a flush (sap.odata.flush.trigger.size) "+
				"are distributed over the concurrent requests.",
			setting.AtLeast(1), setting.AtMost(10_000), group, setting.Display("Operations in a batch")),
		setting.Define(nameChangesets, wit.KindString, wit.Low, setting.Default("auto"),
			"How the operations of a batch are grouped into changesets: one puts each operation into its own, all "+
				"puts all of them into one; auto acts like one for inserts and for services of SAP, which reject "+
				"larger changesets by default, and else like all until the service rejects it.",
			setting.Allowed("auto", "one", "all"), group, setting.Display("Changesets")),
	)
}
