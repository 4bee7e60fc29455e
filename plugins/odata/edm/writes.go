package edm

import "github.com/culvert-project/culvert/wit"

// Writes is the part of a [Dialect] that concerns requests that write.
type Writes struct {
	// ISO means that values in JSON are as in URLs: dates in ISO 8601 with all digits, bytes in base64url.
	ISO         bool
	Collections bool // properties may be collections
	// Bind is the end of the names under which requests have references to entities, after the name of a navigation
	// property. Empty means that requests have none.
	Bind string
	// ActiveKey is the key property that is true for active entities and false for drafts, in services of SAP
	// (com.sap.vocabularies.Common.v1.DraftRoot and DraftNode). Empty means that no set has drafts.
	ActiveKey string
	Merge     string // the method of updates that keep other properties
	// BodyVersion is the header with the version of a request's body. BodyHeaders are the other headers of a request
	// with an entity in JSON.
	BodyVersion wit.Header
	BodyHeaders []wit.Header
	// What $metadata have for sets that accept no inserts, updates or deletes, and for properties that the service
	// sets.
	NoInserts string
	NoUpdates string
	NoDeletes string
	Generated string
}

var v2Writes = Writes{
	Merge:       "MERGE",
	BodyVersion: wit.Header{Name: "DataServiceVersion", Value: "2.0"},
	BodyHeaders: []wit.Header{{Name: "Accept", Value: "application/json"},
		{Name: "Content-Type", Value: "application/json"}},
	NoInserts: `sap:creatable="false"`,
	NoUpdates: `sap:updatable="false"`,
	NoDeletes: `sap:deletable="false"`,
	Generated: `sap:creatable="false"`,
}

const json4 = "application/json;odata.metadata=minimal;IEEE754Compatible=true"

var v4Writes = Writes{
	ISO:         true,
	Collections: true,
	Bind:        "@odata.bind",
	ActiveKey:   "IsActiveEntity",
	Merge:       "PATCH",
	BodyVersion: wit.Header{Name: "OData-Version", Value: "4.0"},
	// Numbers are strings, to which Olingo answers 400 without IEEE754Compatible=true. In JSON batches CAP finds the
	// preference by this name only.
	BodyHeaders: []wit.Header{{Name: "Accept", Value: json4},
		{Name: "Content-Type", Value: "application/json;IEEE754Compatible=true"},
		{Name: "prefer", Value: "return=minimal"}},
	NoInserts: "InsertRestrictions/Insertable false",
	NoUpdates: "UpdateRestrictions/Updatable false",
	NoDeletes: "DeleteRestrictions/Deletable false",
	Generated: "Core.Computed",
}
